"""Versions in a folder: published whole, chained by their manifests, and never believed unread."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.version import Content, Manifest
from ingestion_pipeline.stores.bucket.folder import VersionDraft, VersionFolder

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "versions"


@pytest.fixture
def versions(place: Path) -> VersionFolder:
    return VersionFolder(place)


def content_of(new: VersionDraft, moment: datetime) -> Content:
    dialect = Dialect(("row_id", "name"))
    return Content(new.sha256, new.size, 1, dialect, Phase.DUAL_WRITE, 1, moment, None)


def publish(versions: VersionFolder, csv: bytes, moment: datetime = NOON) -> Manifest:
    with versions.draft() as new:
        new.write(csv[:2])
        new.write(csv[2:])
        return new.publish(content_of(new, moment))


def publish_three(versions: VersionFolder) -> list[Manifest]:
    return [publish(versions, b"csv %d" % day, NOON + timedelta(days=day)) for day in range(3)]


def manifest_of(place: Path, manifest: Manifest) -> Path:
    return place / f"{manifest.key}.manifest.json"


def goods(versions: VersionFolder) -> list[bool]:
    return [version.good for version in versions.listing()]


def files(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


def test_an_empty_place_has_no_versions(versions: VersionFolder, place: Path) -> None:
    assert list(versions.listing()) == []
    assert versions.newest() is None
    assert versions.place == str(place)
    assert not place.exists()


def test_a_version_is_its_csv_and_its_manifest(versions: VersionFolder, place: Path) -> None:
    manifest = publish(versions, b"the csv")
    assert manifest.key == "csv-versions/2026/03/output_20260304T120000000000Z_000.csv"
    assert (place / manifest.key).read_bytes() == b"the csv"
    assert manifest_of(place, manifest).read_bytes() == manifest.as_bytes()
    assert files(place) == {manifest.key, f"{manifest.key}.manifest.json"}


def test_the_manifest_says_what_was_published(versions: VersionFolder) -> None:
    content = publish(versions, b"the csv").content
    assert (content.sha256, content.size) == (hashlib.sha256(b"the csv").hexdigest(), 7)
    assert content.published_at == NOON


def test_versions_are_listed_newest_first(versions: VersionFolder) -> None:
    published = publish_three(versions)
    assert [version.manifest for version in versions.listing()] == published[::-1]
    assert goods(versions) == [True] * 3
    newest = versions.newest()
    assert newest is not None
    assert newest.key == published[-1].key


def test_versions_of_many_months_are_listed_newest_first(versions: VersionFolder) -> None:
    moments = [datetime(*date, tzinfo=UTC) for date in [(2025, 12, 31), (2026, 1, 1), (2026, 11, 1)]]
    published = [publish(versions, b"csv", moment).key for moment in moments]
    assert [version.key for version in versions.listing()] == published[::-1]


def test_looking_changes_nothing(versions: VersionFolder, place: Path) -> None:
    publish_three(versions)
    before = {name: (place / name).stat().st_mtime_ns for name in files(place)}
    assert list(versions.listing()) == list(VersionFolder(place).listing())
    assert {name: (place / name).stat().st_mtime_ns for name in files(place)} == before


def test_each_manifest_names_the_one_before_by_its_bytes(versions: VersionFolder, place: Path) -> None:
    first, second, third = publish_three(versions)
    assert first.parent is None
    for before, after in ((first, second), (second, third)):
        assert after.parent == hashlib.sha256(manifest_of(place, before).read_bytes()).hexdigest()


def test_two_in_the_same_microsecond_do_not_collide(versions: VersionFolder, place: Path) -> None:
    one, other = publish(versions, b"one"), publish(versions, b"other")
    assert one.key != other.key
    assert [(place / manifest.key).read_bytes() for manifest in (one, other)] == [b"one", b"other"]
    assert [version.manifest for version in versions.listing()] == [other, one]
    assert goods(versions) == [True, True]
    assert other.parent == hashlib.sha256(one.as_bytes()).hexdigest()


def test_a_csv_left_without_a_manifest_is_no_version_and_keeps_its_name(
    versions: VersionFolder, place: Path
) -> None:
    first = publish(versions, b"one")
    manifest_of(place, first).unlink()
    assert list(versions.listing()) == []
    second = publish(versions, b"two")
    assert second.key != first.key
    assert (place / first.key).read_bytes() == b"one"


def test_everything_is_its_owners(versions: VersionFolder, place: Path) -> None:
    publish(versions, b"csv")
    kept = [place, *place.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_file()} == {0o600}


def test_a_draft_not_published_is_gone(versions: VersionFolder, place: Path) -> None:
    with versions.draft() as new:
        new.write(b"csv")
    assert files(place) == set()


def write_and_fail(versions: VersionFolder) -> None:
    with versions.draft() as new:
        new.write(b"csv")
        raise RuntimeError("stopped")


def test_a_draft_that_failed_is_gone(versions: VersionFolder, place: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        write_and_fail(versions)
    assert files(place) == set()


def publish_damaged(versions: VersionFolder, place: Path) -> None:
    with versions.draft() as new:
        new.write(b"csv")
        (beside,) = place.glob(".version.*.tmp")
        beside.write_bytes(b"CSV")
        new.publish(content_of(new, NOON))


def test_what_the_disk_does_not_hold_is_not_published(versions: VersionFolder, place: Path) -> None:
    with pytest.raises(UnavailableError):
        publish_damaged(versions, place)
    assert files(place) == set()


def test_content_that_is_not_the_drafts_is_not_good(versions: VersionFolder) -> None:
    with versions.draft() as new:
        new.write(b"csv")
        new.publish(replace(content_of(new, NOON), sha256="0" * 64))
    assert goods(versions) == [False]


def flip(csv: Path) -> None:
    csv.write_bytes(b"Csv 1")


def cut(csv: Path) -> None:
    os.truncate(csv, 3)


def add(csv: Path) -> None:
    csv.write_bytes(csv.read_bytes() + b"\n")


def lose(csv: Path) -> None:
    csv.unlink()


def block(csv: Path) -> None:
    csv.unlink()
    csv.mkdir()


@pytest.mark.parametrize("harm", [flip, cut, add, lose, block])
def test_a_damaged_version_is_not_good(
    harm: Callable[[Path], None], versions: VersionFolder, place: Path
) -> None:
    harm(place / publish_three(versions)[1].key)
    assert goods(versions) == [True, False, True]


def test_the_newest_good_version_is_found_behind_damaged_ones(versions: VersionFolder, place: Path) -> None:
    first, second, third = publish_three(versions)
    flip(place / third.key)
    manifest_of(place, second).write_bytes(b"")
    newest = versions.newest()
    assert newest is not None
    assert newest.manifest == first


def test_with_all_damaged_there_is_no_newest(versions: VersionFolder, place: Path) -> None:
    flip(place / publish(versions, b"csv 1").key)
    assert versions.newest() is None


@pytest.mark.parametrize(
    "stored",
    [b"", b"{}", b"[]", b"null", b"\xff", b"not json", b"[" * 100_000],
    ids=lambda stored: repr(stored[:8]),
)
def test_a_broken_manifest_is_not_good_but_listed(
    stored: bytes, versions: VersionFolder, place: Path
) -> None:
    published = publish_three(versions)
    manifest_of(place, published[1]).write_bytes(stored)
    assert goods(versions) == [True, False, True]
    broken = list(versions.listing())[1]
    assert (broken.key, broken.manifest) == (published[1].key, None)


@pytest.mark.parametrize(
    "changed",
    [{"format": 2}, {"key": "csv-versions/other.csv"}, {"sha256": "0" * 64}, {"size": 6}, {"size": None}],
)
def test_a_manifest_that_says_something_else_is_not_good(
    changed: dict[str, object], versions: VersionFolder, place: Path
) -> None:
    path = manifest_of(place, publish(versions, b"csv 1"))
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changed))
    assert goods(versions) == [False]


def test_the_manifest_of_another_version_is_not_good(versions: VersionFolder, place: Path) -> None:
    first, second = publish(versions, b"same"), publish(versions, b"same", NOON + timedelta(days=1))
    manifest_of(place, second).write_bytes(manifest_of(place, first).read_bytes())
    assert goods(versions) == [False, True]


def test_the_chain_goes_on_from_a_broken_manifest(versions: VersionFolder, place: Path) -> None:
    path = manifest_of(place, publish(versions, b"one"))
    path.write_bytes(b"broken")
    assert publish(versions, b"two", NOON + timedelta(days=1)).parent == hashlib.sha256(b"broken").hexdigest()


def test_files_of_others_are_no_versions(versions: VersionFolder, place: Path) -> None:
    manifest = publish(versions, b"csv")
    (place / "notes.manifest.json").write_bytes(b"{}")
    (place / manifest.key).with_name("notes.txt").write_bytes(b"")
    assert [version.key for version in versions.listing()] == [manifest.key]


def test_a_place_below_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError):
        publish(VersionFolder(tmp_path / "file" / "versions"), b"csv")
