"""Connections: every wait ends, every error is ours, and no error shows a value or a password."""
# ruff: noqa: PT012 - an error is raised on the way out of a transaction too

import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import Exit, PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.pool import Pool, Waits

CANARY = "canary.person@example.org"
PASSWORD = "s3cret-canary"  # noqa: S105 - a canary
INSERT = "INSERT INTO people (row_id, name, email, type) VALUES (%s, '', %s, '')"


@pytest.fixture
def hasty(database: str) -> Iterator[Pool]:
    pool = Pool(database, largest=2, waits=Waits(free=0.2, statement=0.3, bulk=5, lock=0.2))
    yield pool
    pool.close()


def said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def terminate(database: str) -> None:
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def people(pool: Pool) -> int:
    with pool.transaction() as cursor:
        cursor.execute("SELECT FROM people")
        return cursor.rowcount


def test_transaction_commits(pool: Pool, database: str) -> None:
    with pool.transaction() as cursor:
        cursor.execute(INSERT, ("1", ""))

    other = Pool(database)
    assert people(other) == 1
    other.close()


def test_any_error_rolls_back(pool: Pool) -> None:
    with pytest.raises(ZeroDivisionError), pool.transaction() as cursor:
        cursor.execute(INSERT, ("1", ""))
        raise ZeroDivisionError

    assert people(pool) == 0


def test_connection_given_back_holds_no_transaction(pool: Pool) -> None:
    with pool.connection() as connection, connection.cursor() as cursor:
        cursor.execute(INSERT, ("1", ""))

    assert people(pool) == 0


def test_session_is_ours(pool: Pool) -> None:
    names = ("timezone", "search_path", "lock_timeout", "statement_timeout", "synchronous_commit")
    with pool.transaction() as cursor:
        cursor.execute("SELECT name, current_setting(name) FROM unnest(%s) AS name", (list(names),))
        found = dict(cursor.fetchall())

    assert found == dict(zip(names, ("UTC", "public", "10s", "30s", "on"), strict=True))


def test_statement_is_cut_off(hasty: Pool) -> None:
    with (
        pytest.raises(UnavailableError, match="longer than it may") as stopped,
        hasty.transaction() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(20)")

    assert stopped.value.exit is Exit.UNAVAILABLE


def test_bulk_work_may_take_longer(hasty: Pool) -> None:
    with hasty.transaction(bulk=True) as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")

    with hasty.transaction() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() == ("300ms",)


def test_lock_is_not_waited_for_for_ever(pool: Pool, hasty: Pool) -> None:
    with pool.transaction() as holder:
        holder.execute("LOCK people")

        with pytest.raises(UnavailableError, match="lock was not free"), hasty.transaction() as cursor:
            cursor.execute("SELECT FROM people")


def test_free_connection_is_not_waited_for_for_ever(hasty: Pool) -> None:
    with hasty.connection(), hasty.connection():
        with pytest.raises(UnavailableError) as stopped, hasty.connection():
            pass
        assert stopped.value.code == "pool_exhausted"

    assert people(hasty) == 0


def test_waits_for_a_connection_that_becomes_free(database: str) -> None:
    pool = Pool(database, largest=1, waits=Waits(free=5))
    taken, counted = threading.Event(), []

    def hold() -> None:
        with pool.connection():
            taken.set()
            time.sleep(0.2)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    counted.append(people(pool))
    holder.join()
    pool.close()

    assert counted == [0]


def test_lost_connection_is_replaced(pool: Pool, database: str) -> None:
    with pool.connection(), pool.connection():
        pass
    terminate(database)

    assert people(pool) == 0


def test_connection_lost_in_use_is_an_outage(pool: Pool, database: str) -> None:
    with pytest.raises(UnavailableError), pool.transaction() as cursor:
        cursor.execute(INSERT, ("1", CANARY))
        terminate(database)
        cursor.execute("SELECT 1")

    assert people(pool) == 0


def test_snapshot_sees_one_state(pool: Pool) -> None:
    with pool.transaction(snapshot=True) as reader:
        reader.execute("SELECT FROM people")
        with pool.transaction() as writer:
            writer.execute(INSERT, ("1", ""))
        reader.execute("SELECT FROM people")
        assert reader.rowcount == 0


def test_closed_pool_opens_anew(pool: Pool) -> None:
    assert people(pool) == 0
    pool.close()
    assert people(pool) == 0


def test_refusal_names_the_constraint_and_no_value(pool: Pool) -> None:
    with pytest.raises(ProtectedError) as refused, pool.transaction() as cursor:
        cursor.execute(INSERT, (CANARY, CANARY))
        cursor.execute(INSERT, (CANARY, CANARY))

    assert (refused.value.code, refused.value.exit) == ("postgres_refused", Exit.PROTECTED)
    assert "people_row_id_key" in str(refused.value)
    assert CANARY not in said(refused.value)


def test_missing_tables_say_what_to_run(empty_database: str) -> None:
    pool = Pool(empty_database)

    with pytest.raises(UnavailableError) as missing, pool.transaction() as cursor:
        cursor.execute("SELECT FROM people")

    assert missing.value.code == "schema_missing"
    assert "db upgrade" in missing.value.hint
    pool.close()


def test_closed_port_is_an_outage_without_the_password() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    pool = Pool(f"postgresql://somebody:{PASSWORD}@127.0.0.1:{port}/people")

    with pytest.raises(UnavailableError) as away, pool.transaction():
        pass

    assert away.value.code == "postgres_unavailable"
    assert PASSWORD not in said(away.value)


def test_silent_server_is_an_outage_in_time() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        pool = Pool(f"postgresql://somebody:{PASSWORD}@127.0.0.1:{port}/people", waits=Waits(connect=1))
        began = time.monotonic()

        with pytest.raises(UnavailableError) as away, pool.transaction():
            pass

    assert time.monotonic() - began < 5
    assert PASSWORD not in said(away.value)


def test_unknown_database_is_an_outage(database: str) -> None:
    pool = Pool(urlunsplit(urlsplit(database)._replace(path="/no_such_database")))

    with pytest.raises(PipelineError) as away, pool.transaction():
        pass

    assert away.value.exit is Exit.UNAVAILABLE


def test_queries_are_found_by_name() -> None:
    sync = queries.load("sync")

    assert "LOCK TABLE" in sync.lock.string
    assert sync is queries.load("sync")
    with pytest.raises(AttributeError, match="no_such_query"):
        _ = sync.no_such_query


@pytest.mark.parametrize("file", ["compare", "render", "staging", "state", "sync"])
def test_every_query_has_a_text(file: str) -> None:
    texts = queries.load(file).texts

    assert texts
    assert all(text.strip() for text in texts.values())


FORKED = """
import os, sys
from ingestion_pipeline.stores.postgres.pool import Pool

def backend():
    with pool.transaction() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

pool = Pool(sys.argv[1])
before = backend()
child = os.fork()
if not child:
    os._exit(backend() == before)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status) or backend() != before)
"""


def test_a_forked_child_has_connections_of_its_own(database: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, database], check=False, timeout=30)
    assert done.returncode == 0
