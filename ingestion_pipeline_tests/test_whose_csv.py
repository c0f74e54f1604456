"""Whose CSV it is, and what a file that was merged leaves pending."""

import os
from collections.abc import Callable

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]


@pytest.fixture
def written(pipeline: Pipeline) -> Pipeline:
    pipeline.sync()
    pipeline.write("500", {"type": "INTJ"})
    return pipeline


def is_ours(site: Site) -> bool:
    """Asked by somebody who has not written."""
    with open_pipeline(site.config) as pipeline:
        return pipeline.csv_is_ours()


def test_a_file_that_was_never_taken_over_is_not_ours(site: Site, pipeline: Pipeline) -> None:
    assert not is_ours(site)
    assert not pipeline.csv_is_ours()


def test_a_file_that_was_synced_is_known(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()

    assert is_ours(site)
    assert pipeline.csv_is_ours()


@pytest.mark.usefixtures("written")
def test_a_file_written_through_here_is_ours(site: Site) -> None:
    assert is_ours(site)


@pytest.mark.usefixtures("written")
def test_a_file_is_not_read_where_size_and_time_are_known(site: Site) -> None:
    found = site.csv.stat()
    content = site.csv.read_bytes()
    site.put(content.replace(b"\n499,", b"\n4X9,", 1))
    os.utime(site.csv, ns=(found.st_atime_ns, found.st_mtime_ns))

    assert is_ours(site)


def touch(site: Site) -> None:
    os.utime(site.csv)


def copy(site: Site) -> None:
    content = site.csv.read_bytes()
    site.csv.unlink()
    site.put(content)


def edit(site: Site) -> None:
    site.put(site.csv.read_bytes().replace(b"\n499,", b"\n4X9,", 1))


def remove(site: Site) -> None:
    site.csv.unlink()


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(("act", "ours"), [(touch, True), (copy, True), (edit, False), (remove, False)])
def test_a_file_is_told_by_its_content(site: Site, act: Callable[[Site], None], *, ours: bool) -> None:
    act(site)

    assert is_ours(site) is ours
    assert is_ours(site) is ours, "asking changes nothing"


def test_a_merged_file_is_pending_until_it_is_settled(site: Site, written: Pipeline) -> None:
    edit(site)
    assert list(written.rows())
    assert is_ours(site)

    assert written.status().pending.rows == 1
    assert written.settle().settled > 0
    assert written.status().pending.rows == 0
    assert written.compare().equal
