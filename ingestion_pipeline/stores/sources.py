"""The files of somebody's checkout: found without following a link, read whole, replaced whole."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingestion_pipeline.domain.errors import Place, ProtectedError, UnavailableError
from ingestion_pipeline.stores.atomic import draft, refuse_unless_file

LARGEST = 2 * 1024 * 1024
"""Most bytes of a file that is read."""

SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "site-packages"})
"""Folders that hold nothing that people of the checkout wrote."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_START = 200
_GIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a checkout.

    Attributes:
        file: Its path from the checkout's folder, with slashes.
        data: Its bytes; None where they cannot be had.
        why: Why they cannot be had.
    """

    file: str
    data: bytes | None
    why: str = ""


def sources(root: Path, below: Path, wanted: Callable[[str, bytes], bool]) -> Iterator[Source]:
    """The files that are wanted, in order of their paths.

    Args:
        root: The checkout's folder.
        below: The file, or the folder in it, that is looked at.
        wanted: Whether a file is, by its path and how it begins.
    """
    failed: list[OSError] = []
    if below.is_file():
        yield from _source(root, below, wanted)
        return
    for folder, folders, files in os.walk(below, onerror=failed.append, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            yield from _source(root, Path(folder) / name, wanted)
        while failed:
            yield _refused(root, failed.pop())
    while failed:
        yield _refused(root, failed.pop())


def _refused(root: Path, error: OSError) -> Source:
    return Source(_named(root, Path(error.filename)), None, f"the folder cannot be read: {error.strerror}")


def _named(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _source(root: Path, path: Path, wanted: Callable[[str, bytes], bool]) -> Iterator[Source]:
    file = _named(root, path)
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or not _is_wanted(path, file, wanted):
            return
        yield Source(file, _read(path))
    except OSError as error:
        # Nobody can say what a file without a suffix is that cannot be opened.
        if wanted(file, b""):
            yield Source(file, None, f"it cannot be read: {error.strerror}")
    except OverflowError:
        yield Source(file, None, f"it has more than {LARGEST // 1024 // 1024} MB")


def _is_wanted(path: Path, file: str, wanted: Callable[[str, bytes], bool]) -> bool:
    if wanted(file, b""):
        return True
    if path.suffix:
        return False
    descriptor = os.open(path, _FLAGS)
    try:
        return wanted(file, os.read(descriptor, _START))
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OverflowError
    return data


def replace_source(root: Path, file: str, before: bytes, after: bytes) -> None:
    """Put other bytes in a file's place; its mode and its owner stay.

    Raises:
        ProtectedError: It is no longer what was read, or a link leads to it.
        UnavailableError: The disk refuses.
    """
    path = root / file
    refuse_unless_file(path)
    if path.resolve() != path:
        raise _changed(path, "a symbolic link leads to this file")

    def check() -> None:
        try:
            data = _read(path)
        except (OSError, OverflowError):
            data = None
        if data != before:
            raise _changed(path, "the file was changed meanwhile")

    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        message = f"the file cannot be looked at: {error.strerror}"
        raise UnavailableError(message, code="disk", place=Place(file=str(path))) from None
    with draft(path) as new:
        new.write(after)
        new.path.chmod(mode)
        new.replace(check)


def _changed(path: Path, message: str) -> ProtectedError:
    return ProtectedError(
        message,
        code="changed_meanwhile",
        place=Place(file=str(path)),
        hint="It was left alone; run this again.",
    )


def uncommitted(root: Path) -> bool:
    """Whether git knows of changes that are not committed; False where git does not say."""
    # What the checkout's own configuration of git would run is not run.
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks"]
    command += ["-C", str(root), "status", "--porcelain", "--untracked-files=no", "--ignore-submodules"]
    with suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_SECONDS)  # noqa: S603 - fixed
        return shown.returncode == 0 and bool(shown.stdout.strip())
    return False
