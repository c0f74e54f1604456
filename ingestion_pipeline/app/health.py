"""Looking at the whole site: every figure that can be read, held against the limits of the settings."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingestion_pipeline.app.phases import Phases
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.findings import HOUR, Facts, Limits, Published, Slower, findings, slower
from ingestion_pipeline.domain.health import Health, Signal
from ingestion_pipeline.domain.pending import Pending
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.timing import OK, ByOperation, Kind, Timings, by_operation, latencies
from ingestion_pipeline.domain.version import Manifest
from ingestion_pipeline.stores import machine
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.postgres.signals import signals
from ingestion_pipeline.stores.timings import Looks

REMEMBERED = 60.0
"""Seconds in which what was published is not asked for again: a bucket is far, and paid by the question."""

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


@dataclass(slots=True)
class _Newest:
    """The newest of what was published in a chain, remembered for a while."""

    until: float = 0.0
    manifest: Manifest | None = None
    amiss: str | None = field(default=None)

    def ask(self, chain: Callable[[], Chain]) -> None:
        if time.monotonic() < self.until:
            return
        self.manifest, self.amiss = None, None
        try:
            self.manifest = chain().newest()
        except PipelineError as error:
            self.amiss = f"what was published cannot be asked for: {error.message}"
        self.until = time.monotonic() + REMEMBERED


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
        self._version = _Newest()
        self._backup = _Newest()

    def look(self) -> Health:
        """Look once."""
        at = datetime.now(UTC)
        with self._places.timings.operation(LOOK):
            csv = self._csv()
            postgres = self._postgres(csv)
            phase = postgres.phase if csv.state is None else csv.state.phase
            pending = _pending(csv, postgres, phase)
            version, backup = self._published(phase, postgres, at)
            shut = self._shut(csv, postgres)
        disks = tuple(self._disks())
        timings = self._places.timings.all()
        recent = self._looks.look(timings, at)
        limits = Limits(**self._places.settings.health.model_dump())
        facts = Facts(
            wanted=self._places.settings.wanted_phase,
            phase=phase,
            away=postgres.away,
            csv_amiss=csv.amiss,
            began_seconds=_since(self._places.csv.kept_at(), at),
            pending=pending.rows,
            pending_seconds=pending.seconds,
            fallback=pending.fallback,
            differences=_whole(postgres.get("proof_differences")),
            proof_seconds=postgres.get("proof_age_seconds"),
            conflicts=_whole(postgres.get("conflicts_undecided")),
            shut=shut,
            half_done=csv.half_done,
            slower=slower(_of_work(recent.timings), recent.before, limits.slower_than),
            disk_free_percent=min(
                (one.value for one in disks if one.name == "disk_free_percent"), default=None
            ),
            longest_transaction_seconds=postgres.get("longest_transaction_seconds"),
            replica_lag_seconds=postgres.get("replica_lag_seconds"),
            cache_hit_percent=postgres.get("cache_hit_percent"),
            version=version,
            backup=backup,
        )
        found = (
            *self._of_postgres(postgres, facts),
            *_of_pending(pending),
            *_of_timings(timings, recent.timings, facts.slower),
            *self._of_disk(),
            *disks,
            *_aged("version_age_seconds", version),
            *_aged("backup_age_seconds", backup),
            *machine.process(),
        )
        return Health(at, found, findings(facts, limits))

    def _csv(self) -> _OfCsv:
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
        if not self._has_server():
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
            if not self._has_server():
                return ()
            plan = self._phases.plan_from(state)
        except PipelineError as error:
            return (error.message,)
        onward = plan.state.phase.is_before(plan.wanted)
        ways = (one for one in plan.verdicts if one.move.is_forward is onward)
        # What a change of phase sees to itself keeps no gate shut.
        return tuple(unmet.why for way in ways if not way.is_within_reach for unmet in way.unmet)

    def _has_server(self) -> bool:
        """Whether there is a server to be asked, other than one that would have to be made for it."""
        return self._places.settings.database_url is not None or self._places.embedded().exists()

    def _published(
        self, phase: Phase | None, postgres: _OfPostgres, at: datetime
    ) -> tuple[Published, Published]:
        self._version.ask(lambda: self._places.versions)
        version = _published(self._version, at)
        if phase is None or phase is Phase.ORIGINAL:
            backup = Published()
        else:
            self._backup.ask(lambda: self._places.backups)
            backup = _published(self._backup, at)
        manifest = self._version.manifest
        if manifest is None or phase is None or not self._is_present(manifest, version, phase, postgres):
            return version, backup
        return Published(version.seconds, is_present=True), backup

    def _is_present(
        self, manifest: Manifest, version: Published, phase: Phase, postgres: _OfPostgres
    ) -> bool:
        """Whether nothing has changed since the newest version: none is published then, however old it is."""
        age = version.seconds or 0.0
        if phase.authority is Side.POSTGRES:
            changed = postgres.get("history_age_seconds")
            return bool(postgres.signals) and (changed is None or changed > age)
        csv = self._places.csv
        changed_at = csv.changed_at()
        if changed_at is None or changed_at < manifest.content.published_at.timestamp():
            return changed_at is not None
        # It may have been touched only; read as a whole only where that would be a finding.
        if age <= HOUR * self._places.settings.health.version_age_hours:
            return False
        with suppress(PipelineError):
            return csv.sha256() == manifest.content.sha256
        return False

    def _disks(self) -> Iterator[Signal]:
        paths = self._places.settings.paths
        yield from machine.disk("csv", paths.output_csv.parent)
        yield from machine.disk("state", paths.state_dir)

    def _of_disk(self) -> Iterator[Signal]:
        size, journal = self._places.csv.bytes()
        yield Signal("csv_bytes", float(size))
        yield Signal("journal_bytes", float(journal))

    def _of_postgres(self, postgres: _OfPostgres, facts: Facts) -> Iterator[Signal]:
        # Of both sides, those of what is pending come from whichever knows.
        known = (one for one in postgres.signals if not one.name.startswith("pending_"))
        if facts.has_postgres:
            yield Signal("postgres_up", float(postgres.away is None))
        yield from known
        if postgres.signals:
            largest = self._places.settings.database.connection_pool.max_connections
            yield Signal("pool_connections_largest", float(largest))


def _pending(csv: _OfCsv, postgres: _OfPostgres, phase: Phase | None) -> Pending:
    if phase is None or phase.authority is Side.CSV:
        return csv.pending
    rows, seconds = postgres.get("pending_rows") or 0, postgres.get("pending_age_seconds") or 0.0
    return Pending(int(rows), max(0.0, seconds), csv.pending.fallback)


def _published(newest: _Newest, at: datetime) -> Published:
    if newest.manifest is None:
        return Published(amiss=newest.amiss)
    return Published(max(0.0, (at - newest.manifest.content.published_at).total_seconds()))


def _of_pending(pending: Pending) -> Iterator[Signal]:
    yield Signal("pending_rows", float(pending.rows))
    yield Signal("pending_age_seconds", pending.seconds)
    yield Signal("fallback_writes", float(pending.fallback))


def _of_work(timings: ByOperation) -> ByOperation:
    """Those without looks, for which nobody waits; while PostgreSQL is away, they take their time."""
    return {key: one for key, one in timings.items() if key[1] != LOOK}


def _of_timings(timings: Timings, recent: ByOperation, slow: Iterable[Slower]) -> Iterator[Signal]:
    yield from _latencies("latency_seconds", by_operation(timings))
    yield from _latencies("recent_latency_seconds", recent)
    for one in slow:
        yield Signal("slower_times", one.times, (("kind", one.kind), ("operation", one.operation)))
    made = [
        (timed.outcome == OK, one.count) for timed, one in timings.items() if timed.kind is Kind.TRANSACTION
    ]
    for outcome, wanted in ((OK, True), ("failed", False)):
        counted = sum(count for is_ok, count in made if is_ok is wanted)
        yield Signal("transactions_total", float(counted), (("outcome", outcome),))


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
