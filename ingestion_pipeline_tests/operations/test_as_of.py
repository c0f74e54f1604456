"""As of a time: every person, cell and place as it was, by PostgreSQL's history."""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

import psycopg2
import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.restorable import How
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.domain.quarantine import Decision
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, content, people, person, rendered, spelled
from ingestion_pipeline_tests.operations.test_settle import CHANGES, DELETE, METADATA, ROWS
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote
from ingestion_pipeline_tests.strays import stray, unchecked

__all__ = ["proxy", "remote"]

ORIGINAL, DUAL, PRIMARY, NATIVE = Phase
FOUR = spelled(people("4321"))
ACCEPT_LOSS = How(accept_loss=True)
RENAMES = ("another row_id", "a row_id handed on")
UNREPEATED = [row for number, row in enumerate(ROWS) if number != 4]
"""Without the repeated line, which history knows nothing of."""


def begin(site: Site, pipeline: Pipeline, phase: Phase = PRIMARY, file: bytes = FOUR) -> None:
    """Put a site into a phase, both sides equal."""
    site.put(file)
    pipeline.sync()
    if phase is not DUAL:
        lead(pipeline, phase)


def now(site: Site) -> datetime:
    [(found,)] = stray(site.database, "SELECT clock_timestamp()")
    assert isinstance(found, datetime)
    return found


def as_of(site: Site, pipeline: Pipeline, at: datetime, *, accept_loss: bool = False) -> bytes:
    """What is rendered of a time; it leaves everything as it is."""
    target = site.folder / "as_of.csv"
    standing = content(site), stray(site.database, "SELECT count(*) FROM ingestion.history")
    written = pipeline.restore.as_of_to(at, target, accept_loss=accept_loss)
    assert written.size == target.stat().st_size
    assert (content(site), stray(site.database, "SELECT count(*) FROM ingestion.history")) == standing
    return target.read_bytes()


# Whatever happened since


@pytest.mark.parametrize("change", [name for name in CHANGES if name not in RENAMES])
def test_stray_change_is_undone(site: Site, pipeline: Pipeline, change: str) -> None:
    begin(site, pipeline, file=spelled(UNREPEATED))
    before, at = rendered(pipeline), now(site)
    stray(site.database, CHANGES[change])
    after, later = rendered(pipeline), now(site)
    assert after != before

    assert as_of(site, pipeline, at) == before
    stray(
        site.database,
        "UPDATE people SET name = 'Once more', link = 'l'; DELETE FROM people WHERE row_id = '6'",
    )

    assert as_of(site, pipeline, later) == after
    assert as_of(site, pipeline, at) == before


@pytest.mark.parametrize("change", RENAMES)
def test_another_row_id_is_refused(site: Site, pipeline: Pipeline, change: str) -> None:
    begin(site, pipeline, file=spelled(UNREPEATED))
    at = now(site)
    stray(site.database, CHANGES[change])

    with pytest.raises(SettingsError) as refused:
        as_of(site, pipeline, at)

    assert refused.value.code == "row_ids_changed"
    after = rendered(pipeline)
    later = now(site)
    pipeline.write("1", {"name": "Since"})
    assert as_of(site, pipeline, later) == after


Step = Callable[[Site, Pipeline], object]
STEPS: dict[str, Step] = {
    "a write": lambda _, pipeline: pipeline.write(
        "1", {"name": "A", "processed": True, "s3_paths": {"a": "b"}}
    ),
    "again": lambda _, pipeline: pipeline.write(
        "1", {"name": "B", "processed": "TRUE", "s3_paths": '{"b":"c"}'}
    ),
    "a new one": lambda _, pipeline: pipeline.write(
        "n1", {"name": "N", "email": "", "type": "", "last_download_attempt": "2026-11-22 10:00:00Z"}
    ),
    "the new one": lambda _, pipeline: pipeline.write("n1", {"document_text": "x\ny", "link": "l"}),
    "gone": lambda site, _: stray(site.database, DELETE.format("n1") + ";" + DELETE.format("2")),
    "come again": lambda _, pipeline: pipeline.write(
        "2", {"name": "Two", "email": "", "type": "", "link": "two"}
    ),
    "no status": lambda site, _: stray(site.database, "DELETE FROM processing_status"),
    "a status": lambda _, pipeline: pipeline.write("1", {"drive_status": "ok", "youtube_files": "f"}),
    "a restore": lambda _, pipeline: pipeline.restore.version("latest", ACCEPT_LOSS),
    "all gone": lambda site, _: stray(site.database, "DELETE FROM people"),
    "all back": lambda _, pipeline: pipeline.restore.version("latest", ACCEPT_LOSS),
    "the last": lambda _, pipeline: pipeline.write("3", {"name": "Three"}),
}
"""One after another, with whole loads between."""


