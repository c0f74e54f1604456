"""Jobs and partitions in buckets, as Dagster runs them."""

from collections.abc import Iterator
from dataclasses import asdict

import pytest
from dagster import DagsterInstance, ExecuteInProcessResult, materialize

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.defs.buckets import BACKFILL, bucket_assets
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, failure


def added_up(result: ExecuteInProcessResult, step: str) -> dict[str, object]:
    """What the step that puts the buckets together shows."""
    [done] = [
        event for event in result.all_node_events if event.is_successful_output and event.step_key == step
    ]
    return {name: one.value for name, one in done.step_output_data.metadata.items()}


@pytest.fixture
def dagster(site: Site) -> Iterator[Dagster]:
    site.config.write_text("migration:\n  phase: dual_write\nbulk:\n  buckets: 3\n")
    definitions = build_definitions(load_settings(site.config))
    with DagsterInstance.ephemeral() as instance:
        yield Dagster(definitions, instance)


def test_one_bucket_by_default(site: Site) -> None:
    definitions = build_definitions(load_settings(site.config))

    steps = {node.name for node in definitions.resolve_job_def("sync_in_buckets").nodes}

    assert steps == {"split_to_sync", "sync_bucket_0", "level"}


def test_sync_and_compare_in_buckets(dagster: Dagster) -> None:
    synced = dagster.run("sync_in_buckets")
    compared = dagster.run("compare_in_buckets")

    assert synced.success
    assert compared.success
    found = added_up(synced, "level")
    assert (found["inserted"], found["changed_by_level"], found["moved"]) == (509, 0, 0)


def test_a_difference_fails_the_comparison(site: Site, dagster: Dagster) -> None:
    dagster.run("sync_in_buckets")
    site.execute("UPDATE people SET name = 'x' WHERE row_id = '503'")

    compared = dagster.run("compare_in_buckets")

    assert not compared.success
    assert failure(compared)["differences"] == 2


def test_a_comparison_that_failed_fails_again(site: Site, dagster: Dagster) -> None:
    dagster.run("sync_in_buckets")
    site.execute("UPDATE people SET name = 'x' WHERE row_id = '503'")
    job = dagster.definitions.resolve_job_def("compare_in_buckets")

    # The same key twice, as where a run is executed again, or a worker is lost before it can tell.
    runs = [
        job.execute_in_process(instance=dagster.instance, raise_on_error=False, tags={BACKFILL: "abcdefgh"})
        for _ in range(2)
    ]

    assert [run.success for run in runs] == [False, False]
    assert failure(runs[0]) == failure(runs[1])


def test_the_partitions_of_a_backfill_share_a_split(site: Site) -> None:
    site.config.write_text("migration:\n  phase: dual_write\nbulk:\n  buckets: 2\n")
    resources = {"pipeline": PipelineResource(config=str(site.config))}
    rows = 0
    with DagsterInstance.ephemeral() as instance:
        for partition in ("0", "1"):
            done = materialize(
                bucket_assets(2),
                instance=instance,
                resources=resources,
                partition_key=partition,
                tags={BACKFILL: "abcdefgh"},
            )
            [event] = done.asset_materializations_for_node("synced_bucket")
            inserted = event.metadata["inserted"].value
            assert isinstance(inserted, int)
            rows += inserted

    assert rows == 509
    kept = (site.csv.parent / ".output.csv.ingestion" / "buckets").iterdir()
    assert {path.name for path in kept} == {f"abcdefgh-{verb}" for verb in ("sync", "compare", "report")}


def test_report_in_buckets(dagster: Dagster, pipeline: Pipeline) -> None:
    pipeline.sync()

    result = dagster.run("report_in_buckets")

    assert result.success
    steps = {event.step_key for event in result.all_node_events if event.is_step_success}
    assert steps == {"report_bucket_0", "report_bucket_1", "report_bucket_2", "add_up_report"}
    figures = pipeline.reports.read().figures
    assert figures is not None
    found = added_up(result, "add_up_report")
    for name, count in (asdict(figures.processing) | asdict(figures.storage)).items():
        assert found.get(name, count) == count
    assert (found["people"], found["types"], found["buckets"]) == (509, len(figures.types), 3)
    assert found["one_state"]
    assert {type(value) for value in found.values()} <= {int, bool, float}, "only numbers are shown"


def test_who_writes_while_buckets_are_reported_is_told(dagster: Dagster, pipeline: Pipeline) -> None:
    pipeline.sync()
    job = dagster.definitions.resolve_job_def("report_in_buckets")
    first = job.execute_in_process(
        instance=dagster.instance, op_selection=["report_bucket_0"], tags={BACKFILL: "abcdefgh"}
    )
    pipeline.write("503", {"name": "Somebody"})

    result = job.execute_in_process(instance=dagster.instance, tags={BACKFILL: "abcdefgh"})

    assert first.success
    assert result.success
    assert added_up(result, "add_up_report")["one_state"] is False
    said = [entry.user_message for entry in dagster.instance.all_logs(result.run_id)]
    assert any(one.startswith("somebody wrote meanwhile") for one in said)


def test_the_reports_of_a_backfill_add_up(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.config.write_text("migration:\n  phase: dual_write\nbulk:\n  buckets: 2\n")
    resources = {"pipeline": PipelineResource(config=str(site.config))}
    found = []
    with DagsterInstance.ephemeral() as instance:
        for partition in ("0", "1"):
            done = materialize(
                bucket_assets(2),
                selection=["reported_bucket"],
                instance=instance,
                resources=resources,
                partition_key=partition,
                tags={BACKFILL: "abcdefgh"},
            )
            [event] = done.asset_materializations_for_node("reported_bucket")
            found.append({name: one.value for name, one in event.metadata.items()})

    assert found[0]["people"] != 509
    assert sum(int(str(one["people"])) for one in found) == 509
    assert found[0]["position"] == found[1]["position"], "both of one state"
    with open_pipeline(site.config) as opened:
        assert opened.buckets.add_up_report("abcdefgh-report").counts.processing.people == 509
