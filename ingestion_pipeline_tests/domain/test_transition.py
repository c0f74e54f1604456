"""The gate: what speaks against each move, what may be let pass, and what is done about it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion_pipeline.domain.phase import Move, Phase, Side
from ingestion_pipeline.domain.transition import (
    HINTS,
    REMEDIES,
    Condition,
    CsvFacts,
    Evidence,
    PostgresFacts,
    Remedy,
    Since,
    Unreached,
    judge,
    overridable,
    required,
)
from ingestion_pipeline_tests.domain import test_proof

PROOF = replace(test_proof.PROOF, way_back_rehearsed=True)
CSV = CsvFacts(exists=True, is_ours=True)
POSTGRES = PostgresFacts(proof=PROOF)
CLEAN = Evidence(CSV, POSTGRES)


def csv(*, exists: bool = True, is_ours: bool = True) -> Evidence:
    return replace(CLEAN, csv=CsvFacts(exists, is_ours))


def away(condition: Condition) -> Evidence:
    return replace(CLEAN, postgres=Unreached(condition, f"the reason of {condition}"))


def postgres(**facts: object) -> Evidence:
    return replace(CLEAN, postgres=replace(POSTGRES, **facts))  # type: ignore[arg-type]


def proved(**found: object) -> Evidence:
    return postgres(proof=replace(PROOF, **found))  # type: ignore[arg-type]


UNMET = {
    Condition.CSV_MISSING: csv(exists=False, is_ours=False),
    Condition.CSV_EDITED: csv(is_ours=False),
    Condition.POSTGRES_AWAY: away(Condition.POSTGRES_AWAY),
    Condition.SCHEMA_BEHIND: away(Condition.SCHEMA_BEHIND),
    Condition.LEFT_BEHIND: away(Condition.LEFT_BEHIND),
    Condition.NOT_SYNCED: postgres(synced=False),
    Condition.PENDING: postgres(pending=2),
    Condition.FALLBACK: postgres(fallback=2),
    Condition.UNDECIDED: postgres(undecided=2),
    Condition.NEVER_COMPARED: postgres(proof=None),
    Condition.DIFFERENCES: proved(differences=2),
    Condition.BYTES_DIFFER: proved(bytes_equal=False),
    Condition.STALE_PROOF: postgres(since=Since(voided="the CSV has changed")),
    Condition.NOT_REHEARSED: proved(way_back_rehearsed=False),
}
"""Evidence in which nothing but the condition is unmet."""

REACHED = {Condition.POSTGRES_AWAY, Condition.SCHEMA_BEHIND, Condition.LEFT_BEHIND}
EQUAL = {
    Condition.NOT_SYNCED,
    Condition.FALLBACK,
    Condition.NEVER_COMPARED,
    Condition.DIFFERENCES,
    Condition.BYTES_DIFFER,
    Condition.STALE_PROOF,
}
ALWAYS = {Condition.CSV_MISSING, *REACHED}
PROVED = {*ALWAYS, *EQUAL, Condition.PENDING, Condition.CSV_EDITED}
FORWARD = {*PROVED, Condition.UNDECIDED, Condition.NOT_REHEARSED}
NAMED = {
    Condition.UNDECIDED,
    Condition.NEVER_COMPARED,
    Condition.DIFFERENCES,
    Condition.BYTES_DIFFER,
    Condition.STALE_PROOF,
    Condition.NOT_REHEARSED,
}
ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
SHUT_BY = {
    Move(ORIGINAL, DUAL): {*ALWAYS, Condition.NOT_SYNCED},
    Move(DUAL, PRIMARY): FORWARD,
    Move(PRIMARY, NATIVE): FORWARD,
    Move(NATIVE, PRIMARY): {*EQUAL, *REACHED},
    Move(PRIMARY, DUAL): {*EQUAL, *REACHED, Condition.PENDING},
    Move(DUAL, ORIGINAL): ALWAYS,
    Move(PRIMARY, ORIGINAL): ALWAYS,
    Move(NATIVE, ORIGINAL): ALWAYS,
}
PASSED_BY_NAME = {
    Move(ORIGINAL, DUAL): {Condition.LEFT_BEHIND},
    Move(DUAL, PRIMARY): NAMED,
    Move(PRIMARY, NATIVE): NAMED,
    Move(NATIVE, PRIMARY): NAMED - {Condition.NEVER_COMPARED, Condition.STALE_PROOF},
    Move(PRIMARY, DUAL): NAMED,
    Move(DUAL, ORIGINAL): {Condition.POSTGRES_AWAY},
    Move(PRIMARY, ORIGINAL): {Condition.POSTGRES_AWAY},
    Move(NATIVE, ORIGINAL): {Condition.POSTGRES_AWAY},
}
MOVES = pytest.mark.parametrize("move", SHUT_BY, ids=str)
EACH = pytest.mark.parametrize("condition", Condition)


def conditions(move: Move, evidence: Evidence) -> list[Condition]:
    return [one.condition for one in judge(move, evidence).unmet]


def why(move: Move, evidence: Evidence) -> str:
    [one] = judge(move, evidence).unmet
    return one.why


@MOVES
def test_gate_is_open_when_nothing_is_amiss(move: Move) -> None:
    verdict = judge(move, CLEAN)

    assert (verdict.move, verdict.is_open, verdict.unmet, verdict.overridden) == (move, True, (), ())
    assert verdict.remedies == ()


@EACH
@MOVES
def test_each_condition_shuts_the_gates_that_require_it_and_no_other(
    move: Move, condition: Condition
) -> None:
    expected = [condition] if condition in SHUT_BY[move] else []

    assert conditions(move, UNMET[condition]) == expected
    assert judge(move, UNMET[condition]).is_open == (not expected)


@MOVES
def test_what_is_looked_at_is_what_shuts(move: Move) -> None:
    assert required(move) == SHUT_BY[move] - ALWAYS


def test_no_condition_is_without_a_gate_that_it_shuts() -> None:
    assert set.union(*SHUT_BY.values()) == set(UNMET) == set(Condition)


@EACH
def test_each_condition_has_a_reason_and_a_hint(condition: Condition) -> None:
    move = next(move for move, shut_by in SHUT_BY.items() if condition in shut_by)
    [unmet] = judge(move, UNMET[condition]).unmet

    assert unmet.why
    assert unmet.hint == HINTS[condition]
    assert unmet.hint
    assert unmet.remedy is REMEDIES.get(condition)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (UNMET[Condition.CSV_MISSING], "there is no CSV"),
        (UNMET[Condition.LEFT_BEHIND], "the reason of left_behind"),
        (postgres(pending=1), "1 row is pending"),
        (postgres(pending=2), "2 rows are pending"),
        (postgres(fallback=1), "PostgreSQL has yet to get 1 write that the CSV took in for it"),
        (postgres(fallback=3), "PostgreSQL has yet to get 3 writes that the CSV took in for it"),
        (postgres(undecided=1), "1 quarantine entry is undecided"),
        (postgres(undecided=2), "2 quarantine entries are undecided"),
        (proved(differences=1), "the last comparison found 1 difference"),
        (proved(differences=7), "the last comparison found 7 differences"),
        (postgres(since=Since(differing=1)), "1 person differs that changed since the last comparison"),
        (postgres(since=Since(differing=2)), "2 people differ that changed since the last comparison"),
        (postgres(since=Since(voided="voided")), "voided"),
        (proved(way_back_rehearsed=False), "the way back has not been rehearsed"),
        (
            postgres(proof=replace(PROOF, way_back_rehearsed=False), not_rehearsed="the disk is full"),
            "the way back has not been rehearsed: the disk is full",
        ),
    ],
)
def test_reason_says_how_much(evidence: Evidence, reason: str) -> None:
    assert why(Move(DUAL, PRIMARY), evidence) == reason


def test_everything_that_is_amiss_is_named() -> None:
    bad = PostgresFacts(
        synced=False,
        pending=1,
        fallback=1,
        undecided=1,
        proof=replace(PROOF, differences=1, bytes_equal=False, way_back_rehearsed=False),
        since=Since(voided="voided", differing=1),
    )
    evidence = Evidence(CsvFacts(exists=True, is_ours=False), bad)

    expected = FORWARD - ALWAYS - {Condition.NEVER_COMPARED}
    assert set(conditions(Move(DUAL, PRIMARY), evidence)) == expected


def test_of_tables_without_people_it_is_not_said_that_they_were_never_compared() -> None:
    assert conditions(Move(DUAL, PRIMARY), postgres(synced=False, proof=None)) == [Condition.NOT_SYNCED]


@pytest.mark.parametrize("condition", sorted(REACHED))
def test_without_postgres_only_that_and_the_csv_are_spoken_of(condition: Condition) -> None:
    evidence = replace(away(condition), csv=CsvFacts(exists=False, is_ours=False))

    assert conditions(Move(DUAL, PRIMARY), evidence) == [Condition.CSV_MISSING, condition]


@EACH
@MOVES
def test_only_what_is_named_for_the_move_is_let_pass(move: Move, condition: Condition) -> None:
    shut = condition in SHUT_BY[move]
    passes = condition in PASSED_BY_NAME[move]

    verdict = judge(move, UNMET[condition], [condition])

    assert [one.condition for one in verdict.unmet] == ([condition] if shut and not passes else [])
    assert [one.condition for one in verdict.overridden] == ([condition] if shut and passes else [])


@MOVES
def test_what_can_be_named_is_what_passes(move: Move) -> None:
    assert overridable(move) == PASSED_BY_NAME[move]


@pytest.mark.parametrize("condition", sorted(NAMED))
def test_override_of_another_condition_lets_nothing_pass(condition: Condition) -> None:
    others = set(Condition) - {condition}

    assert [one.condition for one in judge(Move(DUAL, PRIMARY), UNMET[condition], others).unmet] == [
        condition
    ]


@pytest.mark.parametrize(
    ("evidence", "remedies"),
    [
        (CLEAN, ()),
        (postgres(synced=False, pending=1, proof=None), (Remedy.SYNC, Remedy.SETTLE)),
        (postgres(fallback=1, proof=None), (Remedy.SETTLE, Remedy.COMPARE)),
        (proved(differences=1, bytes_equal=False), (Remedy.COMPARE,)),
        (postgres(undecided=1), ()),
    ],
)
def test_remedies_come_once_each_and_in_order(evidence: Evidence, remedies: tuple[Remedy, ...]) -> None:
    assert judge(Move(DUAL, PRIMARY), evidence).remedies == remedies


@EACH
def test_people_have_to_do_what_has_no_remedy(condition: Condition) -> None:
    move = next(move for move, shut_by in SHUT_BY.items() if condition in shut_by)

    assert judge(move, UNMET[condition]).is_within_reach == (condition in REMEDIES)


def test_left_aside_is_left_out_of_the_verdict_only() -> None:
    evidence = postgres(pending=1, undecided=1, since=Since(voided="voided"))
    verdict = judge(Move(DUAL, PRIMARY), evidence, [Condition.UNDECIDED])

    rest = verdict.without({Condition.PENDING})

    assert [one.condition for one in rest.unmet] == [Condition.STALE_PROOF]
    assert rest.overridden == verdict.overridden
    assert len(verdict.unmet) == 2


SOME = st.integers(0, 3)
PROOFS = st.builds(
    replace,
    st.just(PROOF),
    differences=SOME,
    bytes_equal=st.booleans(),
    way_back_rehearsed=st.booleans(),
)
FACTS = st.builds(
    PostgresFacts,
    synced=st.booleans(),
    pending=SOME,
    fallback=SOME,
    undecided=SOME,
    proof=st.none() | PROOFS,
    since=st.builds(Since, st.none() | st.just("voided"), SOME, SOME),
)
UNREACHED = st.builds(Unreached, st.sampled_from(sorted(REACHED)), st.just("why"))
EVIDENCE = st.builds(
    Evidence, st.builds(CsvFacts, exists=st.booleans(), is_ours=st.booleans()), FACTS | UNREACHED
)


def amiss(evidence: Evidence) -> set[Condition]:
    """Everything that is unmet, read off the evidence without the gate's help."""
    found = {Condition.CSV_MISSING} if not evidence.csv.exists else set()
    facts = evidence.postgres
    if isinstance(facts, Unreached):
        return found | {facts.condition}
    found |= {Condition.CSV_EDITED} if evidence.csv.exists and not evidence.csv.is_ours else set()
    proof, since = facts.proof or PROOF, facts.since if facts.proof else Since()
    unmet = {
        Condition.NOT_SYNCED: not facts.synced,
        Condition.PENDING: facts.pending > 0,
        Condition.FALLBACK: facts.fallback > 0,
        Condition.UNDECIDED: facts.undecided > 0,
        Condition.NEVER_COMPARED: facts.proof is None and facts.synced,
        Condition.DIFFERENCES: proof.differences > 0 or since.differing > 0,
        Condition.BYTES_DIFFER: not proof.bytes_equal,
        Condition.STALE_PROOF: since.voided is not None,
        Condition.NOT_REHEARSED: not proof.way_back_rehearsed,
    }
    return found | {condition for condition, holds in unmet.items() if holds}


