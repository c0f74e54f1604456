"""settle, while PostgreSQL leads: the CSV gets what PostgreSQL holds, byte for byte, and nothing else."""

import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.receipt import Standing
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.operations.settle import settle
from ingestion_pipeline.stores.disk.locked_csv import LockedCsv
from ingestion_pipeline.stores.postgres.tables import PostgresTables
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, people, person, rendered, spelled
from ingestion_pipeline_tests.phases import advance, lead
from ingestion_pipeline_tests.proxy import eventually
from ingestion_pipeline_tests.strays import stray

ROWS = [
    person(6, name='Müller, "quoted"', document_text="two\nlines"),
    person(5, processed="TRUE", file_uuids='{"b":"c"}', s3_paths="[1]"),
    person(4),
    person(3),
    person(4),
    person("", name="nobody"),
    person(2, permanent_failure="yes"),
    person(3, name="another"),
    person(1),
]
"""With cells spelled otherwise, one in quarantine, a line repeated, and two rows in quarantine."""

INSERT = "INSERT INTO people (row_id, name, email, type) VALUES ('{}', 'New', 'n@example.org', '')"
INSERT_AT = "INSERT INTO people (row_id, name, email, type, ordinal) SELECT '{}', '', '', '', {} FROM people"
DELETE = "DELETE FROM people WHERE row_id = '{}'"
STATUS = "UPDATE processing_status SET {} WHERE person_id = (SELECT id FROM people WHERE row_id = '{}')"
METADATA = "UPDATE s3_metadata SET {} WHERE person_id = (SELECT id FROM people WHERE row_id = '{}')"
BOTH = "row_id IN ('1', '2')"
CHANGES = {
    "a person": "UPDATE people SET name = 'Ötzi, \"the\" man', link = 'l' WHERE row_id = '6'",
    "a status": STATUS.format("document_text = E'a\\nb', processed = true", 4),
    "a text kept": STATUS.format("processed = false", 5),
    "a map kept": METADATA.format("file_uuids = NULL", 5),
    "a cell in quarantine": METADATA.format("""s3_paths = '{"a": "b"}'""", 5),
    "no status any more": "DELETE FROM processing_status",
    "the last": "UPDATE people SET name = '' WHERE row_id = '1'",
    "everyone": "UPDATE people SET email = row_id",
    "a new person": INSERT.format("n1"),
    "several new people": "; ".join(INSERT.format(f"n{number}") for number in range(3)),
    "one gone": DELETE.format(2),
    "the first gone": DELETE.format(6),
    "the last gone": DELETE.format(1),
    "one with a repeat gone": DELETE.format(4),
    "one gone whose row_id a row in quarantine has": DELETE.format(3),
    "everyone gone": "DELETE FROM people",
    "gone and come again": f"{DELETE.format(2)}; {INSERT.format(2)}",
    "another row_id": "UPDATE people SET row_id = 'other' WHERE row_id = '2'",
    "a row_id handed on": f"{DELETE.format(2)}; UPDATE people SET row_id = '2' WHERE row_id = '6'",
    "another place": "UPDATE people SET ordinal = (SELECT min(ordinal) - 5 FROM people) WHERE row_id = '1'",
    "places exchanged": f"""
        UPDATE people SET ordinal = (SELECT sum(ordinal) FROM people WHERE {BOTH}) - ordinal WHERE {BOTH}
    """,
    "a new person in the middle": INSERT_AT.format("n1", "ordinal + 5") + " WHERE row_id = '3'",
    "a new person below the first, which is changed": (
        f"UPDATE people SET link = row_id WHERE row_id = '6'; {INSERT_AT.format('n1', 'ordinal + 5')}"
        " WHERE row_id = '6'"
    ),
    "a new person and one gone": f"{INSERT.format('n1')}; {DELETE.format(6)}",
    "a new person and the first changed": f"{INSERT.format('n1')}; UPDATE people SET link = row_id",
}
"""What somebody does with psql."""


def leading(site: Site, pipeline: Pipeline, file: bytes, phase: Phase = Phase.DATABASE_PRIMARY) -> None:
    """Put a site into a phase in which PostgreSQL leads, both sides equal."""
    site.put(file)
    pipeline.sync()
    lead(pipeline, phase)


