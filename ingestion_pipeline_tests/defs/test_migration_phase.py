"""The asset migration_phase, its check phase_in_force and the job change_phase; every job in every phase."""

from logging import ERROR, INFO, WARNING
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    ExecuteInProcessResult,
    TableMetadataValue,
)

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.changing import How
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, away, checks, failure, materialized, metadata
from ingestion_pipeline_tests.defs.wishes import UNDECIDED, half_done, in_force, want

CHECK = "migration_phase.phase_in_force"


def judged(result: ExecuteInProcessResult) -> AssetCheckEvaluation:
    """The check, of a run that is green whatever it says."""
    assert result.success
    [found] = [one for one in result.get_asset_check_evaluations() if one.check_name == "phase_in_force"]
    return found


def verdict(result: ExecuteInProcessResult) -> tuple[AssetCheckSeverity | None, str]:
    """How bad it is, if it is, and the sentence."""
    found = judged(result)
    return None if found.passed else found.severity, found.description or ""


def said(dagster: Dagster, result: ExecuteInProcessResult, level: int) -> list[str]:
    """What a run has logged at a level, other than Dagster's own events."""
    entries = dagster.instance.all_logs(result.run_id)
    return [one.user_message for one in entries if one.dagster_event is None and one.level == level]


def table(shown: object) -> list[dict[str, Any]]:
    """A table among the metadata; its value is its records."""
    records = shown.records if isinstance(shown, TableMetadataValue) else shown
    assert isinstance(records, list)
    return [dict(record.data) for record in records]


def look(dagster: Dagster) -> ExecuteInProcessResult:
    """Materialize the asset as a click on it does: nothing is applied."""
    job = dagster.definitions.resolve_implicit_global_asset_job_def()
    phase = [AssetKey("migration_phase")]
    return job.execute_in_process(instance=dagster.instance, asset_selection=phase, raise_on_error=False)


# -- the phase wanted is put in force


def test_the_phase_wanted_is_put_in_force(dagster: Dagster, site: Site) -> None:
    want(site, Phase.DATABASE_PRIMARY)

    result = dagster.run("change_phase")

    assert verdict(result) == (None, "database_primary is in force, and wanted")
    assert materialized(result) == ["migration_phase"]
    shown = metadata(dagster, "migration_phase")
    assert {
        name: shown[name] for name in ("phase", "wanted", "epoch", "authority", "follower", "changes")
    } == {
        "phase": "database_primary",
        "wanted": "database_primary",
        "epoch": 2,
        "authority": "postgres",
        "follower": "csv",
        "changes": 1,
    }
    [change] = table(shown["history"])
    assert (change["epoch"], change["before"], change["after"]) == (2, "dual_write", "database_primary")
    assert (change["by_hand"], change["equal_after"], change["because"]) == (False, True, None)
    assert change["pause_seconds"] == shown["last_pause_seconds"] > 0  # type: ignore[operator]
    assert "switch to database_primary: stop writers, drain, look again, change the phase" in said(
        dagster, result, INFO
    )
    with open_pipeline(site.config) as pipeline:
        assert [one.run_id for one in pipeline.phase.history()] == [result.run_id]


def test_there_and_back_by_the_configuration(dagster: Dagster, site: Site) -> None:
    before = site.csv.read_bytes()
    for phase in (Phase.DATABASE_NATIVE, Phase.ORIGINAL, Phase.DUAL_WRITE):
        want(site, phase)
        assert verdict(dagster.run("change_phase")) == (None, f"{phase} is in force, and wanted")
        assert in_force(site) is phase

    shown = metadata(dagster, "migration_phase")
    assert (shown["changes"], shown["epoch"]) == (6, 7)
    assert [one["after"] for one in table(shown["history"])] == [
        "dual_write",
        "original",
        "dual_write",
        "database_primary",
        "database_native",
        "database_primary",
    ]
    assert site.csv.read_bytes() == before


# -- looking changes nothing


def test_a_look_changes_nothing_and_says_what_is_missing(dagster: Dagster, site: Site) -> None:
    want(site, Phase.DATABASE_NATIVE)
    dagster.run("sync")

    severity, sentence = verdict(look(dagster))

    assert in_force(site) is Phase.DUAL_WRITE
    assert severity is AssetCheckSeverity.WARN
    assert sentence == ("database_native is wanted; dual_write stays in force until job change_phase has run")
    shown = metadata(dagster, "migration_phase")
    onward, back = table(shown["moves"])
    assert (onward["move"], onward["gate"]) == ("dual_write -> database_primary", "within reach")
    assert onward["why_not"] == "the way back has not been rehearsed"
    assert onward["what_next"] == "the change of phase will compare first"
    assert (back["move"], back["gate"], back["why_not"]) == ("dual_write -> original", "open", None)
    assert (shown["compared_rows"], shown["differences"], shown["pending"], shown["undecided"]) == (
        510,
        0,
        0,
        0,
    )
    assert len(str(shown["compared_sha256"])) == 12
    assert isinstance(shown["compared_at"], float)
    assert "last_pause_seconds" not in shown
    assert "half_done" not in shown


