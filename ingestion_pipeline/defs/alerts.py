"""What tells somebody when something goes wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from dagster import (
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Failure,
    RepositoryDefinition,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from ingestion_pipeline.app.alerting import Alerting, Outcome, Part, of_health, tried
from ingestion_pipeline.defs.contract import DATABASE_HEALTH, MIGRATION_PHASE
from ingestion_pipeline.defs.drill import DRILL
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.defs.sensors import running
from ingestion_pipeline.domain.alert import Level, Trouble
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.findings import NAMES
from ingestion_pipeline.domain.health import Health
from ingestion_pipeline.settings import Settings

CHECK, RUN, DRILLED = "check:", "run:", "drill:"
"""What keys of what Dagster keeps begin with."""

_PEOPLE = AssetKey(Table.PEOPLE.value)
_CONSISTENCY = AssetCheckKey(_PEOPLE, "dual_write_consistency")

AFRESH = frozenset(
    {
        _CONSISTENCY,
        AssetCheckKey(_PEOPLE, "nothing_pending"),
        AssetCheckKey(MIGRATION_PHASE, "phase_in_force"),
        *(AssetCheckKey(DATABASE_HEALTH, name) for name in NAMES),
    }
)
"""Checks of what health looks at anew each time; the last evaluation of theirs may be long out of date."""

FOLLOWS = {AssetCheckKey(_PEOPLE, "bytes_equal"): _CONSISTENCY}
"""Checks that fail whenever another does, and then say nothing new."""

COUNTS = ("differences", "breaches")
"""Metadata of checks that say how much."""

BLOCKED = "DagsterAssetCheckFailedError"
"""How a step ends in which nothing went wrong but a check that blocks what comes after it."""

_EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def alerts(settings: Settings) -> SensorDefinition:
    """Tells the site's receivers what is wrong, and that it is well again."""
    alerting = Alerting(settings)

    @sensor(
        name="alerts",
        minimum_interval_seconds=settings.automation.alert_sensor_seconds,
        default_status=running(settings),
        description="Tells the receivers in section alerts what is wrong, once, and when it is well again.",
    )
    def watch(context: SensorEvaluationContext, pipeline: PipelineResource) -> SkipReason:
        def of_dagster(now: datetime, began: datetime) -> Part:
            return tried("site:dagster", lambda: _of_dagster(context, settings, now, began))

        try:
            outcome = alerting.look(
                lambda now, began: [of_health(lambda: _health(pipeline)), of_dagster(now, began)]
            )
        except PipelineError as error:
            return SkipReason(f"nobody was told: {error.message}")
        return SkipReason(_said(outcome))

    return watch


def _said(outcome: Outcome) -> str:
    wrong = ", ".join(one.key for one in outcome.look.troubles) or "nothing"
    errors = [one.error.message for one in outcome.deliveries if one.error is not None]
    return "; ".join([f"wrong: {wrong}", *errors])


def _health(pipeline: PipelineResource) -> Health:
    try:
        with pipeline.open() as site:
            return site.health()
    except Failure as failure:
        message, _, hint = (failure.description or "").partition("\n")
        raise PipelineError(message, hint=hint) from None


def _of_dagster(context: SensorEvaluationContext, settings: Settings, now: datetime, began: datetime) -> Part:
    repository = context.repository_def
    if repository is None:
        raise LookupError("there are no definitions to look at")
    troubles = [
        *_failed_checks(context.instance, repository),
        *_failed_runs(context.instance, repository),
    ]
    if settings.automation.enabled:
        longest = timedelta(days=settings.alerts.drill_age_days)
        troubles += _overdue_drill(context.instance, began, now, longest)
    return Part(troubles, [CHECK, RUN, DRILLED])


