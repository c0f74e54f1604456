"""Proof: what a comparison found, bound to the data it compared, and why it does not hold (any more)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """One comparison's finding.

    Attributes:
        epoch: The epoch it was made in.
        csv_sha256: Hex digest of the file compared.
        position: The state of the tables that were compared.
        contract_version: The contract's digest.
        rows: Rows compared.
        differences: How many were found.
        pending: Rows not yet settled.
        undecided: Quarantine entries without a decision.
        bytes_equal: Whether the rendered bytes were the file's.
        way_back_rehearsed: Whether the CSV was rendered anew on its own disk, and came out the same.
        run_id: The Dagster run, if one compared.
        sequence: The last record of the CSV's journal that was in the file compared.
        snapshot: Which transactions were in the tables compared.
        stamped_at: When; None until it is kept.
    """

    epoch: int
    csv_sha256: str
    position: str
    contract_version: str
    rows: int
    differences: int
    pending: int
    undecided: int
    bytes_equal: bool
    way_back_rehearsed: bool
    run_id: str | None
    sequence: int | None = None
    snapshot: str | None = None
    stamped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What a proof must still agree with when it is used.

    Attributes:
        epoch: The epoch in force.
        csv_sha256: Hex digest of the file as it lies there; None when there is none.
        position: The state of the tables.
        contract_version: The contract's digest.
        pending: Rows not settled now.
        undecided: Quarantine entries without a decision now.
    """

    epoch: int
    csv_sha256: str | None
    position: str
    contract_version: str
    pending: int
    undecided: int


def why_not(proof: Proof | None, present: Present) -> Iterator[str]:
    """Every reason why the proof does not show that both sides are equal now; none when it does."""
    if proof is None:
        yield "the two sides have never been compared"
        return
    yield from _found(proof)
    yield from voided(proof, present)
    if present.pending:
        yield f"{present.pending} rows are pending"
    if present.undecided:
        yield f"{present.undecided} quarantine entries are undecided"


def _found(proof: Proof) -> Iterator[str]:
    if proof.differences:
        yield f"the last comparison found {proof.differences} differences"
    if not proof.bytes_equal:
        yield "PostgreSQL does not render the file's bytes"


def voided(proof: Proof, present: Present) -> Iterator[str]:
    """Every reason why the proof says nothing about the present."""
    if proof.epoch != present.epoch:
        yield f"the last comparison was made in epoch {proof.epoch}, now is {present.epoch}"
    if proof.csv_sha256 != present.csv_sha256:
        yield "the CSV has changed since the last comparison"
    if proof.position != present.position:
        yield "PostgreSQL has changed since the last comparison"
    if proof.contract_version != present.contract_version:
        yield "the contract has changed since the last comparison"
