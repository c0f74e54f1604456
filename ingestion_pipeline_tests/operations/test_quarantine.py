"""quarantine: a decision is carried out in the CSV, and both sides agree afterwards."""

from contextlib import AbstractContextManager

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.errors import InputRefusedError, PipelineError, ProtectedError, SettingsError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.quarantine import Count, Decision, Scope
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, person, spelled
from ingestion_pipeline_tests.phases import lead

LOADED = (Scope.ROW, Scope.CELL)
CANARY = "canary.person@example.org"
BAD_CELL = person(2, processed="maybe", email=CANARY)
BAD_ROW = person("", name="Nobody", email=CANARY)
GOOD = [person(1), person(3)]


@pytest.fixture(
    params=[{}, {"end": "\r\n", "quoting": "all", "final": False, "bom": True}], ids=["plain", "odd"]
)
def numbers(request: pytest.FixtureRequest, site: Site, pipeline: Pipeline) -> dict[Scope, int]:
    """A site with one cell and one row in quarantine."""
    site.put(spelled([GOOD[0], BAD_CELL, BAD_ROW, GOOD[1]], **request.param))
    pipeline.sync()
    return {entry.scope: entry.id for entry in pipeline.quarantine()}


def undecided(pipeline: Pipeline) -> int:
    with pipeline.tables.snapshot() as snapshot:
        return snapshot.quarantine_count().undecided


def decide(
    site: Site, pipeline: Pipeline, number: int, decision: Decision, text: dict[str, str] | None = None
) -> list[str]:
    """Decide, sync, and give the file's lines."""
    decided = pipeline.decide(number, decision, text or {})
    assert decided.file_changed == (decision is not Decision.ACCEPT)
    pipeline.sync()
    assert_agree(site, pipeline)
    [entry] = [one for one in pipeline.quarantine(decided=True) if one.id == number]
    assert entry.decision is decision
    assert entry.decided_by
    assert entry.decided_at is not None
    return site.csv.read_text().replace('"', "").splitlines()


def test_dropped_row_leaves_the_file(site: Site, pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    lines = decide(site, pipeline, numbers[Scope.ROW], Decision.DROP)

    assert [line.partition(",")[0] for line in lines[1:]] == ["1", "2", "3"]
    assert undecided(pipeline) == 1


def test_dropped_cell_is_emptied(site: Site, pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    lines = decide(site, pipeline, numbers[Scope.CELL], Decision.DROP)

    assert lines[2] == ",".join(person(2, email=CANARY))
    assert site.execute("SELECT processed, verbatim FROM ingestion.record WHERE row_id = '2'") == [
        (False, None)
    ]
    assert undecided(pipeline) == 1


@pytest.mark.parametrize("scope", LOADED)
def test_accepted_stays_as_it_is(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int], scope: Scope
) -> None:
    before = site.csv.read_bytes()

    decide(site, pipeline, numbers[scope], Decision.ACCEPT)

    assert site.csv.read_bytes() == before
    assert undecided(pipeline) == 1
    assert len(pipeline.quarantine()) == 1
    assert len(pipeline.quarantine(decided=True)) == 2


@pytest.mark.parametrize("scope", LOADED)
def test_accepted_may_be_decided_otherwise(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int], scope: Scope
) -> None:
    decide(site, pipeline, numbers[scope], Decision.ACCEPT)

    decide(site, pipeline, numbers[scope], Decision.DROP)

    assert undecided(pipeline) == 1


