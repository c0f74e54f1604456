"""The findings: what is known of a site, held against the limits that its settings name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ingestion_pipeline.domain.health import Finding
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.timing import BOUNDS, MOST, ByOperation, Histogram, Kind

HOUR = 3600.0

FEWEST_SAMPLES = 5
"""Times of late that something must have happened before it is called slower."""

FEWEST_LOOKS = 5
"""Looks before with which it is compared, at least."""

FLOOR = 0.05
"""Seconds that nothing is called slow for."""

GRAVE = frozenset({"postgres", "consistency", "conflicts", "fallback", "disk"})
"""What is at stake: writes, or that both sides are equal. The rest is for somebody to look at in time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a figure may go; the names are those of the section `health` of the settings."""

    pending_age_seconds: float
    proof_age_seconds: float
    differences: int
    conflicts: int
    disk_free_percent: float
    cache_hit_percent: float | None
    long_transaction_seconds: float
    replica_lag_seconds: float
    version_age_hours: float
    backup_age_hours: float
    slower_than: float


@dataclass(frozen=True, slots=True)
class Published:
    """The newest of what was published.

    Attributes:
        seconds: How old it is; None where there is none, or nobody can tell.
        is_present: Whether nothing has changed since.
        amiss: Why nobody can tell.
    """

    seconds: float | None = None
    is_present: bool = False
    amiss: str | None = None


@dataclass(frozen=True, slots=True)
class Slower:
    """Something that takes longer than it used to.

    Attributes:
        kind: What takes time.
        operation: During which verb.
        seconds: What 95 of 100 took at most, of late.
        usual: The median of the same in the looks before, in seconds.
    """

    kind: Kind
    operation: str
    seconds: float
    usual: float

    @property
    def times(self) -> float:
        """How many times as long."""
        return self.seconds / max(self.usual, BOUNDS[0])


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a site; None where something is not known, or has no part.

    Attributes:
        phase: The phase in force.
        wanted: The phase the configuration asks for.
        away: Why PostgreSQL cannot be asked.
        csv_amiss: Why what lies beside the CSV cannot be read.
        began_seconds: Since the phase in force was kept beside the CSV.
        pending: Rows that the follower has yet to get.
        pending_seconds: How long the first of them has waited.
        fallback: Writes that PostgreSQL, which leads, has yet to get from the CSV.
        differences: What the last comparison found.
        proof_seconds: Since then.
        conflicts: Cells that both sides changed, undecided.
        shut: Why the gate to the phase that is asked for is shut; nothing where none is, or it is open.
        half_done: The phase to which a change was begun that nobody has seen the end of.
        slower: What takes longer than it used to.
        disk_free_percent: Room left where there is the least, of the CSV's disk and the state's.
        longest_transaction_seconds: The longest open transaction.
        replica_lag_seconds: The lag of the replica that lags most.
        cache_hit_percent: Blocks that PostgreSQL found in its cache.
        version: The newest version.
        backup: The newest dump.
    """

    wanted: Phase
    phase: Phase | None = None
    away: str | None = None
    csv_amiss: str | None = None
    began_seconds: float | None = None
    pending: int = 0
    pending_seconds: float = 0.0
    fallback: int = 0
    differences: int | None = None
    proof_seconds: float | None = None
    conflicts: int | None = None
    shut: Sequence[str] = ()
    half_done: Phase | None = None
    slower: Sequence[Slower] = ()
    disk_free_percent: float | None = None
    longest_transaction_seconds: float | None = None
    replica_lag_seconds: float | None = None
    cache_hit_percent: float | None = None
    version: Published = Published()
    backup: Published = Published()

    @property
    def has_postgres(self) -> bool:
        """Whether PostgreSQL has a part."""
        return self.phase is not None and self.phase is not Phase.ORIGINAL

    @property
    def follower(self) -> Side | None:
        """The side that is kept equal, if any."""
        return None if self.phase is None else self.phase.follower


def findings(facts: Facts, limits: Limits) -> tuple[Finding, ...]:
    """Everything that is looked at, in the order of NAMES."""
    return tuple(found(facts, limits) for found in _FOUND.values())


def slower(
    recent: ByOperation, before: Mapping[tuple[Kind, str], Sequence[float]], times: float
) -> tuple[Slower, ...]:
    """What takes longer than it used to, the worst first.

    Args:
        recent: The timings of late.
        before: The 95th percentiles of the looks before, in seconds.
        times: So many times as long as their median.
    """
    found = (_slower(key, one, before.get(key, ()), times) for key, one in recent.items())
    return tuple(sorted((one for one in found if one is not None), key=lambda one: -one.times))


def _slower(key: tuple[Kind, str], recent: Histogram, before: Sequence[float], times: float) -> Slower | None:
    if recent.count < FEWEST_SAMPLES or len(before) < FEWEST_LOOKS:
        return None
    seconds, usual = recent.percentile(MOST), median(before)
    return Slower(*key, seconds, usual) if seconds > max(times * usual, FLOOR) else None


