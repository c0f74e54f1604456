"""What alerts keep from one look to the next, as text."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ingestion_pipeline.domain.alert import Level, Memory, Seen, Told

FORM = 1
"""The number of this form; what has another is begun anew."""


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
    except (ValueError, TypeError, LookupError, AttributeError):
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
