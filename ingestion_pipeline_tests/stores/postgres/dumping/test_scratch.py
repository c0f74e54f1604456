"""A database to try things in."""

import os
import time
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.dumping import scratch, scratch_database
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import CANARY, url_of
from ingestion_pipeline_tests.strays import stray

SPELLED = "SELECT encoding, datcollate, datctype FROM pg_database WHERE datname = current_database()"


def drills(server: Server) -> list[object]:
    """The scratch databases that are there."""
    return [
        name
        for (name,) in stray(
            server.url, "SELECT datname FROM pg_database WHERE datname LIKE 'ingestion_drill%%'"
        )
    ]


def test_it_is_empty_and_gone_afterwards(pool: Pool, server: Server) -> None:
    with scratch_database(pool) as other:
        [(name,)] = stray(url_of(other), "SELECT current_database()")
        assert schema.current(other) is None
        assert name in drills(server)
        assert stray(url_of(other), SPELLED) == stray(url_of(pool), SPELLED)

    assert name not in drills(server)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_it_is_gone_after_a_failure_with_somebody_in_it(
    pool: Pool, server: Server, error: type[BaseException]
) -> None:
    left = None
    with pytest.raises(error), scratch_database(pool) as other:  # noqa: PT012 - on the way out
        left = psycopg2.connect(url_of(other))
        raise error
    assert left is not None
    left.close()

    assert drills(server) == []


def test_only_its_owner_may_enter(pool: Pool) -> None:
    with scratch_database(pool) as other:
        rights = "SELECT datacl::text FROM pg_database WHERE datname = current_database()"
        [(acl,)] = stray(url_of(other), rights)
    assert isinstance(acl, str)
    assert "{=" not in acl
    assert ",=" not in acl


def test_what_was_left_behind_a_day_ago_is_dropped(pool: Pool, server: Server) -> None:
    day = int(scratch.LEFT_OVER)
    old, young = (f"{scratch.PREFIX}{int(time.time()) - age:08x}00000000" for age in (day + 60, day - 60))
    strange = f"{scratch.PREFIX}of_somebody"
    for name in (old, young, strange):
        server.run(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
    try:
        with scratch_database(pool):
            assert set(drills(server)) > {young, strange}
            assert old not in drills(server)
    finally:
        for name in (old, young, strange):
            server.run(f"DROP DATABASE IF EXISTS {name}")


def test_role_that_may_make_none_is_told_what_it_lacks(database: str, server: Server) -> None:
    role = f"modest_{os.getpid()}"
    stray(database, f"CREATE ROLE {role} LOGIN PASSWORD '{CANARY}'")
    try:
        parts = {**parse_dsn(database), "user": role, "password": CANARY}
        with (
            closing(Pool(psycopg2.extensions.make_dsn(**parts))) as modest,
            pytest.raises(UnavailableError) as lacking,
            scratch_database(modest),
        ):
            raise AssertionError
    finally:
        stray(database, f"DROP ROLE {role}")

    assert lacking.value.code == "no_createdb"
    assert "CREATEDB" in lacking.value.hint
    assert drills(server) == []
