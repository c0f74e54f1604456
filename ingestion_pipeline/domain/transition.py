"""The gate: whether a change of phase may be made, as a function of what was found out and nothing else."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from ingestion_pipeline.domain.phase import Move, Phase, Side
from ingestion_pipeline.domain.proof import Proof


class Condition(StrEnum):
    """What keeps the gate shut, by the name under which it can be overridden, if it can."""

    CSV_MISSING = "csv_missing"
    CSV_EDITED = "csv_edited"
    POSTGRES_AWAY = "postgres_away"
    SCHEMA_BEHIND = "schema_behind"
    LEFT_BEHIND = "left_behind"
    NOT_SYNCED = "not_synced"
    PENDING = "pending"
    FALLBACK = "fallback"
    UNDECIDED = "undecided"
    NEVER_COMPARED = "never_compared"
    DIFFERENCES = "differences"
    BYTES_DIFFER = "bytes_differ"
    STALE_PROOF = "stale_proof"
    NOT_REHEARSED = "not_rehearsed"


class Remedy(StrEnum):
    """What a change of phase does itself about an unmet condition before it gives up."""

    SYNC = "sync"
    SETTLE = "settle"
    COMPARE = "compare"


REMEDIES = {
    Condition.NOT_SYNCED: Remedy.SYNC,
    Condition.PENDING: Remedy.SETTLE,
    Condition.FALLBACK: Remedy.SETTLE,
    Condition.NEVER_COMPARED: Remedy.COMPARE,
    Condition.DIFFERENCES: Remedy.COMPARE,
    Condition.BYTES_DIFFER: Remedy.COMPARE,
    Condition.STALE_PROOF: Remedy.COMPARE,
    Condition.NOT_REHEARSED: Remedy.COMPARE,
}
"""The others are for people."""

HINTS = {
    Condition.CSV_MISSING: "put the CSV back, or name it in paths.output_csv",
    Condition.CSV_EDITED: "look at it, then `ingest settle`",
    Condition.POSTGRES_AWAY: "`ingest doctor` says what is reachable and what is not",
    Condition.SCHEMA_BEHIND: "`ingest db upgrade`",
    Condition.LEFT_BEHIND: "is this the right database? What only it holds is overwritten",
    Condition.NOT_SYNCED: "`ingest sync`",
    Condition.PENDING: "`ingest settle`",
    Condition.FALLBACK: "`ingest settle`",
    Condition.UNDECIDED: "`ingest quarantine list`, then `decide`",
    Condition.NEVER_COMPARED: "`ingest compare`",
    Condition.DIFFERENCES: "`ingest compare` names them; `ingest sync` mends them while the CSV leads",
    Condition.BYTES_DIFFER: "`ingest compare` says where; `ingest sync` mends it while the CSV leads",
    Condition.STALE_PROOF: "`ingest compare`",
    Condition.NOT_REHEARSED: "make room on the CSV's disk",
}
"""What to do about each."""


@dataclass(frozen=True, slots=True)
class Since:
    """What became of both sides since they were compared.

    Attributes:
        voided: Why the comparison says nothing about the present; None while it does.
        rechecked: People compared once more because one side has changed.
        differing: How many of those differ.
        changed: Who changed in PostgreSQL, by row_id, where that had to be found out.
    """

    voided: str | None = None
    rechecked: int = 0
    differing: int = 0
    changed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CsvFacts:
    """What is known of the CSV.

    Attributes:
        exists: Whether there is one.
        is_ours: Whether it is the one that was written last through this package.
    """

    exists: bool
    is_ours: bool


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """What is known of PostgreSQL, and of both sides together.

    Attributes:
        synced: Whether the tables were ever made equal to a file.
        pending: People whose present row the follower has yet to get.
        fallback: Writes that the CSV took in while PostgreSQL led and was away.
        undecided: Quarantine entries without a decision.
        proof: The newest comparison.
        since: What became of both sides since then.
        not_rehearsed: Why the way back could not be rehearsed, where that is known.
    """

    synced: bool = True
    pending: int = 0
    fallback: int = 0
    undecided: int = 0
    proof: Proof | None = None
    since: Since = Since()
    not_rehearsed: str | None = None


@dataclass(frozen=True, slots=True)
class Unreached:
    """PostgreSQL cannot be asked, or must not be believed.

    Attributes:
        condition: POSTGRES_AWAY, SCHEMA_BEHIND or LEFT_BEHIND.
        why: A sentence.
    """

    condition: Condition
    why: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the gate goes by."""

    csv: CsvFacts
    postgres: PostgresFacts | Unreached


