"""evidence: what the gate goes by, looked at while everybody goes on writing."""

from collections.abc import Callable
from dataclasses import replace

from ingestion_pipeline.domain.columns import contract_version
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.pending import Pending
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.ports import Csv, Tables
from ingestion_pipeline.domain.proof import Present, Proof, voided
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.domain.transition import (
    Condition,
    CsvFacts,
    Evidence,
    PostgresFacts,
    Since,
    Unreached,
)


def evidence(csv: Csv, tables: Callable[[], Tables], state: State) -> Evidence:
    """Gather the evidence; changes nothing.

    Args:
        csv: The CSV.
        tables: Reaches PostgreSQL's tables.
        state: The phase in force.
    """
    with csv.still() as still:
        waiting = still.waiting()
        facts = CsvFacts(csv.exists(), is_ours=still.looks_ours())
    if facts.exists and not facts.is_ours:
        # It may have been looked at while somebody wrote it.
        with csv.held() as held:
            facts = replace(facts, is_ours=held.looks_ours())
    sha256 = csv.sha256() if facts.exists else None
    try:
        postgres = _postgres(sha256, tables(), state, waiting)
        if isinstance(postgres, PostgresFacts) and not postgres.synced:
            # What was never taken over cannot have been edited since.
            facts = replace(facts, is_ours=True)
        return Evidence(facts, postgres)
    except UnavailableError as error:
        if error.code in ("postgres_busy", "pool_exhausted"):
            # It is there, and must not be left behind.
            raise
        behind = error.code in ("schema_behind", "schema_ahead")
        condition = Condition.SCHEMA_BEHIND if behind else Condition.POSTGRES_AWAY
        return Evidence(facts, Unreached(condition, error.message))


def _postgres(
    sha256: str | None, tables: Tables, state: State, waiting: Pending
) -> PostgresFacts | Unreached:
    found = tables.state()
    if found is None and state.phase.authority is Side.POSTGRES:
        return Unreached(Condition.POSTGRES_AWAY, f"in phase {state.phase} this database holds nothing")
    if found is None:
        return PostgresFacts(synced=False)
    if found.epoch != state.epoch:
        why = f"PostgreSQL is in epoch {found.epoch}, the ledger beside the CSV in {state.epoch}"
        return Unreached(Condition.LEFT_BEHIND, why)
    if state.phase is Phase.ORIGINAL or not tables.is_synced():
        # What PostgreSQL may hold from before is of another time.
        return PostgresFacts(synced=False)
    proof = tables.last_proof()
    with tables.snapshot() as snapshot:
        undecided = snapshot.quarantine_count().undecided
        pending = waiting.rows if state.phase.authority is Side.CSV else snapshot.pending().rows
        present = Present(
            epoch=state.epoch,
            csv_sha256=sha256,
            position=snapshot.position(),
            contract_version=contract_version(),
            pending=pending,
            undecided=undecided,
        )
    return PostgresFacts(
        pending=pending,
        fallback=waiting.fallback,
        undecided=undecided,
        proof=proof,
        since=_since(proof, present),
    )


def _since(proof: Proof | None, present: Present) -> Since:
    if proof is None:
        return Since()
    if proof.sequence is None or proof.snapshot is None:
        return Since(voided="the last comparison is of an older release")
    return Since(voided=next(voided(proof, present), None))