def test_a_site_that_has_not_begun_begins(dagster: Dagster) -> None:
    assert verdict(look(dagster)) == (None, "dual_write is in force, and wanted")

    shown = metadata(dagster, "migration_phase")
    assert (shown["epoch"], shown["changes"], table(shown["history"])) == (1, 0, [])
    assert "compared_at" not in shown


# -- a gate that stays shut


def test_a_shut_gate_fails_the_check_only(dagster: Dagster, site: Site) -> None:
    site.put(site.csv.read_bytes() + UNDECIDED)
    dagster.run("sync")
    want(site, Phase.DATABASE_PRIMARY)
    before = site.csv.read_bytes()

    result = dagster.run("change_phase")

    severity, sentence = verdict(result)
    assert severity is AssetCheckSeverity.ERROR
    assert sentence == (
        "the gate of dual_write -> database_primary is shut:\n"
        "- 1 quarantine entry is undecided: `ingest quarantine list`, then `decide`"
    )
    assert said(dagster, result, ERROR) == [sentence]
    assert table(judged(result).metadata["why_not"]) == [
        {
            "condition": "undecided",
            "why_not": "1 quarantine entry is undecided",
            "what_next": "`ingest quarantine list`, then `decide`",
        }
    ]
    shown = metadata(dagster, "migration_phase")
    assert {one["move"]: one["gate"] for one in table(shown["moves"])} == {
        "dual_write -> database_primary": "shut",
        "dual_write -> original": "open",
    }
    assert (shown["changes"], shown["epoch"], shown["undecided"]) == (0, 1, 1)
    assert (in_force(site), site.csv.read_bytes()) == (Phase.DUAL_WRITE, before)
    assert "perhaps" not in str(dagster.instance.all_logs(result.run_id))


def test_a_gate_found_shut_after_all_that_could_be_done(dagster: Dagster, site: Site) -> None:
    dagster.run("sync")
    site.execute("UPDATE people SET name = name || '!' WHERE row_id = '500'")
    want(site, Phase.DATABASE_PRIMARY)

    severity, sentence = verdict(dagster.run("change_phase"))

    assert severity is AssetCheckSeverity.ERROR
    assert "- the last comparison found 1 difference: `ingest compare` names them" in sentence
    assert in_force(site) is Phase.DUAL_WRITE


def test_as_far_as_the_gates_are_open(dagster: Dagster, site: Site) -> None:
    want(site, Phase.ORIGINAL)
    dagster.run("change_phase")
    site.put(site.csv.read_bytes() + UNDECIDED)
    want(site, Phase.DATABASE_PRIMARY)

    severity, sentence = verdict(dagster.run("change_phase"))

    assert severity is AssetCheckSeverity.ERROR
    assert sentence.startswith("the gate of dual_write -> database_primary is shut")
    assert in_force(site) is Phase.DUAL_WRITE


@pytest.mark.parametrize("wanted", [Phase.DATABASE_PRIMARY, Phase.ORIGINAL])
def test_postgres_away_is_a_shut_gate(dagster: Dagster, site: Site, wanted: Phase) -> None:
    dagster.run("sync")
    want(site, wanted)

    with away():
        severity, sentence = verdict(dagster.run("change_phase"))

    assert severity is AssetCheckSeverity.ERROR
    assert "`ingest doctor` says what is reachable and what is not" in sentence
    assert in_force(site) is Phase.DUAL_WRITE


def test_a_brake_fails_the_run(dagster: Dagster, site: Site) -> None:
    dagster.run("sync")
    want(site, Phase.ORIGINAL)
    dagster.run("change_phase")
    site.put(site.csv.read_bytes()[: site.csv.read_bytes().index(b"\n480,") + 1])
    want(site, Phase.DUAL_WRITE)

    result = dagster.run("change_phase")

    assert not result.success
    assert failure(result)["code"] == "brake"
    assert in_force(site) is Phase.ORIGINAL


# -- by hand


