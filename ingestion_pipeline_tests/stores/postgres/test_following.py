"""Following: people become what the CSV that leads says, in its order, and never what it said before."""

from dataclasses import replace
from uuid import uuid4

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.columns import COLUMNS
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.pending import Followed
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import COLUMNS as HEADER
from ingestion_pipeline_tests.files import person, spelled
from ingestion_pipeline_tests.strays import stray

STATE = State(Phase.DUAL_WRITE, 1)
FILE = ("f" * 64, 123, 4)


@pytest.fixture
def tables(site: Site, pipeline: Pipeline) -> PostgresTables:
    """Tables that follow a file of two persons, one with odd cells."""
    site.put(spelled([person(1, processed="TRUE", s3_paths="[1]"), person(2)]))
    pipeline.sync()
    return pipeline.tables


def followed(row_id: str, revision: int, by: str = "somebody", **cells: str) -> Followed:
    row = dict(zip(HEADER, person(row_id, **cells), strict=True))
    del row["row_id"]
    return Followed(row_id, revision, uuid4(), by, row)


def row(tables: PostgresTables, row_id: str) -> tuple[str, ...] | None:
    """The person's cells in the file's columns."""
    found = tables.read(row_id)
    return None if found is None else tuple(found[name] for name in HEADER)


def test_person_becomes_what_the_file_says(site: Site, tables: PostgresTables) -> None:
    number = tables.last_revision() + 5
    one = followed("1", number, name="Other", processed="yes", s3_paths="{}", document_text="new")

    tables.follow(STATE, [one], FILE)

    assert row(tables, "1") == tuple(
        person(1, name="Other", processed="yes", s3_paths="{}", document_text="new")
    )
    assert row(tables, "2") == tuple(person(2))
    stands = "SELECT revision, write_id::text, verbatim FROM people WHERE row_id = '1'"
    assert stray(site.database, stands) == [(number, str(one.write_id), None)]
    assert tables.last_revision() == number
    assert stray(site.database, "SELECT sha256, size, rows FROM ingestion.csv_file") == [FILE]


def test_text_spelled_otherwise_is_kept(tables: PostgresTables) -> None:
    odd = {"processed": "True", "last_download_attempt": "2024-02-03 04:05:06", "file_uuids": '{"b":"c"}'}

    tables.follow(STATE, [followed("2", tables.last_revision() + 1, **odd)], FILE)

    assert row(tables, "2") == tuple(person(2, **odd))


def test_columns_that_the_file_has_not_are_left(site: Site, tables: PostgresTables) -> None:
    stray(site.database, "UPDATE processing_status SET drive_files = 'kept'", epoch=1)

    tables.follow(STATE, [followed("1", tables.last_revision() + 1)], FILE)

    absent = {column.name for column in COLUMNS} - set(HEADER)
    found = tables.read("1") or {}
    assert {name: found[name] for name in absent if found[name]} == {"drive_files": "kept"}


def test_new_people_stand_in_the_files_order(tables: PostgresTables) -> None:
    number = tables.last_revision()
    new = [followed(f"n{count}", number + count) for count in range(1, 4)]

    tables.follow(STATE, [*new, followed("2", number + 9)], FILE)

    assert [one["row_id"] for one in tables.rows()] == ["n3", "n2", "n1", "1", "2"]


def test_older_ones_do_not_overwrite_newer(tables: PostgresTables) -> None:
    number = tables.last_revision() + 10
    older = [followed("1", number + 1, name="Older"), followed("new", number + 2, name="Older")]
    newer = [followed("1", number + 3, name="Newer"), followed("new", number + 4, name="Newer")]

    assert tables.follow(STATE, newer, FILE)
    assert not tables.follow(STATE, older, FILE)

    assert [one["name"] for one in tables.rows()] == ["Newer", "Newer", "Name 2"]


def test_older_one_among_newer_ones_does_not_overwrite(site: Site, tables: PostgresTables) -> None:
    number = tables.last_revision() + 10
    tables.follow(STATE, [followed("1", number + 2, name="Newer", s3_paths="[1]")], FILE)

    assert tables.follow(STATE, [followed("1", number + 1, name="Older"), followed("2", number + 3)], FILE)

    assert [one["name"] for one in tables.rows()] == ["Newer", "Name 2"]
    entries = stray(site.database, "SELECT column_name, decision FROM ingestion.quarantine")
    assert entries == [("s3_paths", None)]


def test_same_one_again_changes_nothing(tables: PostgresTables) -> None:
    one = followed("1", tables.last_revision() + 1, name="Other")
    tables.follow(STATE, [one], FILE)
    before = tables.history("1")

    tables.follow(STATE, [one], FILE)

    assert tables.history("1") == before


def test_few_people_are_not_enough_after_a_load_that_the_journal_does_not_know(
    tables: PostgresTables,
) -> None:
    assert not tables.follow(STATE, [followed("1", tables.last_revision() - 1, name="Other")], FILE)

    assert [one["name"] for one in tables.rows()] == ["Name 1", "Name 2"]


def test_few_people_are_not_enough_where_nothing_was_ever_synced(database: str, pool: Pool) -> None:
    stray(database, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('dual_write', 1)")
    tables = PostgresTables(pool)

    assert not tables.follow(STATE, [followed("1", tables.last_revision() + 1)], FILE)

    assert list(tables.rows()) == []


def test_cell_in_quarantine_is_superseded_when_it_changes_only(site: Site, tables: PostgresTables) -> None:
    decision = "SELECT column_name, decision FROM ingestion.quarantine"
    number = tables.last_revision()

    tables.follow(STATE, [followed("1", number + 1, name="Other", s3_paths="[1]")], FILE)
    assert stray(site.database, decision) == [("s3_paths", None)]

    tables.follow(STATE, [followed("1", number + 2, name="Other", s3_paths="{}")], FILE)
    assert stray(site.database, decision) == [("s3_paths", "superseded")]


def test_everyone_is_noted_by_name(tables: PostgresTables) -> None:
    number = tables.last_revision()
    rows = [
        followed("1", number + 1, "ann"),
        followed("2", number + 2, "bob"),
        followed("3", number + 3, "cy"),
    ]

    tables.follow(STATE, rows, FILE)

    assert [tables.history(key)[-1].actor for key in "123"] == ["ann", "bob", "cy"]
    assert [tables.history(key)[-1].write_id for key in "123"] == [one.write_id for one in rows]


@pytest.mark.parametrize("epoch", [0, 2])
def test_another_epoch_follows_nothing(tables: PostgresTables, epoch: int) -> None:
    one = followed("1", tables.last_revision() + 1, name="Other")

    with pytest.raises(ProtectedError) as refused:
        tables.follow(replace(STATE, epoch=epoch), [one], FILE)

    assert refused.value.code == "stale_epoch"
    assert row(tables, "1") == tuple(person(1, processed="TRUE", s3_paths="[1]"))
