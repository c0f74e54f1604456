"""The sensor phase_wanted: when it has the phase changed, and why it does not."""

import time
from collections.abc import Callable, Iterator

import pytest
from dagster import (
    DagsterRunStatus,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    build_sensor_context,
)

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.defs import PipelineResource, build_definitions, sensors
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, away, make_run
from ingestion_pipeline_tests.defs.wishes import UNDECIDED, configure, half_done, in_force, want

QUICK = "automation:\n  phase_sensor_seconds: 1\n"


@pytest.fixture
def context(dagster: Dagster, site: Site) -> Iterator[SensorEvaluationContext]:
    resources = {"pipeline": PipelineResource(config=str(site.config))}
    with build_sensor_context(instance=dagster.instance, resources=resources) as opened:
        yield opened


Look = Callable[[], RunRequest | str]


@pytest.fixture
def look(site: Site, context: SensorEvaluationContext) -> Look:
    """One look of the sensor, as it was defined at the start: the request, or why there is none."""
    want(site, Phase.DUAL_WRITE, QUICK)
    sensor = build_definitions(load_settings(site.config)).resolve_sensor_def("phase_wanted")

    def once() -> RunRequest | str:
        found = sensor(context)
        if isinstance(found, SkipReason):
            return str(found.skip_message)
        assert isinstance(found, RunRequest)
        return found

    return once


def carry_out(dagster: Dagster, request: RunRequest | str) -> None:
    """Do what the daemon does with a request."""
    assert isinstance(request, RunRequest), request
    job = dagster.definitions.resolve_job_def("change_phase")
    assert job.execute_in_process(instance=dagster.instance, tags=dict(request.tags)).success


@pytest.fixture
def synced(pipeline: Pipeline) -> Pipeline:
    pipeline.sync()
    return pipeline


@pytest.fixture
def blocked(site: Site, pipeline: Pipeline) -> Pipeline:
    """A site whose gate to database_primary stays shut."""
    site.put(site.csv.read_bytes() + UNDECIDED)
    pipeline.sync()
    return pipeline


def test_a_site_that_has_not_begun_is_left_alone(look: Look, site: Site) -> None:
    want(site, Phase.DATABASE_NATIVE)

    assert look() == "nothing has been synced or written yet"
    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == [(0,)]


@pytest.mark.usefixtures("synced")
def test_an_edit_of_the_configuration_changes_the_phase(look: Look, dagster: Dagster, site: Site) -> None:
    assert look() == "phase dual_write is in force, and wanted"

    for phase in (Phase.DATABASE_PRIMARY, Phase.ORIGINAL):
        want(site, phase)
        carry_out(dagster, look())
        assert in_force(site) is phase
        assert look() == f"phase {phase} is in force, and wanted"


def test_a_site_that_has_begun_in_postgres_only_goes_on(look: Look, site: Site, synced: Pipeline) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    (synced.csv.state_dir / "ledger.json").unlink()

    assert isinstance(look(), RunRequest)


def test_what_was_done_by_hand_stays(look: Look, site: Site, synced: Pipeline) -> None:
    synced.phase.advance()

    assert look() == (
        "the phase was changed to database_primary by hand; "
        "the configuration, not edited since, asks for dual_write"
    )

    want(site, Phase.ORIGINAL)
    assert isinstance(look(), RunRequest)


@pytest.mark.parametrize("wanted", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY])
def test_an_interrupted_change_is_finished(
    look: Look, dagster: Dagster, site: Site, synced: Pipeline, wanted: Phase
) -> None:
    half_done(synced, Phase.DATABASE_PRIMARY)
    want(site, wanted)

    carry_out(dagster, look())

    assert synced.phase.changing() is None
    assert in_force(site) is wanted
    assert look() == f"phase {wanted} is in force, and wanted"


# -- when there is no run


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("status", [DagsterRunStatus.QUEUED, DagsterRunStatus.STARTED])
def test_one_run_at_a_time(look: Look, dagster: Dagster, site: Site, status: DagsterRunStatus) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    runs = {name: make_run(dagster, name, status) for name in ("change_phase", "settle")}

    assert look() == "a run of change_phase is under way"

    dagster.instance.report_run_canceled(runs["change_phase"])
    assert isinstance(look(), RunRequest)


