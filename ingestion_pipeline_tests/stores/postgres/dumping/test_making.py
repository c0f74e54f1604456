"""Making a dump: of one instant, and only what is the pipeline's."""

import io
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.digest import Digest
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.dumping import (
    clients,
    dump,
    making,
    replace,
    restore_into,
    scratch_database,
)
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.proxy import eventually
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import (
    CANARY,
    dumped_to,
    everything,
    later,
    rendered,
    url_of,
)
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import refused
from ingestion_pipeline_tests.strays import stray


def test_what_is_restored_is_the_same_to_the_last_row(filled: Site, pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    before = everything(filled.database)

    dumped = dumped_to(path, pool)

    with scratch_database(pool) as other:
        restore_into(other, path)
        assert everything(url_of(other)) == before
        assert rendered(other) == (dumped.sha256, dumped.size, dumped.rows)
    assert everything(filled.database) == before


def test_facts_are_those_of_the_csv(filled: Site, pool: Pool) -> None:
    digest = Digest()
    digest.write(filled.csv.read_bytes())

    dumped = dump(pool, io.BytesIO())

    assert (dumped.sha256, dumped.size, dumped.rows) == (digest.sha256, digest.size, 64)
    assert (dumped.phase, dumped.epoch) == (Phase.DUAL_WRITE, 1)
    header = filled.csv.read_text().partition("\n")[0].split(",")
    assert dumped.columns == dumped.dialect.columns == tuple(header)
    version = clients.find(pool).version
    assert dumped.made_by == f"pg_dump {version}, schema {schema.head()}"


def test_others_things_are_left_out_and_left_alone(filled: Site, pool: Pool, tmp_path: Path) -> None:
    stray(
        filled.database,
        f"""
        CREATE TABLE "Strange "" one" (id serial PRIMARY KEY, text text);
        INSERT INTO "Strange "" one" (text) VALUES ('{CANARY}');
        CREATE VIEW names AS SELECT text FROM "Strange "" one";
        CREATE TABLE people_too (id int); CREATE TYPE mood AS ENUM ('good');
        CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE SCHEMA dagster; CREATE TABLE dagster.runs (text text);
        INSERT INTO dagster.runs VALUES ('{CANARY}');
        """,
    )
    relations = "SELECT oid::regclass::text, pg_relation_filenode(oid) FROM pg_class WHERE relkind IN ('r', 'v', 'S') AND relnamespace IN ('public'::regnamespace, 'dagster'::regnamespace) AND relname !~ '^(people_id|people$|people_full$|proc|s3)' ORDER BY 1"  # noqa: E501
    before = stray(filled.database, relations)
    assert len(before) == 5
    path = tmp_path / "dump"

    dumped_to(path, pool)

    program = clients.find(pool).folder / "pg_restore"
    sql = subprocess.run([program, "--file=-", path], capture_output=True, check=True).stdout.decode()
    assert re.search(r"COPY (public.people|ingestion.people_\d+_of_\d+) ", sql)
    assert CANARY not in sql
    assert "Strange" not in sql
    assert "people_too" not in sql
    assert "dagster" not in sql
    with scratch_database(pool) as other:
        restore_into(other, path)
        assert stray(url_of(other), "SELECT to_regtype('mood'), to_regproc('one'), to_regclass('names')") == [
            (None, None, None)
        ]
    replace(pool, path, later(filled))
    assert stray(filled.database, relations) == before


def test_index_of_the_sites_own_comes_along(filled: Site, pool: Pool, tmp_path: Path) -> None:
    stray(filled.database, "CREATE INDEX by_name ON people (name)")
    dumped_to(tmp_path / "dump", pool)
    stray(filled.database, "DROP INDEX by_name")

    replace(pool, tmp_path / "dump", later(filled))

    assert stray(filled.database, "SELECT to_regclass('by_name') IS NULL") == [(False,)]


def test_what_is_written_meanwhile_is_in_neither_facts_nor_dump(
    filled: Site, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = making._write  # noqa: SLF001

    def written_before(*given: object) -> None:
        stray(filled.database, "UPDATE people SET name = 'meanwhile' WHERE row_id = '5'", epoch=1)
        stray(filled.database, "DELETE FROM people WHERE row_id = '6'", epoch=1)
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(making, "_write", written_before)
    dumped = dumped_to(tmp_path / "dump", pool)

    with scratch_database(pool) as other:
        restore_into(other, tmp_path / "dump")
        assert rendered(other) == (dumped.sha256, dumped.size, dumped.rows)
        assert rendered(other) != rendered(pool)
        assert PostgresTables(other).history("6")[-1].operation != "delete"


def test_dump_amid_writers_is_of_one_instant(filled: Site, pool: Pool, tmp_path: Path) -> None:
    state = State(Phase.DATABASE_NATIVE, 9)
    stray(filled.database, "UPDATE ingestion.migration_state SET phase = %s, epoch = 9", state.phase)
    tables = PostgresTables(pool)
    over = Event()

    def write(row_id: str) -> int:
        for number in count(1):
            cells = {
                "link": str(number),
                "document_text": str(number),
                "s3_paths": f'{{"n": "{number}"}}',
            }
            tables.write(state, "tester", [checked(row_id, cells)])
            if over.is_set():
                return number
        raise AssertionError

    with ThreadPoolExecutor(3) as threads:
        written = [threads.submit(write, row_id) for row_id in "123"]
        try:
            written_one = "SELECT 1 FROM ingestion.history WHERE actor = 'tester'"
            eventually(lambda: len(stray(filled.database, written_one)) > 9)
            dumped = [dumped_to(tmp_path / f"{turn}.dump", pool) for turn in range(3)]
        finally:
            over.set()
        assert all(one.result(10) > 10 for one in written)

    assert len({one.sha256 for one in dumped}) == 3
    for turn, one in enumerate(dumped):
        with scratch_database(pool) as other:
            restore_into(other, tmp_path / f"{turn}.dump")
            assert rendered(other)[0] == one.sha256
            torn = """
                SELECT row_id FROM ingestion.record AS r WHERE row_id IN ('1', '2', '3') AND (
                    link IS DISTINCT FROM document_text OR link IS DISTINCT FROM s3_paths ->> 'n'
                    OR revision <> (SELECT max(revision) FROM ingestion.history h WHERE h.row_id = r.row_id)
                )
            """
            assert stray(url_of(other), torn) == []


def test_pieces_are_small(filled: Site, pool: Pool) -> None:
    noise = "SELECT string_agg(gen_random_uuid()::text, '') FROM generate_series(1, 100000)"
    stray(filled.database, f"UPDATE processing_status SET document_text = ({noise}) WHERE id = 1", epoch=1)
    sizes: list[int] = []

    class Sink:
        def write(self, data: bytes, /) -> None:
            sizes.append(len(data))

    dump(pool, Sink())

    assert max(sizes) <= 1024 * 1024
    assert len(sizes) > 2


def test_nothing_is_dumped_of_a_site_that_has_not_begun(empty_database: str) -> None:
    begin = "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('dual_write', 1)"
    with closing(Pool(empty_database)) as pool:
        with refused(UnavailableError, "schema_missing"):
            dump(pool, io.BytesIO())
        schema.upgrade(pool)
        with refused(UnavailableError, "not_begun"):
            dump(pool, io.BytesIO())
        stray(empty_database, begin)
        with refused(UnavailableError, "nothing_synced"):
            dump(pool, io.BytesIO())


def test_table_that_stays_locked_is_not_waited_for_long(filled: Site) -> None:
    hasty = Pool(filled.database, waits=Waits(lock=0.2))
    with closing(hasty), closing(psycopg2.connect(filled.database)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE ingestion.history IN ACCESS EXCLUSIVE MODE")
        with refused(UnavailableError, "postgres_busy"):
            dump(hasty, io.BytesIO())
