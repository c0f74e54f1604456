"""Jobs and partitions in buckets, as Dagster runs them."""

from collections.abc import Iterator

import pytest
from dagster import DagsterInstance, materialize

from ingestion_pipeline.defs.buckets import BACKFILL, bucket_assets
from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, failure


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
    [level] = [
        event for event in synced.all_node_events if event.is_successful_output and event.step_key == "level"
    ]
    found = {name: one.value for name, one in level.step_output_data.metadata.items()}
    assert (found["inserted"], found["changed_by_level"], found["moved"]) == (509, 0, 0)


def test_a_difference_fails_the_comparison(site: Site, dagster: Dagster) -> None:
    dagster.run("sync_in_buckets")
    site.execute("UPDATE people SET name = 'x' WHERE row_id = '503'")

    compared = dagster.run("compare_in_buckets")

    assert not compared.success
    assert failure(compared)["differences"] == 2


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
    assert len(list((site.csv.parent / ".output.csv.ingestion" / "buckets").iterdir())) == 2
