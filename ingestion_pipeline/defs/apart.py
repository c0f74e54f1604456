"""The ordinary sync in a process of its own, so that a worker stays as small as its buckets are."""

import json
import subprocess
import sys
from typing import Any

from dagster import Failure

from ingestion_pipeline.domain.errors import Exit
from ingestion_pipeline.domain.reports import SyncReport

LONGEST = 6 * 3600.0
"""Seconds after which it is ended."""


def sync_apart(config: str | None) -> SyncReport:
    """Run `ingest sync`, and wait for it.

    Args:
        config: The configuration file, if one is named.

    Raises:
        Failure: With what it said; tried again only where a store was away.
    """
    words = [sys.executable, "-c", "from ingestion_pipeline.cli import main; main()", "sync", "--json"]
    words += [] if config is None else ["--config", config]
    try:
        ended = subprocess.run(  # noqa: S603 - our own program, no shell
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=LONGEST, check=False
        )
        answer: dict[str, Any] = json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise Failure("`ingest sync` was ended before it answered") from None
    if ended.returncode != Exit.DONE:
        error = answer["error"]
        raise Failure(
            f"{error['message']}\n{error.get('hint', '')}".strip(),
            metadata=error,
            allow_retries=ended.returncode == Exit.UNAVAILABLE,
        )
    return SyncReport(**answer)
