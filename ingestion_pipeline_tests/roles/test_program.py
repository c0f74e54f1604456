"""The verbs, run by a user who is in one role only."""

import uuid
from urllib.parse import urlsplit, urlunsplit

import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import Exit, ProtectedError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.postgres import partitioning, roles, schema
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.roles import Part
from ingestion_pipeline_tests.cli.conftest import Call, call
from ingestion_pipeline_tests.conftest import PARTS, Server, Site
from ingestion_pipeline_tests.roles.conftest import NOBODY, PASSWORD, Granted
from ingestion_pipeline_tests.strays import stray

__all__ = ["call"]

CSV = (
    b"row_id,name,email,type,link,processed\n"
    b"1,Ada,a@example.org,INTP,,yes\n2,Bob,b@example.org,ENFJ,,maybe\n3,Cy,,,x,\n3,Cy,,,y,\n"
)
"""With a cell and a row for quarantine."""


@pytest.fixture
def site(own_site: Site) -> Site:
    """The site, with an empty database."""
    own_site.put(CSV)
    stray(
        own_site.database,
        "DELETE FROM ingestion.migration_state; DELETE FROM people; DELETE FROM ingestion.quarantine;"
        "DELETE FROM ingestion.history; DELETE FROM ingestion.pending; DELETE FROM ingestion.csv_file;"
        "DELETE FROM ingestion.proof",
    )
    return own_site


class Become:
    """Lets the site be used by a member of a role."""

    def __init__(self, granted: Granted, monkeypatch: pytest.MonkeyPatch) -> None:
        self._granted = granted
        self._monkeypatch = monkeypatch

    def __call__(self, part: str) -> None:
        self._monkeypatch.setenv("DATABASE_URL", self._granted.url(part))


@pytest.fixture
def become(granted: Granted, monkeypatch: pytest.MonkeyPatch) -> Become:
    return Become(granted, monkeypatch)


def test_a_writer_does_the_daily_work(site: Site, become: Become, call: Call) -> None:
    become("writer")

    assert call("sync", "--json").json["inserted"] == 3
    assert call("compare", "--json").json["stamped"] is True
    assert call("write", "1", "type=ENTP", "--json").code == Exit.DONE
    site.put(site.csv.read_bytes().replace(b"Bob", b"Bobby"))
    assert call("sync", "--json").json["updated"] == 1
    entries = call("quarantine", "list", "--json").json["entries"]
    assert call("quarantine", "decide", str(entries[0]["id"]), "drop", "--json").code == Exit.DONE
    assert call("settle").code == Exit.DONE
    assert call("compare", "--json").json["equal"] is True
    assert call("export", "--json").json["published"] is True
    assert call("restore", "latest", "--json").json["equal"] is True
    assert call("restore", "--as-of", "1 second ago", "--dry-run").code in (Exit.DONE, Exit.USAGE)
    assert [one["actor"] for one in call("history", "1", "--json").json["changes"]]
    assert call("render", "--to", "x.csv").code == Exit.DONE
    assert call("backup", "--json").code == Exit.DONE


def test_a_writer_settles_where_postgres_leads(site: Site, become: Become) -> None:
    become("owner")
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        stray(
            site.database,
            "UPDATE ingestion.quarantine SET decision = 'accept', decided_by = 'x', decided_at = now()",
        )
        pipeline.phase.advance(Phase.DATABASE_PRIMARY)
        assert pipeline.in_force().phase is Phase.DATABASE_PRIMARY
    become("writer")

    with open_pipeline(site.config) as pipeline:
        pipeline.write("1", {"type": "ESTJ"})
        pipeline.settle()

        assert b"ESTJ" in site.csv.read_bytes()
        assert pipeline.compare().equal
        assert pipeline.status().proof is not None


@pytest.mark.parametrize(
    "words",
    [
        ("phase", "advance", "--to", "database_primary", "--override", "undecided", "--because", "x"),
        ("phase", "rollback"),
        ("db", "upgrade"),
        ("db", "downgrade", "--accept-loss"),
        ("db", "roles", "--create"),
    ],
    ids=" ".join,
)
def test_a_writer_is_refused_what_is_the_owners(
    site: Site, become: Become, call: Call, words: tuple[str, ...]
) -> None:
    become("writer")
    call("sync")
    before = stray(site.database, "SELECT phase, epoch FROM ingestion.migration_state")

    answer = call(*words, "--json")

    assert answer.code == Exit.PROTECTED, answer.said
    assert answer.json["error"]["code"] == "not_permitted"
    assert "role of the owner" in answer.json["error"]["message"]
    assert stray(site.database, "SELECT phase, epoch FROM ingestion.migration_state") == before


