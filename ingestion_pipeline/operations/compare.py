"""compare: prove that the two sides are equal, or say where they are not."""

import time

from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.ports import Csv, Progress, Snapshot, Tables
from ingestion_pipeline.domain.proof import Proof
from ingestion_pipeline.domain.reports import CompareReport, Found, State

FIRST = 10_000
"""Differences named at most, unless more are asked for; all are counted."""


def compare(
    csv: Csv,
    tables: Tables,
    *,
    limit: int = FIRST,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> CompareReport:
    """Compare the CSV with the tables, and stamp a proof of what was found.

    Args:
        csv: The CSV.
        tables: The three tables, looked at in one snapshot.
        limit: Differences named at most; all are counted.
        run_id: The Dagster run that compares, if one does.
        progress: Told how many bytes of the file have been read, where rows are compared.

    Raises:
        InputRefusedError: The file does not keep the contract.
        UnavailableError: A side is not there.
    """
    began = time.monotonic()
    with tables.snapshot() as snapshot:
        state = snapshot.state()
        rendered, rows = snapshot.rendered_digest()
        found_in, found = csv.sha256(), Found()
        if found_in != rendered:
            found_in, rows, found = _locate(csv, snapshot, state, limit, progress)
        bytes_equal = found_in == rendered
        if bytes_equal:
            found = snapshot.misspelled(limit)
        proof = _proof(snapshot, state, found_in, rows, found, bytes_equal=bytes_equal, run_id=run_id)
    tables.stamp(proof)
    return CompareReport(
        equal=not found.counted,
        bytes_equal=bytes_equal,
        missing=found.missing,
        extra=found.extra,
        changed=found.changed,
        differences=found.first,
        counted=found.counted,
        csv_sha256=found_in,
        rows=rows,
        seconds=round(time.monotonic() - began, 3),
    )


def _locate(
    csv: Csv, snapshot: Snapshot, state: State, limit: int, progress: Progress | None
) -> tuple[str, int, Found]:
    with csv.reading(progress) as file:
        found = snapshot.compare_rows(file, state.phase.authority, limit)
        return file.sha256, file.rows, found


def _proof(
    snapshot: Snapshot,
    state: State,
    csv_sha256: str,
    rows: int,
    found: Found,
    *,
    bytes_equal: bool,
    run_id: str | None,
) -> Proof:
    return Proof(
        epoch=state.epoch,
        csv_sha256=csv_sha256,
        position=snapshot.position(),
        contract_version=contract_version(),
        rows=rows,
        differences=found.counted,
        pending=0,
        undecided=snapshot.quarantine_count().undecided,
        bytes_equal=bytes_equal,
        way_back_rehearsed=False,
        run_id=run_id,
    )
