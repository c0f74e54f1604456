"""The log of phase changes: one JSON object a line, beside the CSV, so that it outlives the tables."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.stores.atomic import make_folder, sync_folder, write_all


class PhaseLog:
    """What phases there were. Written under the file lock.

    A line is a change, or under the epoch of one what became known of it later. A new database, without the
    ledger, counts its epochs from 1 again: the last change of an epoch is the one that is meant.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def changes(self) -> list[PhaseChange]:
        """Every change, the oldest first.

        Raises:
            ProtectedError: The file is damaged, but for its last line, which may be torn.
            UnavailableError: It cannot be read.
        """
        return self._changes(self._lines())

    def note(self, change: PhaseChange) -> None:
        """Append a change, unless it is there already."""
        lines = self._lines()
        if not any(_is_same(known, change) for known in self._changes(lines)):
            self._append(lines, change.as_json())

    def note_later(self, epoch: int, found: dict[str, Any]) -> None:
        """Append what became known of a change afterwards."""
        lines = self._lines()
        if any(known.epoch == epoch for known in self._changes(lines)):
            self._append(lines, {"epoch": epoch, **found})

    def _changes(self, lines: Iterable[bytes]) -> list[PhaseChange]:
        try:
            return _told(map(json.loads, lines))
        except (ValueError, KeyError, TypeError):
            raise ProtectedError(
                "the log of phase changes is damaged",
                code="phase_log_damaged",
                place=Place(file=str(self.path)),
                hint="Which phase is in force does not hang on it: move the file away, and keep it.",
            ) from None

    def _lines(self) -> list[bytes]:
        try:
            *whole, _torn = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnavailableError(
                f"the log of phase changes cannot be read: {error.strerror}",
                code="disk",
                place=Place(file=str(self.path)),
                hint="Nothing was changed. Check the disk and the file's permissions.",
            ) from None
        return whole

    def _append(self, lines: Iterable[bytes], entry: dict[str, Any]) -> None:
        """Append behind these whole lines."""
        make_folder(self.path.parent)
        whole = sum(len(line) + 1 for line in lines)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        try:
            os.ftruncate(descriptor, whole)
            os.lseek(descriptor, whole, os.SEEK_SET)
            write_all(descriptor, json.dumps(entry).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not whole:
            sync_folder(self.path.parent)


def _told(entries: Iterable[Any]) -> list[PhaseChange]:
    """The changes, each with all that became known of it."""
    changes: list[PhaseChange] = []
    last: dict[int, int] = {}
    for entry in entries:
        if "before" in entry:
            last[entry["epoch"]] = len(changes)
            changes.append(PhaseChange.from_json(entry))
        else:
            number = last[entry["epoch"]]
            changes[number] = replace(changes[number], **entry)
    return changes


def _is_same(one: PhaseChange, other: PhaseChange) -> bool:
    return (one.epoch, one.at) == (other.epoch, other.at)
