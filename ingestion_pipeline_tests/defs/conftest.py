"""The definitions of a test's site, and what their jobs leave behind."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from dagster import DagsterInstance, Definitions, ExecuteInProcessResult

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


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each check passed, by asset and name."""
    return {
        f"{one.asset_key.to_user_string()}.{one.check_name}": one.passed
        for one in result.get_asset_check_evaluations()
    }


def materialized(result: ExecuteInProcessResult) -> list[str]:
    events = result.get_asset_materialization_events()
    return sorted(event.materialization.asset_key.to_user_string() for event in events)
