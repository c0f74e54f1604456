"""The database's URL: how it is written, read and described, and that another machine must prove itself."""

import pytest
from psycopg2.extensions import parse_dsn
from sqlalchemy import make_url

from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{CANARY}@localhost/x",
        f"{CANARY}",
        f"postgresql://u:{CANARY}@elsewhere/x",
        f"postgresql://u:{CANARY}@h@elsewhere/x",
        f"postgresql://localhost:{CANARY}/x",
    ],
)
def test_a_refused_url_is_not_shown(refuse: Refuse, url: str) -> None:
    refuse("", DATABASE_URL=url)


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("{host: localhost}", "postgresql://ingestion@localhost:5432/ingestion", "localhost:5432/ingestion"),
        (
            "{host: 127.0.0.1, port: 1, user: 'a@b', password: 'p:/?#@% ü', name: 'n/m'}",
            "postgresql://a%40b:p%3A%2F%3F%23%40%25%20%C3%BC@127.0.0.1:1/n%2Fm",
            "127.0.0.1:1/n/m",
        ),
        (
            "{host: 'fe80::1%eth0', allow_insecure: true}",
            "postgresql://ingestion@[fe80::1%25eth0]:5432/ingestion",
            "[fe80::1%eth0]:5432/ingestion",
        ),
        ("{host: '::1'}", "postgresql://ingestion@[::1]:5432/ingestion", "[::1]:5432/ingestion"),
        (
            "{host: /run/pg, sslmode: disable}",
            "postgresql://ingestion@/ingestion?host=%2Frun%2Fpg&port=5432&sslmode=disable",
            "/run/pg:5432/ingestion",
        ),
        (
            "{host: db.example, sslmode: verify-full, sslrootcert: '/c a/r.crt'}",
            "postgresql://ingestion@db.example:5432/ingestion?sslmode=verify-full&sslrootcert=%2Fc%20a%2Fr.crt",
            "db.example:5432/ingestion",
        ),
    ],
)
def test_the_url_is_quoted(load: Load, text: str, url: str, shown: str) -> None:
    settings = load(f"database: {text}")
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url
    assert settings.describe_database() == shown


def test_libpq_reads_back_what_was_written(load: Load) -> None:
    settings = load("database: {host: '/a b', user: 'ü', password: '%41@:/', name: 'x?y'}")
    assert settings.database_url is not None
    assert parse_dsn(settings.database_url.get_secret_value()) == {
        "host": "/a b", "port": "5432", "user": "ü", "password": "%41@:/", "dbname": "x?y",
    }  # fmt: skip


def test_the_short_scheme_is_written_long(load: Load) -> None:
    settings = load("", DATABASE_URL=" postgres://localhost/x\n")
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://localhost/x"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://localhost", "localhost:5432/(default)"),
        ("postgresql:///x", "(default):5432/x"),
        ("postgresql://localhost:1,127.0.0.1:2/x", "localhost:1,127.0.0.1:2/x"),
        ("postgresql://u@/x?host=/run&port=7&dbname=y", "/run:7/y"),
        ("postgresql://[::1]:9/x", "[::1]:9/x"),
    ],
)
def test_a_url_is_described(load: Load, url: str, shown: str) -> None:
    assert load("", DATABASE_URL=url).describe_database() == shown


LOCAL = ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "/run/postgresql", "localhost,127.0.0.1"]


REMOTE = [
    "db",
    "10.0.0.1",
    "localhost.example.org",
    "127.0.0.1.example.org",
    "2001:db8::1",
    "localhost,db",
    "/run,db",
]


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine_needs_no_certificate(load: Load, host: str) -> None:
    assert load(f"database: {{host: '{host}'}}").database_url


