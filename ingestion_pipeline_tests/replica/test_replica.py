"""Reading on a replica: never anything older than what the primary had when it was asked."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.places import Places
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.stores.postgres.pool import Pool, fetch_one
from ingestion_pipeline.stores.postgres.replica import Replica, ReplicaTables, ReplicaUnfitError
from ingestion_pipeline_tests.cli.conftest import Call, call
from ingestion_pipeline_tests.conftest import CARRY, Server, Site
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.replica.conftest import Pair, write_config

__all__ = ["call"]

LEVEL = "was not level with the primary"


@contextmanager
def opened(site: Site) -> Iterator[Pipeline]:
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        yield pipeline


@contextmanager
def paused(pair: Pair) -> Iterator[None]:
    pair.replica.execute("SELECT pg_wal_replay_pause()")
    try:
        until = time.monotonic() + 10
        while pair.replica.execute("SELECT pg_get_wal_replay_pause_state()") != [("paused",)]:
            assert time.monotonic() < until
        yield
    finally:
        pair.replica.execute("SELECT pg_wal_replay_resume()")


def reads(pair: Pair) -> int:
    """How many rows of people were read on the replica, in all."""
    statement = (
        "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables WHERE relname = 'people'"
    )
    with closing(psycopg2.connect(pair.read_url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return int(fetch_one(cursor)[0])


def examined_replica(call: Call) -> dict[str, object]:
    [found] = [one for one in call("doctor", "--json").json["checks"] if one["name"] == "replica"]
    return dict(found)


def test_a_comparison_reads_the_replica_and_its_proof_holds(replicated: Site, pair: Pair) -> None:
    before = reads(pair)
    with opened(replicated) as pipeline:
        report = pipeline.compare()
        status = pipeline.status()

    assert (report.equal, report.bytes_equal, report.rows, report.replica) == (True, True, 510, "read")
    assert status.why_not == ()
    until = time.monotonic() + 10
    while reads(pair) - before < 500:
        assert time.monotonic() < until, "nobody has read the replica"
        time.sleep(0.1)


def test_what_was_written_is_waited_for_and_seen(replicated: Site, pair: Pair) -> None:
    pair.replica.execute("ALTER SYSTEM SET recovery_min_apply_delay = '400ms'")
    pair.replica.execute("SELECT pg_reload_conf()")
    try:
        with opened(replicated) as pipeline:
            pipeline.compare()
            pipeline.write("499", {"name": "Somebody else"})
            began = time.monotonic()
            report = pipeline.compare()
            took = time.monotonic() - began
    finally:
        pair.replica.execute("ALTER SYSTEM RESET recovery_min_apply_delay")
        pair.replica.execute("SELECT pg_reload_conf()")

    assert (report.equal, report.replica) == (True, "read")
    assert took > 0.3


def test_every_write_is_in_the_comparison_after_it(replicated: Site) -> None:
    with opened(replicated) as pipeline:
        lead(pipeline, Phase.DATABASE_PRIMARY)
        for number in range(10):
            pipeline.write("499", {"name": f"Number {number}"})
            report = pipeline.compare()
            assert (report.equal, report.replica) == (True, "read")
            assert f"Number {number}".encode() in replicated.csv.read_bytes()
            assert pipeline.status().why_not == ()


def test_where_it_differs_the_primary_says_where(replicated: Site) -> None:
    with opened(replicated) as pipeline:
        replicated.execute("UPDATE people SET name = name || '!' WHERE row_id = '499'")
        report = pipeline.compare()

    assert [(one.row_id, one.column) for one in report.differences] == [("499", "name")]
    assert "the bytes differ" in (report.replica or "")


def test_a_replica_that_is_stopped_is_not_missed(replicated: Site, pair: Pair, call: Call) -> None:
    with opened(replicated) as pipeline:
        pipeline.compare()
        pair.replica.stop()
        try:
            under_way, anew = pipeline.compare(), call("compare", "--json")
            examined = examined_replica(call)
            said = call("compare")
        finally:
            pair.replica.start()
        again = pipeline.compare()

    assert under_way.equal
    assert "the replica was not read" in (under_way.replica or "")
    assert (anew.code, anew.json["equal"]) == (0, True)
    assert "the replica was not read" in anew.json["replica"]
    assert "replica was not read" in " ".join(said.out.split())
    assert again.replica == "read"
    assert (examined["ok"], "replica was not read" in str(examined["finding"])) == (False, True)
    assert examined_replica(call) == {
        "name": "replica",
        "ok": True,
        "finding": "level with the primary",
        "hint": "",
    }


def test_a_replica_that_replays_nothing_is_waited_for_and_left(replicated: Site, pair: Pair) -> None:
    write_config(replicated, pair.read_url, seconds=0.4)
    with opened(replicated) as pipeline:
        pipeline.compare()
        with paused(pair):
            pipeline.write("499", {"name": "Not there yet"})
            began = time.monotonic()
            report = pipeline.compare()
            took = time.monotonic() - began

    assert report.equal
    assert LEVEL in (report.replica or "")
    assert 0.4 < took < 3


def test_writers_wait_for_it_a_second_at_most(replicated: Site, pair: Pair) -> None:
    with opened(replicated) as pipeline:
        pool = pipeline.pool
        reader = Pool(pair.read_url)
        tables = ReplicaTables(pool, Replica(pool, reader, 30.0))
        with paused(pair):
            pipeline.write("499", {"name": "Not there yet"})
            began = time.monotonic()
            with pytest.raises(ReplicaUnfitError), tables.snapshot():
                pass
        reader.close()

    assert time.monotonic() - began < 3


def test_the_primary_itself_is_no_replica(replicated: Site, pair: Pair) -> None:
    write_config(replicated, pair.database)
    with opened(replicated) as pipeline:
        report = pipeline.compare()

    assert report.equal
    assert "it replays nothing" in (report.replica or "")


def test_a_replica_of_another_server_is_not_read(pair: Pair, server: Server) -> None:
    other, reader = Pool(server.url), Pool(pair.read_url)
    try:
        with pytest.raises(ReplicaUnfitError, match="no replica of this primary"):
            Replica(other, reader, 1.0).check_level()
    finally:
        other.close()
        reader.close()


def test_who_was_writing_counts_as_not_seen(replicated: Site, pair: Pair) -> None:
    """A replica's list of transactions names none that is under way, and the gate goes by that list."""
    with opened(replicated) as pipeline:
        reader = Pool(pair.read_url)
        tables = ReplicaTables(pipeline.pool, Replica(pipeline.pool, reader, 5.0))
        with closing(psycopg2.connect(pair.database)) as writing, writing.cursor() as cursor:
            cursor.execute(CARRY)
            cursor.execute("UPDATE people SET name = name || '!' WHERE row_id = '499'")
            # Somebody who comes later is done first.
            replicated.execute("UPDATE people SET name = name || '!' WHERE row_id = '500'")
            with tables.snapshot() as snapshot:
                seen = snapshot.seen()
            writing.commit()
        reader.close()

        with pipeline.tables.fenced(pipeline.in_force()) as fence:
            assert "499" in (fence.changed_since(seen, 100) or set())