@given(st.sampled_from(list(SHUT_BY)), EVIDENCE, st.frozensets(st.sampled_from(Condition)))
def test_gate_is_open_only_if_all_that_is_required_is_met_or_let_pass(
    move: Move, evidence: Evidence, overrides: frozenset[Condition]
) -> None:
    against = amiss(evidence) & SHUT_BY[move]
    passed = overrides & PASSED_BY_NAME[move]

    verdict = judge(move, evidence, overrides)

    assert {one.condition for one in verdict.unmet} == against - passed
    assert {one.condition for one in verdict.overridden} == against & passed
    assert verdict.is_open == (not against - passed)


@given(st.sampled_from([Move(DUAL, PRIMARY), Move(PRIMARY, NATIVE)]), EVIDENCE)
def test_nobody_goes_on_to_postgres_that_is_not_proved_equal_with_a_way_back(
    move: Move, evidence: Evidence
) -> None:
    assert move.is_forward
    assert move.after.authority is Side.POSTGRES
    if judge(move, evidence).is_open:
        facts = evidence.postgres
        assert isinstance(facts, PostgresFacts)
        assert (facts.pending, facts.fallback, facts.undecided) == (0, 0, 0)
        assert facts.proof is not None
        assert facts.proof.way_back_rehearsed
        assert (facts.proof.differences, facts.proof.bytes_equal) == (0, True)
        assert (facts.since.voided, facts.since.differing) == (None, 0)
        assert evidence.csv == CSV
