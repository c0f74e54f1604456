"""The job settle, the sensor settle_pending and the check nothing_pending."""

import os
import time
from collections.abc import Callable, Iterator

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetSelection,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    build_sensor_context,
    define_asset_job,
)

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.defs import PipelineResource, build_definitions, sensors
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import (
    Dagster,
    away,
    checks,
    failure,
    make_run,
    metadata,
    shown_by_op,
)
from ingestion_pipeline_tests.phases import lead

CANARY = "Canary Canarius"


def write_while_away(site: Site, row_id: str = "500") -> None:
    with away(), open_pipeline(site.config) as pipeline:
        pipeline.write(row_id, {"name": CANARY})


def stray(site: Site, seconds_ago: float = 60.0) -> None:
    """Change somebody in PostgreSQL, which leads, as with psql."""
    site.execute("UPDATE people SET name = %s WHERE row_id = '499'", CANARY)
    site.execute("UPDATE ingestion.pending SET since = since - %s * interval '1 second'", seconds_ago)


def rewrite(site: Site, seconds_ago: float = 60.0) -> None:
    """Rewrite the CSV as others do, who know of no lock."""
    site.put(site.csv.read_bytes().replace(b"\n498,", b"\n498,X", 1))
    moment = time.time() - seconds_ago
    os.utime(site.csv, (moment, moment))


# -- the job


@pytest.fixture
def synced(pipeline: Pipeline) -> Pipeline:
    pipeline.sync()
    return pipeline


@pytest.fixture
def led(synced: Pipeline) -> Pipeline:
    """A site in which PostgreSQL leads and the CSV follows."""
    lead(synced, Phase.DATABASE_PRIMARY)
    return synced


def equal(dagster: Dagster) -> bool:
    return all(checks(dagster.run("compare")).values())


@pytest.mark.usefixtures("synced")
def test_settle_brings_postgres_what_it_missed(dagster: Dagster, site: Site) -> None:
    write_while_away(site)

    result = dagster.run("settle")

    shown = shown_by_op(result)
    assert (shown["settled"], shown["phase"]) == (1, "dual_write")
    assert (shown["taken_back"], shown["conflicts"], "merged" in shown) == (0, 0, False)
    assert isinstance(shown["seconds"], float)
    assert CANARY not in str(dagster.instance.all_logs(result.run_id))
    assert equal(dagster)


def test_settle_takes_back_what_the_csv_took_in(dagster: Dagster, site: Site, led: Pipeline) -> None:
    write_while_away(site)

    shown = shown_by_op(dagster.run("settle"))

    assert (shown["taken_back"], shown["conflicts"], shown["phase"]) == (1, 0, "database_primary")
    found = led.read("500")
    assert found is not None
    assert found["name"] == CANARY
    assert equal(dagster)


@pytest.mark.usefixtures("led")
def test_settle_says_what_others_did_to_the_csv(dagster: Dagster, site: Site) -> None:
    before = site.csv.read_bytes()
    rewrite(site)

    shown = shown_by_op(dagster.run("settle"))

    assert "output_foreign_" in str(shown["merged"])
    assert site.csv.read_bytes() == before


def test_settle_says_what_was_merged(dagster: Dagster, site: Site, synced: Pipeline) -> None:
    synced.write("500", {"name": CANARY})
    rewrite(site)

    shown = shown_by_op(dagster.run("settle"))

    assert "0 rows written again, 0 kept as theirs, 0 gone" in str(shown["merged"])
    assert equal(dagster)


def test_settle_fails_by_name_where_postgres_is_away(dagster: Dagster, site: Site, synced: Pipeline) -> None:
    write_while_away(site)

    with away():
        result = dagster.run("settle")

    assert not result.success
    assert failure(result)["code"] == "postgres_unavailable"
    assert synced.status().pending.rows == 1


# -- the sensor


@pytest.fixture
def context(dagster: Dagster, site: Site) -> Iterator[SensorEvaluationContext]:
    resources = {"pipeline": PipelineResource(config=str(site.config))}
    with build_sensor_context(instance=dagster.instance, resources=resources) as opened:
        yield opened