def test_fixed_cell(site: Site, pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    lines = decide(site, pipeline, numbers[Scope.CELL], Decision.FIX, {"processed": "yes"})

    assert lines[2] == ",".join(person(2, email=CANARY, processed="yes"))
    assert site.execute("SELECT processed FROM ingestion.record WHERE row_id = '2'") == [(True,)]


def test_fixed_row(site: Site, pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    lines = decide(site, pipeline, numbers[Scope.ROW], Decision.FIX, {"row_id": "4", "type": "a b"})

    assert lines[3] == ",".join(person(4, name="Nobody", email=CANARY, type="a b"))
    assert site.execute("SELECT count(*) FROM people") == [(4,)]
    assert undecided(pipeline) == 1


def test_all_decided_opens_the_gate(site: Site, pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    pipeline.compare()
    assert pipeline.status().quarantine == Count(undecided=2, accepted=0, rows=1, cells=1)
    assert pipeline.status().why_not

    decide(site, pipeline, numbers[Scope.ROW], Decision.DROP)
    decide(site, pipeline, numbers[Scope.CELL], Decision.ACCEPT)

    assert pipeline.status().quarantine == Count(undecided=0, accepted=1, rows=0, cells=0)
    assert pipeline.status().why_not == ()


def test_conflicting_row_is_the_one_that_is_dropped(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(1), person(2), person(1, name="Other")]))
    pipeline.sync()
    [entry] = pipeline.quarantine()

    lines = decide(site, pipeline, entry.id, Decision.DROP)

    assert lines[1:] == [",".join(person(key)) for key in (1, 2)]


def test_cell_of_the_right_person_is_fixed(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(key, processed="maybe") for key in (1, 2, 3)]))
    pipeline.sync()
    [second] = [entry.id for entry in pipeline.quarantine() if entry.row_id == "2"]

    lines = decide(site, pipeline, second, Decision.FIX, {"processed": "yes"})

    assert lines[1:] == [
        ",".join(person(key, processed=text)) for key, text in ((1, "maybe"), (2, "yes"), (3, "maybe"))
    ]


def test_the_only_row_may_be_dropped(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([BAD_ROW], final=False))
    pipeline.sync()
    [entry] = pipeline.quarantine()

    assert len(decide(site, pipeline, entry.id, Decision.DROP)) == 1


