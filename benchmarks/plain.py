"""Floors that need the standard library only, so that their memory is their own."""

import csv
import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.child import seconds

RECORD = (
    b'{"row_id": "12345", "cells": {"type": "T7"}, "at": "2026-01-02T03:04:05.678901"}'.ljust(400) + b"\n"
)
"""As long as a journal's record of one cell is."""


def read(path: str) -> dict[str, Any]:
    """One pass of csv.reader."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {"rows": sum(1 for _ in csv.reader(file)) - 1}


def append(folder: str, times: int) -> dict[str, Any]:
    """Records appended to a file, each fsynced; seconds of each."""
    path = Path(folder) / "appended"
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def one(_number: int) -> None:
        os.write(descriptor, RECORD)
        os.fsync(descriptor)

    seconds(one, times // 4)
    taken = seconds(one, times)
    os.close(descriptor)
    path.unlink()
    return {"seconds": taken}


def copy(path: str, times: int) -> dict[str, Any]:
    """A file copied and fsynced; seconds of each copy."""
    target = Path(path).with_name("copied")

    def one(_number: int) -> None:
        with Path(path).open("rb") as source, target.open("wb") as new:
            shutil.copyfileobj(source, new, 1 << 20)
            new.flush()
            os.fsync(new.fileno())

    taken = seconds(one, times)
    target.unlink()
    return {"seconds": taken}
