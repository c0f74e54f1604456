"""The look at a whole site, on a real one."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import boto3
import psycopg2
import pytest
from botocore.config import Config

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.findings import NAMES
from ingestion_pipeline.domain.health import Finding, Health
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.signals import ABOUT
from ingestion_pipeline.domain.timing import Kind
from ingestion_pipeline.stores.postgres.signals import LOCK, LONGEST
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]


def found(health: Health) -> dict[str, Finding]:
    return {one.name: one for one in health.findings}


def signals(health: Health) -> dict[str, float]:
    return {" ".join((one.name, *(about for _, about in one.labels))): one.value for one in health.signals}


def amiss(health: Health) -> set[str]:
    return {one.name for one in health.findings if not one.ok}


@contextmanager
def session(site: Site, statement: str) -> Iterator[None]:
    """Somebody else's transaction, open as long as the block."""
    connection = psycopg2.connect(site.database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        yield
    finally:
        connection.close()


@contextmanager
def opened_away(site: Site) -> Iterator[Pipeline]:
    """The pipeline with PostgreSQL away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/people")
        with open_pipeline(site.config) as pipeline:
            yield pipeline


def configure(site: Site, health: str) -> None:
    site.config.write_text(f"migration:\n  phase: dual_write\nhealth:\n  {health}\n")


def test_a_fresh_site_is_looked_at_and_left_alone(site: Site, pipeline: Pipeline) -> None:
    health = pipeline.health()

    assert tuple(one.name for one in health.findings) == NAMES
    assert health.ok, amiss(health)
    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == [(0,)]
    assert not pipeline.csv.state_dir.exists()


def test_a_site_as_it_should_be(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    pipeline.compare()
    pipeline.export()
    pipeline.backups.make()
    pipeline.write("1", {"link": "x"})

    health = pipeline.health()

    assert health.ok, amiss(health)
    shown = signals(health)
    assert {one.name for one in health.signals} <= set(ABOUT)
    assert (shown["postgres_up"], shown["epoch dual_write"]) == (1, 1)
    assert (shown["pending_rows"], shown["proof_differences"], shown["quarantine_undecided"]) == (0, 0, 0)
    assert shown["csv_bytes"] == site.csv.stat().st_size
    assert 0 < shown["journal_bytes"] < shown["csv_bytes"]
    assert shown["table_bytes public.people"] > 0 < shown["index_bytes public.people"]
    assert 1 <= shown["pool_connections"] <= shown["postgres_connections_largest"]
    assert shown["pool_connections_largest"] == 10
    assert 0 < shown["disk_free_percent csv"] < 100
    assert 10e6 < shown["process_resident_bytes"] < 10e9
    assert shown["process_cpu_seconds_total"] > 0
    assert 0 <= shown["proof_age_seconds"] < 60
    assert 0 <= shown["version_age_seconds"] < 60
    assert 0 <= shown["backup_age_seconds"] < 60
    assert shown["transactions_total ok"] > 3
    for operation in ("sync", "compare", "export", "backup", "write"):
        quantiles = [shown[f"latency_seconds operation {operation} {one}"] for one in ("0.5", "0.95", "0.99")]
        assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2] < 60
        assert shown[f"recent_latency_seconds transaction {operation} 0.95"] > 0
        assert shown[f"latency_seconds query {operation} 0.95"] > 0


def test_no_cell_and_no_query_is_in_it(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    with session(site, "SELECT 'canary.person@example.org'"):
        pipeline.write("1", {"link": "canary.person@example.org"})
        health = pipeline.health()

    assert "canary" not in repr(health)
    timings = site.folder / ".ingestion" / "timings"
    assert timings.is_dir()
    assert all(b"canary" not in path.read_bytes() for path in timings.iterdir())


def test_postgres_away_is_a_finding_and_the_rest_is_told(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    pipeline.export()
    with opened_away(site) as other:
        other.write("1", {"link": "x"})
        health = other.health()

    assert amiss(health) == {"postgres"}
    shown = signals(health)
    assert (shown["postgres_up"], shown["pending_rows"]) == (0, 1)
    assert shown["csv_bytes"] > 0
    assert "version_age_seconds" in shown
    assert "table_bytes public.people" not in shown
    assert found(health)["postgres"].hint


def test_postgres_that_does_not_answer_holds_nobody_up(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    with session(site, "LOCK TABLE ingestion.pending IN ACCESS EXCLUSIVE MODE"):
        began = time.monotonic()
        health = pipeline.health()
        seconds = time.monotonic() - began

    assert amiss(health) == {"postgres"}
    assert LOCK <= seconds < (LOCK + LONGEST) / 2


def test_a_fresh_site_with_postgres_away(site: Site) -> None:
    with opened_away(site) as pipeline:
        assert amiss(pipeline.health()) == {"postgres"}


def test_what_is_pending_too_long(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    configure(site, "pending_age_seconds: 0.01")
    with opened_away(site) as other:
        other.write("1", {"link": "x"})
        time.sleep(0.02)
        assert amiss(other.health()) == {"postgres", "pending_age"}


def test_differences(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    site.execute("UPDATE people SET name = 'x' WHERE row_id = '1'")
    assert not pipeline.compare().equal

    health = pipeline.health()

    assert amiss(health) == {"consistency"}
    assert found(health)["consistency"].measured == signals(health)["proof_differences"] == 1


def test_a_csv_that_leads_and_is_gone(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    site.csv.unlink()

    finding = found(pipeline.health())["consistency"]

    assert (finding.ok, finding.message) == (False, "the CSV, which leads, is not there")


def test_a_transaction_that_is_open_too_long(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    configure(site, "long_transaction_seconds: 0.05")
    with open_pipeline(site.config) as other, session(site, "SELECT 1"):
        time.sleep(0.1)
        health = other.health()

    assert amiss(health) == {"long_transaction"}
    assert 0.1 <= signals(health)["longest_transaction_seconds"] < 10


def test_writes_that_the_csv_took_in_for_postgres(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    site.config.write_text("migration:\n  phase: database_primary\n")
    pipeline.write("2", {"link": "y"})
    pipeline.settle()
    with opened_away(site) as other:
        other.write("1", {"link": "x"})
        assert amiss(other.health()) == {"postgres", "fallback"}
    with open_pipeline(site.config) as back:
        assert amiss(back.health()) == {"fallback"}
        back.settle()
        assert back.health().ok


def test_a_conflict(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    site.config.write_text("migration:\n  phase: database_primary\n")
    with opened_away(site) as other:
        other.write("1", {"link": "mine"})
    site.execute("UPDATE people SET link = 'theirs' WHERE row_id = '1'")
    with open_pipeline(site.config) as back:
        assert back.settle().conflicts == 1
        health = back.health()

    assert amiss(health) == {"conflicts"}
    assert signals(health)["conflicts_undecided"] == 1


def test_a_gate_that_stays_shut(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    site.execute(
        "INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)"
        " VALUES ('cell', 'not_a_flag', '1', 'processed', '{}', '')"
    )
    site.config.write_text("migration:\n  phase: database_primary\n")
    with open_pipeline(site.config) as wanting:
        health = wanting.health()

    assert amiss(health) == {"gate"}
    assert "undecided" in found(health)["gate"].message


def test_a_gate_that_a_change_opens_itself_is_no_finding(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    site.config.write_text("migration:\n  phase: database_primary\n")
    with open_pipeline(site.config) as wanting:
        assert wanting.health().ok


def test_a_version_is_old_only_where_something_has_changed_since(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    pipeline.export()
    configure(site, "version_age_hours: 0.0000001")
    with open_pipeline(site.config) as other:
        assert other.health().ok
        os.utime(site.csv)
        assert other.health().ok
        other.write("1", {"link": "x"})
        assert amiss(other.health()) == {"version_age"}


@pytest.mark.parametrize("phase", [Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE])
def test_a_version_while_postgres_leads(pipeline: Pipeline, site: Site, phase: Phase) -> None:
    pipeline.sync()
    lead(pipeline, phase)
    site.config.write_text(
        f"migration:\n  phase: {phase}\nhealth:\n  version_age_hours: 0.0000001\n  pending_age_seconds: 99\n"
    )
    with open_pipeline(site.config) as other:
        assert other.health().ok
        other.write("1", {"link": "x"})
        assert amiss(other.health()) == {"version_age"}


def test_original_needs_no_postgres(site: Site) -> None:
    site.config.write_text("migration:\n  phase: original\n")
    with open_pipeline(site.config) as pipeline:
        pipeline.write("1", {"link": "x"})
    with opened_away(site) as other:
        health = other.health()

    assert health.ok, amiss(health)
    assert "postgres_up" not in signals(health)


def test_a_wish_in_original_begins_nothing(site: Site) -> None:
    site.config.write_text("migration:\n  phase: original\n")
    with open_pipeline(site.config) as pipeline:
        pipeline.write("1", {"link": "x"})
    configure(site, "differences: 0")
    before = site.execute("SELECT count(*) FROM ingestion.migration_state")
    with open_pipeline(site.config) as wanting:
        assert wanting.health().ok
    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == before
    with opened_away(site) as other:
        assert amiss(other.health()) == {"gate"}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL")
        with open_pipeline(site.config) as embedded:
            assert embedded.health().ok
            assert not embedded.embedded().exists()


def test_no_embedded_server_is_made_to_look_at(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL")
        with open_pipeline(site.config) as lost:
            assert amiss(lost.health()) == {"postgres"}
            assert not lost.embedded().exists()
            shutil.rmtree(lost.csv.state_dir)
        with open_pipeline(site.config) as fresh:
            assert fresh.health().ok
            assert not fresh.embedded().exists()


def test_a_bucket_that_is_away_is_a_finding(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.config.write_text(
        "migration:\n  phase: dual_write\nexports:\n  bucket: versions\n  endpoint_url: http://127.0.0.1:1\n"
    )

    def connect(**_named: object) -> object:
        quick = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url="http://127.0.0.1:1", config=quick, **keys)

    with open_pipeline(site.config, connect_s3=connect) as other:
        health = other.health()

    assert amiss(health) == {"version_age", "backup_age"}
    assert "cannot be asked" in found(health)["version_age"].message


def earlier(site: Site, number: int, bucket: str = "3", verb: str = "write") -> None:
    """Looks of before at which a verb took so long; 5 ms by default."""
    path = site.folder / ".ingestion" / "timings" / "looks.jsonl"
    now = datetime.now(UTC)
    lines = [
        json.dumps(
            {
                "at": (now - timedelta(minutes=5 * (number - turn))).isoformat(),
                "looked": [[kind, verb, {bucket: 20}] for kind in ("operation", "transaction")],
            }
        )
        for turn in range(number)
    ]
    path.write_text("\n".join(lines) + "\n")


def test_slow_queries_make_it_slower(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    pipeline.health()
    earlier(site, 6)
    # Until the end of the test: the database is used again.
    site.execute(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.12); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION public.slow()"
    )
    try:
        for turn in range(5):
            pipeline.write("1", {"link": str(turn)})
    finally:
        site.execute("DROP FUNCTION public.slow() CASCADE")

    health = pipeline.health()

    assert amiss(health) == {"slower"}
    said = found(health)["slower"]
    assert "operation write takes" in said.message
    assert said.measured is not None
    assert said.measured > 3
    shown = signals(health)
    assert shown["recent_latency_seconds query write 0.95"] > 0.1
    assert shown["slower_times transaction write"] > 3
    assert not any(one.startswith("slower_times query") for one in shown)


def test_looks_that_take_long_make_nothing_slower(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    pipeline.health()
    earlier(site, 6, verb="health")
    for _ in range(5):
        with session(site, "LOCK TABLE ingestion.migration_state IN ACCESS EXCLUSIVE MODE"):
            looking = threading.Thread(target=pipeline.health)
            looking.start()
            time.sleep(0.12)
        looking.join()

    health = pipeline.health()

    assert signals(health)["recent_latency_seconds operation health 0.95"] > 0.1
    assert amiss(health) == set()


def test_a_lock_that_is_waited_for_makes_it_slower(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    site.config.write_text("migration:\n  phase: database_primary\n")
    pipeline.health()
    earlier(site, 6)
    with open_pipeline(site.config) as other:
        with session(site, "LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE"):
            writers = [
                threading.Thread(target=other.write, args=(str(turn), {"link": "x"})) for turn in range(1, 6)
            ]
            for one in writers:
                one.start()
            time.sleep(0.25)
        for one in writers:
            one.join()

        assert "slower" in amiss(other.health())


def test_what_always_took_so_long_is_no_finding(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()
    pipeline.health()
    earlier(site, 6, bucket="12")
    for turn in range(5):
        pipeline.write("1", {"link": str(turn)})

    assert pipeline.health().ok


def test_a_failed_transaction_is_counted(pipeline: Pipeline, site: Site) -> None:
    pipeline.sync()

    def wait_for_a_lock() -> None:
        with pipeline.pool.transaction() as cursor:
            cursor.execute("SET LOCAL lock_timeout = 20")
            cursor.execute("SELECT FROM ingestion.proof")

    with (
        session(site, "LOCK TABLE ingestion.proof IN ACCESS EXCLUSIVE MODE"),
        pytest.raises(UnavailableError),
    ):
        wait_for_a_lock()

    outcomes = {(one.kind, one.outcome) for one in pipeline.timings()}
    assert {(Kind.TRANSACTION, "postgres_busy"), (Kind.QUERY, "sqlstate_55")} <= outcomes
    assert signals(pipeline.health())["transactions_total failed"] == 1
