"""Where everything lies, and who may enter."""

import errno
import os
import re
import shutil
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import ProtectedError, UnavailableError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer, cluster, programs
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import (
    FAST,
    ROOT,
    ask,
    mode,
    postmaster_pid,
    refused,
    socket_dir,
)

only_root = pytest.mark.skipif(not ROOT, reason="only root's cluster lies elsewhere")


def test_any_folder_will_do_and_no_other_changes(tmp_path: Path) -> None:
    state = tmp_path / ("deep/" * 40) / 'it\'s a $HOME "quoted" `x`, colon:é state'
    state.mkdir(mode=0o700, parents=True)
    wheel = programs.in_wheel()
    watched = {state, *state.parents, *wheel.parents, wheel, *(path for path in wheel.glob("**/"))}
    before = {path: (mode(path), path.stat().st_uid, path.stat().st_gid) for path in watched}
    server = EmbeddedServer(state, options=FAST)
    try:
        with server:
            assert ask(server.dsn("postgres"), "SELECT 1") == 1
            place = socket_dir(server)
            assert mode(place) == mode(state / "postgres") == 0o700
            assert ROOT or place != server.folder
            assert before == {path: (mode(path), path.stat().st_uid, path.stat().st_gid) for path in watched}
    finally:
        server.destroy()
    assert not place.exists()


@pytest.mark.parametrize("name", ["deep/" * 40, "comma,colon:é"])
def test_a_socket_that_has_no_address_goes_to_a_short_private_folder(tmp_path: Path, name: str) -> None:
    place = cluster._socket_dir(tmp_path / name, tmp_path.name)  # noqa: SLF001 - not root's way
    assert place == Path("/tmp") / f"{tmp_path.name}-{os.geteuid()}"  # noqa: S108 - the place under test
    assert mode(place) == 0o700
    place.chmod(0o777)
    with refused(ProtectedError, "embedded_socket_dir"):
        cluster._socket_dir(tmp_path / name, tmp_path.name)  # noqa: SLF001
    place.rmdir()
    place.symlink_to(tmp_path)
    with refused(ProtectedError, "embedded_socket_dir"):
        cluster._socket_dir(tmp_path / name, tmp_path.name)  # noqa: SLF001
    place.unlink()


def test_a_state_folder_made_anew_has_a_new_cluster(fresh: EmbeddedServer, tmp_path: Path) -> None:
    ask(fresh.acquire(), "CREATE TABLE old (n int)")
    old = fresh.folder
    if ROOT:  # under the server's feet; a normal user's ends by itself some time later
        shutil.rmtree(tmp_path / "state")
    fresh.release()
    assert not (old / "data" / "postmaster.pid").exists()
    if not ROOT:
        shutil.rmtree(tmp_path / "state")
    with fresh:
        assert ask(fresh.dsn("postgres"), "SELECT to_regclass('old')") is None
        assert (fresh.folder != old) == ROOT
    if ROOT:
        shutil.rmtree(old)


@only_root
def test_roots_cluster_lies_elsewhere_under_an_id(state: Path, server: EmbeddedServer) -> None:
    kept = state / "postgres" / "id"
    before = kept.read_text()
    with server:
        assert server.folder == Path("/var/lib/ingestion_pipeline") / before
    assert re.fullmatch(r"[0-9a-f]{16}", before)
    assert kept.read_text() == before
    assert mode(kept) == 0o600
    assert str(server.folder) in (state / "postgres" / "WHERE").read_text()


@only_root
def test_a_damaged_id_never_names_the_folder_of_all_clusters(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir(mode=0o700)
    for damaged in ("", "../..", "."):
        (tmp_path / "postgres" / "id").write_text(damaged)
        assert EmbeddedServer(tmp_path).folder == tmp_path / "postgres"


@only_root
def test_roots_server_runs_as_its_own_user(running: EmbeddedServer) -> None:
    owner = running.folder.stat().st_uid
    process = Path(f"/proc/{postmaster_pid(running)}")
    assert owner != 0
    assert process.stat().st_uid == owner
    assert "\nGroups:\t \n" in (process / "status").read_text()


@only_root
def test_another_users_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir(mode=0o700)
    os.chown(tmp_path / "postgres", 65534, 65534)
    server = EmbeddedServer(tmp_path)
    for use in (server.acquire, server.stop, server.status):
        with refused(UnavailableError, "embedded_folder"):
            use()


def test_a_folder_that_is_a_link_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "postgres").symlink_to(tmp_path / "elsewhere")
    for state in (tmp_path, Path("/proc/state")):
        with refused(UnavailableError, "embedded_folder"):
            EmbeddedServer(state).acquire()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_programs_are_copied_whole_and_for_all_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, target: Path) -> None:
        target.mkdir(parents=True)
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", full)
        with pytest.raises(OSError, match="full"):
            programs.copied_to(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "sync", lambda: None)
    copy = programs.copied_to(tmp_path)
    assert copy == programs.copied_to(tmp_path)
    assert mode(copy / "bin" / "postgres") == 0o755
    assert {mode(path) for path in tmp_path.rglob("*")} == {0o755, 0o644}
    assert [path.name for path in tmp_path.iterdir()] == [copy.parent.parent.name]


def test_nothing_of_the_cluster_is_open_to_others(running: EmbeddedServer) -> None:
    for folder in (running.folder, running.folder / "data"):
        assert mode(folder) == 0o700
    for file in ("server.log", ".s.PGSQL.5432", "data/PG_VERSION"):
        assert mode(running.folder / file) & 0o077 == 0


def test_no_tcp_port_is_listened_on(running: EmbeddedServer) -> None:
    assert ask(running.dsn("postgres"), "SHOW listen_addresses") == ""
    fds = Path(f"/proc/{postmaster_pid(running)}/fd").iterdir()
    sockets = set(re.findall(r"socket:\[(\d+)\]", " ".join(str(fd.readlink()) for fd in fds)))
    tables = [Path("/proc/net") / name for name in ("tcp", "tcp6") if (Path("/proc/net") / name).exists()]
    tcp = {line.split()[9] for table in tables for line in table.read_text().splitlines()[1:]}
    assert sockets
    assert not sockets & tcp


def test_the_server_has_no_file_of_its_user(running: EmbeddedServer) -> None:
    fds = Path(f"/proc/{postmaster_pid(running)}/fd").iterdir()
    names = {fd.readlink().name for fd in fds}
    assert "server" in names
    assert not names & {"lock", "users"}
