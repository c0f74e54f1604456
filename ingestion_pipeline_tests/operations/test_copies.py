"""The copy of the CSV before a session's first write, and before a bulk load."""

import gzip
import os
from pathlib import Path

import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, spelled

FOUR = spelled(people("4321"))


def copies(site: Site) -> list[bytes]:
    found = sorted((site.folder / "backups").glob("*.csv.gz"))
    return [gzip.decompress(path.read_bytes()) for path in found]


def make_older(site: Site) -> None:
    for path in (site.folder / "backups").iterdir():
        os.utime(path, (0, 0))


def test_before_a_load(site: Site) -> None:
    site.put(FOUR)
    with open_pipeline(site.config) as pipeline:
        pipeline.sync(dry_run=True)
        assert copies(site) == []
        pipeline.sync()
        assert copies(site) == [FOUR]
        pipeline.sync()
        assert copies(site) == [FOUR]


def test_before_each_load_of_a_long_session(site: Site) -> None:
    site.put(FOUR)
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        pipeline.write("1", {"name": "new"})
        make_older(site)
        pipeline.write("1", {"name": "newer"})
        assert len(copies(site)) == 1
        pipeline.sync()
        assert [b"newer" in copy for copy in copies(site)] == [False, True]


def test_before_the_first_write(site: Site) -> None:
    site.put(FOUR)
    with open_pipeline(site.config) as pipeline:
        pipeline.write("1", {"name": "new"})
        pipeline.write("2", {"name": "new"})
    assert copies(site) == [FOUR]


@pytest.mark.parametrize("switched_off", ["enabled", "auto_backup_before_write"])
def test_none_where_none_is_wanted(site: Site, switched_off: str) -> None:
    site.config.write_text(f"migration:\n  phase: dual_write\ncsv_backup:\n  {switched_off}: false\n")
    site.put(FOUR)
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        pipeline.write("1", {"name": "new"})
    assert copies(site) == []


def test_copy_that_cannot_be_made_stops_the_load(site: Site) -> None:
    site.put(FOUR)
    Path(site.folder / "backups").write_text("in the way")
    with open_pipeline(site.config) as pipeline, pytest.raises(UnavailableError):
        pipeline.sync()