@pytest.mark.parametrize("phase", [PRIMARY, NATIVE], ids=str)
def test_every_time_on_the_way(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase)
    pipeline.export()
    kept = [(now(site), rendered(pipeline))]
    for step in STEPS.values():
        step(site, pipeline)
        kept.append((now(site), rendered(pipeline)))

    for number, (at, file) in enumerate(kept):
        assert (number, as_of(site, pipeline, at)) == (number, file)


def test_every_time_while_the_csv_leads(site: Site, pipeline: Pipeline) -> None:
    files = [
        spelled(people("4321")),
        spelled([person(4, name="Other"), person(2), person(1), person("9"), person("", name="nobody")]),
        spelled(
            [person(4, processed="TRUE", s3_paths="[1]"), person("8"), person(1), person(4, name="twice")]
        ),
        spelled(people("1234")),
    ]
    kept: list[tuple[datetime, bytes]] = []
    for file in files:
        site.put(file)
        pipeline.sync(accept_loss=True)
        kept.append((now(site), rendered(pipeline)))
        pipeline.write("1", {"name": f"after {len(kept)}", "document_text": "long"})
        kept.append((now(site), rendered(pipeline)))

    for number, (at, wanted) in enumerate(kept):
        assert (number, as_of(site, pipeline, at)) == (number, wanted)


def test_decisions_on_quarantine_are_undone(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, DUAL, spelled([person(1), person("", name="a"), person("", name="b"), person(2)]))
    before, at = rendered(pipeline), now(site)
    first, second = (entry.id for entry in pipeline.quarantine())

    pipeline.decide(first, Decision.DROP, {})
    pipeline.sync()
    pipeline.decide(second, Decision.ACCEPT, {})
    site.put(spelled([person(1), person("", name="c"), person(2)]))
    pipeline.sync()

    assert rendered(pipeline) != before
    assert as_of(site, pipeline, at) == before


def test_who_waited_for_another_is_undone_with_them(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, NATIVE)
    before = rendered(pipeline)
    with closing(psycopg2.connect(site.database)) as late, late, late.cursor() as cursor:
        cursor.execute("SELECT now()")
        pipeline.write("1", {"name": "quick", "link": "quick"})
        at = now(site) - timedelta(seconds=1)
        [(written,)] = stray(site.database, "SELECT max(at) FROM ingestion.history")
        assert isinstance(written, datetime)
        at = written - timedelta(microseconds=1)
        cursor.execute("UPDATE people SET name = 'late', email = 'late' WHERE row_id = '1'")

    assert as_of(site, pipeline, at) == before


def test_columns_the_csv_has_not_are_left_out(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, file=spelled([["1", "Ada"], ["2", "Bob"]], ("row_id", "name")))
    at = now(site)
    pipeline.write("1", {"name": "Eve", "document_text": "long"})

    assert as_of(site, pipeline, at) == spelled([["1", "Ada"], ["2", "Bob"]], ("row_id", "name"))


def test_repeated_lines_and_spelling_are_as_they_are_now(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, DUAL, spelled([person(2), person(1), person(2)]))
    at = now(site)
    site.put(spelled([person(2, name="Other"), person(1), person(1)], end="\r\n"))
    pipeline.sync()

    assert as_of(site, pipeline, at) == spelled([person(2), person(1), person(1)], end="\r\n")


# The whole site


@pytest.mark.parametrize("phase", [DUAL, PRIMARY, NATIVE], ids=str)
def test_site_is_what_it_was(site: Site, pipeline: Pipeline, phase: Phase) -> None:
    begin(site, pipeline, phase, spelled(UNREPEATED))
    before, at = rendered(pipeline), now(site)
    last = pipeline.write("1", {"name": "Changed", "file_uuids": {"b": "c"}}).revision
    pipeline.write("n1", {"name": "New", "email": "", "type": ""})
    pipeline.settle()
    changed = rendered(pipeline)

    dry = pipeline.restore.as_of(at, How(dry_run=True))
    assert rendered(pipeline) == changed
    report = pipeline.restore.as_of(at)

    assert dry.restored.weighed == report.restored.weighed
    assert (report.source, report.equal) == (at.isoformat(), True if phase.follower else None)
    assert rendered(pipeline) == before
    assert (site.folder / "exports" / (report.version_before or "")).read_bytes() == changed
    if phase is not NATIVE:
        assert_agree(site, pipeline)
    assert pipeline.write("1", {"name": "Since"}).revision > last
    assert as_of(site, pipeline, at) == before


def test_csv_that_follows_is_never_restored_alone(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline)

    with pytest.raises(SettingsError) as refused:
        pipeline.restore.as_of(now(site), How(to=Side.CSV))

    assert refused.value.code == "follows"


# What history does not tell


def test_time_before_history(site: Site, pipeline: Pipeline) -> None:
    began = now(site)
    begin(site, pipeline)

    with pytest.raises(SettingsError) as refused:
        as_of(site, pipeline, began)

    assert (refused.value.code, "ingest versions" in refused.value.hint) == ("before_history", True)


