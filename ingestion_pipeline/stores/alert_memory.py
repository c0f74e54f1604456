"""What alerts keep from one look to the next: one small file of a site, for whoever looks."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestion_pipeline.domain.alert import Level, Memory, Seen, Told
from ingestion_pipeline.domain.errors import PipelineError, UnavailableError
from ingestion_pipeline.stores.atomic import draft, make_folder
from ingestion_pipeline.stores.disk.lock import FileLock, release

FORM = 1
"""The number of this form; what has another is begun anew."""

TURN = 10.0
"""Seconds that somebody else's look is waited for."""

_LOGGER = logging.getLogger(__name__)


class AlertMemory:
    """The file, and the locks of those who look.

    Args:
        state_dir: Where they lie.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "alerts.json"
        self._turn = FileLock(state_dir / "alerts.lock", timeout=TURN, what="alerts")
        self._watch = FileLock(state_dir / "alerts.watch.lock")
        self._unkept: Memory | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While nobody else looks and tells.

        Where the disk refuses a lock one goes on without: better told twice than never.

        Raises:
            UnavailableError: Somebody else did so all the time.
        """
        descriptor = self._taken()
        try:
            yield
        finally:
            if descriptor is not None:
                release(descriptor)

    def _taken(self) -> int | None:
        try:
            return self._turn.wait()
        except UnavailableError as error:
            if error.code == "locked":
                raise
            return None

    @contextmanager
    def watching(self) -> Iterator[bool]:
        """Be the one that watches this site, until the end; gives whether nobody else is."""
        descriptor = self._watch.at_once()
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                release(descriptor)

    def load(self, now: datetime) -> Memory:
        """What was kept; nothing where nothing was, or nobody can read it any more."""
        return loaded(self._text(), now) if self._unkept is None else self._unkept

    def keep(self, memory: Memory) -> None:
        """Keep it in the file; in this process alone where the disk refuses, of which alerts may tell."""
        text = dumped(memory)
        try:
            if text != self._text():
                self._write(text)
            self._unkept = None
        except PipelineError as error:
            self._unkept = memory
            _LOGGER.warning("what was told cannot be noted: %s", error.message)

    def _write(self, text: str) -> None:
        make_folder(self.path.parent)
        with draft(self.path) as new:
            new.write(text.encode())
            new.replace()

    def _text(self) -> str | None:
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None


def dumped(memory: Memory) -> str:
    """What is kept, as text."""
    return json.dumps(
        {
            "form": FORM,
            "began": memory.began.isoformat(),
            "seen": {key: [one.since.isoformat(), one.looks] for key, one in memory.seen.items()},
            "told": {
                receiver: {
                    key: [one.since.isoformat(), one.at.isoformat(), one.level.value, one.title]
                    for key, one in told.items()
                }
                for receiver, told in memory.told.items()
            },
        },
        separators=(",", ":"),
    )


def loaded(text: str | None, now: datetime) -> Memory:
    """What was kept; nothing where there is no text, or one that nobody can read any more."""
    try:
        kept = json.loads(text or "{}")
        return _memory(kept) if kept.get("form") == FORM else Memory(now)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return Memory(now)


def _memory(kept: Mapping[str, Any]) -> Memory:
    return Memory(
        began=datetime.fromisoformat(kept["began"]),
        seen={
            key: Seen(datetime.fromisoformat(since), looks) for key, (since, looks) in kept["seen"].items()
        },
        told={
            receiver: {key: _told(*one) for key, one in told.items()}
            for receiver, told in kept["told"].items()
        },
    )


def _told(since: str, at: str, level: str, title: str) -> Told:
    return Told(datetime.fromisoformat(since), datetime.fromisoformat(at), Level(level), title)
