"""Looking at the whole site: every figure that can be read, held against the limits of the settings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from ingestion_pipeline.app.newest import Newest
from ingestion_pipeline.app.phases import Phases
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.findings import Facts, Limits, Published, Slower, findings, slower
from ingestion_pipeline.domain.health import Health, Signal
from ingestion_pipeline.domain.pending import Pending
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.timing import OK, ByOperation, Kind, Timings, by_operation, latencies
from ingestion_pipeline.stores import machine
from ingestion_pipeline.stores.postgres.signals import signals
from ingestion_pipeline.stores.timings import Looks

LOOK = "health"
"""What a look itself is timed as."""


@dataclass(frozen=True, slots=True)
class _OfCsv:
    """What lies beside the CSV says."""

    state: State | None = None
    pending: Pending = field(default_factory=Pending)
    half_done: Phase | None = None
    amiss: str | None = None


@dataclass(frozen=True, slots=True)
class _OfPostgres:
    """What PostgreSQL says, or why it says nothing."""

    signals: Sequence[Signal] = ()
    away: str | None = None

    def get(self, name: str) -> float | None:
        """The highest figure of a name."""
        return max((one.value for one in self.signals if one.name == name), default=None)

    @property
    def phase(self) -> Phase | None:
        """The phase in force."""
        return next((Phase(one.labels[0][1]) for one in self.signals if one.name == "epoch"), None)

    @property
    def unchanged(self) -> float | None:
        """Seconds for which nobody was changed; None where it does not say."""
        if not self.signals:
            return None
        changed = self.get("history_age_seconds")
        return inf if changed is None else changed


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at a site has seen."""

    csv: _OfCsv
    postgres: _OfPostgres
    phase: Phase | None
    pending: Pending
    version: Published
    backup: Published
    shut: tuple[str, ...]
    disks: tuple[Signal, ...]


class Looking:
    """Looks at a site; see `Pipeline.health`.

    Args:
        places: The site's.
        phases: Says whether the gate to what is asked for is open.
    """

    def __init__(self, places: Places, phases: Phases) -> None:
        self._places = places
        self._phases = phases
        self._looks = Looks(places.timings_folder)
        self._newest = Newest(places)

    def look(self) -> Health:
        """Look once."""
        at = datetime.now(UTC)
        with self._places.timings.operation(LOOK):
            seen = self._seen(at)
        # Now, so that this look is among them.
        timings = self._places.timings.all()
        recent = self._looks.look(timings, at)
        limits = Limits(**self._places.settings.health.model_dump())
        facts = self._facts(seen, at, slower(_of_work(recent.timings), recent.before, limits.slower_than))
        signals = (*self._signals(seen, facts), *_of_timings(timings, recent.timings, facts.slower))
        return Health(at, signals, findings(facts, limits), self._places.host, seen.phase)

    def _seen(self, at: datetime) -> _Seen:
        csv = self._csv()
        postgres = self._postgres(csv)
        phase = postgres.phase if csv.state is None else csv.state.phase
        has_dumps = phase is not None and phase is not Phase.ORIGINAL
        return _Seen(
            csv=csv,
            postgres=postgres,
            phase=phase,
            pending=_pending(csv, postgres, phase),
            version=self._newest.version(at, phase, postgres.unchanged),
            backup=self._newest.backup(at) if has_dumps else Published(),
            shut=self._shut(csv, postgres),
            disks=tuple(self._disks()),
        )

    def _facts(self, seen: _Seen, at: datetime, slow: Sequence[Slower]) -> Facts:
        postgres, pending = seen.postgres, seen.pending
        free = (one.value for one in seen.disks if one.name == "disk_free_percent")
        return Facts(
            wanted=self._places.settings.wanted_phase,
            phase=seen.phase,
            away=postgres.away,
            csv_amiss=seen.csv.amiss,
            began_seconds=_since(self._places.csv.kept_at(), at),
            pending=pending.rows,
            pending_seconds=pending.seconds,
            fallback=pending.fallback,
            differences=_whole(postgres.get("proof_differences")),
            proof_seconds=postgres.get("proof_age_seconds"),
            conflicts=_whole(postgres.get("conflicts_undecided")),
            shut=seen.shut,
            half_done=seen.csv.half_done,
            slower=slow,
            disk_free_percent=min(free, default=None),
            longest_transaction_seconds=postgres.get("longest_transaction_seconds"),
            replica_lag_seconds=postgres.get("replica_lag_seconds"),
            cache_hit_percent=postgres.get("cache_hit_percent"),
            version=seen.version,
            backup=seen.backup,
        )

    def _signals(self, seen: _Seen, facts: Facts) -> Iterator[Signal]:
        if facts.has_postgres:
            yield Signal("postgres_up", float(seen.postgres.away is None))
        # Of both sides, those of what is pending come from whichever knows.
        yield from (one for one in seen.postgres.signals if not one.name.startswith("pending_"))
        if seen.postgres.signals:
            largest = self._places.settings.database.connection_pool.max_connections
            yield Signal("pool_connections_largest", float(largest))
        yield Signal("pending_rows", float(seen.pending.rows))
        yield Signal("pending_age_seconds", seen.pending.seconds)
        yield Signal("fallback_writes", float(seen.pending.fallback))
        if self._places.has_csv:
            size, journal = self._places.csv.bytes()
            yield Signal("csv_bytes", float(size))
            yield Signal("journal_bytes", float(journal))
        yield from seen.disks
        yield from _aged("version_age_seconds", seen.version)
        yield from _aged("backup_age_seconds", seen.backup)
        yield from machine.process()

    def _csv(self) -> _OfCsv:
        if not self._places.has_csv:
            return _OfCsv()
        try:
            with self._places.csv.still() as still:
                change, state = still.changing(), still.state()
                half_done = None if change is None else change.after
                return _OfCsv(state, still.waiting(), half_done, self._why_no_csv(state))
        except PipelineError as error:
            return _OfCsv(amiss=error.message)
        except OSError as error:
            return _OfCsv(amiss=f"what lies beside the CSV cannot be read: {error.strerror}")

    def _why_no_csv(self, state: State | None) -> str | None:
        leads = state is not None and state.phase.authority is Side.CSV
        return "the CSV, which leads, is not there" if leads and not self._places.csv.exists() else None

    def _postgres(self, csv: _OfCsv) -> _OfPostgres:
        state = csv.state
        if state is not None and state.phase is Phase.ORIGINAL and not state.changing:
            return _OfPostgres()
        if not self._places.has_server():
            # To look is not to make one.
            return _OfPostgres(away=None if state is None else "the embedded server is gone")
        try:
            return _OfPostgres(signals(self._places.pool))
        except PipelineError as error:
            return _OfPostgres(away=error.message)

    def _shut(self, csv: _OfCsv, postgres: _OfPostgres) -> tuple[str, ...]:
        """Why the gate to the phase that is asked for is shut; looked at only where one is."""
        state = csv.state
        if state is None or state.changing or csv.amiss is not None:
            return ()
        try:
            if not self._phases.wants_change():
                return ()
            if postgres.away is not None:
                return (postgres.away,)
            if not self._places.has_server():
                return ()
            plan = self._phases.plan_from(state)
        except PipelineError as error:
            return (error.message,)
        onward = plan.state.phase.is_before(plan.wanted)
        ways = (one for one in plan.verdicts if one.move.is_forward is onward)
        # What a change of phase sees to itself keeps no gate shut.
        return tuple(unmet.why for way in ways if not way.is_within_reach for unmet in way.unmet)

    def _disks(self) -> Iterator[Signal]:
        paths = self._places.settings.paths
        if self._places.has_csv:
            yield from machine.disk("csv", paths.output_csv.parent)
        yield from machine.disk("state", paths.state_dir)


