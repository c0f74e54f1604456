"""The figures are the CSV's, are counted anew while others read and write, and the view is the full mode."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Mode
from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.figures import Figures, View
from ingestion_pipeline.domain.receipt import Standing
from ingestion_pipeline.stores.postgres import figures, schema
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline_tests.conftest import SAMPLES, Server, Site
from ingestion_pipeline_tests.figures import (
    FULL,
    VARIED,
    outcomes_of,
    processing_of,
    rows_of,
    someone,
    storage_of,
    types_of,
)
from ingestion_pipeline_tests.files import person, spelled
from ingestion_pipeline_tests.proxy import eventually
from ingestion_pipeline_tests.strays import stray

PEOPLE = "SELECT people FROM ingestion.processing_summary"


def counted(pool: Pool) -> Figures:
    figures.refresh(pool)
    found = figures.read(pool)
    assert found is not None
    return found


@contextmanager
def session(site: Site) -> Iterator[Connection]:
    with closing(psycopg2.connect(site.database)) as connection:
        connection.set_session(isolation_level="REPEATABLE READ")
        yield connection


def ask(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


@pytest.fixture
def hasty(database: str) -> Iterator[Pool]:
    """Connections that wait for nobody."""
    with closing(Pool(database, waits=Waits(lock=0.2, statement=5))) as pool:
        yield pool


@pytest.mark.parametrize("content", [(SAMPLES / "output.csv").read_bytes(), VARIED], ids=["sample", "varied"])
def test_figures_are_those_of_the_csv(site: Site, pipeline: Pipeline, content: bytes) -> None:
    site.put(content)
    pipeline.sync()
    rows = rows_of(content)

    found = counted(pipeline.pool)

    processing = asdict(found.processing)
    assert {name: processing[name] for name in processing_of(rows)} == processing_of(rows)
    assert {one.type: one.people for one in found.types} == types_of(rows)
    assert {tuple(asdict(one).values()) for one in found.outcomes} == outcomes_of(rows)
    storage = asdict(found.storage) | {
        "endings": {one.name: one.paths for one in found.storage.endings},
        "prefixes": {one.name: one.paths for one in found.storage.prefixes},
    }
    assert storage == storage_of(rows)
    attempts = [row["last_download_attempt"] for row in rows if row["last_download_attempt"]]
    last = datetime.fromisoformat(max(attempts)) if attempts else None
    assert found.processing.last_download_attempt == last


def test_quarantine_is_counted(site: Site, pipeline: Pipeline) -> None:
    site.put(VARIED)
    pipeline.sync()

    found = counted(pipeline.pool).processing

    assert found.in_quarantine == found.undecided == len(pipeline.quarantine()) == 2


def test_the_largest_come_first(site: Site, pipeline: Pipeline) -> None:
    site.put(VARIED)
    pipeline.sync()

    found = counted(pipeline.pool)

    assert [one.people for one in found.types] == sorted((one.people for one in found.types), reverse=True)
    assert [one.source for one in found.outcomes] == ["youtube"] * 3 + ["drive"] * 2
    assert found.outcomes[0].status == "(none)"


def test_only_the_largest_of_many_folders_are_named(site: Site, pipeline: Pipeline) -> None:
    folders = {f"u{number}": f"folder {number}/file.pdf" for number in range(30)}
    site.put(
        spelled(
            [
                person(1, s3_paths=json.dumps(folders | {"v": "folder 7/too.pdf"})),
                person(2, s3_paths=json.dumps(folders)),
            ]
        )
    )
    pipeline.sync()

    prefixes = {one.name: one.paths for one in counted(pipeline.pool).storage.prefixes}

    assert (len(prefixes), prefixes["(others)"], prefixes["folder 7/"]) == (21, 10, 2)


def test_what_only_one_person_has_is_not_named(site: Site, pipeline: Pipeline) -> None:
    paths = {"a": "Jane Doe/1.doe", "b": "Jane Doe/2.doe", "c": "shared/1.pdf"}
    site.put(spelled([person(1, s3_paths=json.dumps(paths)), person(2, s3_paths='{"d": "shared/2.pdf"}')]))
    pipeline.sync()

    found = counted(pipeline.pool).storage

    assert {one.name: one.paths for one in found.prefixes} == {"(others)": 2, "shared/": 2}
    assert {one.name: one.paths for one in found.endings} == {"(others)": 2, ".pdf": 2}


def test_nobody_is_there(pool: Pool) -> None:
    found = counted(pool)

    assert (found.processing.people, found.processing.last_download_attempt) == (0, None)
    assert (found.types, found.outcomes) == ((), ())
    assert (found.storage.uuids, found.storage.endings, found.storage.prefixes) == (0, (), ())


def test_what_was_never_counted_is_not_told(pool: Pool) -> None:
    assert figures.read(pool) is None


def test_counted_anew_after_changes_and_not_before(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    before = counted(pipeline.pool)
    [row_id] = [row["row_id"] for row in rows_of(site.csv) if row["processed"] != "yes"][:1]

    pipeline.write(row_id, {"processed": True, "type": "another"})

    assert figures.read(pipeline.pool) == before
    after = counted(pipeline.pool)
    assert after.processing.processed == before.processing.processed + 1
    assert {one.type: one.people for one in after.types} == types_of(rows_of(site.csv))
    assert "another" in {one.type for one in after.types}


def test_when_it_was_counted_is_known(pipeline: Pipeline) -> None:
    pipeline.sync()
    began = datetime.now(UTC)

    first, second = figures.refresh(pipeline.pool), figures.refresh(pipeline.pool)

    assert [one.view for one in first] == list(View)
    assert len({one.at for one in first}) == 1  # all of one state
    assert first[0].at < second[0].at
    assert abs((first[0].at - began).total_seconds()) < 60
    found = figures.read(pipeline.pool)
    assert found is not None
    assert found.refreshed == second
    rows = {
        view: stray_count for view in View for [(stray_count,)] in [rows_in(pipeline, f"ingestion.{view}")]
    }
    assert {one.view: one.rows for one in second} == rows


def rows_in(pipeline: Pipeline, name: str) -> list[tuple[int]]:
    with pipeline.pool.transaction() as cursor:
        cursor.execute(f"SELECT count(*) FROM {name}")
        return list(cursor.fetchall())


def test_nobody_who_reads_waits(site: Site, pipeline: Pipeline, hasty: Pool) -> None:
    site.put(VARIED)
    pipeline.sync()
    figures.refresh(pipeline.pool)
    pipeline.write("99", {"name": "new", "email": "", "type": "INTJ"})
    with session(site) as reader:
        assert ask(reader, PEOPLE) == [(10,)]

        figures.refresh(hasty)

        assert ask(reader, PEOPLE) == [(10,)]
        reader.rollback()
        assert ask(reader, PEOPLE) == [(11,)]


def test_who_reads_while_it_is_counted_sees_what_was_before(
    site: Site, pipeline: Pipeline, hasty: Pool
) -> None:
    site.put(VARIED)
    pipeline.sync()
    before = counted(pipeline.pool)
    pipeline.write("1", {"type": "another"})
    with pipeline.pool.transaction(snapshot=True) as cursor:
        cursor.execute(figures._sql.keep_others_out)  # noqa: SLF001
        for view in View:
            figures._refresh(cursor, view)  # noqa: SLF001

        assert figures.read(hasty) == before
        with pytest.raises(UnavailableError, match="lock was not free"):
            figures.refresh(hasty)
    assert figures.read(hasty) != before


def test_who_counts_while_another_does_counts_after_it(site: Site, pipeline: Pipeline, pool: Pool) -> None:
    site.put(VARIED)
    pipeline.sync()
    counted(pool)
    pipeline.write("1", {"type": "another"})
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(1) as threads:
        with pipeline.pool.transaction(snapshot=True) as cursor:
            cursor.execute(figures._sql.keep_others_out)  # noqa: SLF001
            for view in View:
                figures._refresh(cursor, view)  # noqa: SLF001
            pipeline.write("2", {"type": "another"})
            other = threads.submit(counted, pool)
            eventually(lambda: bool(stray(site.database, waiting)))

        assert {one.type: one.people for one in other.result(20).types}["another"] == 2


def test_nobody_who_writes_waits_or_is_waited_for(site: Site, pipeline: Pipeline, hasty: Pool) -> None:
    site.put(VARIED)
    pipeline.sync()
    figures.refresh(hasty)
    with session(site) as writer:
        ask(writer, "SELECT set_config('ingestion.epoch', '1', true)")
        ask(writer, "UPDATE people SET type = 'unseen' WHERE row_id = '1' RETURNING 1")

        figures.refresh(hasty)

    with pipeline.pool.transaction(snapshot=True) as cursor:
        cursor.execute(figures._sql.keep_others_out)  # noqa: SLF001
        figures._refresh(cursor, View.TYPE_DISTRIBUTION)  # noqa: SLF001
        assert pipeline.write("1", {"type": "written"}).follower is Standing.SETTLED
    assert "unseen" not in {one.type for one in counted(pipeline.pool).types}


def test_figures_do_not_void_a_proof(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1)]))
    pipeline.sync()
    pipeline.compare()

    figures.refresh(pipeline.pool)

    assert pipeline.status().why_not == ()


def test_the_view_has_the_full_modes_columns_in_its_order(pool: Pool) -> None:
    with pool.transaction() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'public.people_full'::regclass AND attnum > 0 ORDER BY attnum"
        )
        found = cursor.fetchall()
        cursor.execute(
            "SELECT "
            + ", ".join(
                f"format_type('{BY_NAME[name].sql_type.partition('(')[0]}'::regtype, NULL)" for name in FULL
            )
        )
        [types] = cursor.fetchall()

    assert [name for name, _ in found] == [column.name for column in COLUMNS if Mode.FULL in column.modes]
    assert len(found) == 21
    assert [kind.partition("(")[0] for _, kind in found] == list(types)


@pytest.mark.parametrize("content", [(SAMPLES / "output.csv").read_bytes(), VARIED], ids=["sample", "varied"])
def test_the_view_holds_the_csvs_values(site: Site, pipeline: Pipeline, content: bytes) -> None:
    site.put(content)
    pipeline.sync()
    expected = {row["row_id"]: tuple(meant(name, row[name]) for name in FULL) for row in rows_of(content)}

    found = site.execute("SELECT * FROM people_full")

    assert len(found) == len(expected)
    assert {row[0]: row for row in found} == expected


def meant(name: str, text: str) -> object:
    """A cell's value; what is in quarantine has none."""
    if name in ("row_id", "name", "email", "type"):
        return text
    if name in ("processed", "permanent_failure"):
        return {"yes": True, "": False}.get(text)
    if not text:
        return None
    if name == "last_download_attempt":
        return datetime.fromisoformat(text)
    return json.loads(text) if name in ("file_uuids", "s3_paths") else text


