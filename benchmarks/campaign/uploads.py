"""Publish to a bucket that cuts, refuses, spoils and forgets, kill who publishes."""

import sys
import time
from collections.abc import Callable
from operator import methodcaller

from benchmarks.campaign import record
from ingestion_pipeline_tests.stores.bucket import s3_stub
from ingestion_pipeline_tests.stores.bucket.publisher import Mutant, Program
from ingestion_pipeline_tests.stores.bucket.uploading import Tally, Uploading

KIB = 1024
PART, LARGE_PART = 64 * KIB, 8 * KIB * KIB
"""Bytes that are sent together: fewer than usual, so that there are many parts; and as usual."""

AT_ONCE = 4

Publish = Callable[[Uploading], Tally]


def run(
    publish: Publish,
    *,
    part: int = PART,
    mutant: Mutant = Mutant.NONE,
    share: float = 0.1,
    large: float = 0.3,
) -> Tally:
    """Publish to a new bucket."""
    with s3_stub.serving() as s3, record.folder() as folder:
        s3.looks = mutant is not Mutant.UNCONDITIONAL
        program = Program(s3.url, folder / "drafts", part, mutant=mutant)
        with program.begun():
            return publish(Uploading(s3, program, share=share, large=large))


def controls(part: record.Part) -> None:
    """Put faults into the program, and into the bucket, each of which must be noticed."""
    alive = methodcaller("publish", 60, kills=0)
    for mutant in (Mutant.ENTRY_FIRST, Mutant.NOT_READ_BACK):
        _control(part, mutant, run(alive, mutant=mutant, share=0.15))
    mutant = Mutant.NOT_SWEPT
    _control(part, mutant, run(methodcaller("publish", 8, kills=1), mutant=mutant, share=0, large=1))
    mutant = Mutant.UNCONDITIONAL
    _control(part, mutant, run(methodcaller("publish_at_once", AT_ONCE, 20), mutant=mutant, share=0))


def _control(part: record.Part, mutant: Mutant, tally: Tally) -> None:
    part.control(mutant, noticed=bool(tally.violations), publishes=tally.publishes)


def work(part: record.Part, publishes: int) -> None:
    """Do all of it: most of them small and one after another, some large, some beside each other."""
    controls(part)
    large, beside = publishes // 10, publishes * 3 // 10
    alone = publishes - large - beside
    _add(part, "one after another", methodcaller("publish", alone), PART)
    _add(part, "one after another, in parts of 8 MiB", methodcaller("publish", large), LARGE_PART)
    _add(part, f"{AT_ONCE} at once", methodcaller("publish_at_once", AT_ONCE, beside // AT_ONCE), PART)


def _add(part: record.Part, case: str, publish: Publish, size: int) -> None:
    began = time.monotonic()
    tally = run(publish, part=size, large=0.3 if size == PART else 0.6)
    if not (tally.faults and tally.refused):
        tally.violations.append("nothing went wrong")
    part.add(
        case,
        tally.violations,
        publishes=tally.publishes,
        acknowledged=tally.acknowledged,
        refused=tally.refused,
        kills=tally.kills,
        faults=tally.faults,
        listed=tally.listed,
        in_parts=tally.in_parts,
        told_as_damaged=tally.amiss,
        swept=tally.swept,
        seconds=round(time.monotonic() - began, 1),
    )


if __name__ == "__main__":
    counts = {"publishes": (1_000, 150)}
    sys.exit(record.run(record.Part("uploads", "R11"), __doc__ or "", counts, work))