def _pending(csv: _OfCsv, postgres: _OfPostgres, phase: Phase | None) -> Pending:
    if phase is None or phase.authority is Side.CSV:
        return csv.pending
    rows, seconds = postgres.get("pending_rows") or 0, postgres.get("pending_age_seconds") or 0.0
    return Pending(int(rows), max(0.0, seconds), csv.pending.fallback)


def _of_work(timings: ByOperation) -> ByOperation:
    """Those without looks, for which nobody waits; while PostgreSQL is away, they take their time."""
    return {key: one for key, one in timings.items() if key[1] != LOOK}


def _of_timings(timings: Timings, recent: ByOperation, slow: Iterable[Slower]) -> Iterator[Signal]:
    yield from _latencies("latency_seconds", by_operation(timings))
    yield from _latencies("recent_latency_seconds", recent)
    for one in slow:
        yield Signal("slower_times", one.times, (("kind", one.kind), ("operation", one.operation)))
    made = Counter({OK: 0, "failed": 0})
    for timed, histogram in timings.items():
        if timed.kind is Kind.TRANSACTION:
            made[OK if timed.outcome == OK else "failed"] += histogram.count
    for outcome, count in made.items():
        yield Signal("transactions_total", float(count), (("outcome", outcome),))


def _latencies(name: str, timings: ByOperation) -> Iterator[Signal]:
    for kind in Kind:
        for one in latencies(timings, kind):
            for quantile, seconds in (("0.5", one.p50), ("0.95", one.p95), ("0.99", one.p99)):
                labels = (("kind", kind.value), ("operation", one.operation), ("quantile", quantile))
                yield Signal(name, seconds, labels)


def _aged(name: str, published: Published) -> Iterator[Signal]:
    if published.seconds is not None:
        yield Signal(name, published.seconds)


def _since(moment: float | None, at: datetime) -> float | None:
    return None if moment is None else max(0.0, at.timestamp() - moment)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
