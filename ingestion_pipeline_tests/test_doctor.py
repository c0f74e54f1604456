"""doctor: each thing is looked at by itself, and what is wrong is named with what to do."""

import pytest

from ingestion_pipeline import doctor
from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.tables import durability
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]

LOOKS = [
    *("libraries", "configuration", "csv", "csv permissions", "disk", "postgres", "session", "schema"),
    *("versions", "versions permissions"),
]


def examined(site: Site) -> dict[str, doctor.Check]:
    checks = doctor.examine(site.config)
    assert [check.name for check in checks] == LOOKS
    return {check.name: check for check in checks}


def wrong(checks: dict[str, doctor.Check]) -> set[str]:
    """What is not as it should be; whether the server of the tests is durable is not ours to say."""
    return {name for name, check in checks.items() if not check.ok} - {"postgres"}


def test_whole_site(site: Site) -> None:
    site.csv.chmod(0o600)

    checks = examined(site)

    assert wrong(checks) == set()
    assert checks["csv"].finding == "510 rows, full, 21 columns, minimal quoting, LF"
    assert checks["schema"].finding == f"revision {schema.head()}"


def test_folder_of_versions_that_others_may_enter(site: Site) -> None:
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        pipeline.export()
    site.csv.chmod(0o600)
    assert wrong(examined(site)) == set()

    (site.folder / "exports").chmod(0o755)

    assert wrong(examined(site)) == {"versions permissions"}


def test_server_that_may_forget_is_named(site: Site) -> None:
    with open_pipeline(site.config) as pipeline:
        safe = durability(pipeline.pool).safe

    check = examined(site)["postgres"]

    assert check.ok == safe
    assert safe or "off" in check.finding


def test_one_fault_does_not_hide_the_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody:s3cret-canary@127.0.0.1:1/people")
    site.csv.write_bytes(b"row_id,name\n1\n")
    site.csv.chmod(0o644)

    checks = examined(site)

    assert wrong(checks) == {"csv", "csv permissions", "session", "schema"}
    assert not checks["postgres"].ok
    assert "chmod 600" in checks["csv permissions"].hint
    assert "s3cret-canary" not in repr(checks)


def test_missing_file(site: Site) -> None:
    site.csv.unlink()

    assert wrong(examined(site)) == {"csv", "csv permissions"}


def test_misspelled_section(site: Site) -> None:
    site.csv.chmod(0o600)
    site.config.write_text("migratoin:\n  phase: dual_write\n")

    checks = examined(site)

    assert wrong(checks) == {"configuration"}
    assert "did you mean migration?" in checks["configuration"].finding


def test_unusable_configuration_ends_it(site: Site) -> None:
    site.config.write_text("migration: sideways\n")

    checks = doctor.examine(site.config)

    assert [(check.name, check.ok) for check in checks] == [("libraries", True), ("configuration", False)]


def test_library_out_of_step(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TOGETHER", (("dagster", "0.1."),))

    check = examined(site)["libraries"]

    assert not check.ok
    assert "make setup" in check.hint


def test_full_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ENOUGH_DISK", 1 << 60)

    assert "disk" in wrong(examined(site))


def test_damaged_version(site: Site) -> None:
    site.csv.chmod(0o600)
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        key = pipeline.export().manifest.key
    version = site.folder / "exports" / key
    version.chmod(0o600)
    version.write_bytes(b"damaged")

    checks = examined(site)

    assert wrong(checks) == {"versions"}
    assert "1 damaged" in checks["versions"].finding


def test_database_without_tables(site: Site, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)

    check = examined(site)["schema"]

    assert check.ok
    assert "the first sync makes it" in check.finding
    assert Site(site.folder, empty_database).execute("SELECT to_regclass('people') IS NULL") == [(True,)]
