"""The ledger: which phase is in force, beside the CSV, for when PostgreSQL cannot be asked."""

import json
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.atomic import draft, make_folder


class Ledger:
    """Phase and epoch on disk, and the change of phase that is under way. Read and kept under the file lock.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

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

    def _read(self) -> tuple[State | None, PhaseChange | None]:
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