def test_time_to_come(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline)

    with pytest.raises(SettingsError) as refused:
        as_of(site, pipeline, now(site) + timedelta(minutes=5))

    assert refused.value.code == "in_future"


def test_time_without_a_zone(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline)

    with pytest.raises(SettingsError) as refused:
        as_of(site, pipeline, datetime(2026, 11, 22))  # noqa: DTZ001

    assert refused.value.code == "no_zone"


def test_in_original_postgres_has_no_history(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline)
    at = now(site)
    lead(pipeline, ORIGINAL)

    for restore in (pipeline.restore.as_of, lambda at: as_of(site, pipeline, at)):
        with pytest.raises(SettingsError) as refused:
            restore(at)
        assert refused.value.code == "before_history"


def test_time_at_which_the_csv_was_alone(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline)
    before, at = rendered(pipeline), now(site)
    lead(pipeline, ORIGINAL)
    pipeline.write("1", {"name": "alone"})
    alone = now(site)
    lead(pipeline, DUAL)
    together, since = rendered(pipeline), now(site)
    pipeline.write("1", {"name": "since"})

    with pytest.raises(SettingsError) as refused:
        as_of(site, pipeline, alone)
    assert refused.value.code == "before_history"
    assert as_of(site, pipeline, at) == before
    assert as_of(site, pipeline, since) == together


def test_site_that_began_alone(site: Site) -> None:
    site.config.write_text("")
    site.put(FOUR)
    with open_pipeline(site.config) as pipeline:
        pipeline.write("1", {"name": "alone"})
        lead(pipeline, DUAL)
        [change] = pipeline.phase.history()
        with pytest.raises(SettingsError) as refused:
            as_of(site, pipeline, datetime.fromisoformat(change.at) - timedelta(microseconds=1))
        assert refused.value.code == "before_history"
        assert b"alone" in as_of(site, pipeline, now(site))


def test_database_that_holds_nothing(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline)
    site.execute("DELETE FROM ingestion.migration_state")

    for restore in (
        lambda: as_of(site, pipeline, now(site)),
        lambda: pipeline.restore.as_of(now(site), ACCEPT_LOSS),
    ):
        with pytest.raises(SettingsError) as refused:
            restore()
        assert refused.value.code == "before_history"
    assert site.execute("SELECT count(*) FROM ingestion.migration_state") == [(0,)]


def test_postgres_is_away(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    begin(site, remote)
    at = now(site)
    proxy.away()

    with pytest.raises(UnavailableError):
        remote.restore.as_of(at)


def test_map_that_may_have_held_a_null(site: Site, pipeline: Pipeline) -> None:
    with unchecked(site.database):
        begin(site, pipeline)
        stray(site.database, METADATA.format("""file_uuids = '{"a": null, "b": "c"}'""", 1))
        stray(site.database, METADATA.format("""s3_paths = '{"d": "e"}'""", 2))
        at = now(site)
        assert b"null" in as_of(site, pipeline, at)
        pipeline.write("1", {"file_uuids": {"b": "f"}})

        for restore in (pipeline.restore.as_of, lambda at: as_of(site, pipeline, at)):
            with pytest.raises(ProtectedError) as refused:
                restore(at)
            assert (refused.value.code, "maps of 1 people" in refused.value.message) == ("maps_untold", True)
        assert b'{""b"": ""c""}' in as_of(site, pipeline, at, accept_loss=True)
        pipeline.write("2", {"s3_paths": {}})
        assert pipeline.restore.as_of(at, ACCEPT_LOSS).equal
        assert b'{""d"": ""e""}' in site.csv.read_bytes()


def test_map_that_the_pipeline_wrote_is_told(site: Site, pipeline: Pipeline) -> None:
    with unchecked(site.database):
        begin(site, pipeline)
        stray(site.database, METADATA.format("""file_uuids = '{"a": null}'""", 1))
        pipeline.write("1", {"file_uuids": {"b": "c"}})
        before, at = rendered(pipeline), now(site)
        stray(site.database, METADATA.format("""file_uuids = '{"x": null}'""", 1))

        assert as_of(site, pipeline, at) == before


# Who writes meanwhile


def test_writers_wait_and_their_writes_stand(site: Site, pipeline: Pipeline) -> None:
    begin(site, pipeline, NATIVE, spelled(people(range(200))))
    at = now(site)
    over = threading.Event()
    last: list[str] = []

    def write() -> None:
        while not over.is_set():
            text = f"written {len(last)}"
            pipeline.write("7", {"name": text})
            pipeline.write(f"n{len(last)}", {"name": text, "email": "", "type": ""})
            last.append(text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(9):
            assert as_of_only(site, pipeline, at) == spelled(people(range(200)))
    finally:
        over.set()
        writer.join(30)

    assert (pipeline.read("7") or {})["name"] == last[-1]


def as_of_only(site: Site, pipeline: Pipeline, at: datetime) -> bytes:
    target = site.folder / "as_of.csv"
    pipeline.restore.as_of_to(at, target)
    return target.read_bytes()
