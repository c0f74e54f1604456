"""The intake: writes that wait for the file lock are written by whoever holds it, together.

A request is a file that its writer keeps locked while it waits. Whoever holds the CSV's lock claims it by
taking its name away, and appends the answer to the file itself, which its writer still has open. A request
whose writer has died is locked by nobody, and is thrown away.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from ingestion_pipeline.domain.errors import Place, UnavailableError
from ingestion_pipeline.domain.receipt import Write
from ingestion_pipeline.stores.atomic import make_folder, write_all

AT_ONCE = 256
"""Requests taken together at most."""

_SUFFIX = ".request"

Answer = Mapping[str, Any]
"""What the writer is told, as JSON holds it."""


class Request:
    """Writes that wait. Use as a context manager.

    Args:
        folder: The intake.
        writes: What is to be written, in this order.
        by: Who writes.
    """

    def __init__(self, folder: Path, writes: Sequence[Write], by: str) -> None:
        make_folder(folder)
        self.path = folder / f"{uuid4().hex}{_SUFFIX}"
        asked = {
            "by": by,
            "writes": [
                (write.row_id, dict(write.cells), write.write_id.hex, write.given) for write in writes
            ],
        }
        data = json.dumps(asked).encode() + b"\n"
        self._size = len(data)
        try:
            self._descriptor = _published(self.path, data)
        except OSError as error:
            raise UnavailableError(
                f"the write cannot wait for the lock: {error.strerror}",
                code="disk",
                place=Place(file=str(folder)),
                hint="Nothing was written. Check free space and the disk.",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.withdraw()
        os.close(self._descriptor)

    def answer(self) -> Answer | None:
        """What came of it; None while nothing has."""
        size = os.fstat(self._descriptor).st_size - self._size
        data = os.pread(self._descriptor, size, self._size) if size > 0 else b""
        if not data.endswith(b"\n"):
            return None
        found: Answer = json.loads(data)
        return found

    def withdraw(self) -> bool:
        """Take the request back; False when somebody has claimed it already."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True


def _published(path: Path, data: bytes) -> int:
    """The descriptor of a new file with this content, locked before it had its name."""
    hidden = path.with_suffix(".tmp")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(hidden, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        write_all(descriptor, data)
        hidden.replace(path)
    except BaseException:
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
        raise
    return descriptor


class Claimed:
    """A request that is being written."""

    def __init__(self, descriptor: int, by: str, writes: Sequence[Write]) -> None:
        self._descriptor = descriptor
        self.by = by
        self.writes = writes

    def tell(self, answer: Answer) -> None:
        """Answer whoever waits."""
        # Who gets no answer takes the lock, and finds the write in the journal.
        with suppress(OSError):
            write_all(self._descriptor, json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        """Let go of the request."""
        os.close(self._descriptor)


def claim(folder: Path) -> Iterator[Claimed]:
    """Claim the requests that wait, but for those whose writers have died."""
    with suppress(FileNotFoundError):
        waiting = sorted(path for path in folder.iterdir() if path.suffix == _SUFFIX)
        for path in waiting[:AT_ONCE]:
            claimed = _claim(path)
            if claimed is not None:
                yield claimed


def _claim(path: Path) -> Claimed | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        alive = _is_locked(descriptor)
        path.unlink()
    except FileNotFoundError:
        alive = False
    if not alive:
        os.close(descriptor)
        return None
    asked = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    writes = [
        Write(row_id, cells, UUID(write_id), given) for row_id, cells, write_id, given in asked["writes"]
    ]
    return Claimed(descriptor, asked["by"], writes)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
