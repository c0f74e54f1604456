"""The ledger: which phase is in force, beside the CSV, for when PostgreSQL cannot be asked."""

import json
from pathlib import Path

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.atomic import draft, make_folder


class Ledger:
    """Phase and epoch on disk. Read and kept under the file lock.

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
        try:
            kept = json.loads(self.path.read_bytes())
            return State(Phase(kept["phase"]), int(kept["epoch"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(
                f"the ledger cannot be read: {error.strerror}",
                code="disk",
                place=Place(file=str(self.path)),
                hint="Nothing was changed. Check the disk and the file's permissions.",
            ) from None
        except (ValueError, KeyError, TypeError):
            raise ProtectedError(
                "the ledger is damaged, so it is not known which side leads",
                code="ledger_damaged",
                place=Place(file=str(self.path)),
                hint="Move this file away: with PostgreSQL within reach, it is written anew.",
            ) from None

    def keep(self, state: State) -> None:
        """Keep the phase in force, durably."""
        make_folder(self.path.parent)
        with draft(self.path) as new:
            new.write(json.dumps({"phase": state.phase, "epoch": state.epoch}).encode())
            new.replace()