def assert_settled(site: Site, pipeline: Pipeline) -> None:
    assert site.csv.read_bytes() == rendered(pipeline)
    assert stray(site.database, "SELECT row_id FROM ingestion.pending") == []


def stopped(*_: object, **__: object) -> None:
    raise ProtectedError("stopped", code="stopped")


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
def test_stray_change_reaches_the_csv(
    site: Site, pipeline: Pipeline, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leading(site, pipeline, spelled(ROWS))
    before = site.csv.read_bytes()
    stray(site.database, statement)
    assert site.csv.read_bytes() == before
    expected = rendered(pipeline)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresTables, "clear", stopped)
        with pytest.raises(ProtectedError, match="stopped"):
            pipeline.settle()

    assert site.csv.read_bytes() == expected != before
    stray(site.database, "UPDATE people SET link = 'meanwhile' WHERE row_id IN ('3', '4')")
    assert pipeline.settle().settled > 0
    assert_settled(site, pipeline)


DIALECTS: dict[str, dict[str, Any]] = {
    "BOM": {"bom": True},
    "no last line end": {"final": False},
    "CRLF without the last, all quoted": {"end": "\r\n", "final": False, "quoting": "all"},
}


@pytest.mark.parametrize("spelling", DIALECTS.values(), ids=DIALECTS)
def test_csv_stays_spelled_as_it_is(site: Site, pipeline: Pipeline, spelling: dict[str, Any]) -> None:
    leading(site, pipeline, spelled(ROWS, **spelling))

    for name in ("a new person and one gone", "the last gone", "a person", "everyone gone"):
        stray(site.database, CHANGES[name])
        pipeline.settle()
        assert_settled(site, pipeline)


def test_columns_that_the_csv_has_not_stay_in_postgres(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled([["1", "Ada"], ["2", "Bob"]], ("row_id", "name")))
    before = site.csv.read_bytes()

    pipeline.write("1", {"document_text": "long", "s3_paths": {}})
    pipeline.settle()

    assert site.csv.read_bytes() == before
    assert_settled(site, pipeline)
    pipeline.write("n1", {"name": "New", "email": "", "type": ""})
    pipeline.settle()
    assert site.csv.read_bytes() == spelled([["n1", "New"], ["1", "Ada"], ["2", "Bob"]], ("row_id", "name"))