@dataclass(frozen=True, slots=True)
class Unmet:
    """One reason why the gate is shut.

    Attributes:
        condition: What is not met.
        why: A sentence, without any cell's value.
    """

    condition: Condition
    why: str

    @property
    def remedy(self) -> Remedy | None:
        """What the change of phase does about it itself."""
        return REMEDIES.get(self.condition)

    @property
    def hint(self) -> str:
        """What to do about it."""
        return HINTS[self.condition]

    @property
    def what_next(self) -> str:
        """What the change of phase does about it, or else what people can do."""
        return f"the change of phase will {self.remedy} first" if self.remedy else self.hint


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a move may be made.

    Attributes:
        move: The move.
        unmet: Every reason against it.
        overridden: Reasons that somebody has decided to let pass.
    """

    move: Move
    unmet: tuple[Unmet, ...] = ()
    overridden: tuple[Unmet, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.unmet

    def lets_pass(self, condition: Condition) -> bool:
        """Whether this speaks against it, and somebody has decided to let it pass."""
        return any(one.condition is condition for one in self.overridden)

    @property
    def is_within_reach(self) -> bool:
        """Whether the change of phase can do something about every reason against it."""
        return all(one.remedy for one in self.unmet)

    @property
    def gate(self) -> str:
        """How its gate stands, in a word."""
        if self.is_open:
            return "open"
        return "within reach" if self.is_within_reach else "shut"

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What is to be done first, in order."""
        needed = {one.remedy for one in self.unmet}
        return tuple(remedy for remedy in Remedy if remedy in needed)

    def without(self, conditions: Collection[Condition]) -> "Verdict":
        """The same, these reasons left aside."""
        unmet = tuple(one for one in self.unmet if one.condition not in conditions)
        return Verdict(self.move, unmet, self.overridden)


def judge(move: Move, evidence: Evidence, overrides: Collection[Condition] = ()) -> Verdict:
    """Whether a move may be made, with every reason against it.

    Args:
        move: One step, or back to original from anywhere.
        evidence: What was found out; what is not known speaks against the move.
        overrides: Conditions that somebody lets pass; only those that `overridable` names are.
    """
    unmet = tuple(_unmet(move, evidence))
    passed = overridable(move) & set(overrides)
    return Verdict(
        move,
        tuple(one for one in unmet if one.condition not in passed),
        tuple(one for one in unmet if one.condition in passed),
    )


_PROVED = frozenset(
    {
        Condition.NOT_SYNCED,
        Condition.CSV_EDITED,
        Condition.PENDING,
        Condition.FALLBACK,
        Condition.NEVER_COMPARED,
        Condition.DIFFERENCES,
        Condition.BYTES_DIFFER,
        Condition.STALE_PROOF,
    }
)
"""What shows that both sides are equal at this very moment."""


def required(move: Move) -> frozenset[Condition]:
    """The conditions that are looked at before a move; that both sides can be reached always is."""
    match move.after:
        case Phase.ORIGINAL:
            # The CSV leads already, and goes on leading.
            return frozenset()
        case Phase.DUAL_WRITE:
            # Going back, whatever lies in the CSV's place is kept aside, and it is rendered.
            return frozenset({Condition.NOT_SYNCED}) if move.is_forward else _PROVED - {Condition.CSV_EDITED}
        case Phase.DATABASE_PRIMARY if not move.is_forward:
            # The comparison renders the CSV first, whatever lies there.
            return _PROVED - {Condition.PENDING, Condition.CSV_EDITED}
        case Phase.DATABASE_PRIMARY | Phase.DATABASE_NATIVE:
            return _PROVED | {Condition.UNDECIDED, Condition.NOT_REHEARSED}
        case _:
            assert_never(move.after)


