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
    ],
)
def test_a_bad_value_names_its_key(refuse: Refuse, text: str, key: str) -> None:
    error = refuse(text)
    assert error.code == "bad_value"
    assert error.message.startswith(f"bad value of {key}: ")


def test_an_address_without_a_login_is_taken(load: Load) -> None:
    url = "http://localhost:9000/path"
    assert load(f"exports: {{endpoint_url: '{url}'}}").exports.endpoint_url == url
