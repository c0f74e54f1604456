"""The composition root: nothing is reached before a verb needs it."""

import doctest
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError, UnavailableError
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose server is not there."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/people")
    config = tmp_path / "config.yaml"
    config.write_text(
        "database:\n  connect_timeout: 7\n  query_timeout: 3\n  bulk_timeout: 5\n  lock_timeout: 2\n"
        "  idle_in_transaction_timeout: 4\n  connection_pool:\n    timeout: 6\n"
    )
    return config


def test_nothing_is_reached_before_it_is_needed(away: Path, tmp_path: Path) -> None:
    with open_pipeline(away) as pipeline:
        assert list(pipeline.listing()) == []
        with pytest.raises(UnavailableError):
            pipeline.status()

    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_waits_come_from_the_configuration(away: Path) -> None:
    with open_pipeline(str(away)) as pipeline:
        waits = pipeline.pool.waits

    assert (waits.connect, waits.statement, waits.bulk) == (7, 3, 5)
    assert (waits.lock, waits.idle_in_transaction, waits.free) == (2, 4, 6)


def test_named_server_is_not_embedded(away: Path) -> None:
    with open_pipeline(load_settings(away)) as pipeline, pytest.raises(SettingsError) as refused:
        pipeline.embedded()

    assert refused.value.code == "not_embedded"


def test_first_verb_makes_the_schema(
    site: Site, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)

    with open_pipeline(site.config) as pipeline:
        assert pipeline.sync().inserted == 509
        assert pipeline.tables.counts() == {"people": 509, "processing_status": 509, "s3_metadata": 509}


def test_render_to_replaces_a_file(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    target = site.folder / "copy.csv"
    target.write_text("old")

    rows, written = pipeline.render_to(target)

    assert target.read_bytes() == site.csv.read_bytes()
    assert (rows, written.size) == (510, site.csv.stat().st_size)
    assert [path.name for path in site.folder.glob(".copy*")] == []


def test_render_to_leaves_the_file_where_it_fails(site: Site, pipeline: Pipeline) -> None:
    target = site.folder / "copy.csv"
    target.write_text("old")

    with pytest.raises(UnavailableError):
        pipeline.render_to(target)

    assert target.read_text() == "old"
    assert [path.name for path in site.folder.glob(".copy*")] == []


def test_closed_pipeline_has_no_connections(site: Site) -> None:
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()

    # A backend takes a moment to see that its client has gone.
    sessions = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    until = time.monotonic() + 5
    while (left := site.execute(sessions)) and time.monotonic() < until:
        time.sleep(0.01)
    assert left == []


def test_the_csv_that_leads_is_not_rendered_over(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.execute("DELETE FROM people WHERE row_id = '500'")
    before = site.csv.read_bytes()

    with pytest.raises(ProtectedError, match="the CSV that leads"):
        pipeline.render_to(site.csv.parent / ".." / "outputs" / "output.csv")

    assert site.csv.read_bytes() == before


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_a_file_is_rendered_over(
    pipeline: Pipeline, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    pipeline.sync()
    target = tmp_path / "no file"
    make(target)
    before = target.stat()

    with pytest.raises(ProtectedError, match="not a file"):
        pipeline.render_to(target)

    assert target.stat().st_ino == before.st_ino


def test_the_example_of_the_docstring(site: Site) -> None:
    assert site.csv.exists()
    finder = doctest.DocTestFinder(recurse=False)
    [example] = finder.find(open_pipeline, globs={"open_pipeline": open_pipeline})

    done = doctest.DocTestRunner().run(example)

    assert (done.attempted, done.failed) == (3, 0)