def test_a_few_are_put_in_place(site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    leading(site, pipeline, spelled(ROWS))
    monkeypatch.setattr(LockedCsv, "render", stopped)
    for statement in ("a person", "the last", "several new people", "the first gone", "a cell in quarantine"):
        stray(site.database, CHANGES[statement])

    pipeline.settle()

    assert_settled(site, pipeline)


def test_very_many_are_rendered(site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    leading(site, pipeline, spelled(ROWS))
    monkeypatch.setattr(LockedCsv, "put", stopped)
    new = "INSERT INTO people (row_id, name, email, type, ordinal)"
    stray(site.database, f"{new} SELECT 'n' || n, '', '', '', -n FROM generate_series(1, 5010) AS n")

    assert pipeline.settle().settled == 5010

    assert_settled(site, pipeline)


def test_many_writes_to_one_person_are_settled_together(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    for number in range(5):
        stray(site.database, f"UPDATE people SET name = 'n{number}' WHERE row_id IN ('3', '4')")

    report = pipeline.settle()

    assert (report.settled, report.phase, report.follower) == (2, Phase.DATABASE_PRIMARY, Side.CSV)
    assert (report.taken_back, report.conflicts, report.merged) == (0, 0, None)
    assert_settled(site, pipeline)


def test_csv_is_left_alone_when_nothing_is_pending(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    before = site.csv.stat()

    assert pipeline.settle().settled == 0

    assert site.csv.stat() == before


def test_pipelines_writes_are_settled_by_themselves(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))

    receipt = pipeline.write("3", {"name": "Other"})

    assert (receipt.durable_in, receipt.follower) == (Side.POSTGRES, Standing.PENDING)
    eventually(lambda: b"Other" in site.csv.read_bytes())
    eventually(lambda: pipeline.status().pending.all == 0)
    assert_agree(site, pipeline)


def test_what_is_pending_at_the_end_is_settled(site: Site) -> None:
    with open_pipeline(site.config) as pipeline:
        leading(site, pipeline, spelled(people(range(9))))
        for number in range(4):
            pipeline.write("3", {"name": f"Other {number}"})

    assert b"Other 3" in site.csv.read_bytes()


def test_writers_go_on_meanwhile(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    over = threading.Event()

    def write(row_id: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            stray(site.database, "UPDATE people SET name = %s WHERE row_id = %s", f"n{number}", row_id)
            stray(site.database, INSERT.format(f"{row_id}-{number}"))

    with ThreadPoolExecutor() as threads:
        runs = [threads.submit(write, row_id) for row_id in "24"]
        settled, until = 0, time.monotonic() + 30
        while settled <= 4 and time.monotonic() < until:
            settled += pipeline.settle().settled
        over.set()
        for run in runs:
            run.result()
    settled += pipeline.settle().settled

    assert settled > 4
    assert_settled(site, pipeline)


def aside(site: Site) -> list[bytes]:
    return [path.read_bytes() for path in sorted((site.folder / "backups").glob("output_foreign_*.csv"))]


def test_csv_that_somebody_rewrote_is_kept_aside_and_rendered_again(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    ours, foreign = site.csv.read_bytes(), spelled(people(range(3)))
    site.put(foreign)
    stray(site.database, "UPDATE people SET name = 'Other' WHERE row_id = '3'")

    report = pipeline.settle()

    assert site.csv.read_bytes() == ours.replace(b"Name 3", b"Other")
    assert_settled(site, pipeline)
    assert aside(site) == [foreign]
    assert report.merged is not None
    [kept] = (site.folder / "backups").glob("output_foreign_*.csv")
    assert report.merged.aside == str(kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert pipeline.status().merged == report.merged
    assert_agree(site, pipeline)


def test_csv_that_is_lost_is_rendered_again(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    before = site.csv.read_bytes()
    site.csv.unlink()

    pipeline.settle()

    assert site.csv.read_bytes() == before
    assert aside(site) == []


def test_csv_that_was_only_touched_is_nobody_elses(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    content = site.csv.read_bytes()
    site.csv.unlink()
    site.put(content)

    assert pipeline.settle().merged is None

    assert aside(site) == []
    stray(site.database, "UPDATE people SET name = 'Other' WHERE row_id = '3'")
    pipeline.settle()
    assert_settled(site, pipeline)


def test_file_that_is_no_csv_is_kept_aside_too(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    site.put(b"\x00nonsense")

    pipeline.settle()

    assert aside(site) == [b"\x00nonsense"]
    assert_settled(site, pipeline)


def test_phase_without_a_follower_has_nothing_to_settle(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))), Phase.DATABASE_NATIVE)
    before = site.csv.read_bytes()
    receipt = pipeline.write("3", {"name": "Other"})
    site.put(b"somebody's")

    report = pipeline.settle()

    assert receipt.follower is Standing.NONE
    assert (report.settled, report.follower, report.merged) == (0, None, None)
    assert site.csv.read_bytes() == b"somebody's" != before
    assert pipeline.status().pending.all == 0


def test_change_of_phase_that_was_not_noticed_settles_nothing(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(9))))
    pipeline.sync()
    receipt = pipeline.write("3", {"name": "Other"})
    assert receipt.follower is Standing.SETTLED
    site.put(spelled([person(9), *people(range(9))]))
    advance(pipeline, Phase.DATABASE_PRIMARY)

    with pytest.raises(ProtectedError) as refused:
        pipeline.settle()

    assert refused.value.code == "ledger_stale"
    assert stray(site.database, "SELECT count(*) FROM people") == [(9,)]


def test_change_of_phase_that_comes_between_settles_nothing(site: Site, pipeline: Pipeline) -> None:
    leading(site, pipeline, spelled(people(range(9))))
    stray(site.database, "DELETE FROM people WHERE row_id = '3'")
    before = site.csv.read_bytes()

    with pytest.raises(ProtectedError) as refused:
        settle(
            pipeline.csv, pipeline.tables, state=State(Phase.DATABASE_PRIMARY, 3), brakes=None, aside="aside"
        )

    assert refused.value.code == "stale_epoch"
    assert site.csv.read_bytes() == before