Look = Callable[[], object]


@pytest.fixture
def look(site: Site, context: SensorEvaluationContext) -> Look:
    """One look of the sensor; gives "" for a request, the reason otherwise."""

    def once() -> object:
        sensor = build_definitions(load_settings(site.config)).resolve_sensor_def("settle_pending")
        found = sensor(context)
        return found.skip_message if isinstance(found, SkipReason) else isinstance(found, RunRequest)

    return once


def test_nothing_pending_is_no_run(look: Look, synced: Pipeline) -> None:
    assert look() == "nothing is pending"

    lead(synced, Phase.DATABASE_PRIMARY)
    assert look() == "nothing is pending"


def test_a_site_that_has_not_begun_is_no_run(look: Look) -> None:
    assert look() == "nothing is pending"


def test_phase_original_asks_nothing_of_postgres(look: Look, site: Site) -> None:
    site.config.write_text("migration:\n  phase: original\n")
    with open_pipeline(site.config) as pipeline:
        pipeline.write("500", {"name": CANARY})

    with away():
        assert look() == "nothing is pending"


@pytest.mark.usefixtures("synced")
def test_what_is_pending_for_postgres_is_settled(
    look: Look, dagster: Dagster, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_while_away(site)
    monkeypatch.setattr(sensors, "WAITED", 0.0)

    assert look() is True
    assert dagster.run("settle").success
    assert look() == "nothing is pending"


@pytest.mark.usefixtures("led")
def test_what_is_pending_for_the_csv_is_settled(look: Look, dagster: Dagster, site: Site) -> None:
    stray(site)

    assert look() is True
    assert dagster.run("settle").success
    assert look() == "nothing is pending"
    assert CANARY.encode() in site.csv.read_bytes()


@pytest.mark.usefixtures("led")
def test_what_the_csv_took_in_is_settled(look: Look, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "WAITED", 0.0)
    write_while_away(site)

    assert look() is True


@pytest.mark.usefixtures("led")
def test_what_is_fresh_is_left_to_its_writer_for_one_look(look: Look, site: Site) -> None:
    stray(site, seconds_ago=0)

    assert look() == "what is pending is fresh"
    assert look() is True


@pytest.mark.usefixtures("led")
def test_looks_are_counted_anew_once_nothing_is_pending(look: Look, dagster: Dagster, site: Site) -> None:
    stray(site, seconds_ago=0)
    look()
    dagster.run("settle")
    look()
    stray(site, seconds_ago=0)

    assert look() == "what is pending is fresh"


def test_a_merged_file_is_settled_although_nobody_wrote(look: Look, site: Site, synced: Pipeline) -> None:
    synced.write("500", {"name": CANARY})
    rewrite(site)
    assert list(synced.rows())

    assert look() == "what is pending is fresh"
    assert look() is True
    assert synced.settle().settled == 1


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY])
def test_no_run_while_postgres_is_away(look: Look, site: Site, synced: Pipeline, phase: Phase) -> None:
    if phase is Phase.DATABASE_PRIMARY:
        lead(synced, phase)
    write_while_away(site)

    with away():
        assert [str(look())[-26:] for _ in range(2)] == [": what is pending stays so"] * 2

    look()
    assert look() is True


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("status", [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTED])
def test_one_run_at_a_time(look: Look, dagster: Dagster, site: Site, status: DagsterRunStatus) -> None:
    stray(site)
    runs = {name: make_run(dagster, name, status) for name in ("settle", "compare")}

    assert look() == "a run of settle is under way"

    dagster.instance.report_run_canceled(runs["settle"])
    assert look() is True


@pytest.mark.usefixtures("led")
def test_a_run_that_failed_is_tried_again_later_and_later(look: Look, dagster: Dagster, site: Site) -> None:
    site.config.write_text("automation:\n  settle_sensor_seconds: 1\n")
    stray(site)
    with away():
        assert not dagster.run("settle").success
    assert look() == "settle has failed; it is tried again 1 s later"
    time.sleep(1.1)
    assert look() is True

    with away():
        for _ in range(2):
            dagster.run("settle")
    assert look() == "settle has failed; it is tried again 4 s later"

    assert dagster.run("settle").success
    stray(site)
    assert look() is True


