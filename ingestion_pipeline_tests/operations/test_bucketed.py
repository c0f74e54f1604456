"""Work in buckets: the same as without, whoever does which step how often, and is killed where."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.buckets import Added, Reported, Split, Sum, bucket_of, names
from ingestion_pipeline.domain.errors import PipelineError, ProtectedError, UnavailableError
from ingestion_pipeline.domain.figures import Figures
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline.stores.disk import shares
from ingestion_pipeline_tests.conftest import SAMPLES, Site
from ingestion_pipeline_tests.figures import FULL, rows_of, someone
from ingestion_pipeline_tests.files import content, people, person, rendered, spelled
from ingestion_pipeline_tests.phases import lead

BUCKETS = 4
KEY = "a-run"
MESSY = spelled(
    [
        *people(range(40)),
        person(7),
        person(8, name="somebody else"),
        person(50, processed="perhaps"),
        person(51, processed="True"),
        person(52, name="n" * 256),
    ]
)


EDGES = spelled(
    [
        *([row.get(column, "") for column in FULL] for row in rows_of(SAMPLES / "output.csv")),
        *(someone(key, type=text) for key, text in enumerate(("a", "B", "ä", "Z", ""), 9000)),
        *(someone(key, youtube_status=text) for key, text in enumerate(("a", "B", "ä", "Z"), 9010)),
        *(
            someone(key, file_uuids='{"f": "u"}', s3_paths='{"u": "films/1.MP4", "v": "films/2.mp4"}')
            for key in range(9020, 9030)
        ),
        someone(9030, last_download_attempt="2999-11-21T10:00:00.500000", permanent_failure="yes"),
        someone(9031, row_id="日本", drive_status="failed", download_errors="x"),
        someone(9000, type="a"),
        someone(9001, name="somebody else"),
        someone(9032, processed="perhaps"),
    ],
    FULL,
)
"""The sample, and what adds up only with care: ties, files that several have, repeats, quarantine."""


@pytest.fixture
def pipeline(site: Site) -> Iterator[Pipeline]:
    with in_buckets(site, BUCKETS) as opened:
        yield opened


def in_buckets(site: Site, buckets: int) -> Pipeline:
    settings = load_settings(site.config)
    return Pipeline(
        settings.model_copy(update={"bulk": settings.bulk.model_copy(update={"buckets": buckets})})
    )


def written(pipeline: Pipeline, key: str = KEY) -> Counter[str]:
    """Split, and write every bucket; gives what they did."""
    pipeline.buckets.split_to_sync(key)
    done: Counter[str] = Counter()
    for bucket in range(pipeline.buckets.count):
        one = pipeline.buckets.sync(key, bucket)
        assert one is not None
        done += Counter(rows=one.rows, inserted=one.inserted, updated=one.updated, left=one.left)
    return done


def compared(pipeline: Pipeline, key: str = "compared") -> Added:
    pipeline.buckets.split_to_compare(key)
    for bucket in range(pipeline.buckets.count):
        pipeline.buckets.compare(key, bucket)
    return pipeline.buckets.add_up(key)


def inserts(site: Site) -> int:
    [(count,)] = site.execute("SELECT count(*) FROM ingestion.history WHERE operation = 'insert'")
    assert isinstance(count, int)
    return count


def test_sql_and_python_know_the_same_buckets(site: Site, pipeline: Pipeline) -> None:
    site.put(
        spelled([person(key, row_id=text) for key, text in enumerate(("a", "ä", "\\x41", "'", "日本", " "))])
    )

    added = (pipeline.sync(), compared(pipeline))[1]

    assert added.equal
    assert added.rows == 6


@pytest.mark.parametrize("buckets", [1, 3, 16])
def test_any_number_of_buckets_comes_to_the_same(site: Site, buckets: int) -> None:
    site.put(spelled(people(range(500, 200, -1))))
    with in_buckets(site, 1) as whole:
        whole.sync()
        expected = compared(whole)

    with in_buckets(site, buckets) as pipeline:
        added = compared(pipeline, "others")

    assert added.equal
    assert replace(added, buckets=1) == expected
    assert added.csv_sum == line_sum(site.csv)


def line_sum(csv: Path) -> str:
    """The sum over a file without line breaks in cells, worked out another way."""
    _, *lines = csv.read_bytes().splitlines()
    found = Sum()
    for place, line in enumerate(lines, 1):
        found.add(place, line)
    return found.hex


@pytest.mark.parametrize("csv", ["sample", "messy"])
def test_a_fresh_site_is_written_by_the_buckets(site: Site, pipeline: Pipeline, csv: str) -> None:
    if csv == "messy":
        site.put(MESSY)

    done = written(pipeline)
    report, _ = pipeline.buckets.level(KEY)

    assert done["rows"] == report.rows_read
    assert done["inserted"] >= report.rows_read - 5
    assert report.inserted + report.updated == report.people - done["inserted"]
    assert report.moved == 0
    assert rendered(pipeline) == site.csv.read_bytes()
    assert pipeline.compare().equal
    assert compared(pipeline).equal


def test_what_differs_is_written_and_nothing_else(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(40))))
    pipeline.sync()
    before = revisions(site)
    site.put(spelled([person(key, **({"name": "Other"} if key < 10 else {})) for key in range(41)]))

    done = written(pipeline)
    report, _ = pipeline.buckets.level(KEY)

    assert (done["inserted"], done["updated"], done["left"]) == (1, 10, 0)
    assert (report.inserted, report.updated, report.moved) == (0, 0, 0)
    after = revisions(site)
    assert {row_id for row_id in before if before[row_id] != after[row_id]} == {str(key) for key in range(10)}
    assert all(after[row_id] > before[row_id] for row_id in (str(key) for key in range(10)))
    assert pipeline.compare().equal


def revisions(site: Site) -> dict[object, int]:
    return {
        row_id: int(str(revision)) for row_id, revision in site.execute("SELECT row_id, revision FROM people")
    }


def test_the_next_split_has_another_number(site: Site, pipeline: Pipeline) -> None:
    # Whoever remembers a person's revision must see that it has changed once more.
    for number, name in enumerate(("One", "Two", "Three")):
        site.put(spelled([person(key, name=name) for key in range(8)]))
        done = written(pipeline, f"run-{number}")
        pipeline.buckets.level(f"run-{number}")

        assert done["left"] == 0

    assert len(site.execute("SELECT DISTINCT revision FROM ingestion.history")) == 3


def test_a_step_done_again_does_nothing(site: Site, pipeline: Pipeline) -> None:
    written(pipeline)
    before, noted = content(site), inserts(site)
    for path in pipeline.csv.state_dir.glob("buckets/*/synced-*.json"):
        path.unlink()

    again = written(pipeline)

    assert (again["inserted"], again["updated"]) == (0, 0)
    assert content(site) == before
    assert inserts(site) == noted == 509


def test_a_bucket_twice_at_once_is_written_once(site: Site, pipeline: Pipeline) -> None:
    pipeline.buckets.split_to_sync(KEY)
    failed: list[PipelineError] = []

    def work() -> None:
        try:
            pipeline.buckets.sync(KEY, 0)
        except PipelineError as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not failed
    assert inserts(site) == len(site.execute("SELECT 1 FROM people")) > 0


def test_a_split_twice_at_once_is_one(pipeline: Pipeline) -> None:
    found: list[Split] = []
    threads = [
        threading.Thread(target=lambda: found.append(pipeline.buckets.split_to_sync(KEY))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 4
    assert len({(one.sequence, one.shares) for one in found}) == 1
    assert [path.name for path in (pipeline.csv.state_dir / "buckets").iterdir()] == [KEY]


def test_who_comes_when_all_is_over_does_nothing(site: Site, pipeline: Pipeline) -> None:
    written(pipeline)
    pipeline.buckets.level(KEY)
    before = content(site)
    site.put(spelled(people(range(3))))

    assert pipeline.buckets.sync(KEY, 1) is None
    assert pipeline.buckets.split_to_sync(KEY).rows == 510
    assert content(site) == before
    assert not list(pipeline.csv.state_dir.glob("buckets/*/rows-*"))


def test_newer_writes_stay(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.write("503", {"name": "Before"})
    pipeline.write("504", {"name": "Before"})
    site.execute("UPDATE people SET name = 'Behind', revision = 1 WHERE row_id IN ('503', '504')")
    pipeline.buckets.split_to_sync(KEY)
    pipeline.write("503", {"name": "Newest"})

    for bucket in range(BUCKETS):
        pipeline.buckets.sync(KEY, bucket)

    held = site.execute("SELECT row_id, name FROM people WHERE row_id IN ('503', '504') ORDER BY 1")
    assert held == [("503", "Newest"), ("504", "Before")]
    pipeline.buckets.level(KEY)
    assert pipeline.compare().equal


def test_writers_go_on_between_the_buckets(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.execute("DELETE FROM people WHERE right(row_id, 1) IN ('0', '4', '8')")
    pipeline.write("501", {"name": "Ada"})
    pipeline.buckets.split_to_sync(KEY)

    for bucket in range(BUCKETS):
        pipeline.write(str(500 - 2 * bucket), {"name": f"In {bucket}"})
        pipeline.buckets.sync(KEY, bucket)
        pipeline.write(str(499 - 2 * bucket), {"name": f"After {bucket}"})

    pipeline.buckets.level(KEY)
    assert pipeline.compare().equal
    assert rendered(pipeline) == site.csv.read_bytes()


def test_what_a_brake_may_stop_is_left_to_the_last_step(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people(range(100))))
    pipeline.sync()
    before = content(site)
    site.put(spelled([person(key, email="") for key in range(100)]))

    done = written(pipeline)

    assert (done["updated"], done["left"]) == (0, 100)
    assert content(site) == before
    with pytest.raises(ProtectedError, match="empty 100 cells"):
        pipeline.buckets.level(KEY)


def test_another_phase_stops_a_bucket(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.buckets.split_to_sync(KEY)
    site.execute("DELETE FROM people WHERE row_id = '503'")
    site.execute("UPDATE ingestion.migration_state SET epoch = epoch + 1")

    with pytest.raises(ProtectedError) as stopped:
        pipeline.buckets.sync(KEY, bucket_of("503", BUCKETS))

    assert stopped.value.code == "stale_epoch"
    assert not site.execute("SELECT 1 FROM people WHERE row_id = '503'")


def test_where_postgres_leads_nothing_is_split_to_sync(pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.export()
    lead(pipeline, Phase.DATABASE_PRIMARY)

    with pytest.raises(ProtectedError, match="nothing is synced"):
        pipeline.buckets.split_to_sync(KEY)

    assert compared(pipeline).equal


def test_what_is_pending_is_settled_first(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.export()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    site.execute("UPDATE people SET name = 'Behind' WHERE row_id = '503'")
    assert pipeline.status().pending.rows == 1

    added = compared(pipeline)

    assert added.equal
    assert added.pending == 0
    assert b"Behind" in site.csv.read_bytes()


def test_a_damaged_share_is_not_loaded(site: Site, pipeline: Pipeline) -> None:
    pipeline.buckets.split_to_sync(KEY)
    share = pipeline.csv.state_dir / "buckets" / KEY / "rows-000.csv"
    share.write_bytes(share.read_bytes().replace(b"@example", b"@elsewhere", 1))

    with pytest.raises(UnavailableError) as refused:
        pipeline.buckets.sync(KEY, 0)

    assert refused.value.code == "share_damaged"
    assert not site.execute("SELECT 1 FROM people")


@pytest.mark.parametrize(
    ("fault", "differences"),
    [
        ("UPDATE people SET name = name || '.' WHERE row_id IN ('503', '504')", 4),
        ("DELETE FROM processing_status WHERE person_id = (SELECT id FROM people WHERE row_id = '503')", 0),
        ("UPDATE people SET ordinal = 1 + (SELECT max(ordinal) FROM people) WHERE row_id = '503'", None),
        ('UPDATE ingestion.csv_file SET dialect = dialect || \'{"line_end": "\\r\\n"}\'', 0),
    ],
    ids=["cell", "row of a table", "order", "spelling"],
)
def test_a_planted_difference_is_found(
    site: Site, pipeline: Pipeline, fault: str, differences: int | None
) -> None:
    pipeline.sync()
    site.execute(fault)

    added = compared(pipeline)

    assert added.bytes_equal == pipeline.compare().bytes_equal
    if differences is None:
        assert added.differences > 2
    else:
        assert added.differences == differences


def test_what_is_written_between_two_buckets_proves_nothing(pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.buckets.split_to_compare(KEY)
    pipeline.buckets.compare(KEY, 0)
    pipeline.write("503", {"name": "Somebody"})
    for bucket in range(1, BUCKETS):
        pipeline.buckets.compare(KEY, bucket)

    added = pipeline.buckets.add_up(KEY)

    assert not added.one_state
    assert not added.equal
    assert pipeline.buckets.add_up(KEY) == added


def test_a_bucket_that_is_missing_is_told(pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.buckets.split_to_compare(KEY)
    pipeline.buckets.compare(KEY, 0)

    with pytest.raises(UnavailableError, match="3 of 4 buckets"):
        pipeline.buckets.add_up(KEY)
    with pytest.raises(UnavailableError, match="no such bucket"):
        pipeline.buckets.compare(KEY, BUCKETS)
    with pytest.raises(UnavailableError, match="no such bucket"):
        pipeline.buckets.sync("another-run", 0)


def reported(pipeline: Pipeline, key: str = KEY) -> Reported:
    for bucket in range(pipeline.buckets.count):
        pipeline.buckets.report(key, bucket)
    return pipeline.buckets.add_up_report(key)


def whole_report(pipeline: Pipeline) -> Figures:
    figures = pipeline.reports.read().figures
    assert figures is not None
    return replace(figures, refreshed=())


@pytest.mark.parametrize("buckets", [1, 4, 16])
def test_the_reports_of_all_buckets_are_the_whole_report(site: Site, buckets: int) -> None:
    site.put(EDGES)
    with in_buckets(site, buckets) as pipeline:
        pipeline.sync()

        report = reported(pipeline)

        whole = whole_report(pipeline)
        assert report.figures == whole
        assert (report.buckets, report.one_state) == (buckets, True)
        assert (whole.processing.in_quarantine, whole.storage.distinct_paths) > (1, 1)
        each = [pipeline.buckets.report(KEY, bucket).counts.processing.people for bucket in range(buckets)]
        assert sum(each) == whole.processing.people
        assert max(each) < whole.processing.people or buckets == 1


def test_a_report_of_nobody_is_the_whole_report(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([], FULL))
    pipeline.sync()

    assert reported(pipeline).figures == whole_report(pipeline)


def test_what_is_written_between_two_buckets_is_told(pipeline: Pipeline) -> None:
    pipeline.sync()
    pipeline.buckets.report(KEY, 0)
    pipeline.write("503", {"name": "Somebody"})

    assert not reported(pipeline).one_state
    assert reported(pipeline, "another-run").one_state


def test_a_report_done_again_is_the_same(site: Site, pipeline: Pipeline) -> None:
    site.put(EDGES)
    pipeline.sync()
    report = reported(pipeline)
    pipeline.write("503", {"type": "Changed"})

    assert reported(pipeline) == report
    assert reported(pipeline, "another-run").counts != report.counts


def test_a_report_reads_no_file(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    site.csv.unlink()

    assert reported(pipeline).counts.processing.people == 509
    [folder] = (pipeline.csv.state_dir / "buckets").iterdir()
    assert len(list(folder.iterdir())) == BUCKETS + 1
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.iterdir())


def test_a_report_with_a_bucket_missing_is_none(site: Site, pipeline: Pipeline) -> None:
    pipeline.sync()
    for bucket in range(1, BUCKETS):
        pipeline.buckets.report(KEY, bucket)

    with pytest.raises(UnavailableError, match="1 of 4 buckets have not been counted"):
        pipeline.buckets.add_up_report(KEY)
    with in_buckets(site, 2) as other:
        other.buckets.report(KEY, 0)
    with pytest.raises(UnavailableError, match="1 of 4 buckets have not been counted"):
        pipeline.buckets.add_up_report(KEY)


@pytest.mark.parametrize("phase", [None, Phase.ORIGINAL], ids=str)
def test_where_postgres_has_no_part_nothing_is_counted(pipeline: Pipeline, phase: Phase | None) -> None:
    if phase is not None:
        pipeline.sync()
        lead(pipeline, phase)

    with pytest.raises(ProtectedError) as refused:
        pipeline.buckets.report(KEY, 0)

    assert refused.value.code == "no_part"


def test_old_shares_are_taken_away(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.buckets.split_to_sync("old")
    monkeypatch.setattr(shares, "KEPT", -1.0)

    pipeline.buckets.split_to_sync("new")

    assert [path.name for path in (pipeline.csv.state_dir / "buckets").iterdir()] == ["new"]
    assert all(path.stat().st_mode & 0o77 == 0 for path in pipeline.csv.state_dir.rglob("buckets/**/*"))


def test_buckets_are_spread_and_named() -> None:
    counts = Counter(bucket_of(str(key), 16) for key in range(16_000))

    assert set(counts) == set(range(16))
    assert max(counts.values()) < 1.2 * min(counts.values())
    assert bucket_of("anything", 1) == 0
    assert names(1) == ["0"]
    assert names(11)[0] == "00"
