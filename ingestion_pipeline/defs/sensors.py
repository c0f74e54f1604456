"""What runs when something changes."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import takewhile

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    Failure,
    RunRecord,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.authority import leads
from ingestion_pipeline.defs import jobs
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.operations.status import StatusReport
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.disk.identity import Identity

SETTLED = 2.0
"""Seconds a file must have been left alone, so that one still being written is not read."""

WAITED = 5.0
"""Seconds something must have been pending: until then whoever wrote it may be settling it."""

LONGEST_WAIT = 3600.0
"""Seconds after which a run that came to nothing is tried again at the latest; first the sensor's own."""

REMEMBERED = 12
"""Runs looked back on: enough for the longest wait."""

PENDING = "pending"
"""The cursor of `settle_pending` after a look that found something pending."""

_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_OPEN = [status for status in DagsterRunStatus if status not in _ENDED]

SEEN_TO = " seen to"
"""What is added to the cursor of `compare_when_quiet` once a state was compared, or is about to be."""

WISH = "phase_wanted"
"""The tag of a run of `change_phase`: the wish it was to fulfil, as the sensor's cursor has it."""


def csv_changed(settings: Settings) -> SensorDefinition:
    """Syncs when somebody else has made the CSV another one."""

    @sensor(
        name="csv_changed",
        job=jobs.migrate,
        minimum_interval_seconds=settings.automation.csv_sensor_seconds,
        default_status=running(settings),
        description="Syncs, compares and publishes when somebody else has changed the CSV while it leads.",
    )
    def watch(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
        return _look_at_csv(context, pipeline)

    return watch


def settle_pending(settings: Settings) -> SensorDefinition:
    """Settles what nobody else has settled."""
    seconds = settings.automation.settle_sensor_seconds

    @sensor(
        name="settle_pending",
        # By name: given the job itself, Dagster warns of its own use of a parameter in beta.
        job_name=jobs.settle.name,
        minimum_interval_seconds=seconds,
        default_status=running(settings),
        description="Brings the follower level when something is pending, or somebody else has rewritten it.",
    )
    def watch(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
        reason = _why_not_settle(context, pipeline) or _why_not_settle_now(context.instance, seconds)
        return RunRequest() if reason is None else SkipReason(reason)

    return watch


def phase_wanted(settings: Settings) -> SensorDefinition:
    """Changes the phase when the configuration asks for another one."""
    seconds = settings.automation.phase_sensor_seconds

    @sensor(
        name="phase_wanted",
        job_name=jobs.change_phase.name,
        minimum_interval_seconds=seconds,
        default_status=running(settings),
        description="Changes the phase when the configuration asks for another, or a change was interrupted.",
    )
    def watch(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
        wish = _wish(pipeline)
        if isinstance(wish, SkipReason):
            context.update_cursor("")
            return wish
        since = _since(context, wish)
        reason = _why_not_change_now(context.instance, seconds, since)
        return RunRequest(tags={WISH: since}) if reason is None else SkipReason(reason)

    return watch


def compare_when_quiet(settings: Settings) -> list[SensorDefinition]:
    """Compares once nobody writes any more, so that a difference is not found only by the hour; none at 0."""
    seconds = settings.automation.compare_sensor_seconds
    if not seconds:
        return []

    @sensor(
        name="compare_when_quiet",
        job=jobs.compare,
        minimum_interval_seconds=seconds,
        default_status=running(settings),
        description="Compares the two sides when something has changed since, and nobody writes.",
    )
    def watch(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
        try:
            with pipeline.open() as site:
                return _compare_once(context, site)
        except Failure as failure:
            return SkipReason(failure.description)

    return [watch]


def running(settings: Settings) -> DefaultSensorStatus:
    """Whether a sensor runs from the start."""
    return DefaultSensorStatus.RUNNING if settings.automation.enabled else DefaultSensorStatus.STOPPED


def _look_at_csv(context: SensorEvaluationContext, pipeline: PipelineResource) -> RunRequest | SkipReason:
    with pipeline.open() as site:
        path = site.csv.path
        try:
            found = path.stat()
        except FileNotFoundError:
            return SkipReason(f"there is no {path}")
        identity = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
        if identity == context.cursor:
            return SkipReason("the CSV has not changed")
        if _is_fresh(found):
            return SkipReason("the CSV is still being written")
        reason = _why_not_migrate(site, is_first_look=context.cursor is None)
        sha256 = site.csv.sha256() if reason is None else ""
    context.update_cursor(identity)
    if reason is not None:
        return SkipReason(reason)
    return RunRequest(run_key=f"{identity}-{sha256}", tags={"csv_sha256": sha256})


def _why_not_migrate(site: Pipeline, *, is_first_look: bool) -> str | None:
    if leads(site.csv.state()) is Side.POSTGRES:
        return "PostgreSQL leads; what others make of the CSV is the sensor settle_pending's to see to"
    # Whether what lay there before the first look was ever synced is not known here.
    if not is_first_look and site.csv_is_ours():
        return "the CSV was written through this package"
    return None


def _why_not_settle(context: SensorEvaluationContext, pipeline: PipelineResource) -> str | None:
    with pipeline.open() as site:
        try:
            _reach_postgres(site)
            report = site.status()
            rewritten = report.in_force is Phase.DATABASE_PRIMARY and _is_rewritten(site)
        except UnavailableError as error:
            return f"{error.message}: what is pending stays so"
    # Counted in looks too: a wrong clock must not hold anything up for ever.
    waited = report.pending.seconds >= WAITED or context.cursor == PENDING
    context.update_cursor(PENDING if report.pending.all else "")
    if rewritten or (report.pending.all and waited):
        return None
    return "what is pending is fresh" if report.pending.all else "nothing is pending"


def _reach_postgres(site: Pipeline) -> None:
    """Fail where PostgreSQL is away, without which nothing can be settled but in phase original."""
    state = site.csv.state()
    if state is not None and state.phase is not Phase.ORIGINAL:
        site.tables.state()


def _is_rewritten(site: Pipeline) -> bool:
    """Whether somebody else has rewritten the CSV, or taken it away, and is done with it."""
    path = site.csv.path
    return not (path.exists() and _is_fresh(path.stat())) and not site.csv_is_ours()


def _is_fresh(found: os.stat_result) -> bool:
    # A time still to come is a wrong clock's, and says nothing.
    return 0 <= time.time() - found.st_mtime < SETTLED


def _wish(pipeline: PipelineResource) -> str | SkipReason:
    """What is to be done about the phase: the one wanted, and the epoch in which it is."""
    try:
        with pipeline.open() as site:
            if not (file := site.settings.config_file).exists() or _is_fresh(file.stat()):
                return SkipReason("the configuration is still being written")
            state = site.csv.state()
            if state is None and site.tables.state() is None:
                return SkipReason("nothing has been synced or written yet")
            if site.phase.changing() is None and not site.phase.wants_change():
                return SkipReason(_why_no_change(site))
            # Fails where PostgreSQL is away: without it the phase cannot be changed.
            site.tables.state()
            return f"{site.settings.wanted_phase} since epoch {state.epoch if state else 0}"
    except Failure as failure:
        return SkipReason(failure.description)


def _why_no_change(site: Pipeline) -> str:
    wanted, in_force = site.settings.wanted_phase, site.in_force().phase
    if in_force is wanted:
        return f"phase {wanted} is in force, and wanted"
    return (
        f"the phase was changed to {in_force} by hand; the configuration, not edited since, asks for {wanted}"
    )


def _since(context: SensorEvaluationContext, wish: str) -> str:
    """The wish, and when it was first seen: told apart from the same one at another time."""
    since = context.cursor or ""
    if not since.startswith(f"{wish}, seen "):
        since = f"{wish}, seen {datetime.now(UTC).isoformat()}"
        context.update_cursor(since)
    return since


def _compare_once(context: SensorEvaluationContext, site: Pipeline) -> RunRequest | SkipReason:
    now = _as_it_is(site)
    if now is None:
        return SkipReason("there are no two sides that are kept equal now")
    if context.cursor == f"{now}{SEEN_TO}":
        return SkipReason("both sides are as they were when they were looked at")
    if context.cursor != now:
        context.update_cursor(now)
        return SkipReason("something has just changed")
    report = site.status()
    reason = _why_not_compare(context.instance, site, report)
    if reason is not None:
        return SkipReason(reason)
    context.update_cursor(f"{now}{SEEN_TO}")
    is_void = report.is_proof_void
    return RunRequest(run_key=now) if is_void else SkipReason("both sides were compared as they are now")


def _as_it_is(site: Pipeline) -> str | None:
    """Both sides in a few characters, others after every change; None where there is one side only."""
    state = site.csv.state()
    if state is None or state.changing or state.phase.follower is None:
        return None
    path = site.csv.path
    csv = Identity.of(path.stat()) if path.exists() else None
    with site.tables.snapshot() as snapshot:
        text = f"{state.epoch} {csv} {snapshot.position()}"
    return sha256(text.encode()).hexdigest()


def _why_not_compare(instance: DagsterInstance, site: Pipeline, report: StatusReport) -> str | None:
    """What makes both sides equal first: until it has, they differ as is to be expected."""
    if instance.get_runs_count(RunsFilter(statuses=_OPEN)):
        return "a run is under way"
    if not site.csv_is_ours():
        return "somebody else has changed the CSV; csv_changed or settle_pending sees to that first"
    return "what is pending is settled first" if report.pending.all else None


def _why_not_settle_now(instance: DagsterInstance, seconds: float) -> str | None:
    return _why_not_now(instance, jobs.settle.name, seconds, "settle has failed", in_vain=_has_failed)


def _why_not_change_now(instance: DagsterInstance, seconds: float, wish: str) -> str | None:
    # A shut gate leaves a run green; where one got anywhere, the wish is of another epoch since.
    found = "the gate was shut, or the run failed"
    return _why_not_now(
        instance, jobs.change_phase.name, seconds, found, tags={WISH: wish}, in_vain=lambda _record: True
    )


def _has_failed(record: RunRecord) -> bool:
    return record.dagster_run.status is DagsterRunStatus.FAILURE


def _why_not_now(
    instance: DagsterInstance,
    job: str,
    seconds: float,
    found: str,
    *,
    in_vain: Callable[[RunRecord], bool],
    tags: Mapping[str, str] | None = None,
) -> str | None:
    """What speaks against one more run of a job: one that is under way, or those that came to nothing."""
    if instance.get_runs_count(RunsFilter(job_name=job, statuses=_OPEN)):
        return f"a run of {job} is under way"
    records = instance.get_run_records(RunsFilter(job_name=job, tags=tags), limit=REMEMBERED)
    vain = list(takewhile(in_vain, records))
    if not vain:
        return None
    wait = min(LONGEST_WAIT, seconds * 2.0 ** (len(vain) - 1))
    since = time.time() - (vain[0].end_time or vain[0].update_timestamp.timestamp())
    # A time still to come is a wrong clock's, and says nothing.
    return f"{found}; it is tried again {wait:.0f} s later" if 0 <= since < wait else None
