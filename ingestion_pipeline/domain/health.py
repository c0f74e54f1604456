"""How a site is: its figures, and what is not as it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ingestion_pipeline.domain.host import Host
from ingestion_pipeline.domain.phase import Phase


@dataclass(frozen=True, slots=True)
class Signal:
    """One figure of the site at one time.

    Attributes:
        name: Words and the unit, as Prometheus names them, such as `pending_age_seconds`.
        value: In that unit.
        labels: What tells figures of one name apart, such as `(("table", "people"),)`. Never a cell's value.
    """

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at, and whether it is as it should be.

    Attributes:
        name: What was looked at; the same at every look, such as `pending_age`.
        ok: Whether it is as it should be, or cannot be told.
        measured: The figure, where it is one.
        limit: What the figure may be at most (or, for room left, at least).
        message: What was found, without any cell's value.
        hint: What to do next; empty where it is as it should be.
    """

    name: str
    ok: bool
    measured: float | None
    limit: float | None
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the whole site.

    Attributes:
        at: When.
        signals: The figures that could be read.
        findings: What was looked at, in the same order at every look.
        host: The host that looked, on a site of several.
        phase: The phase in force, as far as it is known.
    """

    at: datetime
    signals: Sequence[Signal]
    findings: Sequence[Finding]
    host: Host | None = None
    phase: Phase | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return all(finding.ok for finding in self.findings)
