"""Replacing a file: the old one whole or the new one whole, on disk, and nothing left behind."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ingestion_pipeline.domain.errors import Exit, ProtectedError, UnavailableError
from ingestion_pipeline.stores.atomic import (
    Draft,
    Written,
    digest,
    draft,
    make_folder,
    refuse_unless_file,
    sync_folder,
)

LARGE = bytes(range(256)) * 10_000  # more than two reads


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "target.csv"


@pytest.fixture(autouse=True)
def _folder(target: Path) -> None:
    target.parent.mkdir()


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def written(content: bytes) -> Written:
    return Written(hashlib.sha256(content).hexdigest(), len(content))


def replaced(target: Path, *parts: bytes) -> Written:
    with draft(target) as new:
        for part in parts:
            new.write(part)
        return new.replace()


def lying_beside(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_new_file_takes_its_place(target: Path) -> None:
    assert replaced(target, b"one ", b"", b"two") == written(b"one two")
    assert target.read_bytes() == b"one two"
    assert lying_beside(target) == [target.name]


def test_an_old_file_is_replaced(target: Path) -> None:
    target.write_bytes(b"a longer old one")
    replaced(target, b"new")
    assert target.read_bytes() == b"new"


def test_a_reader_of_the_old_file_keeps_it(target: Path) -> None:
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        replaced(target, b"new")
        assert reader.read() == b"old"


def test_a_large_file_is_read_back_whole(target: Path) -> None:
    assert replaced(target, LARGE) == written(LARGE)
    assert digest(target) == written(LARGE)


def test_an_empty_file_may_take_its_place(target: Path) -> None:
    assert replaced(target) == written(b"")
    assert target.read_bytes() == b""


@pytest.mark.usefixtures("open_umask")
def test_a_file_is_its_owners_from_the_beginning(target: Path) -> None:
    target.write_bytes(b"old")
    target.chmod(0o666)
    with draft(target) as new:
        (beside,) = set(target.parent.iterdir()) - {target}
        assert mode(beside) == 0o600
        new.replace()
    assert mode(target) == 0o600


def test_what_has_been_written_is_known_before_it_is_in_place(target: Path) -> None:
    with draft(target) as new:
        new.write(b"a")
        new.write(b"b")
        assert Written(new.sha256, new.size) == written(b"ab")
        assert new.settle() == written(b"ab")
        assert not target.exists()


def test_a_settled_file_may_be_written_on(target: Path) -> None:
    with draft(target) as new:
        new.write(b"a")
        new.settle()
        new.write(b"b")
        assert new.replace() == written(b"ab")


def test_short_writes_are_continued(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[:3]))
    replaced(target, b"0123456789", b"ab")
    assert target.read_bytes() == b"0123456789ab"


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the disk, in order."""
    done: list[str] = []
    sync, replace, link = os.fsync, os.replace, os.link

    def note_sync(descriptor: int) -> None:
        done.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        sync(descriptor)

    def note_replace(*names: Path) -> None:
        done.append("replace")
        replace(*names)

    def note_link(path: Path, place: Path, *, follow_symlinks: bool) -> None:
        done.append("link")
        link(path, place, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(os, "link", note_link)
    return done


def test_the_file_is_on_disk_before_and_its_name_after_it_is_replaced(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = recorded(monkeypatch)
    replaced(target, b"new")
    assert done == ["sync file", "replace", "sync folder"]


def test_the_file_is_on_disk_before_and_its_name_after_it_is_created(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = recorded(monkeypatch)
    with draft(target) as new:
        new.create()
    assert done == ["sync file", "link", "sync folder"]


def damaged(target: Path, put: Callable[[Draft], object]) -> None:
    """Change one byte on disk behind the draft's back."""
    with draft(target) as new:
        new.write(b"new content")
        (beside,) = target.parent.glob(".*.tmp")
        with beside.open("r+b") as file:
            file.write(b"N")
        put(new)


def cut_short(target: Path, put: Callable[[Draft], object]) -> None:
    with draft(target) as new:
        new.write(b"new content")
        (beside,) = target.parent.glob(".*.tmp")
        os.truncate(beside, 5)
        put(new)


@pytest.mark.parametrize("harm", [damaged, cut_short])
@pytest.mark.parametrize("put", [Draft.replace, Draft.create, Draft.settle])
def test_what_the_disk_does_not_hold_is_not_put_in_place(
    harm: Callable[[Path, Callable[[Draft], object]], None], put: Callable[[Draft], object], target: Path
) -> None:
    with pytest.raises(UnavailableError) as caught:
        harm(target, put)
    assert (caught.value.code, caught.value.place.file) == ("damaged_write", str(target))
    assert lying_beside(target) == []


@pytest.mark.parametrize("pointed_to", ["other.csv", "nowhere.csv"])
def test_a_symbolic_link_is_neither_followed_nor_replaced(pointed_to: str, target: Path) -> None:
    other = target.with_name("other.csv")
    other.write_bytes(b"old")
    target.symlink_to(pointed_to)
    with pytest.raises(ProtectedError) as caught:
        replaced(target, b"new")
    assert (caught.value.code, caught.value.exit) == ("symlink", Exit.PROTECTED)
    assert target.is_symlink()
    assert other.read_bytes() == b"old"
    assert sorted(lying_beside(target)) == ["other.csv", "target.csv"]


def test_only_a_symbolic_link_is_refused(target: Path) -> None:
    refuse_unless_file(target)
    target.touch()
    refuse_unless_file(target)


def write_and_fail(target: Path) -> None:
    with draft(target) as new:
        new.write(b"half")
        raise RuntimeError("stopped")


def test_a_failure_leaves_the_old_file_and_nothing_else(target: Path) -> None:
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stopped"):
        write_and_fail(target)
    assert target.read_bytes() == b"old"
    assert lying_beside(target) == [target.name]


def test_what_is_not_put_in_place_is_gone(target: Path) -> None:
    with draft(target) as new:
        new.write(b"new")
    assert lying_beside(target) == []


@pytest.mark.parametrize("call", ["write", "fsync", "read", "replace"])
def test_a_disk_that_refuses_is_unavailable_and_the_old_file_stays(
    call: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.ENOSPC))
        with pytest.raises(UnavailableError) as caught:
            replaced(target, b"new")
    assert caught.value.code == "disk"
    assert caught.value.place.file == str(target)
    assert os.strerror(errno.ENOSPC) in caught.value.message
    assert target.read_bytes() == b"old"
    assert lying_beside(target) == [target.name]


def test_a_file_is_gone_even_if_the_disk_fails_at_its_close(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, opened = os.close, []

    def fail(descriptor: int) -> None:
        opened.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", fail)
        with pytest.raises(UnavailableError), draft(target):
            pass
    close(opened[0])
    assert lying_beside(target) == []


def test_nothing_stays_open(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still_open: list[int] = []
    begun, close = os.open, os.close

    def note_open(*named: Any) -> int:
        still_open.append(begun(*named))
        return still_open[-1]

    def note_close(descriptor: int) -> None:
        still_open.remove(descriptor)
        close(descriptor)

    monkeypatch.setattr(os, "open", note_open)
    monkeypatch.setattr(os, "close", note_close)
    with draft(target) as new:
        assert len(still_open) == 1
        new.replace()
    assert still_open == []


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        replaced(tmp_path / "none" / "target.csv", b"new")
    assert caught.value.code == "disk"


def test_two_drafts_of_one_target_do_not_meet(target: Path) -> None:
    with draft(target) as one, draft(target) as other:
        one.write(b"one")
        other.write(b"other")
        one.replace()
        assert target.read_bytes() == b"one"
        other.replace()
    assert target.read_bytes() == b"other"
    assert lying_beside(target) == [target.name]


def created(target: Path, content: bytes, place: Path | None = None) -> Written:
    with draft(target) as new:
        new.write(content)
        return new.create(place)


def test_a_file_is_created_where_nothing_is(target: Path) -> None:
    assert created(target, b"new") == written(b"new")
    assert (target.read_bytes(), mode(target), target.stat().st_nlink) == (b"new", 0o600, 1)
    assert lying_beside(target) == [target.name]


def test_a_file_is_created_elsewhere_on_the_disk(target: Path, tmp_path: Path) -> None:
    created(target, b"new", tmp_path / "elsewhere.csv")
    assert (tmp_path / "elsewhere.csv").read_bytes() == b"new"
    assert lying_beside(target) == []


def test_what_is_there_is_never_created_anew(target: Path) -> None:
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        created(target, b"new")
    assert target.read_bytes() == b"old"
    assert lying_beside(target) == [target.name]


def test_a_dangling_symbolic_link_is_something(target: Path) -> None:
    target.symlink_to("nowhere.csv")
    with pytest.raises(FileExistsError):
        created(target, b"new")
    assert lying_beside(target) == [target.name]


def won(target: Path, content: bytes) -> bool:
    try:
        created(target, content)
    except FileExistsError:
        return False
    return True


def test_of_many_who_create_one_file_one_wins(target: Path) -> None:
    contents = [b"%d" % number for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        wins = list(threads.map(lambda content: won(target, content), contents))
    assert wins.count(True) == 1
    assert target.read_bytes() == contents[wins.index(True)]


@pytest.mark.usefixtures("open_umask")
def test_missing_folders_are_made_for_the_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    make_folder(folder)
    assert [mode(folder), mode(folder.parent)] == [0o700, 0o700]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path)
    assert mode(tmp_path) == 0o755


def test_new_folders_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("ingestion_pipeline.stores.atomic.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError) as caught:
        make_folder(tmp_path / "file" / "folder")
    assert caught.value.place.file == str(tmp_path / "file" / "folder")


def test_a_folder_synced_must_be_one(target: Path) -> None:
    target.touch()
    with pytest.raises(NotADirectoryError):
        sync_folder(target)


def test_a_digest_is_of_all_bytes(target: Path) -> None:
    target.write_bytes(LARGE + b"!")
    assert digest(target) == written(LARGE + b"!")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_new_file_belongs_to_whom_the_old_one_belonged(target: Path) -> None:
    target.write_bytes(b"old")
    os.chown(target, 12345, 23456)

    with draft(target) as new:
        new.write(b"new")
        new.replace()

    found = target.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o600)


def test_a_check_is_the_last_thing_before_the_rename(target: Path) -> None:
    target.write_bytes(b"old")

    def refuse() -> None:
        raise ProtectedError("not now")

    with draft(target) as new, pytest.raises(ProtectedError, match="not now"):
        new.replace(refuse)

    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]