def test_entry_shows_no_text(pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    assert numbers
    assert CANARY not in repr(pipeline.quarantine())
    assert "maybe" not in repr(pipeline.quarantine())


@pytest.mark.parametrize(
    ("scope", "decision", "text", "kind", "code"),
    [
        (Scope.CELL, Decision.FIX, {}, SettingsError, "usage"),
        (Scope.CELL, Decision.FIX, {"name": "x"}, SettingsError, "usage"),
        (Scope.CELL, Decision.FIX, {"processed": CANARY}, InputRefusedError, "not_a_flag"),
        (Scope.CELL, Decision.DROP, {"processed": "yes"}, SettingsError, "usage"),
        (Scope.CELL, Decision.ACCEPT, {"processed": "yes"}, SettingsError, "usage"),
        (Scope.ROW, Decision.FIX, {}, SettingsError, "usage"),
        (Scope.ROW, Decision.FIX, {"nonsense": "x"}, SettingsError, "usage"),
        (Scope.ROW, Decision.FIX, {"row_id": ""}, InputRefusedError, "missing_row_id"),
        (Scope.ROW, Decision.FIX, {"row_id": "4", "email": CANARY * 20}, InputRefusedError, "too_long"),
        (Scope.ROW, Decision.FIX, {"row_id": "4", "processed": "maybe"}, InputRefusedError, "not_a_flag"),
    ],
)
def test_what_cannot_be_decided_changes_nothing(
    site: Site,
    pipeline: Pipeline,
    numbers: dict[Scope, int],
    scope: Scope,
    decision: Decision,
    text: dict[str, str],
    kind: type[PipelineError],
    code: str,
) -> None:
    before = site.csv.read_bytes()

    with pytest.raises(kind) as refused:
        pipeline.decide(numbers[scope], decision, text)

    assert refused.value.code == code
    assert CANARY not in str(refused.value)
    assert site.csv.read_bytes() == before
    assert undecided(pipeline) == 2
    assert_agree(site, pipeline)


def test_unknown_entry(pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    with pytest.raises(SettingsError) as refused:
        pipeline.decide(max(numbers.values()) + 1, Decision.ACCEPT, {})

    assert refused.value.code == "no_such_entry"


@pytest.mark.parametrize("first", [Decision.DROP, Decision.FIX])
def test_decided_once(pipeline: Pipeline, numbers: dict[Scope, int], first: Decision) -> None:
    pipeline.decide(numbers[Scope.CELL], first, {"processed": "yes"} if first is Decision.FIX else {})

    with pytest.raises(SettingsError) as refused:
        pipeline.decide(numbers[Scope.CELL], Decision.ACCEPT, {})

    assert refused.value.code == "already_decided"


def test_superseded_entry_is_decided(site: Site, pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    site.put(spelled(GOOD))
    pipeline.sync()

    with pytest.raises(SettingsError, match="superseded") as refused:
        pipeline.decide(numbers[Scope.ROW], Decision.DROP, {})

    assert refused.value.code == "already_decided"


@pytest.mark.parametrize("scope", LOADED)
def test_file_that_no_longer_holds_it(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int], scope: Scope
) -> None:
    site.put(spelled(GOOD))

    with pytest.raises(ProtectedError) as refused:
        pipeline.decide(numbers[scope], Decision.DROP, {})

    assert refused.value.code == "entry_stale"
    assert site.csv.read_bytes() == spelled(GOOD)


def test_csv_that_does_not_lead_is_not_changed(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int]
) -> None:
    site.execute("UPDATE ingestion.migration_state SET phase = 'database_primary'")
    before = site.csv.read_bytes()

    with pytest.raises(ProtectedError) as refused:
        pipeline.decide(numbers[Scope.ROW], Decision.DROP, {})

    assert refused.value.code == "not_the_authority"
    assert site.csv.read_bytes() == before
    assert not pipeline.decide(numbers[Scope.ROW], Decision.ACCEPT, {}).file_changed


def test_decision_that_a_switch_comes_before_changes_nothing(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in numbers.values():
        pipeline.decide(number, Decision.ACCEPT, {})
    before = site.csv.read_bytes()
    held = CsvStore.held

    def switched(csv: CsvStore) -> AbstractContextManager[LockedCsv]:
        patch.undo()
        lead(pipeline, Phase.DATABASE_PRIMARY)
        return held(csv)

    with monkeypatch.context() as patch:
        patch.setattr(CsvStore, "held", switched)
        with pytest.raises(ProtectedError) as refused:
            pipeline.decide(numbers[Scope.CELL], Decision.DROP, {})

    assert refused.value.code == "not_the_authority"
    assert site.csv.read_bytes() == before
    assert_agree(site, pipeline)


def test_csv_is_not_changed_while_nobody_knows_which_side_leads(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int]
) -> None:
    before, began = site.csv.read_bytes(), pipeline.in_force()
    primary = Phase.DATABASE_PRIMARY
    change = PhaseChange(2, began.phase, primary, at="", by="", wanted=primary, by_hand=True)
    with pipeline.csv.held() as held:
        held.mark(began, change)

    with pytest.raises(ProtectedError) as refused:
        pipeline.decide(numbers[Scope.CELL], Decision.DROP, {})

    assert refused.value.code == "stale_epoch"
    assert site.csv.read_bytes() == before


def test_a_line_that_repeats_the_cell_goes_with_it(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([BAD_CELL, GOOD[0], BAD_CELL]))
    pipeline.sync()
    [entry] = pipeline.quarantine()

    lines = decide(site, pipeline, entry.id, Decision.FIX, {"processed": "yes"})

    assert lines[1] == lines[3] == ",".join(person(2, processed="yes", email=CANARY))
    assert pipeline.quarantine() == []


def test_a_rejected_row_with_the_same_cell_is_not_the_one_meant(site: Site, pipeline: Pipeline) -> None:
    too_long = person(2, name="x" * 256, processed="maybe")
    site.put(spelled([too_long, BAD_CELL]))
    pipeline.sync()
    [cell] = [entry for entry in pipeline.quarantine() if entry.scope is Scope.CELL]

    lines = decide(site, pipeline, cell.id, Decision.DROP)

    assert lines[1:] == [",".join(too_long), ",".join(person(2, email=CANARY))]


def test_what_was_superseded_meanwhile_stays_so(pipeline: Pipeline, numbers: dict[Scope, int]) -> None:
    number = numbers[Scope.ROW]
    pipeline.tables.decide(number, Decision.SUPERSEDED, "a sync")

    with pytest.raises(ProtectedError, match="decided meanwhile"):
        pipeline.tables.decide(number, Decision.ACCEPT, "somebody")


@pytest.mark.parametrize(("text", "reason"), [({"email": "q"}, "missing"), ({"row_id": "1"}, "another row")])
def test_a_row_that_still_does_not_load_is_not_fixed(
    site: Site, pipeline: Pipeline, numbers: dict[Scope, int], text: dict[str, str], reason: str
) -> None:
    before = site.csv.read_bytes()

    with pytest.raises(InputRefusedError, match=reason):
        pipeline.decide(numbers[Scope.ROW], Decision.FIX, text)

    assert site.csv.read_bytes() == before
