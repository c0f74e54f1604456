"""export: publish the CSV as a version, if it is not the newest one already."""

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime

from ingestion_pipeline.domain.brake import Brakes
from ingestion_pipeline.domain.counting import Counted
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import ProtectedError, stale_epoch
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, Progress, Sink, Tables, Versions
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.version import Content, Form, Manifest


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Attributes:
        published: False when the newest version holds the same bytes already.
        manifest: The new version's, or that one's.
        place: Where versions lie.
        seconds: How long it took.
    """

    published: bool
    manifest: Manifest
    place: str
    seconds: float


def export(  # noqa: PLR0913 - what it works on, and what its manifest says
    csv: Csv | None,
    tables: Tables,
    versions: Versions,
    *,
    wanted: Phase,
    brakes: Brakes,
    now: Callable[[], datetime],
    form: Form = Form.CSV,
    run_id: str | None = None,
    before: str | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Publish the authority's content as a version.

    Args:
        csv: The CSV; None on a host that has it not, while PostgreSQL leads.
        tables: The three tables.
        versions: Where to publish.
        wanted: The phase a fresh site begins in.
        brakes: How much may have vanished from a CSV that leads alone.
        now: The time in UTC.
        form: How it is to lie there.
        run_id: The Dagster run that exports, if one does.
        before: The version or time that is about to be restored over it.
        progress: Told how many bytes have been written.

    Raises:
        InputRefusedError: In original, the CSV does not keep the contract; nothing was published.
        ProtectedError: In dual_write the two sides do not hold the same bytes, or in original a brake stopped
            it; nothing was published.
        UnavailableError: A place is not there, or does not hold what was written to it.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        draft = stack.enter_context(versions.draft(form))
        # The file and the snapshot are of one instant: nobody writes the file between the two.
        with nullcontext() if csv is None else csv.held() as held:
            known = None if held is None else held.state()
            # In original PostgreSQL has no part: it may be away, and what it says of another time.
            alone = known is not None and known.phase is Phase.ORIGINAL and not known.changing
            snapshot = None
            if held is not None and known is not None and alone:
                state = known
                if before is None:
                    held.refresh(brakes)
            else:
                tables.begin(wanted, known=known)
                snapshot = stack.enter_context(tables.snapshot())
                state = snapshot.state()
            pinned = None
            if state.phase.authority is Side.CSV:
                if csv is None:
                    raise stale_epoch(state.epoch)
                pinned = stack.enter_context(csv.pinned())
        kept = before is not None or state.phase is Phase.ORIGINAL
        if pinned is not None and kept:
            # What is kept of a CSV that leads is its own bytes, whatever its follower has.
            rows, dialect = _copy(pinned, Counted(draft, progress))
        else:
            if snapshot is None:
                raise AssertionError("in original the CSV leads")
            rows, dialect = snapshot.render(Counted(draft, progress))
            if pinned is not None and draft.sha256 != pinned.sha256():
                raise _unequal()
        manifest = versions.holding(draft.sha256)
        if manifest is not None and manifest.content.before is not None and before is None:
            # What was kept before a restore is not what `latest` means.
            manifest = None
        published = manifest is None
        if manifest is None:
            content = Content(
                sha256=draft.sha256,
                size=draft.size,
                rows=rows,
                columns=dialect.columns,
                dialect=dialect,
                phase=state.phase,
                epoch=state.epoch,
                published_at=now(),
                compared_at=None if alone else _compared_at(tables.last_proof(), draft.sha256),
                run_id=run_id,
                before=before,
            )
            manifest = draft.publish(content)
            # Unless somebody else has published the same meanwhile.
            published = manifest.content == content
    return ExportReport(published, manifest, versions.place, round(time.monotonic() - began, 3))


def _compared_at(proof: Proof | None, sha256: str) -> datetime | None:
    """When both sides were last proved equal, where that was this content."""
    equal = proof is not None and proof.bytes_equal and proof.csv_sha256 == sha256
    return proof.stamped_at if proof is not None and equal else None


def _copy(csv: Csv, sink: Sink) -> tuple[int, Dialect]:
    """The file's own bytes, past the gate."""
    with csv.reading() as file:
        sink.write(file.head)
        for block in file.blocks():
            sink.write(block.raw)
        return file.rows, file.dialect


def _unequal() -> ProtectedError:
    return ProtectedError(
        "PostgreSQL does not render the CSV's bytes; nothing was published",
        code="sides_differ",
        hint="`ingest compare` names the differences; `ingest sync` makes PostgreSQL equal to the CSV.",
    )