@pytest.mark.usefixtures("led")
def test_a_csv_that_follows_and_was_rewritten_is_settled(look: Look, dagster: Dagster, site: Site) -> None:
    before = site.csv.read_bytes()
    rewrite(site, seconds_ago=0)
    assert look() == "nothing is pending", "while it is still being written"
    rewrite(site)

    assert look() is True
    assert dagster.run("settle").success
    assert site.csv.read_bytes() == before
    assert look() == "nothing is pending"


@pytest.mark.usefixtures("led")
def test_a_csv_that_follows_and_is_gone_is_settled(look: Look, dagster: Dagster, site: Site) -> None:
    before = site.csv.read_bytes()
    site.csv.unlink()

    assert look() is True
    assert dagster.run("settle").success
    assert site.csv.read_bytes() == before


def test_a_csv_that_leads_is_csv_changeds_business(look: Look, site: Site, synced: Pipeline) -> None:
    synced.write("500", {"name": CANARY})
    rewrite(site)

    assert look() == "nothing is pending"


# -- the check


def nothing_pending(dagster: Dagster) -> AssetCheckEvaluation:
    """The check on its own: the comparison beside it would settle first."""
    key = AssetCheckKey(AssetKey("people"), "nothing_pending")
    alone = Definitions(jobs=[define_asset_job("alone", AssetSelection.checks(key))])
    definitions = Definitions.merge(dagster.definitions, alone)
    [found] = Dagster(definitions, dagster.instance).run("alone").get_asset_check_evaluations()
    return found


def numbers(evaluation: AssetCheckEvaluation) -> dict[str, object]:
    return {name: value.value for name, value in evaluation.metadata.items()}


@pytest.mark.usefixtures("synced")
def test_the_check_passes_where_nothing_is_pending(dagster: Dagster) -> None:
    found = nothing_pending(dagster)

    assert found.passed
    assert numbers(found) == {"pending": 0, "lag_seconds": 0.0, "fallback": 0}


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize(
    ("seconds", "severity"), [(60, AssetCheckSeverity.WARN), (301, AssetCheckSeverity.ERROR)]
)
def test_what_is_pending_too_long_is_an_error(
    dagster: Dagster, site: Site, seconds: int, severity: AssetCheckSeverity
) -> None:
    stray(site, seconds)

    found = nothing_pending(dagster)

    assert (found.passed, found.severity) == (False, severity)
    shown = numbers(found)
    assert (shown["pending"], shown["fallback"], "degraded" in shown) == (1, 0, False)
    assert seconds <= float(str(shown["lag_seconds"])) < seconds + 60
    assert CANARY not in str(found)


@pytest.mark.usefixtures("led")
def test_the_check_answers_while_postgres_is_away(dagster: Dagster, site: Site) -> None:
    write_while_away(site)

    with away():
        found = nothing_pending(dagster)

    assert (found.passed, found.severity) == (False, AssetCheckSeverity.ERROR)
    shown = numbers(found)
    assert (shown["pending"], shown["fallback"]) == (1, 1)
    assert "the CSV has taken in 1 writes" in str(shown["degraded"])


@pytest.mark.usefixtures("led")
def test_what_is_pending_is_shown_where_it_is_compared_and_counted(dagster: Dagster, site: Site) -> None:
    stray(site)
    rewrite(site)

    dagster.run("sync")
    compared = dagster.run("compare").get_asset_check_evaluations()

    people = metadata(dagster, "people")
    assert people["note"] == "PostgreSQL leads; nothing was written"
    assert (people["dagster/row_count"], people["pending"]) == (509, 1)
    assert float(str(people["lag_seconds"])) >= 60
    shown = numbers(next(one for one in compared if one.check_name == "dual_write_consistency"))
    assert shown["pending"] == 1
    assert float(str(shown["lag_seconds"])) >= 60
