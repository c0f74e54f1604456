from collections.abc import Callable

import pytest
from dagster import AssetCheckEvaluation, ExecuteInProcessResult, TableMetadataValue, materialize

from ingestion_pipeline.defs.assets.versioned_export import versioned_export
from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, checks, failure, materialized, metadata
from ingestion_pipeline_tests.strays import unchecked

EVERYTHING = [
    *("csv_snapshot", "people", "processing_status", "s3_metadata"),
    *("search_index", "versioned_export"),
]


def consistency(result: ExecuteInProcessResult) -> AssetCheckEvaluation:
    evaluations = result.get_asset_check_evaluations()
    return next(one for one in evaluations if one.check_name == "dual_write_consistency")


def test_migrate_takes_the_sample_all_the_way(dagster: Dagster, site: Site) -> None:
    result = dagster.run("migrate")

    assert result.success
    assert materialized(result) == EVERYTHING
    assert all(checks(result).values())
    assert metadata(dagster, "people")["rows_read"] == 510
    assert metadata(dagster, "people")["dagster/row_count"] == 509
    published = site.folder / "exports" / str(metadata(dagster, "versioned_export")["version"])
    assert published.read_bytes() == site.csv.read_bytes()


def test_migrate_again_changes_and_publishes_nothing(dagster: Dagster) -> None:
    dagster.run("migrate")

    assert dagster.run("migrate").success
    assert metadata(dagster, "people")["changed"] == 0
    assert metadata(dagster, "versioned_export")["published"] is False


def edit_postgres(site: Site) -> None:
    site.execute("UPDATE people SET name = name || '!' WHERE row_id = '500'")


def edit_csv(site: Site) -> None:
    site.put(site.csv.read_bytes().replace(b"\n500,", b"\n500,X", 1))


@pytest.mark.parametrize("edit", [edit_postgres, edit_csv])
def test_a_difference_fails_the_check_and_keeps_the_export_from_running(
    dagster: Dagster, site: Site, edit: Callable[[Site], None]
) -> None:
    dagster.run("sync")
    edit(site)

    result = dagster.run("export")

    assert checks(result)["people.dual_write_consistency"] is False
    assert checks(result)["people.bytes_equal"] is False
    assert materialized(result) == []
    assert not (site.folder / "exports").exists()
    first = consistency(result).metadata["first"]
    assert isinstance(first, TableMetadataValue)
    assert dict(first.records[0].data) == {"row_id": "500", "column": "name", "kind": "changed"}


def test_an_export_on_its_own_refuses_two_sides_that_differ(dagster: Dagster, site: Site) -> None:
    dagster.run("sync")
    edit_postgres(site)

    result = materialize(
        [versioned_export],
        resources={"pipeline": PipelineResource(config=str(site.config))},
        instance=dagster.instance,
        raise_on_error=False,
    )

    assert not result.success
    [failed] = result.get_step_failure_events()
    assert "does not render" in str(failed.step_failure_data.user_failure_data)


def test_a_refused_file_leaves_the_tables_and_says_where(dagster: Dagster, site: Site) -> None:
    dagster.run("migrate")
    site.put(site.csv.read_bytes() + b"1,2,3\n")

    result = dagster.run("migrate")

    assert not result.success
    assert materialized(result) == []
    known = failure(result)
    assert (known["code"], known["line"]) == ("wrong_width", site.csv.read_bytes().count(b"\n"))
    assert site.execute("SELECT count(*) FROM people") == [(509,)]


def test_in_phase_original_postgres_has_no_part(dagster: Dagster, site: Site) -> None:
    site.config.write_text("migration:\n  phase: original\n")

    result = dagster.run("migrate")

    assert result.success
    assert metadata(dagster, "people") == {
        "dagster/row_count": 0,
        "lag_seconds": 0.0,
        "note": "PostgreSQL has no part yet",
        "pending": 0,
        "phase": "original",
    }
    published = site.folder / "exports" / str(metadata(dagster, "versioned_export")["version"])
    assert published.read_bytes() == site.csv.read_bytes()


def test_where_postgres_leads_the_tables_are_left_alone(dagster: Dagster, site: Site) -> None:
    dagster.run("migrate")
    site.execute("UPDATE ingestion.migration_state SET phase = 'database_primary', epoch = epoch + 1")
    edit_postgres(site)

    dagster.run("sync")

    assert metadata(dagster, "people")["note"] == "PostgreSQL leads; nothing was written"
    assert site.execute("SELECT right(name, 1) FROM people WHERE row_id = '500'") == [("!",)]


def test_broken_rules_are_seen(dagster: Dagster, site: Site) -> None:
    dagster.run("sync")
    site.execute("DELETE FROM s3_metadata WHERE id = (SELECT min(id) FROM s3_metadata)")
    with unchecked(site.database):
        site.execute(
            'UPDATE s3_metadata SET file_uuids = \'{"a": {"b": "c"}}\''
            " WHERE id = (SELECT max(id) FROM s3_metadata)"
        )

    found = checks(dagster.run("check"))

    broken = {name for name, passed in found.items() if not passed}
    assert {name for name in broken if name.startswith("s3_metadata")} == {
        "s3_metadata.orphans",
        "s3_metadata.maps",
        "s3_metadata.maps_agree",
    }


def test_a_cell_in_quarantine_warns(dagster: Dagster, site: Site) -> None:
    row = b"9001,Ada,ada@example.org,T,,,,,perhaps" + b"," * 12 + b"\n"
    site.put(site.csv.read_bytes() + row)

    result = dagster.run("migrate")

    assert result.success
    assert [name for name, passed in checks(result).items() if not passed] == ["people.quarantine_decided"]
