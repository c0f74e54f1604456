"""The fence: nobody writes past the pipeline while PostgreSQL follows, nor ever in an epoch that is over."""

import io
import threading
from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors

from ingestion_pipeline.domain.errors import Exit, ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import writing
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.files import TABLES
from ingestion_pipeline_tests.strays import stray

EPOCH = 5
PERSON = "INSERT INTO people (row_id, name, email, type) VALUES ('{}', '', '', '')"
CHANGES = {
    "people": (PERSON.format("new"), "UPDATE people SET name = 'Other'", "DELETE FROM people"),
    "processing_status": (
        "INSERT INTO processing_status (person_id) SELECT id FROM people LIMIT 0",
        "UPDATE processing_status SET processed = true",
        "DELETE FROM processing_status",
    ),
    "s3_metadata": (
        "INSERT INTO s3_metadata (person_id) SELECT id FROM people LIMIT 0",
        "UPDATE s3_metadata SET s3_paths = '{}'",
        "DELETE FROM s3_metadata",
    ),
}
TRUNCATE = "TRUNCATE {} CASCADE"
EVERY = [one for table in TABLES for one in (*CHANGES[table], TRUNCATE.format(table))]
COUNTS = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in TABLES)
CSV_LEADS = (Phase.ORIGINAL, Phase.DUAL_WRITE)
POSTGRES_LEADS = (Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE)

Put = Callable[[Phase], None]


@pytest.fixture
def put(database: str) -> Put:
    """Tables with one person; puts the site into a phase."""
    stray(database, PERSON.format("there"))
    for child in TABLES[1:]:
        stray(database, f"INSERT INTO {child} (person_id) SELECT id FROM people")
    stray(database, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('original', %s)", EPOCH)

    def put(phase: Phase) -> None:
        stray(database, "UPDATE ingestion.migration_state SET phase = %s", phase)

    return put


def refusal(database: str, statement: str, epoch: int | None = None) -> tuple[str | None, str, str | None]:
    """How the statement is refused: code, message and hint."""
    with pytest.raises(psycopg2.Error) as refused:
        stray(database, statement, epoch=epoch)
    diag = refused.value.diag
    return refused.value.pgcode, diag.message_primary or "", diag.message_hint


@pytest.mark.parametrize("phase", CSV_LEADS)
def test_stray_write_is_refused_while_the_csv_leads(database: str, put: Put, phase: Phase) -> None:
    put(phase)

    for table in TABLES:
        for statement in (*CHANGES[table], TRUNCATE.format(table)):
            code, message, hint = refusal(database, statement)
            assert code == "IP001"
            assert message == f"in phase {phase} table {table} is written through the pipeline only"
            assert hint

    assert stray(database, COUNTS) == [(1, 1, 1)]


@pytest.mark.parametrize("phase", POSTGRES_LEADS)
def test_stray_write_is_allowed_while_postgres_leads(database: str, put: Put, phase: Phase) -> None:
    put(phase)

    for table in reversed(TABLES):
        for statement in CHANGES[table]:
            stray(database, statement)

        assert stray(database, f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("phase", POSTGRES_LEADS)
def test_truncate_is_refused_while_postgres_leads(database: str, put: Put, phase: Phase) -> None:
    put(phase)

    for table in TABLES:
        assert refusal(database, TRUNCATE.format(table)) == (
            "IP001",
            f"in phase {phase} table {table} is written through the pipeline only",
            "TRUNCATE leaves no history: use DELETE.",
        )

    assert stray(database, COUNTS) == [(1, 1, 1)]


def test_copy_is_a_write_too(database: str, put: Put) -> None:
    put(Phase.DUAL_WRITE)

    with (
        closing(psycopg2.connect(database)) as connection,
        connection.cursor() as cursor,
        pytest.raises(psycopg2.Error, match="in phase dual_write table people is written"),
    ):
        cursor.copy_expert("COPY people (row_id, name, email, type) FROM STDIN", io.StringIO("1\t\t\t\n"))


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH + 1])
def test_another_epoch_is_refused_in_every_phase(database: str, put: Put, epoch: int) -> None:
    for phase in Phase:
        put(phase)

        for statement in EVERY:
            code, message, _ = refusal(database, statement, epoch)
            assert code == "IP002"
            assert message.endswith(f"this began in epoch {epoch}, now is {EPOCH}")

    assert stray(database, COUNTS) == [(1, 1, 1)]


