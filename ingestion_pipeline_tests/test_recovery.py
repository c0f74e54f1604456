"""Point-in-time recovery: the settings bring a server back to a moment, and the script loses no piece."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.postgres.embedded import account, programs

PITR = Path(__file__).parent.parent / "deploy" / "pitr"
NEEDED = ("initdb", "pg_ctl", "pg_basebackup", "psql")


def folders() -> Iterator[Path]:
    """Where programs of a server lie that the server's user may run."""
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    try:
        yield (programs.copied_to(account.base()) if account.is_root() else programs.in_wheel()) / "bin"
    except UnavailableError:
        return


SERVERS = [folder for folder in folders() if all((folder / name).exists() for name in NEEDED)]
needs_server = pytest.mark.skipif(not SERVERS, reason="no programs of a PostgreSQL server are installed")


def prove(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "prove.sh", *map(str, words)],
        env=os.environ | {"PITR_SECONDS": "30" if folder == PITR else "4"},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_server
@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_server_comes_back_to_the_moment(server: Path) -> None:
    before = set(Path("/tmp").glob("pitr.*"))  # noqa: S108 - where the script works

    done = prove(PITR, server)

    assert done.returncode == 0, done.stderr
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert said["recovered"] == said["before"].partition(" at ")[0]
    assert said["recovered"].startswith("1500 rows")
    assert said["disaster"].startswith("1 rows")
    assert said["goes"] == "on     1501 rows"
    assert set(Path("/tmp").glob("pitr.*")) <= before  # noqa: S108 - where the script works


@needs_server
@pytest.mark.parametrize(
    ("file", "found", "instead"),
    [
        ("archive.sh", "set -eu", "exit 0"),
        ("archive.sh", "set -eu", "exit 1"),
        ("pitr.conf", "archive_mode = on", "archive_mode = off"),
        ("pitr.conf", "restore_command = 'cp", "restore_command = 'false"),
        ("prove.sh", "recovery_target_time = '$moment'", "recovery_target_timeline = 'latest'"),
    ],
    ids=["keeps nothing", "always fails", "switched off", "brings nothing back", "to the end"],
)
def test_proof_fails_where_something_is_wrong(tmp_path: Path, file: str, found: str, instead: str) -> None:
    folder = tmp_path / "pitr"
    shutil.copytree(PITR, folder)
    text = (folder / file).read_text()
    assert text.count(found) == 1
    (folder / file).write_text(text.replace(found, instead))

    done = prove(folder, SERVERS[0])

    assert done.returncode == 1
    assert "prove.sh: " in done.stderr


def archive(piece: Path, target: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    words = [PITR / "archive.sh", piece, target]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def piece(tmp_path: Path) -> Path:
    (tmp_path / "wal").mkdir()
    (tmp_path / "piece").write_bytes(b"log" * 1000)
    return tmp_path / "piece"


def test_piece_is_kept_for_its_owner_only(piece: Path, tmp_path: Path) -> None:
    target = tmp_path / "wal" / "000000010000000000000001"

    assert archive(piece, target).returncode == 0

    assert target.read_bytes() == piece.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_piece_that_is_kept_already_may_be_offered_again(piece: Path, tmp_path: Path) -> None:
    target = tmp_path / "wal" / "1"
    archive(piece, target)

    assert archive(piece, target).returncode == 0


def test_other_bytes_are_never_overwritten(piece: Path, tmp_path: Path) -> None:
    target = tmp_path / "wal" / "1"
    target.write_bytes(b"another server's")

    done = archive(piece, target)

    assert done.returncode != 0
    assert "nothing was overwritten" in done.stderr
    assert target.read_bytes() == b"another server's"
    assert list(target.parent.iterdir()) == [target]


def commands(folder: Path, work: dict[str, str]) -> str:
    """Commands that do something before what they do otherwise."""
    folder.mkdir()
    for name, before in work.items():
        (folder / name).write_text(f'#!/bin/sh\n{before}\nexec {shutil.which(name)} "$@"\n')
        (folder / name).chmod(0o755)
    return str(folder)


def test_file_that_somebody_else_puts_there_meanwhile_stays(piece: Path, tmp_path: Path) -> None:
    target = tmp_path / "wal" / "1"
    path = commands(tmp_path / "commands", {"ln": f"echo other > {target}"})

    assert archive(piece, target, path).returncode != 0

    assert target.read_bytes() == b"other\n"
    assert list(target.parent.iterdir()) == [target]


def test_piece_is_on_disk_before_it_has_its_name_and_the_name_before_the_end(
    piece: Path, tmp_path: Path
) -> None:
    target, log = tmp_path / "wal" / "1", tmp_path / "log"
    note = f'echo "$(basename "$0") $*" >> {log}'
    path = commands(tmp_path / "commands", dict.fromkeys(("cp", "sync", "ln"), note))

    assert archive(piece, target, path).returncode == 0

    steps = [re.sub(r"\S+/\.new\.\w+", "NEW", line) for line in log.read_text().splitlines()]
    assert steps == [f"cp {piece} NEW", "sync NEW", f"ln NEW {target}", f"sync {target.parent}"]


@pytest.mark.parametrize("name", ["cp", "sync", "ln"])
def test_whatever_fails_the_server_is_told(piece: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "wal" / "1"
    path = commands(tmp_path / "commands", {name: "exit 1"})

    assert archive(piece, target, path).returncode != 0

    assert list(target.parent.iterdir()) == []


def test_what_a_crash_has_left_is_swept_away(piece: Path, tmp_path: Path) -> None:
    old, young = tmp_path / "wal" / ".new.old", tmp_path / "wal" / ".new.young"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))

    archive(piece, tmp_path / "wal" / "1")

    assert not old.exists()
    assert young.exists()
