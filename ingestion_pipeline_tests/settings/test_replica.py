"""The read replica's URL, and what the roles are called."""

import pytest

from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse

LOCAL = f"postgresql://reader:{CANARY}@localhost:5433/people"


def test_a_replica_is_named_in_the_file_or_the_environment(load: Load) -> None:
    assert load("").replica_url is None
    assert load("database: {replica_url: '${REPLICA:-}'}").replica_url is None
    for settings in (
        load(f"database: {{replica_url: '{LOCAL}'}}"),
        load("database: {replica_url: '${REPLICA}'}", REPLICA=LOCAL),
        load("", INGESTION__DATABASE__REPLICA_URL=LOCAL),
    ):
        assert settings.replica_url is not None
        assert settings.replica_url.get_secret_value() == LOCAL
        assert settings.database.replica_wait_seconds == 5.0


def test_its_password_is_never_shown(load: Load) -> None:
    settings = load(f"database: {{replica_url: '{LOCAL}'}}")

    assert CANARY not in f"{settings!r} {settings} {settings.database!r} {settings.replica_url!r}"
    assert CANARY not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"mysql://u:{CANARY}@localhost/x", "bad_value"),
        (f"postgresql://u:{CANARY}@h@elsewhere/x", "bad_value"),
        (CANARY, "bad_value"),
        (f"postgresql://u:{CANARY}@db.example/x", "insecure_database"),
        (f"postgresql://u:{CANARY}@db.example/x?sslmode=require", "insecure_database"),
    ],
)
def test_a_replica_that_cannot_be_meant_or_trusted_is_refused(refuse: Refuse, url: str, code: str) -> None:
    assert refuse(f"database: {{replica_url: '{url}'}}").code == code
    assert refuse("", INGESTION__DATABASE__REPLICA_URL=url).code == code


def test_a_replica_that_proves_itself_is_taken(load: Load) -> None:
    load("database: {replica_url: 'postgresql://u@db.example/x?sslmode=verify-full'}")
    load("database: {allow_insecure: true, replica_url: 'postgresql://u@db.example/x'}")


@pytest.mark.parametrize("seconds", ["0", "-1", ".nan", "soon"])
def test_a_wait_that_is_none_is_refused(refuse: Refuse, seconds: str) -> None:
    assert refuse(f"database: {{replica_wait_seconds: {seconds}}}").code == "bad_value"


def test_the_roles_have_names(load: Load, refuse: Refuse) -> None:
    settings = load("database: {roles: {reader: looks}}", INGESTION__DATABASE__ROLES__WRITER="writes")

    assert dict(settings.database.roles) == {
        "owner": "ingestion_owner",
        "writer": "writes",
        "reader": "looks",
    }
    assert refuse("database: {roles: {readers: looks}}").code == "unknown_key"
