"""The CSV, seen from a host that has it not: what takes the file is refused; nothing is looked for there."""

from pathlib import Path
from typing import NoReturn

from ingestion_pipeline.domain.host import Host, csv_elsewhere
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.disk.csv_store import CsvStore


class CsvElsewhere(CsvStore):
    """A CSV on another host; every method that takes the file raises ProtectedError (`csv_elsewhere`).

    Args:
        path: Where it would lie.
        host: This host.
    """

    def __init__(self, path: Path, host: Host) -> None:
        super().__init__(path)
        self._host = host

    def check_here(self) -> NoReturn:
        """Refuse."""
        raise csv_elsewhere(self._host)

    @property
    def takes_in(self) -> bool:
        """Nothing is taken in here."""
        return False

    def state(self) -> State | None:
        """There is no ledger here."""
        return None

    def changing(self) -> PhaseChange | None:
        """Nor a change of phase."""
        return None

    def exists(self) -> bool:
        """There is no file here, whatever lies at its path."""
        return False

    def bytes(self) -> tuple[int, int]:
        """Nor a journal."""
        return 0, 0

    def changed_at(self) -> float | None:
        """Nobody here knows."""
        return None

    def kept_at(self) -> float | None:
        """Nobody here knows."""
        return None

    def _refuse(self, *_given: object, **_named: object) -> NoReturn:
        self.check_here()

    held = held_unless_told = still = pinned = switching = scratch = incoming = phases = _refuse
    submit = reading = sha256 = people = normalised = rewrite_rows = _refuse
