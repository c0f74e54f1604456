"""Splicing: a few rows of a file replaced, the bytes of all others copied as they are."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import Queue
from threading import Thread
from typing import BinaryIO

import numpy as np

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.stores.atomic import CHUNK, LARGE
from ingestion_pipeline.stores.digest import Digest
from ingestion_pipeline.stores.disk.row_index import RowIndex, hash_of
from ingestion_pipeline.stores.disk.spelling import spell

_LONG = 65536
"""Bytes that take longer to be copied than to be written apart from others."""


class StaleIndexError(Exception):
    """The file is not the one that the index describes."""


@dataclass(slots=True)
class Splice:
    """What is to become of a file's rows.

    Attributes:
        replaced: By place from 0, a row's new line with its line end; None to leave the row out.
        on_top: New rows above all others, in the file's order: row_id and line.
    """

    replaced: dict[int, bytes | None] = field(default_factory=dict)
    on_top: list[tuple[str, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.replaced or self.on_top)


def line(cells: Sequence[str], dialect: Dialect) -> bytes:
    """A row's bytes in a file of this spelling, its line end included."""
    return spell([cells], dialect.quoting, dialect.line_end).encode()


def row_at(file: BinaryIO, index: RowIndex, place: int, offset: int) -> list[str]:
    """The cells of one row, checked against the index and the spelling.

    Raises:
        StaleIndexError: Something else lies there.
    """
    file.seek(offset)
    raw = file.read(int(index.lengths[place]))
    try:
        rows = list(csv.reader(io.StringIO(raw.decode(), newline=""), strict=True))
    except (ValueError, csv.Error):
        raise StaleIndexError from None
    if len(rows) != 1 or len(rows[0]) != len(index.dialect.columns):
        raise StaleIndexError
    if line(rows[0], index.dialect) != _ended(raw, index.dialect):
        raise StaleIndexError
    return rows[0]


def copy_spliced(file: BinaryIO, index: RowIndex, splice: Splice, sink: Sink) -> RowIndex:
    """Write the file as it is to become; gives its index, but for identity and digest.

    Raises:
        StaleIndexError: The file is not the one that the index describes; what was written is of no use.
    """
    target = _Target(sink, index.dialect)
    with _digested(index.identity.size) as digested:
        source = _Source(file, digested)
        file.seek(0)
        target.head(source.read(index.head))
        for _, raw in splice.on_top:
            target.write(raw)
        offsets = index.offsets
        for place in sorted(splice.replaced):
            source.copy_to(int(offsets[place]), target)
            source.read(int(index.lengths[place]))
            target.write(splice.replaced[place] or b"")
        source.copy_to(int(offsets[-1]), target)
        target.end()
    if digested.sha256 != index.sha256 or file.read(1):
        raise StaleIndexError
    return _spliced_index(index, splice, target)


def _spliced_index(index: RowIndex, splice: Splice, target: "_Target") -> RowIndex:
    hashes, lengths = index.hashes.copy(), index.lengths.copy()
    for place, raw in splice.replaced.items():
        lengths[place] = len(raw or b"")
    kept = np.ones(len(hashes), dtype=bool)
    kept[[place for place, raw in splice.replaced.items() if raw is None]] = False
    on_top = np.array([hash_of(row_id) for row_id, _ in splice.on_top], dtype=np.uint64)
    top_lengths = np.array([len(raw) for _, raw in splice.on_top], dtype=lengths.dtype)
    lengths = np.concatenate((top_lengths, lengths[kept]))
    if len(lengths):
        lengths[-1] = target.size - target.head_size - int(lengths[:-1].sum())
    return replace(
        index, head=target.head_size, hashes=np.concatenate((on_top, hashes[kept])), lengths=lengths
    )


def _ended(raw: bytes, dialect: Dialect) -> bytes:
    end = dialect.line_end.encode()
    return raw if raw.endswith(end) else raw + end


class _Behind:
    """A digest that a thread works out while the bytes are used for something else."""

    def __init__(self) -> None:
        self._digest = Digest()
        # Not many, so that memory does not grow with the file.
        self._waiting: Queue[bytes | None] = Queue(4)
        self._thread = Thread(target=self._run, name="digest", daemon=True)
        self._thread.start()

    def write(self, data: bytes, /) -> None:
        self._waiting.put(data)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    @property
    def sha256(self) -> str:
        return self._digest.sha256

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._digest.write(data)


@contextmanager
def _digested(size: int) -> Iterator[Digest | _Behind]:
    """The digest of a file of this size; all of it is known afterwards."""
    if size < LARGE:
        yield Digest()
        return
    behind = _Behind()
    try:
        yield behind
    finally:
        behind.close()


class _Source:
    """The old file, read once from end to end."""

    def __init__(self, file: BinaryIO, digest: Digest | _Behind) -> None:
        self._file = file
        self._digest = digest
        self._offset = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise StaleIndexError
        self._digest.write(data)
        self._offset += size
        return data

    def copy_to(self, offset: int, target: "_Target") -> None:
        while self._offset < offset:
            target.write(self.read(min(CHUNK, offset - self._offset)))


class _Target:
    """The new file; its last line is ended or not, as the old one's was."""

    def __init__(self, sink: Sink, dialect: Dialect) -> None:
        self._sink = sink
        self._end = dialect.line_end.encode()
        self._final_newline = dialect.final_newline
        self._held = b""
        self.size = 0
        self.head_size = 0

    def head(self, raw: bytes) -> None:
        self.write(raw if raw.endswith(self._end) else raw + self._end)
        self.head_size = self.size

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if len(data) >= _LONG:
            # Not copied once more for the sake of what was held back.
            self._sink.write(self._held)
            self._held = b""
        data = self._held + data
        self._sink.write(data[:-2])
        self._held = data[-2:]

    def end(self) -> None:
        bare = self._held.removesuffix(self._end)
        last = bare + self._end if self._final_newline else bare
        self.size += len(last) - len(self._held)
        self.head_size = min(self.head_size, self.size)
        self._sink.write(last)