def test_what_was_done_by_hand_stays(dagster: Dagster, site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.phase.advance()

    severity, sentence = verdict(dagster.run("change_phase"))

    [change] = pipeline.phase.history()
    assert severity is AssetCheckSeverity.WARN
    assert sentence == (
        f"changed by hand on {change.at[:10]} {change.at[11:19]} UTC by {change.by}; "
        "the configuration still asks for dual_write"
    )
    assert in_force(site) is Phase.DATABASE_PRIMARY
    assert table(metadata(dagster, "migration_phase")["history"])[0]["by_hand"] is True


def test_what_was_let_pass_is_shown(dagster: Dagster, site: Site, pipeline: Pipeline) -> None:
    site.put(site.csv.read_bytes() + UNDECIDED)
    pipeline.sync()
    conditions = {one.condition for one in pipeline.phase.plan().verdicts[0].unmet if one.remedy is None}
    pipeline.phase.advance(how=How(frozenset(conditions), because="it is known"))

    look(dagster)

    [change] = table(metadata(dagster, "migration_phase")["history"])
    assert (change["overridden"], change["because"]) == ("undecided", "it is known")


# -- a change that was interrupted, or is under way


def test_an_interrupted_change_is_an_error_until_it_is_over(dagster: Dagster, pipeline: Pipeline) -> None:
    pipeline.sync()
    half_done(pipeline, Phase.DATABASE_PRIMARY)

    with away():
        result = dagster.run("change_phase")

    severity, sentence = verdict(result)
    assert severity is AssetCheckSeverity.ERROR
    assert sentence == (
        "the change from dual_write to database_primary, begun on 2026-01-02 03:04:05 UTC, was interrupted; "
        "whether it was made is known once PostgreSQL is back, and nothing is written until then"
    )
    shown = metadata(dagster, "migration_phase")
    assert shown["half_done"] == "dual_write -> database_primary, begun on 2026-01-02 03:04:05 UTC"
    assert shown["phase"] == "not known until PostgreSQL is back"
    assert "epoch" not in shown

    assert verdict(dagster.run("change_phase")) == (None, "dual_write is in force, and wanted")
    assert "half_done" not in metadata(dagster, "migration_phase")
    assert pipeline.phase.changing() is None


def test_an_interrupted_change_that_was_made_is_in_force(
    dagster: Dagster, site: Site, pipeline: Pipeline
) -> None:
    pipeline.sync()
    want(site, Phase.DATABASE_PRIMARY)
    half_done(pipeline, Phase.DATABASE_PRIMARY)
    site.execute("UPDATE ingestion.migration_state SET phase = 'database_primary', epoch = epoch + 1")

    assert verdict(dagster.run("change_phase")) == (None, "database_primary is in force, and wanted")
    [change] = table(metadata(dagster, "migration_phase")["history"])
    assert (change["by"], change["pause_seconds"]) == ("ada", None)
    assert "last_pause_seconds" not in metadata(dagster, "migration_phase")


def test_somebody_else_is_changing_it(dagster: Dagster, site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    want(site, Phase.DATABASE_PRIMARY)

    with pipeline.csv.switching():
        result = dagster.run("change_phase")

    assert verdict(result)[0] is AssetCheckSeverity.WARN
    assert "somebody else is changing the phase" in said(dagster, result, WARNING)[0]
    assert in_force(site) is Phase.DUAL_WRITE


# -- every job in every phase


@pytest.mark.parametrize("phase", Phase)
def test_every_job_runs_in_every_phase(dagster: Dagster, site: Site, phase: Phase) -> None:
    dagster.run("migrate")
    want(site, phase)
    dagster.run("change_phase")

    for job in ("migrate", "sync", "compare", "check", "export", "settle"):
        result = dagster.run(job)
        assert result.success, job
        assert [name for name, passed in checks(result).items() if not passed] == [], job
        assert (CHECK in checks(result)) is (job == "check")
    assert metadata(dagster, "people")["phase"] == phase
    assert metadata(dagster, "migration_phase")["phase"] == phase
    assert in_force(site) is phase


@pytest.mark.parametrize("phase", [Phase.ORIGINAL, Phase.DATABASE_NATIVE])
def test_without_a_follower_there_is_nothing_to_compare(dagster: Dagster, site: Site, phase: Phase) -> None:
    want(site, phase)
    dagster.run("change_phase")

    notes = {
        one.check_name: {name: value.value for name, value in one.metadata.items()}
        for one in dagster.run("compare").get_asset_check_evaluations()
    }

    note = {"note": f"phase {phase} has no follower"}
    assert notes == {"dual_write_consistency": note, "bytes_equal": note}


def test_every_job_runs_after_the_tables_were_dropped(
    dagster: Dagster, site: Site, pipeline: Pipeline
) -> None:
    dagster.run("migrate")
    pipeline.phase.rollback(Phase.ORIGINAL, How(drop_tables=True))
    want(site, Phase.ORIGINAL)

    for job in ("change_phase", "check", "compare", "migrate", "sync", "export", "settle"):
        assert dagster.run(job).success, job
