"""Which pg_dump."""

import io
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres.dumping import clients, dump, replace, restore_into, scratch_database
from ingestion_pipeline.stores.postgres.embedded.programs import in_wheel
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import dumped_to, later, rendered
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import refused


def fake_version(folder: Path, version: str) -> Path:
    """Programs that say they are of this version, and can do nothing."""
    folder.mkdir(parents=True)
    for name in ("pg_dump", "pg_restore", "psql"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> Path:
        raise UnavailableError("no wheel")

    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(clients, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(clients, "in_wheel", missing)


pytestmark = pytest.mark.usefixtures("nothing_installed")


def test_too_old_one_is_refused(
    filled: Site, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(fake_version(tmp_path / "old", "14.9 (Debian 14.9-1)")))
    fake_version(tmp_path / "packaged" / "13" / "bin", "13.4")
    sink = io.BytesIO()

    with pytest.raises(UnavailableError) as too_old:
        dump(pool, sink)

    assert too_old.value.code == "pg_dump_too_old"
    assert "pg_dump 14.9 is too old" in too_old.value.message
    assert "postgresql-client-" in too_old.value.hint
    assert sink.getvalue() == b""
    assert filled.database


def test_none_is_said_to_be_missing(filled: Site, pool: Pool, tmp_path: Path) -> None:
    with refused(UnavailableError, "pg_dump_missing"):
        dump(pool, io.BytesIO())
    with refused(UnavailableError, "pg_dump_missing"):
        replace(pool, tmp_path / "dump", later(filled))


def test_one_that_lacks_the_others_does_not_count(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake_version(tmp_path / "some", "99.1")
    monkeypatch.setenv("PATH", str(folder))
    assert clients.find(pool).folder == folder
    (folder / "psql").unlink()

    with refused(UnavailableError, "pg_dump_missing"):
        clients.find(pool)


def test_closest_to_the_server_is_taken(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pool.connection() as connection:
        server = connection.info.server_version // 10000
    monkeypatch.setenv("PATH", str(fake_version(tmp_path / "newest", f"{server + 2}.1")))
    for major in (server - 1, server, server + 1):
        fake_version(tmp_path / "packaged" / str(major) / "bin", f"{major}.3")

    found = clients.find(pool)

    assert (found.version, found.folder) == (f"{server}.3", tmp_path / "packaged" / str(server) / "bin")


def test_embedded_servers_own_are_found(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "in_wheel", in_wheel)

    assert clients.find(pool).folder == in_wheel() / "bin"


def test_newer_ones_do_for_an_older_server(
    filled: Site, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "in_wheel", in_wheel)
    dumped = dumped_to(tmp_path / "dump", pool)

    with scratch_database(pool) as other:
        restore_into(other, tmp_path / "dump")
        assert rendered(other)[0] == dumped.sha256
    replace(pool, tmp_path / "dump", later(filled))

    assert dumped.made_by.startswith("pg_dump 18")
    assert rendered(pool)[0] == dumped.sha256
