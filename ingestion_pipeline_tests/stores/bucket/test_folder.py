"""A folder that versions are published to: open to its owner only, and one damaged file hides no other."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.folder import Folder
from ingestion_pipeline_tests.stores.bucket.kept import InFolder
from ingestion_pipeline_tests.stores.bucket.publishing import (
    NAME,
    NOON,
    entry_key,
    publish,
    publish_three,
)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_everything_is_its_owners(in_folder: InFolder) -> None:
    publish(in_folder.chain, b"csv")
    kept = [in_folder.folder, *in_folder.folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept if path.is_file()} == {0o600}


def test_looking_changes_and_makes_nothing(in_folder: InFolder) -> None:
    assert list(in_folder.chain.listing()) == []
    assert not in_folder.folder.exists()
    publish_three(in_folder.chain)
    before = {name: (in_folder.folder / name).stat().st_mtime_ns for name in in_folder.names()}
    assert list(in_folder.chain.listing()) == list(Chain(Folder(in_folder.folder), NAME).listing())
    assert {name: (in_folder.folder / name).stat().st_mtime_ns for name in in_folder.names()} == before


def test_a_file_in_the_folder_s_place_is_no_empty_folder(in_folder: InFolder) -> None:
    in_folder.folder.write_bytes(b"a file")
    with pytest.raises(UnavailableError, match="Not a directory"):
        list(in_folder.chain.listing())


def test_a_folder_gives_no_names_of_its_own(in_folder: InFolder) -> None:
    assert publish(in_folder.chain, b"csv").stored.version_id is None


def test_a_folder_in_a_file_s_place_is_a_damaged_version(in_folder: InFolder) -> None:
    published = publish_three(in_folder.chain)
    in_folder.lose(published[1].key)
    (in_folder.folder / published[1].key).mkdir()
    amiss = [version.amiss for version in in_folder.chain.listing()]
    assert amiss == [None, "it cannot be read: Is a directory", None]


def test_a_file_in_a_folder_s_place_is_a_lost_version(in_folder: InFolder) -> None:
    manifest = publish(in_folder.chain, b"csv")
    in_folder.lose(manifest.key)
    (in_folder.folder / manifest.key).parent.rmdir()
    (in_folder.folder / manifest.key).parent.touch()
    assert [version.amiss for version in in_folder.chain.listing()] == ["its bytes are gone"]


Opened = Callable[..., Any]


def refusing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Have the disk answer so when a file whose name ends so is read."""
    opened: Opened = Path.open

    def open_or_refuse(path: Path, *args: Any, **named: Any) -> Any:
        if path.name.endswith(name):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *args, **named)

    monkeypatch.setattr(Path, "open", open_or_refuse)


def test_a_version_on_a_bad_sector_hides_no_other(
    in_folder: InFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = publish_three(in_folder.chain)
    refusing(monkeypatch, Path(published[2].key).name, errno.EIO)
    amiss = [version.amiss for version in in_folder.chain.listing()]
    assert amiss == ["it cannot be read: Input/output error", None, None]


def test_an_entry_on_a_bad_sector_is_told_and_not_followed(
    in_folder: InFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_three(in_folder.chain)
    refusing(monkeypatch, "3.json", errno.EIO)
    amiss = [version.amiss for version in in_folder.chain.listing()]
    assert amiss == ["its manifest: it cannot be read: Input/output error", None, None]
    with pytest.raises(UnavailableError) as caught:
        publish(in_folder.chain, b"more", NOON + timedelta(days=4))
    assert caught.value.code == "chain_unavailable"
    assert caught.value.place.file == entry_key(3)
    assert caught.value.hint


def test_a_folder_that_may_not_be_read_is_unavailable_rather_than_damaged(
    in_folder: InFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_three(in_folder.chain)
    refusing(monkeypatch, ".csv", errno.EACCES)
    with pytest.raises(UnavailableError, match="Permission denied") as caught:
        list(in_folder.chain.listing())
    assert caught.value.code == "versions_unavailable"
    assert caught.value.hint


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_listed_is_not_empty(
    number: int, in_folder: InFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_three(in_folder.chain)

    def refuse(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UnavailableError) as caught:
        list(in_folder.chain.listing())
    assert caught.value.code == "versions_unavailable"
    assert caught.value.place.file == str(in_folder.folder / NAME / "manifests")


@pytest.mark.parametrize(("mode", "is_public"), [(0o700, False), (0o750, True), (0o701, True)])
def test_an_open_folder_is_noticed(mode: int, is_public: bool, in_folder: InFolder) -> None:  # noqa: FBT001
    assert not in_folder.place.is_public()
    publish(in_folder.chain, b"csv")
    assert not in_folder.place.is_public()
    in_folder.folder.chmod(mode)
    assert in_folder.place.is_public() == is_public


def test_a_place_below_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError):
        publish(Chain(Folder(tmp_path / "file" / "versions"), NAME), b"csv")
