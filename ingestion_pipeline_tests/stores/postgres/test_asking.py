"""The search index: level with the people before each answer, and asked by its indexes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql

from ingestion_pipeline.domain.asking import Indexed
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.stores.postgres import asking, queries
from ingestion_pipeline.stores.postgres.pool import Pool, Waits
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.strays import stray

SIMPLE = Indexed("simple")
MANY = 20_000

_sql = queries.load("asking")


@pytest.fixture
def begun(database: str) -> str:
    stray(database, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('database_primary', 1)")
    return database


def put(
    database: str,
    row_id: str,
    name: str = "Nobody",
    text: str | None = None,
    uuids: Mapping[str, str] | None = None,
    paths: Mapping[str, str] | None = None,
) -> None:
    """A person, the one before on top."""
    stray(
        database,
        "WITH made AS (INSERT INTO people (row_id, name, email, type) VALUES (%s, %s, '', '') RETURNING id),"
        " told AS (INSERT INTO processing_status (person_id, document_text) SELECT id, %s FROM made)"
        " INSERT INTO s3_metadata (person_id, file_uuids, s3_paths) SELECT id, %s, %s FROM made",
        *(row_id, name, text, json.dumps(uuids or {}), json.dumps(paths or {})),
    )


def found(pool: Pool, words: str, language: str = "simple") -> list[str]:
    """Who has these words, the best first, by an index that is made level first."""
    index = asking.refresh(pool, language)
    assert index.behind == 0
    return [hit.row_id for hit in asking.search(pool, index, words, 20).hits]


def files(pool: Pool, key: str, text: str = "") -> list[tuple[str, str, str | None, str | None]]:
    index = asking.refresh(pool, "simple")
    report = asking.find(pool, index, key, text, 20)
    assert report.total == len(report.files)
    return [(one.row_id, one.uuid, one.description, one.path) for one in report.files]


@pytest.fixture
def four(begun: str) -> str:
    put(begun, "1", "Ada Lovelace", "notes on the analytical engine")
    put(begun, "2", "Charles Babbage", "the difference engine and the analytical engine, after Ada")
    put(begun, "3", "Grace Hopper", "a compiler\nfor steam")
    put(begun, "4", "Anon", None)
    return begun


@pytest.mark.parametrize(
    ("words", "who"),
    [
        ("engine", {"1", "2"}),
        ("ENGINE Ada", {"1", "2"}),
        ('"difference engine"', {"2"}),
        ('"engine difference"', set()),
        ("lovelace or hopper", {"1", "3"}),
        ("engine -difference", {"1"}),
        ("-engine", {"3", "4"}),
        ('compiler "for steam"', {"3"}),
        ("nowhere", set()),
        ("engines", set()),
        ("!? ()", set()),
        ("'; DROP TABLE people; --", set()),
        ("%s %(text)s", set()),
    ],
)
@pytest.mark.usefixtures("four")
def test_words_quotes_or_and_not(pool: Pool, words: str, who: set[str]) -> None:
    assert set(found(pool, words)) == who


@pytest.mark.usefixtures("four")
def test_a_name_weighs_more_than_a_document(pool: Pool) -> None:
    assert found(pool, "ada") == ["1", "2"]


@pytest.mark.usefixtures("four")
def test_an_answer_shows_where_the_words_stand(pool: Pool) -> None:
    asking.refresh(pool, "simple")

    [hit] = asking.search(pool, SIMPLE, "steam hopper", 20).hits

    assert (hit.row_id, hit.name) == ("3", "Grace Hopper")
    assert hit.highlight == "Grace «Hopper»\na compiler\nfor «steam»"
    assert hit.rank > 0


@pytest.mark.usefixtures("four")
def test_a_limit_shows_the_best_and_counts_all(pool: Pool) -> None:
    asking.refresh(pool, "simple")

    report = asking.search(pool, SIMPLE, "ada", 1)

    assert [hit.row_id for hit in report.hits] == ["1"]
    assert (report.total, report.more) == (2, False)


@pytest.mark.usefixtures("four")
def test_of_very_many_no_more_are_counted(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "COUNTED", 1)
    asking.refresh(pool, "simple")

    report = asking.search(pool, SIMPLE, "engine", 20)

    assert (report.total, report.more) == (1, True)


@pytest.mark.usefixtures("four")
def test_another_language_indexes_everybody_anew(pool: Pool) -> None:
    assert asking.refresh(pool, "simple").changed == 4
    assert found(pool, "engines", "english") == ["2", "1"]
    assert asking.refresh(pool, "english").changed == 0
    assert found(pool, "engines", "simple") == []


@pytest.mark.usefixtures("four")
def test_a_language_that_the_server_does_not_know(pool: Pool) -> None:
    with pytest.raises(SettingsError, match="no text search configuration klingon") as caught:
        asking.refresh(pool, "klingon")

    assert caught.value.code == "unknown_language"
    assert found(pool, "steam") == ["3"]


def different_words(number: int) -> str:
    return " ".join(f"{one:x}word{one:x}" for one in range(number))


def test_a_document_of_more_words_than_an_index_takes(begun: str, pool: Pool) -> None:
    text = f"first {different_words(200_000)} last"
    assert len(text) > 2_000_000
    put(begun, "1", "Ada", text)
    put(begun, "2", "Grace", "last")

    assert found(pool, "ada first") == ["1"]
    assert found(pool, "last") == ["2"]
    stray(begun, "UPDATE processing_status SET document_text = document_text || ' more' WHERE id > 0")
    assert found(pool, "more") == ["2"]


def test_of_a_huge_document_the_first_million_characters(begun: str, pool: Pool) -> None:
    put(begun, "1", "Ada", "filler " * 142_000 + "within" + " filler" * 1_000 + " beyond")

    assert found(pool, "within") == ["1"]
    assert found(pool, "beyond") == []
    [hit] = asking.search(pool, SIMPLE, "within", 1).hits
    assert "«within»" in hit.highlight


def test_the_short_beginning_always_fits(begun: str, pool: Pool) -> None:
    """What takes the most: letters of four bytes, in words that stand there whole and in parts."""
    letters = "𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯𐐰𐐱𐐲𐐳𐐴𐐵𐐶𐐷"
    text = " ".join(
        "-".join(letters[one >> shift & 15] * 2 for shift in (0, 4, 8, 12)) + letters[one >> 16]
        for one in range(100_000)
    )
    assert found(pool, "nobody") == []
    put(begun, "1", "Ada", text)

    assert found(pool, "ada") == ["1"]


def test_a_text_without_blanks_takes_no_time(begun: str) -> None:
    """The parser would look for hours at so many parts of one word."""
    put(begun, "1", "Ada", "a_b_c_d_" * 25_000)

    with closing(Pool(begun, waits=Waits(bulk=20.0))) as pool:
        assert found(pool, "ada") == ["1"]
        [hit] = asking.search(pool, SIMPLE, "ada", 1).hits
        assert hit.highlight.startswith("«Ada»")


def test_only_who_changed_is_indexed_again(four: str, pool: Pool) -> None:
    assert asking.refresh(pool, "simple") == Indexed("simple", changed=4)
    assert asking.refresh(pool, "simple") == Indexed("simple")
    before = set(stray(four, "SELECT person_id, xmin::text FROM ingestion.search_index"))

    stray(four, "UPDATE people SET name = 'Augusta' WHERE row_id = '1'")

    assert asking.refresh(pool, "simple").changed == 1
    assert len(before - set(stray(four, "SELECT person_id, xmin::text FROM ingestion.search_index"))) == 1


CHANGES = {
    "UPDATE people SET name = 'Turing' WHERE row_id = '4'": {"4", "9"},
    "UPDATE processing_status SET document_text = 'turing' WHERE document_text LIKE '%steam'": {"3", "9"},
    "UPDATE processing_status SET document_text = NULL": set(),
    "DELETE FROM processing_status": set(),
    "DELETE FROM people WHERE row_id = '9'": set(),
    "UPDATE people SET row_id = '10' WHERE row_id = '9'": {"10"},
}


@pytest.mark.parametrize(("change", "who"), CHANGES.items())
def test_what_has_changed_is_found_as_it_is_now(four: str, pool: Pool, change: str, who: set[str]) -> None:
    put(four, "9", "Alan", "turing machine")
    assert found(pool, "turing") == ["9"]

    stray(four, change)

    assert set(found(pool, "turing")) == who


def test_who_is_gone_leaves_nothing_behind(four: str, pool: Pool) -> None:
    put(four, "9", "Alan", "turing", {"a": "u"}, {"u": "p"})
    assert files(pool, "uuid", "u")
    stray(four, "DELETE FROM people")

    assert found(pool, "turing") == []
    assert stray(four, "SELECT FROM ingestion.search_index") == []
    assert stray(four, "SELECT FROM ingestion.file") == []


def test_a_change_that_is_not_committed_yet_is_found_once_it_is(four: str, pool: Pool) -> None:
    """It has taken its number in history before those that the index is level with."""
    with closing(psycopg2.connect(four)) as slow, slow.cursor() as cursor:
        cursor.execute("UPDATE people SET name = 'Slow' WHERE row_id = '4'")
        assert found(pool, "slow") == []
        slow.commit()

    assert found(pool, "slow") == ["4"]
    assert asking.refresh(pool, "simple").changed == 0


@contextmanager
def refreshing(database: str) -> Iterator[None]:
    """Somebody else is at it all the time."""
    with closing(psycopg2.connect(database)) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ingestion.search_index'))")
        yield


def test_where_somebody_else_takes_long_the_answer_says_who_is_behind(four: str, pool: Pool) -> None:
    asking.refresh(pool, "simple")
    put(four, "9", "Ada")

    with refreshing(four), closing(Pool(four, waits=Waits(lock=0.1))) as waiting:
        index = asking.refresh(waiting, "simple")
        report = asking.search(waiting, index, "ada", 20)

    assert (index.behind, report.behind) == (1, 1)
    assert [hit.row_id for hit in report.hits] == ["1", "2"]


def test_nothing_is_left_for_who_searches_to_read_through(four: str, pool: Pool) -> None:
    asking.refresh(pool, "simple")

    assert stray(four, "SELECT gin_clean_pending_list('ingestion.search_index_words')") == [(0,)]


@pytest.fixture
def reader(begun: str) -> Iterator[str]:
    """The database for a role that may read everything and write nothing."""
    role = f"reader_{uuid4().hex}"
    stray(begun, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA ingestion TO {role}")
    for schema in ("public", "ingestion"):
        stray(begun, f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
        stray(begun, f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
    parts = urlsplit(begun)
    where = parts.netloc.rpartition("@")[2]
    try:
        yield urlunsplit(parts._replace(netloc=f"{role}:secret@{where}"))
    finally:
        stray(begun, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_who_may_not_write_is_told_who_is_behind(four: str, reader: str, pool: Pool) -> None:
    asking.refresh(pool, "english")
    put(four, "9", "Ada", "engines", {"a": "u"})
    stray(four, "UPDATE people SET name = 'Augusta' WHERE row_id = '1'")
    stray(four, "DELETE FROM people WHERE row_id = '2'")

    with closing(Pool(reader)) as reading:
        index = asking.refresh(reading, "simple")
        report = asking.search(reading, index, "engines", 20)
        assert asking.find(reading, index, "uuid", "u", 20).behind == 2

    assert index == Indexed("english", behind=2)
    assert [hit.row_id for hit in report.hits] == ["1"]
    assert (report.total, report.behind) == (1, 2)
    assert found(pool, "engines") == ["9"]


def test_who_may_write_need_not_own_the_index(four: str, reader: str, pool: Pool) -> None:
    role = urlsplit(reader).username
    stray(four, f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ingestion TO {role}")

    with closing(Pool(reader)) as theirs:
        assert asking.refresh(theirs, "simple") == Indexed("simple", changed=4)

    assert found(pool, "steam") == ["3"]


@pytest.mark.usefixtures("four")
def test_who_may_not_write_is_told_nothing_where_nobody_is_behind(reader: str, pool: Pool) -> None:
    asking.refresh(pool, "simple")

    with closing(Pool(reader)) as reading:
        assert asking.refresh(reading, "simple") == Indexed("simple")


def test_a_server_that_takes_no_writes(four: str, pool: Pool) -> None:
    asking.refresh(pool, "simple")
    put(four, "9", "Ada")

    with closing(Pool(four, largest=1)) as reading:
        with reading.transaction() as cursor:
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        assert asking.refresh(reading, "simple").behind == 1


def test_no_write_waits_for_the_index_or_fails_because_of_it(four: str, pool: Pool) -> None:
    with closing(psycopg2.connect(four)) as other, other.cursor() as cursor:
        cursor.execute(_sql.refresh, {"language": "simple"})
        stray(four, "SET lock_timeout = '1s'; UPDATE people SET name = 'Turing' WHERE row_id = '4'")
        stray(four, "SET lock_timeout = '1s'; DELETE FROM people WHERE row_id = '3'")
        other.commit()

    assert found(pool, "turing or hopper") == ["4"]


@pytest.fixture
def mapped(begun: str) -> str:
    put(begun, "1", "Ada", None, {"film": "u1", "sound": "u1", "lost": "u2"}, {"u1": "p1", "u3": "p3"})
    put(begun, "2", "Grace", None, {"film": "u4"}, {"u4": "p1"})
    put(begun, "3", "Alan", None, {"film": "u1"}, {"u1": "p5"})
    put(begun, "4", "Nobody")
    return begun


ASKED = {
    ("uuid", "u1"): [("3", "u1", "film", "p5"), ("1", "u1", "film", "p1"), ("1", "u1", "sound", "p1")],
    ("uuid", "U1"): [],
    ("uuid", ""): [],
    ("uuid", "u3"): [("1", "u3", None, "p3")],
    ("path", "p1"): [("2", "u4", "film", "p1"), ("1", "u1", "film", "p1"), ("1", "u1", "sound", "p1")],
    ("description", "lost"): [("1", "u2", "lost", None)],
    ("mismatched", ""): [("1", "u2", "lost", None), ("1", "u3", None, "p3")],
}


@pytest.mark.parametrize(("asked", "answer"), ASKED.items())
@pytest.mark.usefixtures("mapped")
def test_whose_file_it_is(pool: Pool, asked: tuple[str, str], answer: list[object]) -> None:
    assert files(pool, *asked) == answer


@pytest.mark.usefixtures("mapped")
def test_a_limit_shows_some_files_and_counts_all(pool: Pool) -> None:
    asking.refresh(pool, "simple")

    report = asking.find(pool, SIMPLE, "uuid", "u1", 1)

    assert (len(report.files), report.total) == (1, 3)


@pytest.mark.usefixtures("mapped")
def test_what_several_people_have(pool: Pool) -> None:
    asking.refresh(pool, "simple")

    report = asking.shared(pool, SIMPLE, 20)

    shared = [(one.kind, one.text, one.people, one.row_ids) for one in report.shared]
    assert shared == [("uuid", "u1", 2, ("3", "1")), ("path", "p1", 2, ("2", "1"))]
    assert (report.total, report.files) == (2, ())
    assert asking.shared(pool, SIMPLE, 1).total == 2


def test_of_many_who_share_the_first_are_named(begun: str, pool: Pool) -> None:
    for number in range(12):
        put(begun, str(number), uuids={"a": "u"})
    asking.refresh(pool, "simple")

    [one] = asking.shared(pool, SIMPLE, 20).shared

    assert (one.people, one.row_ids) == (12, tuple(str(number) for number in range(11, 1, -1)))


def test_files_that_have_changed_are_found_as_they_are_now(mapped: str, pool: Pool) -> None:
    assert files(pool, "uuid", "u4") == [("2", "u4", "film", "p1")]

    stray(
        mapped,
        """UPDATE s3_metadata SET file_uuids = '{"film": "u9"}' WHERE file_uuids @> '{"film": "u4"}'""",
    )

    assert files(pool, "uuid", "u4") == [("2", "u4", None, "p1")]
    assert files(pool, "uuid", "u9") == [("2", "u9", "film", None)]


def test_a_text_longer_than_an_index_takes(begun: str, pool: Pool) -> None:
    long = "".join(uuid4().hex for _ in range(1_000))
    put(begun, "1", uuids={long: long}, paths={long: long})

    for key in ("uuid", "path", "description"):
        assert files(pool, key, long) == [("1", long, long, long)]
        assert files(pool, key, long + "x") == []


@pytest.fixture(scope="module")
def large(server: Server, template: str) -> Iterator[str]:
    """A database of many people with an index, as autovacuum leaves it."""
    with server.new_database(template) as url:
        stray(url, "INSERT INTO ingestion.migration_state (phase, epoch) VALUES ('database_primary', 1)")
        stray(
            url,
            "SET session_replication_role = replica;"
            "INSERT INTO people (row_id, name, email, type, ordinal)"
            f" SELECT one, 'Person ' || one, '', '', one FROM generate_series(1, {MANY}) AS one;"
            "INSERT INTO processing_status (person_id, document_text)"
            " SELECT id, repeat(md5(row_id) || ' ', 40) FROM people;"
            "INSERT INTO s3_metadata (person_id, file_uuids, s3_paths)"
            " SELECT id, jsonb_build_object('film', row_id), jsonb_build_object(row_id, 'p' || id)"
            " FROM people;",
        )
        pool = Pool(url)
        assert asking.refresh(pool, "simple").changed == MANY
        pool.close()
        # More files than can be counted in memory.
        stray(
            url,
            "INSERT INTO ingestion.file (person_id, uuid, description, path)"
            " SELECT id, id || '-' || one, id || 'film' || one, id || 'p' || one"
            " FROM people, generate_series(1, 5) AS one",
        )
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("VACUUM ANALYZE")
        yield url


def plan(database: str, question: sql.Composable, **values: object) -> dict[str, str]:
    """How each index is read, and each table that is read without one, as the planner chooses by itself."""
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + question, values)
        row = cursor.fetchone()
    assert row is not None
    used: dict[str, str] = {}
    nodes = [row[0][0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", ())
        where = node.get("Index Name") or node.get("Relation Name")
        if where is not None and node["Node Type"] != "Bitmap Heap Scan":
            used[where] = node["Node Type"]
    return used


def test_the_planner_counts_anew_after_many(four: str, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MANY", 4)

    asking.refresh(pool, "simple")

    [(known,)] = stray(
        four,
        "SELECT histogram_bounds::text::bigint[] = (SELECT array_agg(id ORDER BY id) FROM people)"
        " FROM pg_stats WHERE tablename = 'search_index' AND attname = 'person_id'",
    )
    assert known


def test_words_are_found_by_their_index(large: str) -> None:
    asked = {"language": "simple", "query": "ada engine", "limit": 20, "most": 10_000, "form": ""}

    used = plan(large, _sql.search, **asked)

    assert used["search_index_words"] == "Bitmap Index Scan"
    assert "Seq Scan" not in used.values()


@pytest.mark.parametrize("key", ["uuid", "path", "description", "mismatched"])
def test_files_are_found_by_their_index(large: str, key: str) -> None:
    used = plan(large, _sql.fill("find", condition=getattr(_sql, f"of_{key}")), text="7", limit=20)

    assert f"file_{key}" in used
    assert "Seq Scan" not in used.values()


def test_what_is_shared_is_read_from_the_indexes_alone(large: str) -> None:
    used = plan(large, _sql.shared, limit=20, named=10)

    assert (used["file_uuid"], used["file_path"]) == ("Index Only Scan", "Index Only Scan")


def test_whether_anything_has_changed_is_no_question_of_people(large: str) -> None:
    used = plan(large, _sql.is_level, language="simple")

    assert set(used) == {"indexed", "history_id_seq"}
