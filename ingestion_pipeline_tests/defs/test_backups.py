"""What is published every night, and tried out every week."""

from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, checks, materialized, metadata
from ingestion_pipeline_tests.phases import lead

RESTORES = {
    "versioned_export.latest_version_restores": True,
    "database_backup.latest_backup_restores": True,
}


def damage(site: Site, pattern: str) -> Path:
    """Change one byte of the newest file like this."""
    newest = max(site.folder.glob(f"exports/{pattern}"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    return newest


@pytest.fixture
def published(dagster: Dagster, pipeline: Pipeline) -> Dagster:
    """A site with a version and a dump."""
    pipeline.sync()
    assert dagster.run("export").success
    assert dagster.run("backup").success
    return dagster


def test_what_was_published_can_be_brought_back(published: Dagster) -> None:
    assert checks(published.run("drill")) == RESTORES


@pytest.mark.parametrize(
    ("pattern", "check"),
    [
        ("csv-versions/*/*/*.csv", "versioned_export.latest_version_restores"),
        ("database-backups/*/*/*.dump", "database_backup.latest_backup_restores"),
        ("csv-versions/manifests/*.json", "versioned_export.latest_version_restores"),
    ],
    ids=["version", "dump", "manifest"],
)
def test_damage_is_found_and_told(published: Dagster, site: Site, pattern: str, check: str) -> None:
    damage(site, pattern)

    result = published.run("drill")

    assert checks(result) == RESTORES | {check: False}
    [told] = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert told.description


@pytest.mark.parametrize("phase", Phase)
def test_backup_and_drill_in_every_phase(
    published: Dagster, pipeline: Pipeline, site: Site, phase: Phase
) -> None:
    if phase is Phase.ORIGINAL:
        pipeline.phase.rollback(phase)
    else:
        lead(pipeline, phase)

    backup = published.run("backup")

    assert backup.success
    assert materialized(backup) == ([] if phase is Phase.ORIGINAL else ["database_backup"])
    assert checks(published.run("drill")) == RESTORES
    assert not [name for (name,) in site.execute("SELECT datname FROM pg_database") if "drill" in str(name)]


def test_backup_says_what_it_is(published: Dagster, pipeline: Pipeline) -> None:
    shown = metadata(published, "database_backup")

    assert str(shown["made_by"]).startswith("pg_dump ")
    assert shown["renders"] == pipeline.csv.sha256()
    assert str(shown["backup"]).startswith("database-backups/20")


def test_without_a_version_the_drill_fails(dagster: Dagster, pipeline: Pipeline) -> None:
    pipeline.sync()

    assert checks(dagster.run("drill")) == dict.fromkeys(RESTORES, False)