def _fine(name: str, message: str, measured: float | None = None, limit: float | None = None) -> Finding:
    return Finding(name, ok=True, measured=measured, limit=limit, message=message)


def _amiss(
    name: str, message: str, hint: str, measured: float | None = None, limit: float | None = None
) -> Finding:
    return Finding(name, ok=False, measured=measured, limit=limit, message=message, hint=hint)


def _at_most(name: str, measured: float, limit: float, message: str, hint: str) -> Finding:
    if measured <= limit:
        return _fine(name, message, measured, limit)
    return _amiss(name, message, hint, measured, limit)


def _at_least(name: str, measured: float, limit: float, message: str, hint: str) -> Finding:
    if measured >= limit:
        return _fine(name, message, measured, limit)
    return _amiss(name, message, hint, measured, limit)


def _postgres(facts: Facts, _limits: Limits) -> Finding:
    if facts.away is None:
        return _fine("postgres", "answers" if facts.has_postgres else "has no part yet")
    hint = "`ingest doctor` says what is reachable and what is not."
    return _amiss("postgres", facts.away, hint)


def _consistency(facts: Facts, limits: Limits) -> Finding:
    name = "consistency"
    if facts.csv_amiss is not None:
        hint = "`ingest doctor` looks at the CSV and its folder."
        return _amiss(name, facts.csv_amiss, hint)
    if facts.follower is None:
        return _fine(name, "there is one side only")
    if facts.differences is None:
        return _fine(name, _not_told(facts) or "the two sides have never been compared")
    said = f"the last comparison found {facts.differences:,} differences"
    hint = "`ingest compare` names them."
    return _at_most(name, facts.differences, limits.differences, said, hint)


def _proof_age(facts: Facts, limits: Limits) -> Finding:
    name, limit = "proof_age", limits.proof_age_seconds
    if facts.follower is None:
        return _fine(name, "there is one side only")
    not_told = _not_told(facts)
    if not_told is not None:
        return _fine(name, not_told)
    hint = "`ingest compare`; is the schedule consistency_hourly on?"
    if facts.proof_seconds is not None:
        said = f"both sides were compared {_ago(facts.proof_seconds)}"
        return _at_most(name, facts.proof_seconds, limit, said, hint)
    if facts.began_seconds is None:
        return _fine(name, "the two sides have never been compared")
    said = f"the two sides have never been compared; the phase began {_ago(facts.began_seconds)}"
    return _at_most(name, facts.began_seconds, limit, said, hint)


def _pending_age(facts: Facts, limits: Limits) -> Finding:
    name, limit = "pending_age", limits.pending_age_seconds
    if facts.follower is None:
        return _fine(name, "there is one side only")
    if facts.follower is Side.CSV and facts.away is not None:
        return _fine(name, "not known while PostgreSQL, which leads, is away")
    if not facts.pending:
        return _fine(name, "nothing is pending", 0.0, limit)
    said = f"{facts.pending:,} rows are pending, the first for {facts.pending_seconds:,.0f} s"
    return _at_most(name, facts.pending_seconds, limit, said, "`ingest settle` says why.")


def _gate(facts: Facts, _limits: Limits) -> Finding:
    name = "gate"
    if facts.half_done is not None:
        said = f"a change to {facts.half_done} was begun, and nobody has seen its end"
        hint = "`ingest phase advance`, or `rollback`, once PostgreSQL is there."
        return _amiss(name, said, hint)
    if facts.shut:
        said = f"{facts.wanted} is wanted, and the gate is shut: {'; '.join(facts.shut)}"
        hint = "`ingest phase plan` says what next."
        return _amiss(name, said, hint, float(len(facts.shut)), 0.0)
    if facts.phase is None:
        return _fine(name, "no phase is in force yet")
    if facts.phase is facts.wanted:
        return _fine(name, f"{facts.phase} is in force, and wanted")
    return _fine(name, f"{facts.phase} is in force; nothing keeps the site from what is asked for")


def _slowed(facts: Facts, limits: Limits) -> Finding:
    name = "slower"
    if not facts.slower:
        return _fine(name, "nothing takes longer than it used to", None, limits.slower_than)
    said = ", ".join(
        f"{one.kind} {one.operation} takes {_milliseconds(one.seconds)}, usual is {_milliseconds(one.usual)}"
        for one in facts.slower
    )
    hint = "`ingest health --signals`: long transactions, dead rows, disk; was more asked for than usual?"
    return _amiss(name, said, hint, facts.slower[0].times, limits.slower_than)


def _disk(facts: Facts, limits: Limits) -> Finding:
    free = facts.disk_free_percent
    if free is None:
        return _fine("disk", "how much room is left cannot be told")
    hint = "Make room: a write needs a new file. `ingest prune` takes old versions away."
    return _at_least("disk", free, limits.disk_free_percent, f"{free:.1f} % are free", hint)