def _failed_checks(instance: DagsterInstance, repository: RepositoryDefinition) -> Iterator[Trouble]:
    for key in sorted(repository.asset_graph.asset_check_keys - AFRESH):
        newest = _newest(instance, key)
        if _has_failed(newest) and not _has_failed(_newest(instance, FOLLOWS.get(key)), newest.run_id):
            description = repository.asset_graph.get_check_spec(key).description
            yield _failed_check(key, newest, description or "")


def _has_failed(
    newest: AssetCheckExecutionRecord | None, run_id: str | None = None
) -> TypeGuard[AssetCheckExecutionRecord]:
    """Whether a check has failed, in this run if one is named."""
    return (
        newest is not None
        and newest.status is AssetCheckExecutionRecordStatus.FAILED
        and run_id in (None, newest.run_id)
    )


def _newest(instance: DagsterInstance, key: AssetCheckKey | None) -> AssetCheckExecutionRecord | None:
    """The newest evaluation of a check; a run that only plans one, or died in it, says nothing."""
    if key is None:
        return None
    found = instance.event_log_storage.get_asset_check_execution_history(key, limit=1, status=_EVALUATED)
    return found[0] if found else None


def _failed_check(key: AssetCheckKey, newest: AssetCheckExecutionRecord, should_be: str) -> Trouble:
    evaluation = newest.evaluation
    is_error = evaluation is None or evaluation.severity is AssetCheckSeverity.ERROR
    metadata = evaluation.metadata if evaluation is not None else {}
    counts = [
        f"{value.value} {name}"
        for name in COUNTS
        if (value := metadata.get(name)) is not None and isinstance(value.value, int)
    ]
    name = f"{key.asset_key.to_user_string()}/{key.name}"
    found = ", ".join(counts) or "it did not pass"
    return Trouble(
        key=f"{CHECK}{name}",
        level=Level.ERROR if is_error else Level.WARNING,
        title=f"check {name} fails",
        message=f"{found}, in run {newest.run_id[:8]}; it is to be so: {should_be}",
        hint=f"Open the check in Dagster: it shows what was found, in run {newest.run_id}.",
    )


def _failed_runs(instance: DagsterInstance, repository: RepositoryDefinition) -> Iterator[Trouble]:
    # One that was cancelled says nothing.
    decided = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    for job in sorted(repository.job_names):
        for run in instance.get_runs(RunsFilter(job_name=job, statuses=decided), limit=1):
            if run.status is DagsterRunStatus.FAILURE and (steps := _failed_steps(instance, run.run_id)):
                yield Trouble(
                    key=f"{RUN}{job}",
                    level=Level.ERROR,
                    title=f"job {job} fails",
                    message=f"run {run.run_id[:8]} failed: {steps}",
                    hint=f"Open run {run.run_id} in Dagster: it says what, where and what next.",
                )


def _failed_steps(instance: DagsterInstance, run_id: str) -> str:
    """Where a run failed; empty where only a check did, which is told by itself."""
    failed = [
        (entry.step_key, data.error.cls_name if data.error is not None else None)
        for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
        if entry.dagster_event is not None and (data := entry.dagster_event.step_failure_data)
    ]
    own = [step for step, error in failed if error != BLOCKED]
    if not failed:
        return "before any step did"
    return f"step {', '.join(str(step) for step in own)}" if own else ""


def _overdue_drill(
    instance: DagsterInstance, began: datetime, now: datetime, longest: timedelta
) -> Iterator[Trouble]:
    newest = [_newest(instance, key) for check in DRILL for key in check.check_keys]
    drilled = [began if one is None else datetime.fromtimestamp(one.create_timestamp, UTC) for one in newest]
    if now - min(drilled) > longest:
        last = "never" if None in newest else f"last on {min(drilled):%Y-%m-%d}"
        yield Trouble(
            key=f"{DRILLED}overdue",
            level=Level.WARNING,
            title="the drill is overdue",
            message=f"Whether versions and dumps can be brought back was tried out {last}.",
            hint="Run the job drill, or `ingest drill`; see that schedule drill_weekly is on.",
        )
