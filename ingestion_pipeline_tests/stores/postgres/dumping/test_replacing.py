"""Making the site's own database what a dump holds."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.dumping import replace, restore_into, scratch_database
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Server, Site
from ingestion_pipeline_tests.proxy import Cut, eventually, through
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import (
    AT_WORK,
    CANARY,
    NUMBERS,
    Fakes,
    dumped_to,
    everything,
    later,
    rendered,
)
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import refused
from ingestion_pipeline_tests.strays import stray

WAITING = "SELECT pid FROM pg_locks WHERE NOT granted"


def test_database_is_what_the_dump_holds_in_the_new_epoch(filled: Site, pool: Pool, tmp_path: Path) -> None:
    dumped = dumped_to(tmp_path / "dump", pool)
    before = everything(filled.database)
    stray(filled.database, "UPDATE people SET name = 'lost'", epoch=1)
    stray(filled.database, "DELETE FROM people WHERE row_id IN ('1', '2')", epoch=1)
    stray(filled.database, "INSERT INTO ingestion.pending VALUES ('3', 1)")
    state = later(filled, Phase.DATABASE_NATIVE)

    replace(pool, tmp_path / "dump", state)

    after = everything(filled.database)
    same = before.keys() - {"ingestion.migration_state", "numbers"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert PostgresTables(pool).state() == state
    assert rendered(pool) == (dumped.sha256, dumped.size, dumped.rows)


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE])
def test_what_was_pending_is_not_but_a_csv_that_follows_is_to_be_rendered(
    filled: Site, pool: Pool, tmp_path: Path, phase: Phase
) -> None:
    stray(filled.database, "INSERT INTO ingestion.pending VALUES ('3', 1), ('4', 1)")
    dumped_to(tmp_path / "dump", pool)

    replace(pool, tmp_path / "dump", later(filled, phase))

    pending = stray(filled.database, "SELECT moved FROM ingestion.pending")
    assert pending == ([(True,)] if phase is Phase.DATABASE_PRIMARY else [])


def test_numbers_go_on_from_the_highest(filled: Site, kept: Path, pool: Pool) -> None:
    stray(
        filled.database,
        "SELECT setval('ingestion.revision', 5000), setval('people_id_seq', 6000),"
        " setval('ingestion.history_id_seq', 7000), setval('s3_metadata_id_seq', 1)",
    )

    replace(pool, kept, later(filled))

    numbers = {name: last for _, name, last in stray(filled.database, NUMBERS)}
    assert (numbers["revision"], numbers["people_id_seq"], numbers["history_id_seq"]) == (
        5000,
        6000,
        7000,
    )
    highest = "SELECT max(id) <= (SELECT last_value FROM s3_metadata_id_seq) FROM s3_metadata"
    assert stray(filled.database, highest) == [(True,)]
    assert stray(filled.database, "SELECT nextval('ingestion.revision')") == [(5001,)]


def test_writers_of_the_old_epoch_are_refused(filled: Site, pool: Pool, tmp_path: Path) -> None:
    native = State(Phase.DATABASE_NATIVE, 5)
    stray(filled.database, "UPDATE ingestion.migration_state SET phase = %s, epoch = 5", native.phase)
    tables = PostgresTables(pool)
    tables.write(native, "tester", [checked("1", {"link": "before"})])  # so that it is prepared
    dumped_to(tmp_path / "dump", pool)
    now = State(Phase.DATABASE_NATIVE, 6)

    replace(pool, tmp_path / "dump", now)

    with refused(ProtectedError, "stale_epoch"):
        tables.write(native, "tester", [checked("1", {"link": "stale"})])
    tables.write(now, "tester", [checked("1", {"link": "after"})])
    assert (tables.read("1") or {})["link"] == "after"


def test_writer_who_waits_for_its_end_is_refused_or_away(
    filled: Site, pool: Pool, tmp_path: Path, fakes: "Fakes"
) -> None:
    native = State(Phase.DATABASE_NATIVE, 5)
    stray(filled.database, "UPDATE ingestion.migration_state SET phase = %s, epoch = 5", native.phase)
    tables = PostgresTables(pool)
    tables.write(native, "tester", [checked("1", {"link": "before"})])
    dumped_to(tmp_path / "dump", pool)
    fakes.hold("pg_restore", 0.5)

    with ThreadPoolExecutor(2) as threads:
        replacing = threads.submit(replace, pool, tmp_path / "dump", State(Phase.DATABASE_NATIVE, 6))
        eventually(lambda: stray(filled.database, AT_WORK) == [(1,)])
        writing = threads.submit(tables.write, native, "tester", [checked("1", {"link": "stale"})])
        time.sleep(0.2)
        assert not writing.done()
        fakes.let_go()
        replacing.result(20)
        with pytest.raises(PipelineError):
            writing.result(20)

    assert (tables.read("1") or {})["link"] == "before"


@pytest.mark.parametrize("behind", [0, 1])
def test_epoch_that_is_not_higher_is_refused(filled: Site, kept: Path, pool: Pool, behind: int) -> None:
    stray(filled.database, "UPDATE ingestion.migration_state SET epoch = 3")
    before = everything(filled.database)

    with refused(ProtectedError, "stale_epoch"):
        replace(pool, kept, State(Phase.DUAL_WRITE, 3 - behind))

    assert everything(filled.database) == before


def test_what_was_granted_is_granted_again(filled: Site, kept: Path, pool: Pool) -> None:
    role = f"reader_{os.getpid()}"
    acls = """
        SELECT relname, acl::text FROM pg_class, unnest(relacl) acl
        WHERE relnamespace = 'public'::regnamespace OR relname = 'type_distribution'
        UNION ALL SELECT attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'ingestion'::regnamespace)
        UNION ALL SELECT nspname, acl::text FROM pg_namespace, unnest(nspacl) acl WHERE nspname = 'ingestion'
        ORDER BY 1, 2
    """
    stray(filled.database, f"CREATE ROLE {role}")
    try:
        stray(
            filled.database,
            f"GRANT SELECT, UPDATE ON people TO {role} WITH GRANT OPTION;"
            "GRANT SELECT ON s3_metadata TO PUBLIC;"
            f"GRANT USAGE ON SEQUENCE people_id_seq TO {role}; GRANT USAGE ON SCHEMA ingestion TO {role};"
            f"GRANT SELECT (row_id) ON ingestion.history TO {role}; GRANT SELECT ON people_full TO {role};"
            f"GRANT SELECT ON ingestion.type_distribution TO {role}",
        )
        before = stray(filled.database, acls)
        assert len(before) > 5
        assert {"people_full", "type_distribution"} <= {name for name, _ in before}

        replace(pool, kept, later(filled))

        assert stray(filled.database, acls) == before
    finally:
        stray(filled.database, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_lost_table_is_there_again(filled: Site, kept: Path, pool: Pool) -> None:
    before = everything(filled.database)
    stray(filled.database, "DROP TABLE people CASCADE; DROP FUNCTION ingestion.fence() CASCADE")
    stray(filled.database, "DROP TABLE ingestion.schema_version")

    replace(pool, kept, State(Phase.DUAL_WRITE, 2))

    after = everything(filled.database)
    assert {**after, "ingestion.migration_state": 0} == {**before, "ingestion.migration_state": 0}


def test_empty_database_is_filled(kept: Path, empty_database: str, filled: Site) -> None:
    state = State(Phase.DATABASE_NATIVE, 2)
    with closing(Pool(empty_database)) as empty:
        replace(empty, kept, state)
        assert PostgresTables(empty).state() == state
    assert everything(empty_database)["people"] == everything(filled.database)["people"]


def test_refresh_that_was_begun_before_is_waited_for(filled: Site, kept: Path, pool: Pool) -> None:
    with closing(psycopg2.connect(filled.database)) as other, ThreadPoolExecutor(1) as threads:
        with other, other.cursor() as cursor:
            cursor.execute(queries.load("figures").keep_others_out)
            replacing = threads.submit(replace, pool, kept, later(filled))
            eventually(lambda: bool(stray(filled.database, WAITING)))
            cursor.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY ingestion.processing_summary")
        replacing.result(20)

    assert stray(filled.database, "SELECT people FROM ingestion.processing_summary") == [(62,)]


def test_who_reads_the_view_waits_or_is_waited_for(filled: Site, kept: Path, pool: Pool) -> None:
    with closing(psycopg2.connect(filled.database)) as writer, ThreadPoolExecutor(2) as threads:
        with writer, writer.cursor() as cursor:
            cursor.execute("LOCK TABLE people IN ROW EXCLUSIVE MODE")
            replacing = threads.submit(replace, pool, kept, later(filled))
            eventually(lambda: len(stray(filled.database, WAITING)) == 1)
            reading = threads.submit(stray, filled.database, "SELECT count(*) FROM people_full")
            eventually(lambda: len(stray(filled.database, WAITING)) == 2)
        replacing.result(20)

        assert reading.result(20) == [(62,)]


@pytest.mark.parametrize("built_on", ["people", "people_full"])
def test_what_others_have_built_on_the_tables_is_not_torn_down(
    filled: Site, kept: Path, pool: Pool, built_on: str
) -> None:
    stray(filled.database, f"CREATE VIEW names AS SELECT name FROM {built_on}")
    before = everything(filled.database)

    with refused(ProtectedError, "others_depend"):
        replace(pool, kept, later(filled))

    assert everything(filled.database) == before
    assert stray(filled.database, "SELECT count(*) FROM names") == [(62,)]


@pytest.mark.parametrize(
    "held", ["SELECT count(*) FROM s3_metadata", "SELECT last_value FROM ingestion.revision"]
)
def test_what_stays_locked_is_not_waited_for_long(filled: Site, kept: Path, held: str) -> None:
    state = later(filled)
    before = everything(filled.database)
    with closing(psycopg2.connect(filled.database)) as other, other.cursor() as cursor:
        cursor.execute(held)
        with closing(Pool(filled.database, waits=Waits(lock=0.2))) as hasty:
            began = time.monotonic()
            with refused(UnavailableError, "postgres_busy"):
                replace(hasty, kept, state)

    assert time.monotonic() - began < 20
    assert everything(filled.database) == before


@pytest.mark.parametrize("cut", [Cut.ANSWERED, Cut.SENT])
def test_lost_answer_to_commit_is_found_out(filled: Site, kept: Path, cut: Cut) -> None:
    state = later(filled)
    with through(filled.database) as proxy, closing(Pool(proxy.url, waits=Waits(connect=2))) as lossy:
        proxy.decide = lambda statement: cut if statement == b"COMMIT;" else None
        replace(lossy, kept, state)
        assert PostgresTables(lossy).state() == state


def test_commit_that_never_arrived_changed_nothing(filled: Site, kept: Path) -> None:
    before = everything(filled.database)
    with through(filled.database) as proxy, closing(Pool(proxy.url, waits=Waits(connect=2))) as lossy:
        proxy.decide = lambda statement: Cut.NOT_SENT if statement == b"COMMIT;" else None
        with refused(UnavailableError, "postgres_unavailable"):
            replace(lossy, kept, later(filled))

    assert everything(filled.database) == before


def test_server_that_stays_away_leaves_the_outcome_open(filled: Site, kept: Path) -> None:
    with through(filled.database) as proxy, closing(Pool(proxy.url, waits=Waits(connect=1))) as lossy:

        def decide(statement: bytes) -> Cut | None:
            if statement != b"COMMIT;":
                return None
            proxy.away()
            return Cut.NOT_SENT

        proxy.decide = decide
        with refused(UnavailableError, "outcome_unknown"):
            replace(lossy, kept, later(filled))


def test_role_without_privileges_can_do_all_of_it_in_its_own_database(
    filled: Site, kept: Path, server: Server, tmp_path: Path
) -> None:
    role, name = f"plain_{os.getpid()}", f"ingestion_test_{uuid4().hex}"
    server.run(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{CANARY}'")
    try:
        server.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' OWNER {role}")
        parts = {**parse_dsn(filled.database), "dbname": name, "user": role, "password": CANARY}
        with closing(Pool(make_dsn(**parts))) as plain:
            replace(plain, kept, State(Phase.DATABASE_NATIVE, 2))
            dumped = dumped_to(tmp_path / "dump", plain)
            with scratch_database(plain) as other:
                restore_into(other, tmp_path / "dump")
                assert rendered(other)[0] == dumped.sha256
            replace(plain, tmp_path / "dump", State(Phase.DATABASE_NATIVE, 3))
            assert rendered(plain)[0] == dumped.sha256
    finally:
        server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.run(f"DROP ROLE {role}")
