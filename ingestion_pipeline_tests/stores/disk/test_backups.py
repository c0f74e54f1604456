"""Copies of the CSV: whole, the newest few, and never anything else of their folder dropped."""

import gzip
import os
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.disk import backups
from ingestion_pipeline.stores.disk.backups import Backups

CONTENT = bytes(range(256)) * 10_000  # more than two reads


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    made = tmp_path / "outputs" / "output.csv"
    made.parent.mkdir()
    made.write_bytes(CONTENT)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_copy_is_whole_and_named_by_the_time(csv: Path, folder: Path) -> None:
    copy = Backups(folder, 10, compress=False).copy(csv, csv)
    assert copy.read_bytes() == CONTENT
    assert re.fullmatch(r"output_\d{8}T\d{12}Z\.csv", copy.name)
    assert names(folder) == [copy.name]


def test_a_compressed_copy_holds_the_same(csv: Path, folder: Path) -> None:
    copy = Backups(folder, 10, compress=True).copy(csv, csv)
    assert gzip.decompress(copy.read_bytes()) == CONTENT
    assert copy.name.endswith(".csv.gz")
    assert copy.stat().st_size < len(CONTENT)


def test_a_pinned_file_is_copied_under_the_csv_s_name(csv: Path, folder: Path) -> None:
    pin = csv.with_name("pin-1")
    pin.write_bytes(b"pinned")
    copy = Backups(folder, 10, compress=False).copy(pin, csv)
    assert copy.name.startswith("output_")
    assert copy.read_bytes() == b"pinned"


def test_copies_are_their_owner_s_only(csv: Path, folder: Path) -> None:
    before = os.umask(0)
    try:
        copy = Backups(folder, 10, compress=True).copy(csv, csv)
    finally:
        os.umask(before)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("compress", [False, True])
def test_the_oldest_beyond_the_most_are_dropped(csv: Path, folder: Path, *, compress: bool) -> None:
    made = [Backups(folder, 3, compress=compress).copy(csv, csv) for _ in range(5)]
    assert names(folder) == [path.name for path in made[-3:]]


def test_compressed_and_plain_copies_count_together(csv: Path, folder: Path) -> None:
    made = [Backups(folder, 2, compress=number % 2 == 0).copy(csv, csv) for number in range(4)]
    assert names(folder) == sorted(path.name for path in made[-2:])


def test_all_are_kept_where_no_number_is_given(csv: Path, folder: Path) -> None:
    for _ in range(5):
        Backups(folder, 0, compress=False).copy(csv, csv)
    assert len(names(folder)) == 5


def test_what_is_no_copy_is_never_dropped(csv: Path, folder: Path) -> None:
    folder.mkdir()
    others = [
        "mine.csv",
        "output.csv",
        "output_20250101_120000.csv.gz",
        "output_foreign_20200101T000000000000Z.csv",
        "output_before_restore_20200101T000000000000Z.csv.gz",
        "notes.txt",
    ]
    for name in others:
        (folder / name).touch()
    made = [Backups(folder, 1, compress=False).copy(csv, csv) for _ in range(3)]
    assert names(folder) == sorted([*others, made[-1].name])


def test_the_csv_itself_is_never_dropped(csv: Path) -> None:
    for _ in range(3):
        Backups(csv.parent, 1, compress=False).copy(csv, csv)
    assert csv.read_bytes() == CONTENT
    assert len(names(csv.parent)) == 2


def test_there_is_no_recent_copy_where_there_is_none(csv: Path, folder: Path) -> None:
    assert not Backups(folder, 1, compress=False).is_recent(csv, 1e9)
    folder.mkdir()
    (folder / "output.csv").touch()
    assert not Backups(folder, 1, compress=False).is_recent(csv, 1e9)


def test_a_copy_is_recent_for_a_while(csv: Path, folder: Path) -> None:
    copies = Backups(folder, 10, compress=True)
    old = copies.copy(csv, csv)
    assert copies.is_recent(csv, 60)
    hour_ago = time.time() - 3600
    os.utime(old, (hour_ago, hour_ago))
    assert not copies.is_recent(csv, 3599)
    assert copies.is_recent(csv, 3660)
    copies.copy(csv, csv)
    assert copies.is_recent(csv, 60)


def test_a_disk_that_refuses_leaves_no_half_copy(
    csv: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Backups(folder, 1, compress=False).copy(csv, csv)

    def fail(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnavailableError):
        Backups(folder, 1, compress=False).copy(csv, csv)
    assert names(folder) == [kept.name]


def test_a_large_file_is_copied_in_pieces(csv: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "CHUNK", 1000)
    assert Backups(folder, 1, compress=False).copy(csv, csv).read_bytes() == CONTENT
    assert gzip.decompress(Backups(folder, 1, compress=True).copy(csv, csv).read_bytes()) == CONTENT


def test_two_copies_of_one_microsecond_are_both_kept(
    csv: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    times = iter([at, at, at, at + timedelta(microseconds=1)])

    class Clock(datetime):
        @classmethod
        def now(cls, _zone: object = None) -> datetime:  # type: ignore[override]
            return next(times)

    monkeypatch.setattr(backups, "datetime", Clock)
    made = [Backups(folder, 10, compress=False).copy(csv, csv) for _ in range(2)]
    assert sorted(folder.iterdir()) == sorted(made)
    assert len({*made}) == 2