def test_a_person_made_with_psql_alone_is_in_the_view(site: Site, pool: Pool) -> None:
    stray(site.database, "INSERT INTO people (row_id, name, email, type) VALUES ('1', 'a', '', 'x')")

    assert site.execute("SELECT row_id, processed, s3_paths FROM people_full") == [("1", None, None)]
    assert [one.status for one in counted(pool).outcomes] == ["(none)", "(none)"]


def test_the_schema_goes_down_with_the_views_filled(server: Server, template: str) -> None:
    with server.new_database(template) as url, closing(Pool(url)) as pool:
        figures.refresh(pool)
        stray(url, "CREATE VIEW theirs AS SELECT row_id FROM people_full")
        with pytest.raises(ProtectedError):
            schema.downgrade(pool, "0004")
        assert figures.read(pool) is not None
        stray(url, "DROP VIEW theirs")

        schema.downgrade(pool, "0004")

        assert stray(url, "SELECT to_regclass('people_full'), to_regclass('people')::text") == [
            (None, "people")
        ]


def test_proofs_are_given_in_order(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([someone(1)], FULL))
    pipeline.sync()
    for _ in range(3):
        pipeline.compare()
    [(first,)] = site.execute("SELECT min(stamped_at) FROM ingestion.proof")

    found = [one.stamped_at for one in pipeline.tables.proofs(10)]

    assert len(found) == 3
    assert found == sorted(found)  # type: ignore[type-var]
    assert found[0] == first
    assert [one.stamped_at for one in pipeline.tables.proofs(2)] == found[1:]