def test_a_reader_looks_and_changes_nothing(site: Site, become: Become, call: Call) -> None:
    become("writer")
    call("sync")
    call("compare")
    become("reader")
    before = stray(site.database, "SELECT count(*), max(id) FROM ingestion.proof")

    status = call("status", "--json").json
    equal = call("compare", "--json")

    assert status["quarantine"]["undecided"] == 2
    assert (equal.code, equal.json["equal"], equal.json["stamped"]) == (Exit.DONE, True, False)
    assert call("render", "--to", "x.csv").code == Exit.DONE
    assert (site.folder / "x.csv").read_bytes() == CSV
    assert stray(site.database, "SELECT count(*), max(id) FROM ingestion.proof") == before
    site.put(CSV.replace(b"Bob", b"Eve"))
    different = call("compare", "--json")
    assert (different.code, different.json["counted"]) == (Exit.FINDING, 1)


@pytest.mark.usefixtures("site")
def test_a_reader_looks_at_the_health(become: Become, call: Call) -> None:
    become("writer")
    call("sync")
    call("write", "1", "type=ENTP")
    become("reader")

    looked = call("health", "--json")

    assert looked.code == Exit.DONE, [one for one in looked.json["findings"] if not one["ok"]]
    measured = {one["name"] for one in looked.json["signals"]}
    assert {"epoch", "history_age_seconds"} <= measured


@pytest.mark.usefixtures("site")
def test_a_reader_asks_and_is_told_who_is_behind(become: Become, call: Call) -> None:
    become("writer")
    assert call("sync", "--json").code is Exit.DONE
    become("reader")
    assert call("search", "Ada", "--json").json["behind"] == 3
    become("writer")
    assert [hit["row_id"] for hit in call("search", "Ada", "--json").json["hits"]] == ["1"]
    become("reader")
    found = call("search", "Ada", "--json").json
    assert ([hit["row_id"] for hit in found["hits"]], found["behind"]) == (["1"], 0)
    assert call("find", "--shared", "--json").code is Exit.DONE
    assert call("report", "--no-refresh", "--json").code is Exit.DONE


def test_a_reader_reports_in_buckets(site: Site, become: Become, call: Call) -> None:
    become("writer")
    call("sync")
    become("reader")

    with open_pipeline(site.config) as pipeline:
        counted = pipeline.buckets.report("a-run", 0).counts
        report = pipeline.buckets.add_up_report("a-run")

    assert (report.counts, report.one_state) == (counted, True)
    assert (counted.processing.people, counted.processing.undecided) == (3, 2)


@pytest.mark.parametrize(
    "words",
    [("sync", "--accept-loss"), ("history", "1"), ("quarantine", "list"), ("export",)],
    ids=" ".join,
)
def test_a_reader_is_refused_what_is_the_writers(
    site: Site, become: Become, call: Call, words: tuple[str, ...]
) -> None:
    become("writer")
    call("sync")
    become("reader")
    site.put(CSV.replace(b"Bob", b"Eve"))

    answer = call(*words, "--json")

    assert answer.code == Exit.PROTECTED, answer.said
    assert answer.json["error"]["code"] == "not_permitted"
    assert "role of the writer" in answer.json["error"]["message"]
    assert "Eve" not in answer.said


def test_an_owner_who_is_no_administrator_upgrades(granted: Granted) -> None:
    pool = Pool(granted.url("owner"))

    schema.downgrade(pool, "0007")
    schema.upgrade(pool)

    assert schema.current(pool) == schema.head()
    assert schema.validate(pool) == []
    pool.close()
    [(owner,)] = stray(
        granted.database,
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'ingestion'::regnamespace",
    )
    assert owner == granted.names[Part.OWNER]


def test_an_owner_brings_the_tables_into_parts_and_a_writer_may_not(granted: Granted) -> None:
    owner, writer = Pool(granted.url("owner")), Pool(granted.url("writer"))
    owners = """
        SELECT DISTINCT relowner::regrole::text FROM pg_class
        WHERE relnamespace::regnamespace::text IN ('public', 'ingestion') AND relkind IN ('r', 'p', 'S')
    """
    try:
        with pytest.raises(ProtectedError) as refused:
            partitioning.partition(writer, 3)
        assert refused.value.code == "not_permitted"

        assert partitioning.partition(owner, 3).parts == partitioning.parts(writer) == 3

        assert stray(granted.database, owners) == [(granted.names[Part.OWNER],)]
        assert partitioning.partition(owner, 0).before == 3
        assert stray(granted.database, owners) == [(granted.names[Part.OWNER],)]
    finally:
        partitioning.partition(owner, PARTS)
        owner.close()
        writer.close()


