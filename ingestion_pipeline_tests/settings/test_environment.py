"""The environment: the keys it sets and the variables it fills in."""

import pytest

from ingestion_pipeline_tests.settings.conftest import Load, Refuse


def test_the_environment_reaches_nested_keys_and_absent_sections(load: Load) -> None:
    settings = load(
        "",
        INGESTION__DATABASE__CONNECTION_POOL__MAX_CONNECTIONS="3",
        INGESTION__DOWNLOADS__S3__AWS_REGION="x",
    )
    assert settings.database.connection_pool.max_connections == 3
    assert settings.downloads.s3.aws_region == "x"


@pytest.mark.parametrize("name", ["DATABASE_URL", "INGESTION_CONFIG", "INGESTION__DATABASE__HOST"])
def test_an_empty_variable_is_as_good_as_none(load: Load, name: str) -> None:
    assert load("database: {host: }", **{name: ""}).database_url is None


def test_an_empty_variable_takes_the_host_away(load: Load) -> None:
    assert load("database: {host: localhost}", INGESTION__DATABASE__HOST="").database_url is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("${SET}", "value"),
        ("${SET:-other}", "value"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${UNSET:-}x", "x"),
        ("a${SET}b${SET}", "avaluebvalue"),
        ("$SET", "$SET"),
        ("$${SET", "$${SET"),
        ("${1X}", "${1X}"),
        ("${NESTED}", "${SET}"),
    ],
)
def test_variables_are_put_in(load: Load, written: str, read: str) -> None:
    settings = load(f"exports: {{prefix: '{written}'}}", SET="value", EMPTY="", NESTED="${SET}")
    assert settings.exports.prefix == read


def test_a_variable_may_stand_for_a_number(load: Load) -> None:
    assert load("database: {port: '${PORT:-6000}'}").database.port == 6000


def test_an_unset_variable_is_named_with_its_key(refuse: Refuse) -> None:
    error = refuse("database: {connection_pool: {timeout: '${NOT_SET}'}}")
    assert error.code == "unset_variable"
    assert "NOT_SET" in error.message
    assert "database.connection_pool.timeout" in error.message
    assert error.place.file is not None


def test_a_key_the_environment_replaces_needs_no_variable(load: Load) -> None:
    assert load("database: {name: '${NOT_SET}'}", INGESTION__DATABASE__NAME="n").database.name == "n"


def test_the_environment_s_own_text_is_taken_as_it_is(load: Load) -> None:
    settings = load("", INGESTION__DATABASE__PASSWORD="a${HOME}b")  # noqa: S106 - a made-up one
    assert settings.database.password.get_secret_value() == "a${HOME}b"
