"""The row index: where each row of the CSV lies, so that one can be replaced without parsing all others.

It also marks which file it describes, so that a file somebody else wrote is noticed. It is made from the
CSV and can be thrown away at any time.
"""

import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.stores.atomic import make_folder
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.identity import Identity

Hashes = npt.NDArray[np.uint64]
Lengths = npt.NDArray[np.uint32]
_HASH, _LENGTH = np.dtype(np.uint64), np.dtype(np.uint32)

_CHECK = hashlib.sha256().digest_size
_FORM = 2
"""How it is kept; one that is kept in another form is as good as none."""


@dataclass(frozen=True)
class RowIndex:
    """Where the rows of one file lie.

    Attributes:
        identity: The file that is meant.
        sha256: Its digest.
        sequence: The last record of the journal that is in it.
        dialect: How it is spelled.
        head: Bytes before its rows.
        hashes: Of each row's row_id, in the file's order.
        lengths: Of each row in bytes, its line end included.
    """

    identity: Identity
    sha256: str
    sequence: int
    dialect: Dialect
    head: int
    hashes: Hashes
    lengths: Lengths

    @cached_property
    def offsets(self) -> npt.NDArray[np.uint64]:
        """Where each row begins; one more at the end."""
        offsets = np.empty(len(self.lengths) + 1, dtype=np.uint64)
        offsets[0] = self.head
        np.cumsum(self.lengths, dtype=np.uint64, out=offsets[1:])
        offsets[1:] += np.uint64(self.head)
        return offsets

    def places(self, row_id: str) -> list[int]:
        """The rows, counted from 0, that may be this person's: to be checked against the file."""
        return [int(place) for place in np.flatnonzero(self.hashes == hash_of(row_id))]

    def places_of(self, row_ids: Iterable[str]) -> list[int]:
        """The rows that may be one of these persons'; in the file's order."""
        hashes = np.fromiter((hash_of(row_id) for row_id in row_ids), dtype=np.uint64)
        return [int(place) for place in np.flatnonzero(np.isin(self.hashes, hashes))]

    def marked(self, sequence: int) -> "RowIndex":
        """The same rows, up to another record of the journal."""
        return replace(self, sequence=sequence)

    def save(self, path: Path) -> None:
        """Put it in its place. A crash may lose it; a damaged one is noticed."""
        kept = {
            "form": _FORM,
            "identity": [self.identity.inode, self.identity.size, self.identity.modified],
            "sha256": self.sha256,
            "sequence": self.sequence,
            "dialect": self.dialect.as_json(),
            "head": self.head,
        }
        parts = (json.dumps(kept).encode() + b"\n", self.hashes.data, self.lengths.data)
        check = hashlib.sha256()
        for part in parts:
            check.update(part)
        make_folder(path.parent)
        # Under the lock nobody else writes it, so what a killed program left is simply written over.
        temporary = path.with_name(f".{path.name}.tmp")
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(check.digest())
            for part in parts:
                file.write(part)
        temporary.replace(path)


def load(path: Path) -> RowIndex | None:
    """The index that was saved; None where there is none, or a damaged one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(memoryview(data)[_CHECK:]).digest() != data[:_CHECK]:
        return None
    end = data.index(b"\n", _CHECK)
    kept: dict[str, Any] = json.loads(data[_CHECK:end])
    if kept.get("form") != _FORM:
        return None
    rows = (len(data) - end - 1) // (_HASH.itemsize + _LENGTH.itemsize)
    hashes = np.frombuffer(data, _HASH, rows, end + 1)
    lengths = np.frombuffer(data, _LENGTH, rows, end + 1 + hashes.nbytes)
    return RowIndex(
        Identity(*kept["identity"]),
        kept["sha256"],
        kept["sequence"],
        Dialect.from_json(kept["dialect"]),
        kept["head"],
        hashes,
        lengths,
    )


def build(path: Path, sequence: int, progress: Callable[[int], None] | None = None) -> RowIndex:
    """The index of a file, read through the gate.

    Args:
        path: The file.
        sequence: The last record of the journal that is in it.
        progress: Told how many bytes have been read.

    Raises:
        InputRefusedError: The file does not keep the contract.
        UnavailableError: It is not there, or was written to meanwhile.
    """
    hashes, lengths = array("Q"), array("I")
    with CsvReading(path, progress) as file:
        key = file.columns.index("row_id")
        for block in file.blocks():
            hashes.extend(map(hash_of, block.cells(key)))
            lengths.frombytes(block.lengths().astype(_LENGTH).tobytes())
        file.check_current()
        return RowIndex(
            file.identity,
            file.sha256,
            sequence,
            file.dialect,
            len(file.head),
            np.frombuffer(hashes, _HASH),
            np.frombuffer(lengths, _LENGTH),
        )


def hash_of(row_id: str) -> int:
    """Eight bytes of a row_id's digest."""
    return int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=8).digest(), "big")
