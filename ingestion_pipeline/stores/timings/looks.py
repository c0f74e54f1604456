"""The looks at a site's timings, one line each: what came in between is told from what came before."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.timing import (
    MOST,
    ByOperation,
    Histogram,
    Kind,
    Timings,
    by_operation,
    dense,
    since,
    sparse,
)
from ingestion_pipeline.stores.timings.files import AMISS, UNREADABLE, Files, as_json

LOOKS = "looks.jsonl"
LAST = "last.json"

KEPT = 2000
"""Lines at most."""

LEFT = 1800
"""Lines that are left when there would be more."""

APART = timedelta(seconds=10)
"""Looks that are nearer share a line."""

RECENT = timedelta(minutes=2)
"""What a look counts as recent, with all since the one before it."""

PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Recent:
    """The timings of late, and those they are to be compared with.

    Attributes:
        timings: By kind and operation.
        before: By kind and operation, the 95th percentile of each look before, in seconds, the oldest first.
    """

    timings: ByOperation
    before: Mapping[tuple[Kind, str], list[float]]


@dataclass(frozen=True, slots=True)
class _Look:
    at: datetime
    timings: ByOperation


class Looks:
    """The looks of one site.

    Args:
        folder: Where timings are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._files = Files(folder)

    def look(self, timings: Timings, at: datetime) -> Recent:
        """Note a look, and tell what is recent from what came before; never fails.

        Args:
            timings: Those of all processes, since the first.
            at: When.
        """
        try:
            with self._files.locked(PATIENCE):
                return self._looked(timings, at)
        except AMISS:
            # It cannot be noted; it can be told.
            return self._recent(self._new(timings), list(self._lines()), at)

    def _looked(self, timings: Timings, at: datetime) -> Recent:
        looks = list(self._lines())
        new = self._new(timings)
        found = self._recent(new, looks, at)
        # A line of a time still to come is a wrong clock's, and holds nothing up.
        if not looks or not timedelta() <= at - looks[-1].at < APART:
            self._files.write(LAST, timings)
            self._append(_Look(at, new), len(looks))
        return found

    def _recent(self, new: ByOperation, looks: list[_Look], at: datetime) -> Recent:
        recent = dict(new)
        before: dict[tuple[Kind, str], list[float]] = {}
        for look in looks:
            is_recent = timedelta() <= at - look.at < RECENT
            for key, histogram in look.timings.items():
                if is_recent:
                    recent[key] = recent.get(key, Histogram()) + histogram
                else:
                    before.setdefault(key, []).append(histogram.percentile(MOST))
        return Recent(recent, before)

    def _new(self, timings: Timings) -> ByOperation:
        """What has come since the last line."""
        before, _ = self._files.held(LAST)
        return by_operation(since(timings, before))

    def _lines(self) -> Iterator[_Look]:
        with suppress(OSError), (self._files.folder / LOOKS).open("rb") as lines:
            for line in lines:
                # One that a full disk has cut short says nothing.
                with suppress(*UNREADABLE):
                    yield _look_of(json.loads(line))

    def _append(self, look: _Look, number: int) -> None:
        line = _line(look)
        if number < KEPT:
            self._files.append(LOOKS, line)
        else:
            kept = (self._files.folder / LOOKS).read_bytes().splitlines(keepends=True)[-LEFT:]
            self._files.put(LOOKS, b"".join(kept) + line)


def _line(look: _Look) -> bytes:
    noted = {
        "at": look.at.astimezone(UTC).isoformat(),
        "looked": [[kind, operation, sparse(one)] for (kind, operation), one in sorted(look.timings.items())],
    }
    return as_json(noted) + b"\n"


def _look_of(noted: dict[str, Any]) -> _Look:
    timings = {
        (Kind(kind), str(operation)): Histogram(dense(counts)) for kind, operation, counts in noted["looked"]
    }
    return _Look(datetime.fromisoformat(noted["at"]), timings)