def test_any_question_can_be_asked_there(replicated: Site, pair: Pair) -> None:
    def ask(pool: Pool) -> tuple[bool, int]:
        with pool.transaction() as cursor:
            cursor.execute("SELECT pg_is_in_recovery(), count(*) FROM people")
            in_recovery, people = fetch_one(cursor)
            return bool(in_recovery), int(people)

    with opened(replicated):
        places = Places(load_settings(replicated.config))
        assert places.read_pool(ask) == ((True, 509), "read")
        pair.replica.stop()
        try:
            answer, why = places.read_pool(ask)
        finally:
            pair.replica.start()
        places.close()

    assert answer == (False, 509)
    assert "the replica was not read" in (why or "")


def test_without_a_replica_nothing_is_said(site: Site) -> None:
    with opened(site) as pipeline:
        assert pipeline.compare().replica is None


def test_a_search_and_a_report_read_the_replica_as_it_is_now(replicated: Site, pair: Pair) -> None:
    with opened(replicated) as pipeline:
        person = next(pipeline.rows())["row_id"]
        pipeline.write(person, {"document_text": "a phrase that nobody else has"})

        found = pipeline.search('"phrase that nobody"')

        assert ([hit.row_id for hit in found.hits], found.replica, found.behind) == ([person], "read", 0)
        assert pipeline.reports.read().replica == "read"
        with paused(pair):
            pipeline.write(person, {"document_text": "other words"})
            found = pipeline.search('"phrase that nobody"')
        assert (found.hits, found.replica) != ((), "read")
        assert found.replica is not None
        assert LEVEL in found.replica
