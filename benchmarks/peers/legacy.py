"""The recipe of old scripts: the whole file again for every record."""

import gzip
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.child import seconds
from benchmarks.ours import SPREAD


def rewritten(frame: pd.DataFrame, path: Path) -> None:
    """As the old module saves by default: a gzipped copy, a temporary file, no fsync."""
    with path.open("rb") as old, gzip.open(path.with_suffix(".csv.gz"), "wb") as copy:
        shutil.copyfileobj(old, copy)
    replaced(frame, path)


def replaced(frame: pd.DataFrame, path: Path) -> None:
    """The same without the copy."""
    beside = path.with_suffix(".tmp")
    frame.to_csv(beside, index=False, encoding="utf-8")
    beside.replace(path)


def saves(csv: str, times: int, copied: bool) -> dict[str, Any]:  # noqa: FBT001 - from another process
    """One person after another; seconds of each, the frame that a script makes of its records not counted."""
    path = Path(csv)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)

    def one(number: int) -> None:
        frame.loc[number * SPREAD % len(frame), "type"] = f"T{number}"
        (rewritten if copied else replaced)(frame, path)

    return {"seconds": seconds(one, times)}