def _long_transaction(facts: Facts, limits: Limits) -> Finding:
    name, seconds = "long_transaction", facts.longest_transaction_seconds
    if seconds is None:
        return _fine(name, _not_told(facts) or "no transaction is open")
    said = f"the longest open transaction is {seconds:,.0f} s old"
    hint = "While it is open nothing is vacuumed: see pg_stat_activity, and end it with pg_terminate_backend."
    return _at_most(name, seconds, limits.long_transaction_seconds, said, hint)


def _replica_lag(facts: Facts, limits: Limits) -> Finding:
    name, seconds = "replica_lag", facts.replica_lag_seconds
    if seconds is None:
        return _fine(name, _not_told(facts) or "there is no replica, or none that this user may see")
    said = f"the replica that lags most lags {seconds:,.1f} s"
    hint = "Look at its disk and network; see pg_stat_replication."
    return _at_most(name, seconds, limits.replica_lag_seconds, said, hint)


def _version_age(facts: Facts, limits: Limits) -> Finding:
    name, limit = "version_age", HOUR * limits.version_age_hours
    if facts.version.is_present:
        return _fine(name, "nothing has changed since the newest version", facts.version.seconds, limit)
    hint = "`ingest export` says why; is the schedule export_nightly on?"
    return _published(name, facts.version, facts, limit, "version", hint)


def _backup_age(facts: Facts, limits: Limits) -> Finding:
    name, limit = "backup_age", HOUR * limits.backup_age_hours
    if not facts.has_postgres:
        return _fine(name, "PostgreSQL has no part yet")
    hint = "`ingest backup` says why; is the schedule backup_nightly on?"
    return _published(name, facts.backup, facts, limit, "dump", hint)


def _published(name: str, newest: Published, facts: Facts, limit: float, what: str, hint: str) -> Finding:
    if newest.amiss is not None:
        return _amiss(name, newest.amiss, hint, limit=limit)
    if newest.seconds is not None:
        said = f"the newest {what} was published {_ago(newest.seconds)}"
        return _at_most(name, newest.seconds, limit, said, hint)
    if facts.began_seconds is None:
        return _fine(name, f"there is no {what} yet, nor anything to publish")
    said = f"there is no {what} yet; the phase began {_ago(facts.began_seconds)}"
    return _at_most(name, facts.began_seconds, limit, said, hint)


def _conflicts(facts: Facts, limits: Limits) -> Finding:
    name, count = "conflicts", facts.conflicts
    if count is None:
        return _fine(name, _not_told(facts) or "there are none")
    hint = "`ingest quarantine list`, then `decide`."
    return _at_most(name, count, limits.conflicts, f"{count:,} conflicts are undecided", hint)


def _fallback(facts: Facts, _limits: Limits) -> Finding:
    name = "fallback"
    if facts.phase is None or facts.phase.authority is not Side.POSTGRES:
        return _fine(name, "PostgreSQL does not lead")
    if not facts.fallback:
        return _fine(name, "PostgreSQL leads, and takes every write", 0.0, 0.0)
    said = f"the CSV has taken in {facts.fallback:,} writes for PostgreSQL, which leads"
    hint = "Bring PostgreSQL back; `ingest settle` takes them back."
    return _amiss(name, said, hint, facts.fallback, 0.0)


def _cache_hit(facts: Facts, limits: Limits) -> Finding:
    name, share = "cache_hit", facts.cache_hit_percent
    if limits.cache_hit_percent is None:
        return _fine(name, "no limit is set", share)
    if share is None:
        return _fine(name, _not_told(facts) or "nothing has been read yet")
    said = f"{share:.1f} % of the blocks were found in PostgreSQL's cache"
    hint = "Give PostgreSQL more shared_buffers, or see what reads so much."
    return _at_least(name, share, limits.cache_hit_percent, said, hint)


_FOUND: Mapping[str, Callable[[Facts, Limits], Finding]] = {
    "postgres": _postgres,
    "consistency": _consistency,
    "proof_age": _proof_age,
    "pending_age": _pending_age,
    "gate": _gate,
    "slower": _slowed,
    "disk": _disk,
    "long_transaction": _long_transaction,
    "replica_lag": _replica_lag,
    "version_age": _version_age,
    "backup_age": _backup_age,
    "conflicts": _conflicts,
    "fallback": _fallback,
    "cache_hit": _cache_hit,
}

NAMES = tuple(_FOUND)
"""In the order of every look."""


def _not_told(facts: Facts) -> str | None:
    """Why what only PostgreSQL knows is not known."""
    if facts.away is not None:
        return "not known while PostgreSQL is away"
    return None if facts.has_postgres else "PostgreSQL has no part yet"


def _ago(seconds: float) -> str:
    return f"{seconds / HOUR:,.1f} h ago" if seconds >= HOUR else f"{seconds:,.0f} s ago"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"