def overridable(move: Move) -> frozenset[Condition]:
    """The conditions that somebody may let pass, by name and for the record.

    What is not among them cannot be passed: there would be no knowing which side has what.
    """
    named = {
        Condition.UNDECIDED,
        Condition.NEVER_COMPARED,
        Condition.DIFFERENCES,
        Condition.BYTES_DIFFER,
        Condition.STALE_PROOF,
        Condition.NOT_REHEARSED,
    }
    match move.after:
        case Phase.ORIGINAL:
            return frozenset({Condition.POSTGRES_AWAY})
        case Phase.DUAL_WRITE if move.is_forward:
            return frozenset({Condition.LEFT_BEHIND})
        case Phase.DATABASE_PRIMARY if not move.is_forward:
            # Without a comparison it is not known who is pending for the CSV that begins to follow.
            return frozenset(named) - {Condition.NEVER_COMPARED, Condition.STALE_PROOF}
        case _:
            return frozenset(named)


def _unmet(move: Move, evidence: Evidence) -> Iterator[Unmet]:
    looked_at = required(move)
    if not evidence.csv.exists and not _renders(move):
        yield Unmet(Condition.CSV_MISSING, "there is no CSV")
    if isinstance(evidence.postgres, Unreached):
        yield Unmet(evidence.postgres.condition, evidence.postgres.why)
        return
    for condition, why in _reasons(evidence.csv, evidence.postgres):
        if condition in looked_at:
            yield Unmet(condition, why)


def _renders(move: Move) -> bool:
    """Whether the CSV is made anew on the way."""
    back = move.before.authority is Side.POSTGRES and not move.is_forward
    return back and move.after is not Phase.ORIGINAL


def _reasons(csv: CsvFacts, postgres: PostgresFacts) -> Iterator[tuple[Condition, str]]:
    """What can be said against any move."""
    if csv.exists and not csv.is_ours:
        yield (
            Condition.CSV_EDITED,
            "somebody else has edited the CSV, and that has not been merged yet",
        )
    if not postgres.synced:
        yield Condition.NOT_SYNCED, "PostgreSQL has not got the people yet"
    if postgres.pending:
        yield Condition.PENDING, f"{_counted(postgres.pending, 'row is', 'rows are')} pending"
    if postgres.fallback:
        taken_in = _counted(postgres.fallback, "write", "writes")
        yield Condition.FALLBACK, f"PostgreSQL has yet to get {taken_in} that the CSV took in for it"
    if postgres.undecided:
        entries = _counted(postgres.undecided, "quarantine entry is", "quarantine entries are")
        yield Condition.UNDECIDED, f"{entries} undecided"
    if postgres.proof is not None:
        yield from _reasons_of_proof(postgres.proof, postgres.since, postgres.not_rehearsed)
    elif postgres.synced:
        yield Condition.NEVER_COMPARED, "the two sides have never been compared"


def _reasons_of_proof(
    proof: Proof, since: Since, not_rehearsed: str | None
) -> Iterator[tuple[Condition, str]]:
    if proof.differences or since.differing:
        yield Condition.DIFFERENCES, _differences(proof.differences, since.differing)
    if not proof.bytes_equal:
        yield Condition.BYTES_DIFFER, "PostgreSQL does not render the CSV's bytes"
    if since.voided:
        yield Condition.STALE_PROOF, since.voided
    if not proof.way_back_rehearsed:
        why = f": {not_rehearsed}" if not_rehearsed else ""
        yield Condition.NOT_REHEARSED, f"the way back has not been rehearsed{why}"


def _differences(found: int, since: int) -> str:
    if found:
        return f"the last comparison found {_counted(found, 'difference', 'differences')}"
    return f"{_counted(since, 'person differs', 'people differ')} that changed since the last comparison"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
