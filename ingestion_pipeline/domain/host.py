"""Hosts: where the CSV is, and what a host may do that has it not."""

from dataclasses import dataclass
from typing import assert_never

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase


@dataclass(frozen=True, slots=True)
class Host:
    """A host of a site of several.

    Attributes:
        name: What it is called.
        csv_host: The one that has the CSV.
    """

    name: str
    csv_host: str

    @property
    def has_csv(self) -> bool:
        """Whether the CSV is on this host."""
        return self.name == self.csv_host

    def may(self, phase: Phase | None) -> str:
        """What may be done on it in a phase, in a line; None for a site that has not begun."""
        if self.has_csv:
            return "all: the CSV is here"
        match phase:
            case None:
                return f"nothing before the site has begun on {self.csv_host}"
            case Phase.ORIGINAL:
                return f"nothing: the CSV, which leads, is on {self.csv_host}"
            case Phase.DUAL_WRITE:
                return f"ask PostgreSQL, not write: the CSV, which leads, is on {self.csv_host}"
            case Phase.DATABASE_PRIMARY:
                return f"read and write; {self.csv_host} settles the CSV and changes the phase"
            case Phase.DATABASE_NATIVE:
                return f"read and write; {self.csv_host} changes the phase"
            case _:
                assert_never(phase)


def csv_elsewhere(host: Host) -> ProtectedError:
    """What takes the CSV cannot be done on a host that has it not."""
    return ProtectedError(
        f"this takes the CSV, which is on host {host.csv_host}; this is {host.name}",
        code="csv_elsewhere",
        hint=f"Do it on {host.csv_host}. Where PostgreSQL leads (database_primary, database_native), "
        "every host reads and writes.",
    )
