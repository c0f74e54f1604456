"""The sections refuse what cannot be meant."""

import pytest

from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"database: {{port: {CANARY}}}", "database.port"),
        ("database: {port: 70000}", "database.port"),
        (f"database: {{sslmode: {CANARY}}}", "database.sslmode"),
        (f"database: {{enabled: {CANARY}}}", "database.enabled"),
        (f"database: {{password: [{CANARY}]}}", "database.password"),
        (f"database: {CANARY}", "database"),
        (f"downloads: {{s3: {CANARY}}}", "downloads.s3"),
        (f"migration: {{phase: {CANARY}}}", "migration.phase"),
        (f"csv_columns: {{basic: {CANARY}}}", "csv_columns.basic"),
        (f"automation: {{export_cron: {CANARY}}}", "automation.export_cron"),
        ("database: {query_timeout: 0}", "database.query_timeout"),
        ("database: {lock_timeout: .inf}", "database.lock_timeout"),
        ("database: {bulk_timeout: .nan}", "database.bulk_timeout"),
        ("database: {connection_pool: {min_connections: 5, max_connections: 4}}", "database.connection_pool"),
        ("database: {name: ''}", "database.name"),
        ("paths: {output_csv: ''}", "paths.output_csv"),
        ("brakes: {percent: 101}", "brakes.percent"),
        (f"exports: {{endpoint_url: 'https://u:{CANARY}@localhost:9000'}}", "exports.endpoint_url"),
        (f"exports: {{endpoint_url: 'https://{CANARY}@localhost'}}", "exports.endpoint_url"),
        (f"exports: {{encryption: {CANARY}}}", "exports.encryption"),
        (f"exports: {{compress: {CANARY}}}", "exports.compress"),
        (f"exports: {{allow_insecure: {CANARY}}}", "exports.allow_insecure"),
        ("health: {slower_than: 0.5}", "health.slower_than"),
        ("health: {disk_free_percent: 101}", "health.disk_free_percent"),
        ("health: {pending_age_seconds: 0}", "health.pending_age_seconds"),
        (f"automation: {{health_cron: {CANARY}}}", "automation.health_cron"),
        ("exports: {bucket: ab}", "exports.bucket"),
        ("exports: {folder: ''}", "exports.folder"),
        ("exports: {keep: {last: -1}}", "exports.keep.last"),
        (f"exports: {{keep: {{daily: {CANARY}}}}}", "exports.keep.daily"),
        ("exports: {keep: 5}", "exports.keep"),
    ],
)
def test_a_bad_value_names_its_key(refuse: Refuse, text: str, key: str) -> None:
    error = refuse(text)
    assert error.code == "bad_value"
    assert error.message.startswith(f"bad value of {key}: ")


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.example.org",
        "HTTPS://s3.example.org:9000/path",
        "http://localhost:9000/path",
        "http://LOCALHOST",
        "http://127.0.0.1:9000",
        "http://127.8.9.1",
        "http://[::1]:9000",
    ],
)
def test_a_safe_address_is_taken(load: Load, url: str) -> None:
    assert load(f"exports: {{endpoint_url: '{url}'}}").exports.endpoint_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example.org",
        "HTTP://s3.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1:9000",
        "http://0.0.0.0:9000",
        "http://[::2]:9000",
        "http://",
        "s3.example.org",
        "//s3.example.org",
        "ftp://localhost",
        "https//s3.example.org",
        "localhost:9000",
    ],
)
def test_an_address_that_others_could_listen_to_is_refused(refuse: Refuse, url: str) -> None:
    error = refuse(f"exports: {{endpoint_url: '{url}'}}")
    assert error.code == "bad_value"
    assert error.message == (
        "bad value of exports: endpoint_url must begin with https://, or allow_insecure be true"
    )


def test_an_address_that_is_none_is_refused(refuse: Refuse) -> None:
    assert refuse("exports: {endpoint_url: 'http://[::1'}").code == "bad_value"


def test_an_address_that_others_could_listen_to_may_be_asked_for(load: Load) -> None:
    url = "http://s3.example.org"
    assert load(f"exports: {{endpoint_url: '{url}', allow_insecure: true}}").exports.endpoint_url == url


@pytest.mark.parametrize("url", ["ftp://s3.example.org", "s3.example.org"])
def test_what_is_no_address_of_the_web_cannot_be_asked_for(refuse: Refuse, url: str) -> None:
    error = refuse(f"exports: {{endpoint_url: '{url}', allow_insecure: true}}")
    assert error.code == "bad_value"


@pytest.mark.parametrize("encryption", ["", "encryption: AES256, "])
def test_a_key_goes_with_its_encryption(refuse: Refuse, encryption: str) -> None:
    error = refuse(f"exports: {{{encryption}kms_key_id: {CANARY}}}")
    assert error.message == "bad value of exports: kms_key_id goes with encryption: aws:kms"


def test_a_bucket_may_be_named(load: Load) -> None:
    exports = load(
        """
        exports:
          bucket: people
          prefix: ingestion
          region: eu-central-1
          profile: exporter
          encryption: aws:kms
          kms_key_id: alias/people
          compress: true
          keep: {last: 5, hourly: 24, daily: 31, monthly: 12}
        """
    ).exports
    assert (exports.bucket, exports.prefix) == ("people", "ingestion")
    assert (exports.region, exports.profile) == ("eu-central-1", "exporter")
    assert (exports.encryption, exports.kms_key_id) == ("aws:kms", "alias/people")
    assert exports.compress
    assert exports.keep.model_dump() == {"last": 5, "hourly": 24, "daily": 31, "monthly": 12}


def test_without_any_of_it_all_versions_are_kept_in_a_folder(load: Load) -> None:
    exports = load("exports: {bucket: '', endpoint_url: '', kms_key_id: ''}").exports
    assert (exports.bucket, exports.endpoint_url, exports.encryption, exports.kms_key_id) == (None,) * 4
    assert not exports.compress
    assert not exports.allow_insecure
    assert set(exports.keep.model_dump().values()) == {0}


def test_the_environment_may_say_how_many_are_kept(load: Load) -> None:
    settings = load("exports: {keep: {last: 3}}", INGESTION__EXPORTS__KEEP__LAST="7")
    assert settings.exports.keep.last == 7
