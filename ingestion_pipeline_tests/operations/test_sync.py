"""sync: who may overwrite whom, and how much may vanish unasked."""

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import (
    Exit,
    PipelineError,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, content, people, person, spelled

CANARY = "canary.person@example.org"


def emptied(keys: range, stored: int) -> bytes:
    return spelled([person(key, **({"email": ""} if key in keys else {})) for key in range(stored)])


LOSSES = {
    "share of rows": (100, spelled(people(range(6, 100))), "delete 6 of 100"),
    "rows": (1000, spelled(people(range(21, 1000))), "delete 21 of 1000"),
    "everything": (3, spelled([]), "delete 3 of 3"),
    "rows into quarantine": (
        20,
        spelled([person(key, name="n" * 256) for key in range(20)]),
        "delete 20 of 20",
    ),
    "share of cells": (100, emptied(range(6), 100), r"empty 6 cells: email \(6\)"),
    "cells": (1000, emptied(range(21), 1000), r"empty 21 cells: email \(21\)"),
}
PASSING = {
    "share of rows": (100, spelled(people(range(5, 100)))),
    "rows": (1000, spelled(people(range(20, 1000)))),
    "share of cells": (100, emptied(range(5), 100)),
    "cells": (1000, emptied(range(20), 1000)),
    "the last one": (1, spelled([])),
    "one cell": (1, emptied(range(1), 1)),
    "changes": (40, spelled([person(key, name="Other", email=CANARY) for key in range(40)])),
    "a column that is absent": (40, spelled([[str(k), f"Name {k}"] for k in range(40)], ("row_id", "name"))),
}


@pytest.mark.parametrize(("stored", "file", "said"), LOSSES.values(), ids=LOSSES)
def test_brake_stops_what_takes_too_much(
    site: Site, pipeline: Pipeline, stored: int, file: bytes, said: str
) -> None:
    site.put(spelled(people(range(stored))))
    pipeline.sync()
    before = content(site)
    site.put(file)

    with pytest.raises(ProtectedError, match=said) as stopped:
        pipeline.sync()

    assert (stopped.value.code, stopped.value.exit) == ("brake", Exit.PROTECTED)
    assert "--accept-loss" in stopped.value.hint
    assert "example.org" not in str(stopped.value)
    assert content(site) == before
    assert pipeline.sync(accept_loss=True).rows_read == file.count(b"\n") - 1
    assert_agree(site, pipeline)


@pytest.mark.parametrize(("stored", "file"), PASSING.values(), ids=PASSING)
def test_brake_lets_pass_what_is_little(site: Site, pipeline: Pipeline, stored: int, file: bytes) -> None:
    site.put(spelled(people(range(stored))))
    pipeline.sync()
    site.put(file)

    pipeline.sync()

    assert_agree(site, pipeline)


def test_brakes_are_set_in_the_configuration(site: Site) -> None:
    site.config.write_text("migration:\n  phase: dual_write\nbrakes:\n  rows: 2\n  percent: 100\n")
    with open_pipeline(site.config) as pipeline:
        site.put(spelled(people(range(9))))
        pipeline.sync()
        site.put(spelled(people(range(3, 9))))

        with pytest.raises(ProtectedError, match="delete 3 of 9"):
            pipeline.sync()

        site.put(spelled(people(range(2, 9))))
        assert pipeline.sync().deleted == 2


def test_cell_that_is_spelled_as_nothing_counts_as_emptied(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([person(key, processed="maybe", file_uuids="{}") for key in range(4)]))
    pipeline.sync()
    site.put(spelled(people(range(4))))

    with pytest.raises(ProtectedError, match=r"empty 8 cells: processed \(4\), file_uuids \(4\)"):
        pipeline.sync()


def test_dry_run_counts_and_changes_nothing(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([*people(range(30)), person(1), person(""), person("q", processed="maybe")]))
    pipeline.sync()
    before = content(site)
    site.put(spelled([person("new"), person(2, name="Other"), *people(range(3, 30)), person("", name="b")]))

    dry = pipeline.sync(dry_run=True, accept_loss=True)
    assert content(site) == before
    with pytest.raises(ProtectedError):
        pipeline.sync(dry_run=True)
    real = pipeline.sync(accept_loss=True)

    assert (dry.dry_run, real.dry_run) == (True, False)
    shown = (
        "rows_read",
        "inserted",
        "updated",
        "unchanged",
        "deleted",
        "moved",
        "repeated",
        "quarantined_rows",
    )
    assert [getattr(dry, name) for name in shown] == [getattr(real, name) for name in shown]
    assert_agree(site, pipeline)


def test_progress_and_steps_are_told(site: Site, pipeline: Pipeline) -> None:
    read: list[int] = []
    steps: list[str] = []

    pipeline.sync(progress=read.append, step=steps.append)

    # Twice, as the sample has rows that are set aside.
    again = max(place for place, count in enumerate(read) if count == read[0])
    assert again
    assert [read[:again], read[again:]] == [sorted(read[:again]), sorted(read[again:])]
    assert read[-1] == site.csv.stat().st_size
    assert steps == ["reading", "comparing", "placing", "writing"]


def test_missing_file_is_an_outage(site: Site, pipeline: Pipeline) -> None:
    site.csv.unlink()

    with pytest.raises(UnavailableError) as missing:
        pipeline.sync()

    assert missing.value.code == "csv_missing"


def phased(site: Site, phase: str) -> None:
    site.config.write_text(f"migration:\n  phase: {phase}\n")


def test_original_has_no_follower(site: Site) -> None:
    phased(site, "original")
    with open_pipeline(site.config) as pipeline, pytest.raises(ProtectedError) as refused:
        pipeline.sync()

    assert refused.value.code == "no_follower"
    assert site.execute("SELECT phase, epoch FROM ingestion.migration_state") == [("original", 1)]
    assert site.execute("SELECT count(*) FROM people") == [(0,)]


def test_original_goes_on_through_the_gate_only(site: Site) -> None:
    phased(site, "original")
    with open_pipeline(site.config) as pipeline, pytest.raises(ProtectedError):
        pipeline.sync()
    phased(site, "dual_write")

    with open_pipeline(site.config) as pipeline:
        with pytest.raises(ProtectedError) as refused:
            pipeline.sync()
        status = pipeline.status()

    assert refused.value.code == "no_follower"
    assert (status.in_force, status.epoch) == (Phase.ORIGINAL, 1)


@pytest.mark.parametrize("phase", ["database_primary", "database_native"])
def test_fresh_site_begins_where_the_csv_leads(site: Site, phase: str) -> None:
    phased(site, phase)
    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        status = pipeline.status()

    assert (status.wanted, status.in_force, status.epoch) == (phase, Phase.DUAL_WRITE, 1)


@pytest.mark.parametrize("phase", ["database_primary", "database_native"])
def test_csv_never_overwrites_what_leads(site: Site, pipeline: Pipeline, phase: str) -> None:
    pipeline.sync()
    site.execute("UPDATE ingestion.migration_state SET phase = %s, epoch = epoch + 1", phase)
    before = content(site)
    site.put(spelled([person(1)]))

    for accept_loss in (False, True):
        with pytest.raises(PipelineError) as refused:
            pipeline.sync(accept_loss=accept_loss)
        assert (refused.value.code, refused.value.exit) == ("not_the_authority", Exit.PROTECTED)

    assert content(site) == before


def test_phase_in_force_outranks_the_one_asked_for(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    phased(site, "database_primary")

    with open_pipeline(site.config) as later:
        assert later.sync().unchanged == 509
        status = later.status()

    assert (status.wanted, status.in_force) == (Phase.DATABASE_PRIMARY, Phase.DUAL_WRITE)