@pytest.mark.parametrize("host", REMOTE)
@pytest.mark.parametrize("sslmode", [None, "disable", "prefer", "require", "verify-ca"])
def test_another_machine_must_prove_who_it_is(
    load: Load, refuse: Refuse, host: str, sslmode: str | None
) -> None:
    error = refuse(f"database: {{host: '{host}', sslmode: {sslmode or ''}}}")
    assert error.code == "insecure_database"
    assert "verify-full" in error.hint
    assert error.place.file is not None
    assert load(f"database: {{host: '{host}', sslmode: verify-full}}").database_url
    assert load(f"database: {{host: '{host}', allow_insecure: true}}").database_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/x",
        "postgresql://u:p@db:5432/x?sslmode=require",
        "postgresql://localhost,db/x",
        "postgresql://localhost:1,db:2/x",
        "postgresql://localhost%2Cdb/x",
        "postgresql://%2Frun%2Cdb/x",
        "postgresql:///x?host=db",
        "postgresql:///x?h%6Fst=db",
        "postgresql://localhost/x?host=/run,db",
        "postgresql://localhost/x?hostaddr=10.0.0.1",
        "postgresql:///x?service=remote",
        "postgresql://[2001:db8::1]/x",
        "postgresql://db/x?sslmode=verify-full&sslmode=disable",
        "postgresql://db/x?sslmode=verify-full&ssl=true",
    ],
)
def test_a_url_to_another_machine_must_ask_for_proof(load: Load, refuse: Refuse, url: str) -> None:
    assert refuse("", DATABASE_URL=url).code == "insecure_database"
    # The file's sslmode belongs to the file's host.
    assert refuse("database: {sslmode: verify-full}", DATABASE_URL=url).code == "insecure_database"
    assert load("database: {allow_insecure: true}", DATABASE_URL=url).database_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@db/x?sslmode=verify-full",
        "postgresql:///x?host=db&sslmode=verify-full",
        "postgresql:///x",
    ],
)
def test_a_url_that_asks_for_proof_or_stays_here_is_taken(load: Load, url: str) -> None:
    assert load("", DATABASE_URL=url).database_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost#@db/x",
        "postgresql://localhost?@db/x",
        "postgresql://a@localhost@db/x",
        "postgresql://localhost/@db",
        "postgresql://localhost\\@db/x",
        "postgresql://[::1/x",
        "postgresql://localhost:1:2/x",
        "postgresql://local host/x",
    ],
)
def test_a_url_with_two_readings_is_refused(refuse: Refuse, url: str) -> None:
    assert refuse("database: {allow_insecure: true}", DATABASE_URL=url).code == "bad_value"


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("postgresql:///x", "PGHOST", "db"),
        ("postgresql://localhost/x", "PGHOSTADDR", "10.0.0.1"),
        ("postgresql:///x", "PGSERVICE", "remote"),
    ],
)
def test_libpq_s_own_variables_are_no_way_around(
    load: Load, refuse: Refuse, url: str, name: str, value: str
) -> None:
    assert load("", DATABASE_URL=url).database_url
    assert refuse("", DATABASE_URL=url, **{name: value}).code == "insecure_database"
    assert load("", DATABASE_URL=f"{url}?sslmode=verify-full").database_url


def test_libpq_s_own_sslmode_counts_unless_a_service_may_replace_it(load: Load, refuse: Refuse) -> None:
    assert load("", DATABASE_URL="postgresql://db/x", PGSSLMODE="verify-full").database_url
    assert refuse("", DATABASE_URL="postgresql://db/x", PGSERVICE="s").code == "insecure_database"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/x?host=db&host=localhost",
        "postgresql://db/x?host=127.0.0.1",
        "postgresql://u%40:p%2F@%6Cocalhost:1/x?ssl=true",
        "postgresql://localhost/x?sslmode=disable&sslmode=require",
    ],
)
def test_what_is_handed_on_has_one_reading(load: Load, url: str) -> None:
    written = load("", DATABASE_URL=url).database_url
    assert written is not None
    other = make_url(written.get_secret_value())
    other_parts = {**other.translate_connect_args(username="user", database="dbname"), **other.query}
    assert {key: str(value) for key, value in other_parts.items()} == parse_dsn(url)
    assert parse_dsn(written.get_secret_value()) == parse_dsn(url)


@pytest.mark.parametrize(
    "written",
    ["h/%ff", "h/%zz", f"h/x?{CANARY}=1", f"u:{CANARY}/s@h/x", f"u:12/{CANARY}@h/x", f"u:a@{CANARY}@h/x"],
)
def test_what_libpq_refuses_or_takes_for_a_host_is_not_shown(refuse: Refuse, written: str) -> None:
    assert refuse("", DATABASE_URL=f"postgresql://{written}").code == "bad_value"
