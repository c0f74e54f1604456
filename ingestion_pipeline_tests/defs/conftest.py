"""The definitions of a test's site, and what their jobs leave behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    Definitions,
    ExecuteInProcessResult,
)
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site


@dataclass(frozen=True)
class Dagster:
    """One site's definitions with an instance that goes with the test."""

    definitions: Definitions
    instance: DagsterInstance

    def run(self, job: str) -> ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False
        )


@pytest.fixture
def dagster(site: Site) -> Iterator[Dagster]:
    definitions = build_definitions(load_settings(site.config))
    with DagsterInstance.ephemeral() as instance:
        yield Dagster(definitions, instance)


@contextmanager
def away() -> Iterator[None]:
    """PostgreSQL is away for whoever opens the pipeline now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/people")
        yield


def make_run(dagster: Dagster, name: str, status: DagsterRunStatus) -> DagsterRun:
    """A run that nobody carries out."""
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ingestion_pipeline"), "__repository__")
    job = dagster.definitions.resolve_job_def(name)
    origin = RemoteJobOrigin(place, name)
    return dagster.instance.create_run_for_job(job, status=status, remote_job_origin=origin)


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each check passed, by asset and name."""
    return {
        f"{one.asset_key.to_user_string()}.{one.check_name}": one.passed
        for one in result.get_asset_check_evaluations()
    }


def materialized(result: ExecuteInProcessResult) -> list[str]:
    events = result.get_asset_materialization_events()
    return sorted(event.materialization.asset_key.to_user_string() for event in events)


def metadata(dagster: Dagster, asset: str) -> dict[str, object]:
    """What the newest materialization of an asset shows."""
    event = dagster.instance.get_latest_materialization_event(AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def failure(result: ExecuteInProcessResult) -> dict[str, object]:
    """What the one step that failed shows."""
    [failed] = result.get_step_failure_events()
    shown = failed.step_failure_data.user_failure_data
    assert shown is not None
    return {name: value.value for name, value in shown.metadata.items()}


def shown_by_op(result: ExecuteInProcessResult) -> dict[str, object]:
    """What the one op of a run shows."""
    assert result.success
    [event] = result.filter_events(lambda one: one.event_type_value == "STEP_OUTPUT")
    return {name: value.value for name, value in event.step_output_data.metadata.items()}
