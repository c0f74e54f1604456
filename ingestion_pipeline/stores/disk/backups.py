"""Copies of the CSV on this machine, the newest few."""

import re
import time
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.stores.atomic import CHUNK, Draft, draft, make_folder

_QUICK = 1
_GZIP = 31
_COPY = re.compile(r"(.+)_\d{8}T\d{12}Z(\.\w+)*", re.ASCII)
"""What copies are called after whose they are; nothing else in their folder is ever dropped."""


class Backups:
    """A folder of copies, named by the time they were made.

    Args:
        folder: Where they lie.
        most: How many are kept; 0 for all.
        compress: Whether they are gzipped.
    """

    def __init__(self, folder: Path, most: int, *, compress: bool) -> None:
        self.folder = folder
        self._most = most
        self._compress = compress

    def is_recent(self, named: Path, seconds: float) -> bool:
        """Whether the newest copy of a file is not older than this."""
        with suppress(OSError, IndexError):
            return time.time() - self._all(named)[-1].stat().st_mtime < seconds
        return False

    def copy(self, source: Path, named: Path) -> Path:
        """Copy a file under another's name and the time; drops the oldest of that name beyond the most.

        Raises:
            UnavailableError: The copy cannot be written.
        """
        make_folder(self.folder)
        suffix = f"{named.suffix}.gz" if self._compress else named.suffix
        with source.open("rb") as file, draft(self.folder / f"{named.stem}{suffix}") as new:
            if self._compress:
                _compress(file, new)
            else:
                while chunk := file.read(CHUNK):
                    new.write(chunk)
            target = self._created(new, named.stem, suffix)
        for old in self._all(named)[: -self._most] if self._most else []:
            old.unlink(missing_ok=True)
        return target

    def _created(self, new: Draft, stem: str, suffix: str) -> Path:
        """Give it a name by the time; another one where somebody had the same in the same microsecond."""
        while True:
            target = self.folder / f"{stem}_{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}{suffix}"
            with suppress(FileExistsError):
                new.create(target)
                return target

    def _all(self, named: Path) -> list[Path]:
        found = ((path, _COPY.fullmatch(path.name)) for path in self.folder.iterdir())
        return sorted(path for path, copy in found if copy is not None and copy.group(1) == named.stem)


def _compress(source: BinaryIO, sink: Sink) -> None:
    packer = zlib.compressobj(_QUICK, wbits=_GZIP)
    while chunk := source.read(CHUNK):
        sink.write(packer.compress(chunk))
    sink.write(packer.flush())
