"""Who may do what: every table, every function and every way around them, asked as real users."""

from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO

import psycopg2
import pytest

from ingestion_pipeline.stores.postgres.roles import Part
from ingestion_pipeline_tests.conftest import CARRY
from ingestion_pipeline_tests.roles.conftest import NOBODY, Granted
from ingestion_pipeline_tests.strays import stray

FORBIDDEN = "42501"
USERS = ("owner", "writer", "reader", NOBODY)
ALL = {"owner", "writer", "reader"}
TWO = {"owner", "writer"}
OWNER = {"owner"}
NONE: set[str] = set()

Run = Callable[[str, str], str | None]

TABLES: dict[str, tuple[set[str], set[str], set[str], set[str]]] = {
    # Who may SELECT all of it, INSERT, UPDATE its last column, DELETE.
    "people": (ALL, TWO, TWO, TWO),
    "processing_status": (ALL, TWO, TWO, TWO),
    "s3_metadata": (ALL, TWO, TWO, TWO),
    "ingestion.csv_file": (ALL, TWO, TWO, OWNER),
    "ingestion.duplicate": (ALL, TWO, TWO, TWO),
    "ingestion.file": (ALL, TWO, TWO, TWO),
    "ingestion.gap": (ALL, OWNER, OWNER, OWNER),
    "ingestion.history": (TWO, OWNER, OWNER, OWNER),
    "ingestion.indexed": (ALL, TWO, TWO, TWO),
    "ingestion.migration_state": (ALL, OWNER, OWNER, OWNER),
    "ingestion.pending": (ALL, OWNER, TWO, TWO),
    "ingestion.proof": (ALL, TWO, OWNER, OWNER),
    "ingestion.quarantine": (TWO, TWO, TWO, OWNER),
    "ingestion.refreshed": (ALL, TWO, TWO, TWO),
    "ingestion.role": (ALL, OWNER, OWNER, OWNER),
    "ingestion.schema_version": (ALL, OWNER, OWNER, OWNER),
    "ingestion.search_index": (ALL, TWO, TWO, TWO),
}
"""Every table there is. One that is new belongs here, with what the grants in migration 0007 make of it."""

VIEWS = {
    "people_full": ALL,
    "ingestion.download_outcomes": ALL,
    "ingestion.line": ALL,
    "ingestion.processing_summary": ALL,
    "ingestion.record": ALL,
    "ingestion.standing": ALL,
    "ingestion.storage_inventory": ALL,
    "ingestion.type_distribution": ALL,
}

SEQUENCES = {
    # Who may take the next number, and who may set it.
    "ingestion.history_id_seq": (TWO, OWNER),
    "ingestion.proof_id_seq": (TWO, OWNER),
    "ingestion.quarantine_id_seq": (TWO, OWNER),
    "ingestion.revision": (TWO, TWO),
    "people_id_seq": (TWO, OWNER),
    "processing_status_id_seq": (TWO, OWNER),
    "s3_metadata_id_seq": (TWO, OWNER),
}

FUNCTIONS = {
    "ingestion.actor()": ALL,
    "ingestion.carried_epoch()": ALL,
    "ingestion.text_to_search('a', 1)": ALL,
    "ingestion.words('simple', 'a', 'b')": ALL,
    "ingestion.made_since('3'::xid, '3:3:')": ALL,
    "ingestion.top_ordinal()": ALL,
    "ingestion.held_phase()": TWO,
    "ingestion.begin_site('original', 9)": TWO,
    "ingestion.grant_again()": OWNER,
    "ingestion.grant_roles('a', 'b', 'c')": OWNER,
    "ingestion.take_alone('ingestion.role')": OWNER,
    "ingestion.take_alone('people')": TWO,
    "ingestion.is_renamed(1)": ALL,
    "ingestion.parts()": ALL,
    "ingestion.partition_tables(3)": OWNER,
}

TRIGGERS = (
    "ingestion.fence",
    "ingestion.note_gone",
    "ingestion.note_one_processing_status",
    "ingestion.note_one_s3_metadata",
    "ingestion.note_people",
    "ingestion.note_person",
    "ingestion.note_processing_status",
    "ingestion.note_renamed",
    "ingestion.note_s3_metadata",
    "ingestion.person_comes",
    "ingestion.person_moves",
    "ingestion.refuse_part",
    "ingestion.stray_child",
    "ingestion.stray_person",
    "ingestion.stray_time",
)
"""Functions that write as the owner, and so serve no table but the pipeline's."""