@pytest.mark.parametrize("begun", [Phase.ORIGINAL, Phase.DUAL_WRITE])
def test_no_run_while_postgres_is_away(look: Look, site: Site, synced: Pipeline, begun: Phase) -> None:
    if begun is Phase.ORIGINAL:
        synced.phase.rollback()
    want(site, Phase.DATABASE_PRIMARY)

    with away():
        assert "PostgreSQL cannot be used" in str(look())

    assert isinstance(look(), RunRequest)


def test_an_interrupted_change_waits_for_postgres(look: Look, synced: Pipeline) -> None:
    half_done(synced, Phase.DATABASE_PRIMARY)

    with away():
        assert "PostgreSQL cannot be used" in str(look())

    assert isinstance(look(), RunRequest)


@pytest.mark.usefixtures("synced")
def test_phase_original_asks_nothing_of_postgres(look: Look, dagster: Dagster, site: Site) -> None:
    want(site, Phase.ORIGINAL)
    carry_out(dagster, look())

    with away():
        assert look() == "phase original is in force, and wanted"


@pytest.mark.usefixtures("synced")
def test_a_configuration_that_is_being_written_waits(look: Look, site: Site) -> None:
    configure(site, "", seconds_ago=0)
    assert look() == "the configuration is still being written"

    configure(site, "migration:\n  phase: database_prim\n")
    assert "bad value of migration.phase" in str(look())

    site.config.unlink()
    assert "there is no such configuration file" in str(look())

    want(site, Phase.DATABASE_PRIMARY)
    assert isinstance(look(), RunRequest)


# -- in vain


@pytest.mark.usefixtures("blocked")
def test_a_gate_that_stays_shut_is_tried_later_and_later(look: Look, dagster: Dagster, site: Site) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    carry_out(dagster, look())
    assert look() == "the gate was shut, or the run failed; it is tried again 1 s later"

    time.sleep(1.1)
    carry_out(dagster, look())
    assert look() == "the gate was shut, or the run failed; it is tried again 2 s later"
    assert in_force(site) is Phase.DUAL_WRITE


@pytest.mark.usefixtures("blocked")
def test_the_wait_has_an_end(
    look: Look, dagster: Dagster, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "LONGEST_WAIT", 3.0)
    want(site, Phase.DATABASE_PRIMARY)
    request = look()
    for _ in range(3):
        carry_out(dagster, request)

    assert look() == "the gate was shut, or the run failed; it is tried again 3 s later"


@pytest.mark.usefixtures("synced")
def test_a_run_that_failed_is_tried_later(look: Look, dagster: Dagster, site: Site) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    request = look()
    assert isinstance(request, RunRequest)
    configure(site, "migration:\n  phase: nonsense\n")
    job = dagster.definitions.resolve_job_def("change_phase")
    tags = dict(request.tags)
    assert not job.execute_in_process(instance=dagster.instance, tags=tags, raise_on_error=False).success

    want(site, Phase.DATABASE_PRIMARY)
    assert look() == "the gate was shut, or the run failed; it is tried again 1 s later"


@pytest.mark.usefixtures("blocked")
def test_another_wish_is_not_kept_waiting(look: Look, dagster: Dagster, site: Site) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    carry_out(dagster, look())
    assert isinstance(look(), str)

    want(site, Phase.DATABASE_NATIVE)
    carry_out(dagster, look())
    assert isinstance(look(), str)

    want(site, Phase.DATABASE_PRIMARY)
    carry_out(dagster, look())
    assert "1 s later" in str(look())


@pytest.mark.usefixtures("blocked")
def test_the_same_wish_after_it_was_taken_back_is_not_kept_waiting(
    look: Look, dagster: Dagster, site: Site
) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    carry_out(dagster, look())
    want(site, Phase.DUAL_WRITE)
    assert look() == "phase dual_write is in force, and wanted"

    want(site, Phase.DATABASE_PRIMARY)
    assert isinstance(look(), RunRequest)


def test_a_wish_that_got_one_gate_further_is_not_kept_waiting(
    look: Look, dagster: Dagster, site: Site, blocked: Pipeline
) -> None:
    blocked.phase.rollback()
    want(site, Phase.DATABASE_PRIMARY)

    carry_out(dagster, look())
    assert in_force(site) is Phase.DUAL_WRITE

    carry_out(dagster, look())
    assert "1 s later" in str(look())


@pytest.mark.usefixtures("blocked")
def test_a_wrong_clock_holds_nothing_up(
    look: Look, dagster: Dagster, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(site, Phase.DATABASE_PRIMARY)
    carry_out(dagster, look())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 7200)

    assert isinstance(look(), RunRequest)