@pytest.mark.parametrize("phase", Phase)
def test_epoch_in_force_is_let_through(database: str, put: Put, phase: Phase) -> None:
    put(phase)

    for statement in EVERY:
        stray(database, statement, epoch=EPOCH)

    assert stray(database, COUNTS) == [(0, 0, 0)]


def test_nothing_is_fenced_on_a_site_that_has_not_begun(database: str) -> None:
    stray(database, PERSON.format("there"))

    assert stray(database, "SELECT row_id FROM people") == [("there",)]


def test_epoch_is_carried_by_its_transaction_only(pool: Pool, database: str, put: Put) -> None:
    put(Phase.DUAL_WRITE)
    with pool.transaction() as cursor:
        writing.carry(cursor, State(Phase.DUAL_WRITE, EPOCH))
        cursor.execute("UPDATE people SET name = 'mine'")

    with pytest.raises(ProtectedError) as refused, pool.transaction() as cursor:
        cursor.execute("UPDATE people SET name = 'stray'")

    assert refused.value.code == "fenced"
    assert stray(database, "SELECT name FROM people") == [("mine",)]


@pytest.mark.parametrize(
    ("phase", "epoch", "code", "hint"),
    [
        (Phase.ORIGINAL, None, "fenced", "PostgreSQL follows the CSV"),
        (Phase.DUAL_WRITE, None, "fenced", "use `ingest write`, or change the CSV"),
        (Phase.DATABASE_PRIMARY, EPOCH - 1, "stale_epoch", "Run it again"),
    ],
)
def test_refusal_is_the_packages_own(
    pool: Pool, put: Put, phase: Phase, epoch: int | None, code: str, hint: str
) -> None:
    put(phase)

    with pytest.raises(ProtectedError) as refused, pool.transaction() as cursor:  # noqa: PT012 - on the way out
        if epoch is not None:
            writing.carry(cursor, State(phase, epoch))
        cursor.execute("UPDATE people SET name = 'canary'")

    assert (refused.value.code, refused.value.exit) == (code, Exit.PROTECTED)
    assert hint in refused.value.hint
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("epoch", [None, EPOCH])
def test_change_of_phase_waits_for_those_who_write(database: str, put: Put, epoch: int | None) -> None:
    put(Phase.DATABASE_PRIMARY)
    change = "SET lock_timeout = '50ms'; UPDATE ingestion.migration_state SET epoch = epoch + 1"
    with closing(psycopg2.connect(database)) as writer, writer.cursor() as cursor:
        if epoch is not None:
            cursor.execute("SELECT set_config('ingestion.epoch', %s, true)", (str(epoch),))
        cursor.execute("UPDATE people SET name = 'Other'")

        with pytest.raises(errors.LockNotAvailable):
            stray(database, change)
        writer.commit()

    stray(database, change)


@pytest.mark.parametrize(("epoch", "code"), [(None, "IP001"), (EPOCH, "IP002")])
def test_who_waited_for_a_change_of_phase_is_refused(
    database: str, put: Put, epoch: int | None, code: str
) -> None:
    put(Phase.DATABASE_PRIMARY)
    refusals: list[str | None] = []

    def write() -> None:
        with pytest.raises(psycopg2.Error) as refused:
            stray(database, "UPDATE people SET name = 'late'", epoch=epoch)
        refusals.append(refused.value.pgcode)

    with closing(psycopg2.connect(database)) as changer, changer.cursor() as cursor:
        cursor.execute("UPDATE ingestion.migration_state SET phase = 'dual_write', epoch = epoch + 1")
        late = threading.Thread(target=write)
        late.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'late'"
        while stray(database, waiting) != [(1,)]:
            assert late.is_alive()
        changer.commit()
        late.join(10)

    assert refusals == [code]
    assert stray(database, "SELECT name FROM people") == [("",)]
