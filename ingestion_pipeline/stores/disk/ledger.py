"""The ledger: which phase is in force, beside the CSV, for when PostgreSQL cannot be asked."""

import json
import time
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.atomic import draft, make_folder

SETTLED = 1_000_000_000
"""Nanoseconds after which a change of a file shows in its times, whatever keeps them."""

_Mark = tuple[int, int, int, int, int]
_Kept = tuple[State | None, PhaseChange | None]


class Ledger:
    """Phase and epoch on disk, and the change of phase that is under way. Read and kept under the file lock.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_last: tuple[_Mark, _Kept] | None = None

    def read(self) -> State | None:
        """The phase in force; None before the first write.

        Raises:
            ProtectedError: The file is damaged.
            UnavailableError: It cannot be read.
        """
        return self._read()[0]

    def change(self) -> PhaseChange | None:
        """The change of phase that was begun and nobody has seen the end of.

        Raises:
            PipelineError: As `read`.
        """
        return self._read()[1]

    def keep(self, state: State) -> None:
        """Keep the phase in force, durably."""
        self._write(state, {})

    def mark(self, state: State, change: PhaseChange) -> None:
        """Note, durably, that a change of the phase in force is about to be made."""
        self._write(state, {"changing": change.as_json()})

    def _write(self, state: State, more: dict[str, Any]) -> None:
        make_folder(self.path.parent)
        with draft(self.path) as new:
            new.write(json.dumps({"phase": state.phase, "epoch": state.epoch, **more}).encode())
            new.replace()

    def _read(self) -> _Kept:
        mark = self._mark()
        last = self._read_last
        if mark is not None and last is not None and last[0] == mark:
            return last[1]
        found = self._read_anew()
        # A file that is written in this very moment may be written again without looking another one.
        is_settled = mark is not None and mark == self._mark() and time.time_ns() - mark[-1] > SETTLED
        self._read_last = (mark, found) if mark is not None and is_settled else None
        return found

    def _mark(self) -> _Mark | None:
        """What tells the file from another one of its name; None where there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read_anew(self) -> _Kept:
        try:
            kept = json.loads(self.path.read_bytes())
            marked = kept.get("changing")
            change = None if marked is None else PhaseChange.from_json(marked)
            return State(Phase(kept["phase"]), int(kept["epoch"]), changing=change is not None), change
        except FileNotFoundError:
            return None, None
        except OSError as error:
            raise UnavailableError(
                f"the ledger cannot be read: {error.strerror}",
                code="disk",
                place=Place(file=str(self.path)),
                hint="Nothing was changed. Check the disk and the file's permissions.",
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ProtectedError(
                "the ledger is damaged, so it is not known which side leads",
                code="ledger_damaged",
                place=Place(file=str(self.path)),
                hint="Move this file away: with PostgreSQL within reach, it is written anew.",
            ) from None