@pytest.mark.usefixtures("site")
def test_roles_are_shown_and_made_again(
    granted: Granted, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", granted.database)
    stray(granted.database, f"REVOKE USAGE ON SCHEMA ingestion FROM {granted.names[Part.READER]}")

    shown = call("db", "roles", "--json")
    made = call("db", "roles", "--create", "--json")
    again = call("db", "roles", "--json")

    assert shown.code == Exit.FINDING
    assert [one["good"] for one in shown.json["roles"]] == [True, True, False]
    assert (made.code, made.json, again.code) == (Exit.DONE, again.json, Exit.DONE)
    assert granted.user("reader") in made.json["roles"][2]["members"]


def test_a_user_who_may_make_none_is_told_what_to_ask_for(granted: Granted) -> None:
    pool = Pool(granted.url("owner"))
    names = {Part.OWNER: "no_such_owner", Part.WRITER: "no_such_writer", Part.READER: "no_such_reader"}

    assert [one.exists for one in roles.found(pool, names)] == [False] * 3
    with pytest.raises(ProtectedError) as refused:
        roles.create(pool, names)

    pool.close()
    assert refused.value.code == "not_permitted"
    assert "CREATE ROLE no_such_reader NOLOGIN" in refused.value.hint


def test_a_role_that_is_more_than_a_group_is_refused(granted: Granted) -> None:
    pool = Pool(granted.database)
    mixed = {**granted.names, Part.READER: granted.user(NOBODY)}
    stray(granted.database, f"GRANT {granted.names[Part.WRITER]} TO {granted.names[Part.READER]}")
    try:
        for names in (mixed, granted.names):
            with pytest.raises(ProtectedError) as refused:
                roles.create(pool, names)
            assert refused.value.code == "role_is_more"
    finally:
        stray(granted.database, f"REVOKE {granted.names[Part.WRITER]} FROM {granted.names[Part.READER]}")
    assert all(one.good for one in roles.create(pool, granted.names))
    pool.close()


@pytest.mark.usefixtures("site")
def test_a_dump_comes_back_with_its_grants(become: Become, call: Call) -> None:
    become("owner")
    call("sync")
    call("backup")

    assert call("restore", "latest", "--database", "--json").code == Exit.DONE

    become("writer")
    assert call("write", "1", "type=ISTJ").code == Exit.DONE
    assert call("compare", "--json").json["equal"] is True
    become("reader")
    assert call("status").code == Exit.DONE
    assert call("history", "1").code == Exit.PROTECTED


def test_the_roles_serve_several_databases(server: Server, template: str, granted: Granted) -> None:
    with server.new_database(template) as url:
        pool = Pool(url)
        made = roles.create(pool, granted.names)
        pool.close()
        other = Granted(url, granted.names)

        assert all(one.good for one in made)
        assert stray(other.url("reader"), "SELECT count(*) FROM people") == [(0,)]
        assert urlsplit(url).path != urlsplit(granted.database).path


def test_who_may_make_roles_and_owns_the_database_need_be_no_superuser(server: Server) -> None:
    mark = uuid.uuid4().hex[:8]
    names = {part: f"test_{mark}_{part}" for part in Part}
    maker = f"test_{mark}_maker"
    server.run(f"CREATE ROLE {maker} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
    try:
        with server.new_database() as url:
            server.run(f"ALTER DATABASE {urlsplit(url).path[1:]} OWNER TO {maker}")
            place = urlsplit(url)
            login = f"{maker}:{PASSWORD}@{place.netloc.rpartition('@')[2]}"
            pool = Pool(urlunsplit(place._replace(netloc=login)))
            schema.upgrade(pool)

            made, again = roles.create(pool, names), roles.create(pool, names)
            schema.downgrade(pool, "0007")
            schema.upgrade(pool)

            assert all(one.good for one in (*made, *again, *roles.found(pool, names)))
            pool.close()
    finally:
        for name in (*names.values(), maker):
            server.run(f"DROP ROLE IF EXISTS {name}")
