"""Shares: a pinned file in buckets, beside the CSV, and what came of each; for workers that share the folder.

All lies in one folder per key, which appears whole or not at all and is never written twice.
"""

import json
import os
import re
import shutil
import sys
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ingestion_pipeline.domain.buckets import Pinned, Split, bucket_of
from ingestion_pipeline.domain.errors import Place, SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.ports import Blocks, RowBlock
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.atomic import Draft, draft, make_folder, sync_folder
from ingestion_pipeline.stores.disk.csv_reading import CsvReading

KEPT = 7 * 86400.0
"""Seconds after which a folder is taken away that nobody has ended."""

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_SPLIT, _DONE, _ROWS = "split.json", "done", "rows-"


class Shares:
    """Files in buckets.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, key: str) -> Split | None:
        """What is known of a file that was split; None where there is none."""
        try:
            kept = json.loads((self._of(key) / _SPLIT).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self._of(key), error) from None
        state = State(Phase(kept.pop("phase")), kept.pop("epoch"))
        shares = tuple((sha256, rows) for sha256, rows in kept.pop("shares"))
        return Split(state=state, shares=shares, **kept)

    def is_over(self, key: str) -> bool:
        """Whether all has been done that was to be done with the shares."""
        return (self._of(key) / _DONE).exists()

    def split(self, key: str, pinned: Pinned, file: Blocks, buckets: int) -> Split:
        """Split a file; where another process was quicker, its shares stand.

        Args:
            key: What the shares are called.
            pinned: What is known of both sides.
            file: The file, not yet read.
            buckets: How many buckets.
        """
        make_folder(self._folder)
        self._clear_old()
        target, begun = self._of(key), self._folder / f".{key}.{uuid4().hex}"
        make_folder(begun)
        try:
            shares = _split(begun, file, buckets)
            split = Split(
                **{name: getattr(pinned, name) for name in Pinned.__dataclass_fields__},
                buckets=buckets,
                rows=file.rows,
                sha256=file.sha256,
                dialect=file.dialect.as_json(),
                shares=shares,
            )
            _keep(begun / _SPLIT, _as_json(split))
            sync_folder(begun)
            with suppress(OSError):  # another was quicker: a folder that holds something is not replaced
                begun.rename(target)
                sync_folder(self._folder)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        known = self.known(key)
        if known is None:
            raise UnavailableError(
                "the shares of the file cannot be put in their place",
                code="disk",
                place=Place(file=str(target)),
                hint="Check free space and permissions.",
            )
        return known

    def begin(self, key: str) -> None:
        """Make a place for what comes of buckets that need no rows of a file."""
        make_folder(self._folder)
        self._clear_old()
        make_folder(self._of(key))

    @contextmanager
    def reading(self, key: str, bucket: int) -> Iterator["Share"]:
        """One pass over the file of a bucket, through the gate.

        Raises:
            UnavailableError: It is not there.
        """
        path = self._of(key) / _csv(bucket)
        places = array("q")
        try:
            places.frombytes(path.with_suffix(".places").read_bytes())
        except OSError as error:
            raise _unreadable(path, error) from None
        if sys.byteorder == "big":
            places.byteswap()
        with CsvReading(path) as file:
            yield Share(file, places)

    def result(self, key: str, kind: str, bucket: int) -> Mapping[str, Any] | None:
        """What came of a bucket; None where nothing has yet."""
        try:
            found: Mapping[str, Any] = json.loads((self._of(key) / _result(kind, bucket)).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def keep_result(self, key: str, kind: str, bucket: int, result: Mapping[str, Any]) -> None:
        """Keep what came of a bucket."""
        _keep(self._of(key) / _result(kind, bucket), result)

    def end(self, key: str) -> None:
        """Note that all is done, and take the rows away; who still works on them finds that out."""
        folder = self._of(key)
        if not folder.exists():
            return
        if not self.is_over(key):
            _keep(folder / _DONE, {})
        for path in folder.iterdir():
            if path.name.startswith(_ROWS):
                path.unlink(missing_ok=True)

    def _of(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise SettingsError("a key is letters, digits and hyphens", code="bad_key")
        return self._folder / key

    def _clear_old(self) -> None:
        for path in self._folder.iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT:
                    shutil.rmtree(path)


@dataclass(frozen=True, slots=True)
class Share:
    """The rows of one bucket.

    Attributes:
        file: They, as a file of their own.
        places: The place of each in the whole file, from 1.
    """

    file: CsvReading
    places: "array[int]"


@dataclass(frozen=True, slots=True)
class _Pair:
    rows: Draft
    places: Draft


def _split(folder: Path, file: Blocks, buckets: int) -> tuple[tuple[str, int], ...]:
    counts = [0] * buckets
    with ExitStack() as stack:
        pairs = []
        for bucket in range(buckets):
            path = folder / _csv(bucket)
            pair = _Pair(
                stack.enter_context(draft(path)), stack.enter_context(draft(path.with_suffix(".places")))
            )
            pair.rows.write(file.head)
            pairs.append(pair)
        for block in file.blocks():
            _deal(block, file, pairs, counts)
        file.check_current()
        shares = []
        for pair, rows in zip(pairs, counts, strict=True):
            shares.append((pair.rows.create().sha256, rows))
            pair.places.create()
    return tuple(shares)


def _deal(block: RowBlock, file: Blocks, pairs: list[_Pair], counts: list[int]) -> None:
    buckets, key = len(pairs), file.columns.index("row_id")
    end = file.dialect.line_end.encode()
    lines = block.spans(0, len(file.columns) - 1)
    bucket_ids = np.fromiter(
        (bucket_of(row_id, buckets) for row_id in block.cells(key)), np.int64, len(lines)
    )
    for bucket in np.unique(bucket_ids).tolist():
        rows = np.flatnonzero(bucket_ids == bucket)
        pairs[bucket].rows.write(b"".join([lines[row] + end for row in rows.tolist()]))
        pairs[bucket].places.write((rows + block.position).astype("<i8").tobytes())
        counts[bucket] += len(rows)


def _csv(bucket: int) -> str:
    return f"{_ROWS}{bucket:03}.csv"


def _result(kind: str, bucket: int) -> str:
    return f"{kind}-{bucket:03}.json"


def _as_json(split: Split) -> dict[str, Any]:
    kept = asdict(split)
    del kept["state"]
    return {**kept, "phase": split.state.phase.value, "epoch": split.state.epoch}


def _keep(path: Path, content: Mapping[str, Any]) -> None:
    with draft(path) as new:
        new.write(json.dumps(content).encode())
        new.replace()


def _unreadable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"the share cannot be read: {os.strerror(error.errno or 0)}",
        code="share_missing",
        place=Place(file=str(path)),
        hint="Every worker must see the CSV's folder, hidden folder included.",
    )
