"""What must stop, under one root.

An error says what happened, where, and what to do next. It never carries a cell's value: names and
e-mails are personal data. Expected outcomes (differences, a shut gate) are returned values, not errors.
"""

from dataclasses import dataclass, field
from enum import IntEnum


class Exit(IntEnum):
    """How `ingest` ends."""

    DONE = 0
    FINDING = 1
    USAGE = 2
    REFUSED_INPUT = 3
    UNAVAILABLE = 4
    PROTECTED = 5
    UNEXPECTED = 70
    """A fault of the program itself, as sysexits.h counts it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the data an error lies, as far as known."""

    file: str | None = None
    line: int | None = None
    column: str | None = None
    row_id: str | None = None

    def __str__(self) -> str:
        parts = (
            self.file,
            None if self.line is None else f"line {self.line}",
            None if self.column is None else f"column {self.column}",
            None if self.row_id is None else f"row_id {self.row_id}",
        )
        return ", ".join(part for part in parts if part is not None)


@dataclass(eq=False)
class PipelineError(Exception):
    """The root of everything this package raises.

    Attributes:
        message: What happened, one sentence, without any cell's value.
        code: A stable word for programs.
        place: File, line, column and row_id as far as known.
        hint: What to do next.
    """

    message: str
    code: str = "error"
    place: Place = field(default_factory=Place)
    hint: str = ""

    exit = Exit.FINDING

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def __str__(self) -> str:
        where = str(self.place)
        return f"{where}: {self.message}" if where else self.message


class SettingsError(PipelineError):
    """The configuration cannot be used."""

    exit = Exit.USAGE


class InputRefusedError(PipelineError):
    """A file does not keep the contract; nothing was changed."""

    exit = Exit.REFUSED_INPUT


class UnavailableError(PipelineError):
    """A store cannot be reached or is not ready."""

    exit = Exit.UNAVAILABLE


class ProtectedError(PipelineError):
    """Going on would risk data: a brake, a fence or a conflict."""

    exit = Exit.PROTECTED


def epochs_contradict(message: str) -> ProtectedError:
    """The ledger beside the CSV and PostgreSQL cannot both be right."""
    return ProtectedError(
        message,
        code="epochs_contradict",
        hint="Is this the right database, or an old copy of it? Name the right one.",
    )


def stale_epoch(epoch: int) -> ProtectedError:
    """Another phase is in force than the one that began with this epoch."""
    return ProtectedError(
        f"the phase changed: this began in epoch {epoch}",
        code="stale_epoch",
        hint="Run it again under the phase in force.",
    )
