"""File systems that are mounted for a while."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.campaign.record import NotRunError

PATIENCE = 30.0


def run(*words: str) -> None:
    """Run a program of the system.

    Raises:
        NotRunError: There is none, or it fails.
    """
    try:
        done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        raise NotRunError(f"needs {words[0]}") from None
    if done.returncode:
        raise NotRunError(f"{words[0]} says: {(done.stderr or done.stdout).strip()}")


def unmount(place: Path) -> None:
    """Unmount what is mounted there, if anything is."""
    until = time.monotonic() + PATIENCE
    while os.path.ismount(place):
        try:
            run("umount", str(place))
        except NotRunError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


@contextmanager
def mounted(kind: str, place: Path, options: str = "size=64M") -> Iterator[None]:
    """Mount a file system of this kind for a while."""
    run("mount", "-t", kind, "-o", options, kind, str(place))
    try:
        yield
    finally:
        unmount(place)


def remount(place: Path, option: str) -> None:
    """Change an option of what is mounted there."""
    run("mount", "-o", f"remount,{option}", str(place))
