"""The four phases, and which side leads in each."""

from enum import StrEnum
from typing import assert_never


class Side(StrEnum):
    """One of the two places that hold the same people."""

    CSV = "csv"
    POSTGRES = "postgres"


class Phase(StrEnum):
    """How far the move from the CSV to PostgreSQL has come."""

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


FIRST_PHASES = frozenset({Phase.ORIGINAL, Phase.DUAL_WRITE})
"""The phases a fresh site may start in: the CSV leads in both, so nothing is at stake."""
