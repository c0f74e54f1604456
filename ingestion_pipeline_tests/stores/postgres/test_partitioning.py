"""Tables in parts keep what whole ones do: by what is there, and by what happens."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import checked
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import partitioning, schema
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.stores.postgres.test_schema import EVERYTHING
from ingestion_pipeline_tests.strays import stray

STATE = State(Phase.DATABASE_PRIMARY, 2)
PEOPLE = 20
CONTENT = """
    SELECT person_id, row_id, name, processed, file_uuids, ordinal, revision, whole FROM ingestion.record
    ORDER BY row_id
"""
TRIGGERS = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
HISTORY = (
    "SELECT row_id, table_name, operation, changed FROM ingestion.history WHERE epoch IS NULL ORDER BY id"
)


@pytest.fixture
def database(server: Server, template: str) -> Iterator[str]:
    with server.new_database(template) as url:
        yield url


@pytest.fixture
def tables(database: str, pool: Pool) -> PostgresTables:
    """Whole tables with people, in a phase in which anybody may write."""
    partitioning.partition(pool, 0)
    stray(
        database,
        "INSERT INTO ingestion.migration_state (phase, epoch) VALUES (%s, %s)",
        STATE.phase,
        STATE.epoch,
    )
    made = PostgresTables(pool)
    cells = {"name": "Ada", "email": "", "type": "", "processed": "TRUE", "file_uuids": '{"a": "1"}'}
    made.write(STATE, "tester", [checked(str(number), cells) for number in range(PEOPLE)])
    return made


@pytest.mark.usefixtures("tables")
def test_into_parts_and_back_everything_is_as_it_was(database: str, pool: Pool) -> None:
    stray(database, "CREATE INDEX people_type ON people (type)")
    stray(database, "CREATE VIEW named WITH (security_barrier) AS SELECT id, name FROM people")
    stray(database, "GRANT SELECT (name), UPDATE (name) ON people TO PUBLIC")
    stray(database, "CREATE TABLE note (person_id bigint REFERENCES people (id), text text)")
    stray(database, "INSERT INTO note SELECT min(id), 'kept' FROM people")
    grants = "SELECT attacl::text FROM pg_attribute WHERE attrelid = 'people'::regclass AND attname = 'name'"
    before = [stray(database, one) for one in (EVERYTHING, TRIGGERS, CONTENT, grants)]

    done = partitioning.partition(pool, 4)

    assert (done.before, done.parts, done.people) == (0, 4, PEOPLE)
    assert [stray(database, one) for one in (CONTENT, grants)] == before[2:]
    [(parts,)] = stray(database, "SELECT count(DISTINCT tableoid) FROM people")
    assert parts == partitioning.parts(pool) == 4
    assert partitioning.partition(pool, 8).before == 4
    partitioning.partition(pool, 1)

    assert [stray(database, one) for one in (EVERYTHING, TRIGGERS, CONTENT, grants)] == before
    assert stray(database, "SELECT count(*) FROM named") == [(PEOPLE,)]


@pytest.fixture
def parted(tables: PostgresTables, pool: Pool) -> PostgresTables:
    partitioning.partition(pool, 4)
    return tables


@pytest.mark.usefixtures("parted")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO people (row_id, name, email, type) VALUES ('7', '', '', '')",
        "INSERT INTO people (id, row_id, name, email, type) SELECT min(id), 'new', '', '', '' FROM people",
        "INSERT INTO people (ordinal, row_id, name, email, type) SELECT ordinal, 'x', '', '', '' FROM people",
        "UPDATE people SET ordinal = 0",
        "UPDATE people SET row_id = '8' WHERE row_id = '7'",
        "UPDATE people SET id = (SELECT min(id) FROM people)",
        "INSERT INTO processing_status (person_id) VALUES (-1)",
        "INSERT INTO processing_status (person_id) SELECT id FROM people",
        "UPDATE processing_status SET id = 1",
        "UPDATE processing_status SET person_id = -1",
    ],
)
def test_no_key_is_given_twice_and_no_child_is_nobodys(database: str, statement: str) -> None:
    with pytest.raises((psycopg2.IntegrityError, psycopg2.errors.GeneratedAlways)):
        stray(database, statement)


@pytest.mark.usefixtures("parted")
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ingestion.people_1_of_4",
        "UPDATE ingestion.s3_metadata_2_of_4 SET file_uuids = NULL",
        "INSERT INTO ingestion.people_3_of_4 (row_id, name, email, type) VALUES ('x', '', '', '')",
        "TRUNCATE ingestion.s3_metadata_1_of_4",
        "TRUNCATE s3_metadata",
        "UPDATE ingestion.person SET ordinal = 0",
    ],
)
def test_nobody_gets_round_the_fence_by_a_part(database: str, statement: str) -> None:
    with pytest.raises(psycopg2.Error) as refused:
        stray(database, statement)
    assert refused.value.pgcode == "IP001"


def test_people_come_move_and_go_with_history(parted: PostgresTables, database: str) -> None:
    top, bottom = stray(
        database, "SELECT row_id, ordinal FROM people WHERE row_id IN ('0', '19') ORDER BY ordinal"
    )
    stray(database, "UPDATE people SET ordinal = (SELECT max(ordinal) + min(ordinal) FROM people) - ordinal")
    swapped = stray(
        database, "SELECT row_id, ordinal FROM people WHERE row_id IN ('0', '19') ORDER BY ordinal"
    )
    assert swapped == [(bottom[0], top[1]), (top[0], bottom[1])]
    stray(database, "DELETE FROM people WHERE row_id = '3'")
    [made], refusal = parted.write(STATE, "tester", [checked("3", {"name": "Bob", "email": "", "type": ""})])

    assert (made.created, refusal) == (True, None)
    whole = "SELECT (SELECT count(*) FROM {0}), (SELECT count(*) FROM people JOIN {0} c ON c.{1} = people.id)"
    assert stray(database, whole.format("processing_status", "person_id")) == [(PEOPLE, PEOPLE)]
    assert stray(database, whole.format("ingestion.person", "id")) == [(PEOPLE, PEOPLE)]
    level = "SELECT count(*) FROM people JOIN ingestion.person USING (id, row_id, ordinal)"
    assert stray(database, level) == [(PEOPLE,)]


@pytest.mark.usefixtures("parted")
def test_another_row_id_is_an_update_whatever_part_it_leads_to(database: str) -> None:
    before = stray(database, "SELECT id, ordinal FROM people ORDER BY id")
    stray(database, "UPDATE people SET row_id = 'renamed ' || row_id")
    history = stray(database, HISTORY)

    assert {operation for _, _, operation, _ in history} == {"update"}
    assert len(history) == PEOPLE
    assert stray(database, "SELECT id, ordinal FROM ingestion.person ORDER BY id") == before
    assert stray(database, "SELECT count(*) FROM s3_metadata") == [(PEOPLE,)]
    assert stray(database, "SELECT count(*) FROM ingestion.person WHERE row_id LIKE 'renamed %%'") == [
        (PEOPLE,)
    ]
    stray(
        database,
        "UPDATE people SET row_id = 'x' WHERE row_id = 'renamed 1'; DELETE FROM people WHERE row_id = 'x'",
    )
    assert [operation for _, table, operation, _ in stray(database, HISTORY) if table == "people"][-2:] == [
        "update",
        "delete",
    ]


def test_whoever_went_with_triggers_off_stands_in_nobodys_way(parted: PostgresTables, database: str) -> None:
    stray(database, "SET session_replication_role = replica; DELETE FROM people")

    made, refusal = parted.write(
        STATE,
        "tester",
        [checked(row_id, {"name": "Bob", "email": "", "type": ""}) for row_id in ("3", "new")],
    )

    assert ([one.created for one in made], refusal) == ([True, True], None)


@pytest.mark.usefixtures("tables")
def test_what_depends_on_the_tables_is_not_lost(database: str, pool: Pool) -> None:
    stray(database, "CREATE MATERIALIZED VIEW theirs AS SELECT name FROM people")
    before = stray(database, EVERYTHING)

    with pytest.raises(ProtectedError) as refused:
        partitioning.partition(pool, 4)

    assert refused.value.code == "others_depend"
    assert stray(database, EVERYTHING) == before


@pytest.mark.usefixtures("tables")
def test_a_writer_is_waited_for_and_not_for_ever(database: str, pool: Pool) -> None:
    with closing(psycopg2.connect(database)) as writing, writing.cursor() as cursor:
        cursor.execute("UPDATE people SET name = 'x' WHERE row_id = '1'")
        hasty = Pool(database, waits=Waits(lock=0.2))
        with pytest.raises(UnavailableError, match="a lock was not free"):
            partitioning.partition(hasty, 4)
        hasty.close()
        writing.rollback()
    assert partitioning.parts(pool) == 0


def test_downgrade_makes_the_tables_whole(parted: PostgresTables, database: str, pool: Pool) -> None:
    assert parted.counts()
    content = stray(database, CONTENT)

    schema.downgrade(pool, "0008")

    assert stray(database, CONTENT) == content
    assert stray(database, "SELECT count(*) FROM pg_class WHERE relispartition") == [(0,)]
