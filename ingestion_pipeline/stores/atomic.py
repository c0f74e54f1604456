"""Replacing a file: the old one whole or the new one whole, and on disk before anybody is told."""

import ctypes
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.stores.digest import Digest

CHUNK = 1024 * 1024
"""Bytes read at a time."""

LARGE = 2 * CHUNK
"""Bytes from which on it pays to have a second thread do a part of the work."""

_HERE = -100
_EXCHANGE = 2


@dataclass(frozen=True, slots=True)
class Written:
    """What lies on disk, read back.

    Attributes:
        sha256: Hex digest.
        size: Bytes.
    """

    sha256: str
    size: int


class Draft:
    """A new file beside its target, not yet in its place. Made by `draft`."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path = path
        self._target = target
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        self._written = Digest()

    def write(self, data: bytes, /) -> None:
        """Append bytes, all of them."""
        self._written.write(data)
        write_all(self._descriptor, data)

    def settle(self) -> Written:
        """Bring the bytes to disk and read them back.

        Raises:
            UnavailableError: What lies there is not what was written.
        """
        if self.size < LARGE:
            os.fsync(self._descriptor)
            found = self._read_back()
        else:
            with ThreadPoolExecutor(1) as beside:
                synced = beside.submit(os.fsync, self._descriptor)
                found = self._read_back()
                synced.result()
        if (found.size, found.sha256) != (self.size, self.sha256):
            raise UnavailableError(
                "the disk does not hold what was written to it",
                code="damaged_write",
                place=Place(file=str(self._target)),
                hint="Nothing was replaced. Check the disk before going on.",
            )
        return Written(found.sha256, found.size)

    def _read_back(self) -> Digest:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        found = Digest()
        while chunk := os.read(self._descriptor, CHUNK):
            found.write(chunk)
        return found

    def replace(
        self,
        check: Callable[[], None] = lambda: None,
        replaced: Callable[[os.stat_result], None] | None = None,
    ) -> Written:
        """Put the file in its target's place; it belongs to whom the target belonged.

        Args:
            check: Called when only the rename is left; stops it by raising.
            replaced: Looks at the file whose place was taken, which may be a newer one than `check` saw;
                by raising it puts that one back.

        Raises:
            ProtectedError: The target is a symbolic link, which is never followed nor replaced, or belongs
                to somebody else.
        """
        written = self.settle()
        refuse_unless_file(self._target)
        self._keep_owner()
        check()
        if replaced is None or not self._exchange():
            self._path.replace(self._target)
        else:
            self._look_at(replaced)
        sync_folder(self._target.parent)
        return written

    def _exchange(self) -> bool:
        """Swap places with the target; False where the file system cannot."""
        return self._target.exists() and exchange(self._path, self._target)

    def _look_at(self, replaced: Callable[[os.stat_result], None]) -> None:
        try:
            replaced(self._path.stat())
        except BaseException:
            self._exchange()
            raise

    def stat(self) -> os.stat_result:
        """The file as it is now."""
        return os.fstat(self._descriptor)

    def is_in_place(self) -> bool:
        """Whether the target's name is this file's."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._target.stat())
        except FileNotFoundError:
            return False

    def _keep_owner(self) -> None:
        try:
            found = self._target.stat()
        except FileNotFoundError:
            return
        mine = os.fstat(self._descriptor)
        if (found.st_uid, found.st_gid) == (mine.st_uid, mine.st_gid):
            return
        try:
            os.fchown(self._descriptor, found.st_uid, found.st_gid)
        except PermissionError:
            raise ProtectedError(
                "the file belongs to somebody else, who could not open it afterwards",
                code="other_owner",
                place=Place(file=str(self._target)),
                hint="Run this as the file's owner.",
            ) from None

    def create(self, target: Path | None = None) -> Written:
        """Put the file in its target's place, or in another of the same disk, if nothing is there.

        Raises:
            FileExistsError: Something is there.
        """
        place = target or self._target
        written = self.settle()
        os.link(self._path, place, follow_symlinks=False)
        sync_folder(place.parent)
        return written

    @property
    def path(self) -> Path:
        """Where it lies until it is put in place."""
        return self._path

    def pieces(self, size: int) -> Iterator[bytes]:
        """What has been written, so many bytes at a time."""
        offset = 0
        while piece := os.pread(self._descriptor, size, offset):
            yield piece
            offset += len(piece)

    @property
    def sha256(self) -> str:
        """Hex digest of what has been written."""
        return self._written.sha256

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._written.size

    def close(self) -> None:
        """Let go of the file; what was not put in place is gone."""
        try:
            # What stays behind is of no use to anybody, and what was put in place stands.
            with suppress(OSError):
                self._path.unlink()
        finally:
            os.close(self._descriptor)


@contextmanager
def draft(target: Path, folder: Path | None = None) -> Iterator[Draft]:
    """A new file, readable by its owner only, that `replace` or `create` puts in the target's place.

    Args:
        target: What it is to become.
        folder: Where it lies until then, on the same disk; beside the target by default.

    Raises:
        UnavailableError: The disk refuses; the target is as it was.
    """
    path = (folder or target.parent) / f".{target.name}.{secrets.token_hex(8)}.tmp"
    try:
        begun = Draft(path, target)
        try:
            yield begun
        finally:
            begun.close()
    except FileExistsError:
        raise
    except OSError as error:
        raise UnavailableError(
            f"the file cannot be written: {error.strerror}",
            code="disk",
            place=Place(file=str(target)),
            hint="The target is whole, as it was or as it should be. Check free space and permissions.",
        ) from None


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of some bytes to an open file."""
    left = memoryview(data)
    while left:
        # A full disk may take some of the bytes and say so only by the count.
        left = left[os.write(descriptor, left) :]


def exchange(one: Path, other: Path) -> bool:
    """Swap two files' names in one step, so that neither is ever lost; False where that is not offered."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    return bool(renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def refuse_unless_file(target: Path) -> None:
    """Refuse a target that is a symbolic link, or anything else but a file.

    Raises:
        ProtectedError: It is one, or no file.
    """
    if target.is_symlink():
        raise ProtectedError(
            "this is a symbolic link; replacing it would leave the file it points to behind",
            code="symlink",
            place=Place(file=str(target)),
            hint="Name the file itself in the configuration.",
        )
    if target.exists() and not target.is_file():
        raise ProtectedError(
            "this is a folder or a device, not a file",
            code="not_a_file",
            place=Place(file=str(target)),
            hint="Name a file.",
        )


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, open to the owner only.

    Raises:
        UnavailableError: The disk refuses.
    """
    try:
        if folder.is_dir():
            return
        make_folder(folder.parent)
        folder.mkdir(mode=stat.S_IRWXU)
        sync_folder(folder.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise UnavailableError(
            f"the folder cannot be made: {error.strerror}",
            code="disk",
            place=Place(file=str(folder)),
            hint="Check the path and the permissions of the folders above it.",
        ) from None


def digest(path: Path) -> Written:
    """The sha256 and the size of a file."""
    found = Digest()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.write(chunk)
    return Written(found.sha256, found.size)