STATEMENTS = {
    # The phase, history and the fence.
    "UPDATE ingestion.migration_state SET phase = 'database_native', epoch = epoch + 1": OWNER,
    "SELECT FROM ingestion.migration_state FOR UPDATE": OWNER,
    "UPDATE ingestion.history SET actor = 'somebody else'": OWNER,
    "DELETE FROM ingestion.history": OWNER,
    "ALTER TABLE people DISABLE TRIGGER fence": OWNER,
    "DROP TRIGGER fence ON people": OWNER,
    "DROP FUNCTION ingestion.fence() CASCADE": OWNER,
    "CREATE OR REPLACE FUNCTION ingestion.actor() RETURNS text LANGUAGE sql RETURN 'somebody else'": OWNER,
    "SET session_replication_role = replica": NONE,
    # Definitions.
    "CREATE TABLE public.own (a int)": OWNER,
    "CREATE TABLE ingestion.own (a int)": OWNER,
    "CREATE VIEW public.own AS SELECT 1 AS a": OWNER,
    "CREATE FUNCTION public.length(varchar) RETURNS int LANGUAGE sql RETURN 1": OWNER,
    "CREATE SCHEMA own": OWNER,
    "CREATE INDEX ON people (name)": OWNER,
    "REFRESH MATERIALIZED VIEW ingestion.type_distribution": OWNER,
    "ALTER TABLE people OWNER TO CURRENT_USER": OWNER,
    "ALTER TABLE people DROP CONSTRAINT people_row_id_not_empty": OWNER,
    "CREATE TEMP TABLE staged (a int) ON COMMIT DROP; ANALYZE staged": {*USERS},
    "CREATE TEMP VIEW incoming AS SELECT row_id FROM ingestion.record": ALL,
    "LOCK TABLE people, processing_status, s3_metadata, ingestion.duplicate, ingestion.quarantine,"
    " ingestion.csv_file IN SHARE ROW EXCLUSIVE MODE": TWO,
    # What quarantine holds.
    "SELECT raw FROM ingestion.quarantine": TWO,
    "SELECT row_id FROM ingestion.quarantine": TWO,
    "SELECT decided_by FROM ingestion.quarantine": TWO,
    "SELECT count(*), sum(xmin::text::bigint) FROM ingestion.quarantine": ALL,
    "SELECT raw FROM ingestion.standing": ALL,
    # And history: when something changed last.
    "SELECT at FROM ingestion.history ORDER BY id": ALL,
    "SELECT changed FROM ingestion.history": TWO,
    "SELECT row_id FROM ingestion.history": TWO,
    "UPDATE ingestion.pending SET revision = 0": OWNER,
    # The server.
    "ALTER SYSTEM SET work_mem = '1GB'": NONE,
    "ALTER DATABASE {database} SET work_mem = '1GB'": NONE,
    "SELECT pg_read_file('PG_VERSION')": NONE,
    "SELECT pg_ls_dir('.')": NONE,
    "SELECT lo_import('/etc/hostname')": NONE,
    "COPY people TO '/tmp/of_the_server'": NONE,
    "COPY people TO PROGRAM 'cat'": NONE,
    "COPY people TO STDOUT": ALL,
    "COPY ingestion.history TO STDOUT": TWO,
    "CREATE ROLE own": NONE,
    "GRANT {owner} TO {user}": NONE,
    "SET ROLE {owner}": OWNER,
    "SET ROLE {superuser}": NONE,
    "SET SESSION AUTHORIZATION {superuser}": NONE,
    # Dagster's.
    "SELECT FROM dagster.runs": NONE,
    "CREATE TABLE dagster.own (a int)": NONE,
}


