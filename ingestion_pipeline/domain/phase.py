"""The four phases, which side leads in each, and the moves between them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Side(StrEnum):
    """One of the two places that hold the same people."""

    CSV = "csv"
    POSTGRES = "postgres"


class Phase(StrEnum):
    """How far the move from the CSV to PostgreSQL has come, in this order."""

    ORIGINAL = "original"
    DUAL_WRITE = "dual_write"
    DATABASE_PRIMARY = "database_primary"
    DATABASE_NATIVE = "database_native"

    @property
    def authority(self) -> Side:
        """The side whose durable write is the acknowledgement."""
        match self:
            case Phase.ORIGINAL | Phase.DUAL_WRITE:
                return Side.CSV
            case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
                return Side.POSTGRES
            case _:
                assert_never(self)

    @property
    def follower(self) -> Side | None:
        """The side that is kept equal, if any."""
        match self:
            case Phase.ORIGINAL | Phase.DATABASE_NATIVE:
                return None
            case Phase.DUAL_WRITE:
                return Side.POSTGRES
            case Phase.DATABASE_PRIMARY:
                return Side.CSV
            case _:
                assert_never(self)

    @property
    def next(self) -> "Phase | None":
        """The phase one step further; None after the last."""
        return _ORDER[place] if (place := _ORDER.index(self) + 1) < len(_ORDER) else None

    @property
    def previous(self) -> "Phase | None":
        """The phase one step back; None before the first."""
        return _ORDER[place] if (place := _ORDER.index(self) - 1) >= 0 else None

    def is_before(self, other: "Phase") -> bool:
        """Whether the other phase is further on."""
        return _ORDER.index(self) < _ORDER.index(other)


_ORDER = tuple(Phase)


@dataclass(frozen=True, slots=True)
class Move:
    """One change of phase.

    Attributes:
        before: The phase it leaves.
        after: The phase it enters.
    """

    before: Phase
    after: Phase

    @property
    def is_forward(self) -> bool:
        """Whether it goes on, rather than back."""
        return self.before.is_before(self.after)

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}"


def path(before: Phase, after: Phase) -> list[Move]:
    """The single steps from one phase to another."""
    moves: list[Move] = []
    here = before
    while here is not after:
        there = here.next if here.is_before(after) else here.previous
        if there is None:
            raise AssertionError("the phases end before the one that is looked for")
        moves.append(Move(here, there))
        here = there
    return moves


def first_phase(wanted: Phase) -> Phase:
    """The phase a fresh site begins in: never one in which PostgreSQL leads, for it holds nothing yet."""
    return wanted if wanted.authority is Side.CSV else Phase.DUAL_WRITE