@pytest.fixture(scope="module")
def run(granted: Granted) -> Iterator[Run]:
    """Run a statement as a user, and take it back; gives the SQLSTATE it was refused with."""
    stray(granted.database, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('dual_write', 2)")
    stray(granted.database, "CREATE SCHEMA dagster; CREATE TABLE dagster.runs (a int)")
    [(superuser,)] = stray(granted.database, "SELECT current_user")
    connections = {user: psycopg2.connect(granted.url(user)) for user in USERS}

    def tried(user: str, statement: str) -> str | None:
        connection = connections[user]
        # This one knows no transaction.
        connection.autocommit = statement.startswith("ALTER SYSTEM")
        for name, meant in {
            "{owner}": granted.names[Part.OWNER],
            "{user}": granted.user(user),
            "{superuser}": str(superuser),
            "{database}": connection.info.dbname,
        }.items():
            statement = statement.replace(name, meant)
        try:
            with connection.cursor() as cursor:
                if user in TWO:
                    cursor.execute(CARRY)
                if statement.startswith("COPY") and statement.endswith("STDOUT"):
                    cursor.copy_expert(statement, BytesIO())
                else:
                    cursor.execute(statement)
        except psycopg2.Error as error:
            return error.pgcode
        finally:
            if not connection.autocommit:
                connection.rollback()
        return None

    yield tried
    for connection in connections.values():
        connection.close()


def allowed(run: Run, statement: str) -> set[str]:
    """Who may do it; what is refused for another reason was let that far."""
    return {user for user in USERS if run(user, statement) != FORBIDDEN}


def relations(granted: Granted, kind: str) -> set[str]:
    found = stray(
        granted.database,
        "SELECT CASE WHEN relnamespace = 'public'::regnamespace THEN relname ELSE oid::regclass::text END"
        " FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'ingestion'::regnamespace)"
        " AND relkind = ANY(%s::char[]) AND NOT relispartition AND relname <> 'person'",
        list(kind),
    )
    return {str(name) for (name,) in found}


def last_column(granted: Granted, table: str) -> str:
    [(name,)] = stray(
        granted.database,
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " ORDER BY attnum DESC LIMIT 1",
        table,
    )
    return str(name)


def test_every_relation_and_function_is_in_the_matrix(granted: Granted) -> None:
    functions = stray(
        granted.database,
        "SELECT 'ingestion.' || proname FROM pg_proc WHERE pronamespace = 'ingestion'::regnamespace",
    )

    assert relations(granted, "rpf") == set(TABLES)
    assert relations(granted, "vm") == set(VIEWS)
    assert relations(granted, "S") == set(SEQUENCES)
    assert {str(name) for (name,) in functions} == {
        *(call.partition("(")[0] for call in FUNCTIONS),
        *TRIGGERS,
    }


def test_parts_are_written_by_nobody_but_the_owner(granted: Granted) -> None:
    given = """
        SELECT relname FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE (relispartition OR relname = 'person') AND grantee <> relowner
            AND privilege_type <> 'SELECT'
    """
    owned = """
        SELECT count(*) FROM pg_class
        WHERE (relispartition OR relname = 'person') AND relowner <> (
            SELECT relowner FROM pg_class WHERE oid = 'people'::regclass
        )
    """
    assert (stray(granted.database, given), stray(granted.database, owned)) == ([], [(0,)])


@pytest.mark.parametrize("table", TABLES)
def test_table(granted: Granted, run: Run, table: str) -> None:
    reads, inserts, updates, deletes = TABLES[table]

    assert allowed(run, f"SELECT * FROM {table}") == reads
    assert allowed(run, f"INSERT INTO {table} DEFAULT VALUES") == inserts
    assert allowed(run, f"UPDATE {table} SET {last_column(granted, table)} = DEFAULT") == updates
    assert allowed(run, f"DELETE FROM {table}") == deletes
    assert allowed(run, f"TRUNCATE {table} CASCADE") == OWNER
    assert allowed(run, f"ALTER TABLE {table} ADD COLUMN more int") == OWNER
    assert allowed(run, f"DROP TABLE {table} CASCADE") == OWNER


@pytest.mark.parametrize("view", VIEWS)
def test_view(run: Run, view: str) -> None:
    assert allowed(run, f"SELECT * FROM {view}") == VIEWS[view]
    assert allowed(run, f"ALTER TABLE {view} RENAME TO other") == OWNER


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_sequence(run: Run, sequence: str) -> None:
    takes, sets = SEQUENCES[sequence]

    assert allowed(run, f"SELECT nextval('{sequence}')") == takes
    assert allowed(run, f"SELECT setval('{sequence}', 100)") == sets


def test_whoever_asks_sees_whether_anything_has_changed(run: Run) -> None:
    assert allowed(run, "SELECT last_value FROM ingestion.history_id_seq") == ALL


@pytest.mark.parametrize("call", FUNCTIONS)
def test_function(run: Run, call: str) -> None:
    assert allowed(run, f"SELECT * FROM {call}") == FUNCTIONS[call]


@pytest.mark.parametrize("function", TRIGGERS)
def test_trigger_on_a_table_of_ones_own(run: Run, function: str) -> None:
    table = "CREATE TEMP TABLE own (LIKE people)"
    trigger = f"CREATE TRIGGER own AFTER INSERT ON own EXECUTE FUNCTION {function}()"

    assert allowed(run, f"{table}; {trigger}") == OWNER


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement(run: Run, statement: str) -> None:
    assert allowed(run, statement) == STATEMENTS[statement]


def test_what_runs_as_the_owner_runs_as_nobody_greater(granted: Granted) -> None:
    found = stray(
        granted.database,
        "SELECT DISTINCT rolname::text, rolsuper, rolcanlogin"
        " FROM pg_proc JOIN pg_roles ON pg_roles.oid = proowner"
        " WHERE pronamespace = 'ingestion'::regnamespace",
    )
    paths = stray(
        granted.database,
        "SELECT DISTINCT proconfig::text FROM pg_proc"
        " WHERE pronamespace = 'ingestion'::regnamespace AND prosecdef",
    )

    assert found == [(granted.names[Part.OWNER], False, False)]
    assert paths == [('{"search_path=pg_catalog, pg_temp"}',)]


def test_a_reader_sees_of_quarantine_what_stands_in_the_csv(granted: Granted) -> None:
    stray(
        granted.database,
        """
        INSERT INTO ingestion.quarantine
            (scope, reason, row_id, column_name, raw, ordinal, file_sha256, decision, decided_by, decided_at)
        VALUES
            ('row', 'r', 'stands', 'name', '{"name": "a"}', 1, '', NULL, NULL, NULL),
            ('cell', 'r', 'accepted', 'processed', '{"processed": "b"}', NULL, '', 'accept', 'x', now()),
            ('row', 'r', 'gone', 'name', '{"name": "c"}', 2, '', 'superseded', 'x', now()),
            ('conflict', 'conflict', 'fought over', 'name', '{"csv": "d"}', NULL, '', NULL, NULL, NULL)
        """,
    )
    peeking = "CREATE FUNCTION pg_temp.peek(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$"
    peeking += " BEGIN RAISE NOTICE '%', t; RETURN true; END $$"

    with closing(psycopg2.connect(granted.url("reader"))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT row_id FROM ingestion.standing ORDER BY row_id")
        seen = [row_id for (row_id,) in cursor.fetchall()]
        cursor.execute(peeking)
        cursor.execute("SELECT FROM ingestion.standing WHERE pg_temp.peek(row_id)")
        told = "".join(connection.notices)

    assert seen == ["accepted", "stands"]
    assert "stands" in told
    assert "fought over" not in told
    assert "gone" not in told


def test_what_comes_later_is_granted_by_the_next_upgrade(granted: Granted, run: Run) -> None:
    stray(
        granted.database,
        "CREATE TABLE ingestion.later (a int); CREATE MATERIALIZED VIEW ingestion.summary AS SELECT 1 AS a;"
        "CREATE FUNCTION ingestion.sneaky() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1",
    )
    try:
        assert allowed(run, "SELECT * FROM ingestion.later") == NONE

        stray(granted.database, "SELECT ingestion.grant_again()")

        assert allowed(run, "SELECT * FROM ingestion.later") == ALL
        assert allowed(run, "INSERT INTO ingestion.later VALUES (1)") == TWO
        assert allowed(run, "SELECT * FROM ingestion.summary") == ALL
        assert allowed(run, "SELECT ingestion.sneaky()") == OWNER
        assert allowed(run, "DROP TABLE ingestion.later") == OWNER
    finally:
        stray(
            granted.database,
            "DROP TABLE ingestion.later; DROP MATERIALIZED VIEW ingestion.summary;"
            "DROP FUNCTION ingestion.sneaky()",
        )
