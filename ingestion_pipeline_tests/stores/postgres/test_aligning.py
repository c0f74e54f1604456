"""Aligning: looking only at rows that are not stored to the letter comes to the same as looking at all."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.ordering import UNPLACED
from ingestion_pipeline.domain.reports import CompareReport
from ingestion_pipeline.stores.postgres import aligning, staging
from ingestion_pipeline.stores.postgres.aligning import Alignment
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, people, person, spelled, versions_of_rows
from ingestion_pipeline_tests.strays import stray, unchecked

Rows = list[list[str]]

RICH = {"processed": "yes", "document_text": 'two "lines",\nand more', "file_uuids": '{"a": "b"}'}
ODD = {"processed": "TRUE", "last_download_attempt": "2024-02-03 04:05:06Z", "s3_paths": '{"aa":"1","b":"2"}'}
BAD = {"processed": "maybe", "file_uuids": "[1]"}


def change(rows: Rows, draw: random.Random) -> None:
    rows[draw.randrange(len(rows))][1] += draw.choice(["x", ",", '"', "\n", "é"])


def turn_odd(rows: Rows, draw: random.Random) -> None:
    place = draw.randrange(len(rows))
    rows[place] = person(rows[place][0], **draw.choice([RICH, ODD, BAD]))


def remove(rows: Rows, draw: random.Random) -> None:
    del rows[draw.randrange(len(rows))]


def insert(rows: Rows, draw: random.Random) -> None:
    key = f"new{draw.randrange(10**9)}"
    rows.insert(
        draw.choice([0, len(rows), draw.randrange(len(rows))]), person(key, **draw.choice([{}, RICH, ODD]))
    )


def move(rows: Rows, draw: random.Random) -> None:
    rows.insert(draw.randrange(len(rows)), rows.pop(draw.randrange(len(rows))))


def turn(rows: Rows, _draw: random.Random) -> None:
    rows.reverse()


def repeat(rows: Rows, draw: random.Random) -> None:
    rows.append(list(draw.choice(rows)))


def spoil(rows: Rows, draw: random.Random) -> None:
    rows.insert(draw.randrange(len(rows)), person(""))


EDITS: list[Callable[[Rows, random.Random], None]] = [change, turn_odd, remove, insert, move]
SELDOM: list[Callable[[Rows, random.Random], None]] = [turn, repeat, spoil]


def compared(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, *, wholly: bool) -> CompareReport:
    with monkeypatch.context() as patch:
        if wholly:
            patch.setattr(staging, "is_alignable", lambda _cursor: False)
        return replace(pipeline.compare(), seconds=0)


@pytest.mark.parametrize(
    ("seed", "ahead", "waiting"), [(0, 2, 2), (1, 2, 100), (2, aligning.AHEAD, 1), (3, aligning.AHEAD, 100)]
)
def test_it_comes_to_the_same_as_looking_at_all(
    seed: int, ahead: int, waiting: int, site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligning, "AHEAD", ahead)
    monkeypatch.setattr(aligning, "WAITING", waiting)
    draw = random.Random(seed)  # noqa: S311 - made-up data
    rows = [*people(range(12)), person("r", **RICH), person("o", **ODD), person("b", **BAD)]
    site.put(spelled(rows))
    pipeline.sync()
    for _ in range(8):
        for _ in range(draw.randrange(4)):
            draw.choice([*EDITS, draw.choice(SELDOM)] if seed % 2 else EDITS)(rows, draw)
        site.put(spelled(rows, quoting=draw.choice(["minimal", "minimal", "all"])))
        found = compared(pipeline, monkeypatch, wholly=False)
        assert found == compared(pipeline, monkeypatch, wholly=True)
        pipeline.sync(accept_loss=True)
        assert_agree(site, pipeline)
        assert compared(pipeline, monkeypatch, wholly=True).equal


def test_it_is_no_slower_where_the_planner_takes_all_for_a_few(
    site: Site, database: str, pipeline: Pipeline
) -> None:
    rows = people(range(30_000))
    before = spelled(rows)
    site.put(before)
    pipeline.sync()
    for row in rows[::10]:
        row[1] += " changed"
    site.put(spelled(rows))
    # What it would take for all of them as they grew, had nobody analysed them since.
    stray(
        database,
        "UPDATE pg_class SET reltuples = 3020, relpages = pg_relation_size(oid) / 8192"
        " WHERE relname = 'people'",
    )

    misled = pipeline.sync()
    stray(database, "ANALYZE people")
    site.put(before)
    informed = pipeline.sync()

    assert misled.updated == informed.updated == 3_000
    assert misled.seconds < 4 * informed.seconds


class Copied:
    """A COPY of stored lines, whose ordinals count from 100; one behind a ? does not speak for its values."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines

    def copy_expert(self, _statement: object, sink: Alignment) -> None:
        for number, line in enumerate(self._lines, start=100):
            mark = "?" if line.startswith("?") else ""
            sink.write(f"{number}{mark},{line.lstrip('?')}\n".encode())


def aligned(lines: Sequence[str], stored: Sequence[str]) -> tuple[list[int | None], list[int]] | None:
    """The ordinal of each line, None for one that is left; and those missed. None where they are given up."""
    taken = (line.lstrip("?").encode() for line in lines)
    spelled = Dialect(("row_id", "name"))
    with Alignment(taken, lambda place, _: not lines[place].startswith("?"), spelled) as alignment:
        if not alignment.run(Copied(stored)):  # type: ignore[arg-type]
            return None
        known = [None if ordinal == UNPLACED else ordinal for ordinal in alignment.known]
        left = {place: line.decode() for place, line in alignment.left()}
        assert left == {place: lines[place].lstrip("?") for place, found in enumerate(known) if found is None}
        return known, sorted(alignment.missed)


@pytest.mark.parametrize(
    ("lines", "stored", "known", "missed"),
    [
        ("abc", "abc", [100, 101, 102], []),
        ("xabc", "abc", [None, 100, 101, 102], []),
        ("ac", "abc", [100, 102], [101]),
        ("aBc", "abc", [100, None, 102], [101]),
        ("cab", "abc", [102, 100, 101], []),
        ("cba", "abc", [102, 101, 100], []),
        ("", "abc", [], [100, 101, 102]),
        ("abc", "", [None, None, None], []),
        (["a", "?x", "c"], "abc", [100, None, 102], [101]),
        (["?b", "a", "c"], "acb", [None, 100, 101], [102]),
        ("abc", ["a", "?b", "c"], [100, None, 102], [101]),
        ("abcdefgh", "efghabcd", [104, 105, 106, 107, 100, 101, 102, 103], []),
    ],
)
@pytest.mark.parametrize("ahead", [1, 2, 64])
def test_lines_find_their_like(
    lines: Sequence[str],
    stored: Sequence[str],
    known: list[int | None],
    missed: list[int],
    ahead: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aligning, "AHEAD", ahead)
    assert aligned(lines, stored) == (known, missed)


def test_two_that_have_little_in_common_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligning, "WAITING", 1)
    monkeypatch.setattr(aligning, "MANY", 3)
    monkeypatch.setattr(aligning, "AHEAD", 2)
    assert aligned("abcdefgh", "ABCDEFGH") is None
    assert aligned("abcDefgh", "abcdefgh") is not None
    assert aligned("ABCdefgh", "abcdefgh") is not None


def test_however_many_differ_only_they_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligning, "WAITING", 3)
    monkeypatch.setattr(aligning, "AHEAD", 2)
    stored = [f"{number}" for number in range(100)]
    lines = [f"{number}{'x' * (number % 5 == 0)}" for number in range(100)]
    differing = list(range(0, 100, 5))
    known = [None if place in differing else 100 + place for place in range(100)]
    assert aligned(lines, stored) == (known, [100 + place for place in differing])


def test_what_the_file_raises_comes_through_when_the_copy_is_over() -> None:
    def lines() -> Iterator[bytes]:
        yield b"a"
        raise LookupError

    spelled = Dialect(("row_id", "name"))
    with Alignment(lines(), lambda *_: True, spelled) as alignment, pytest.raises(LookupError):
        alignment.run(Copied("a" * 500))  # type: ignore[arg-type]


def test_a_file_with_one_change_stages_one_row(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = people(range(300))
    site.put(spelled(rows))
    pipeline.sync()
    before = versions_of_rows(site)
    staged: list[int] = []

    def counted(*given: object) -> object:
        found = staging.stage_differing(*given)  # type: ignore[arg-type]
        assert found is not None
        staged.append(list(found.known).count(UNPLACED))
        return found

    rows.insert(0, person("new"))
    rows[150][1] += "x"
    site.put(spelled(rows))
    monkeypatch.setattr("ingestion_pipeline.stores.postgres.comparison.stage_differing", counted)
    report = pipeline.compare()
    assert (report.missing, report.changed, staged) == (1, 1, [2])
    pipeline.sync()
    after = versions_of_rows(site)
    assert len([key for key, version in before.items() if after[key] != version]) == 1


@pytest.mark.parametrize(
    "spoiled",
    [
        "UPDATE processing_status SET processed = false",
        'UPDATE people SET verbatim = verbatim || \'{"permanent_failure": "no"}\'',
        "UPDATE processing_status SET permanent_failure = NULL",
        "UPDATE people SET link = ''",
        "DELETE FROM s3_metadata",
        (
            "INSERT INTO ingestion.quarantine (scope, reason, row_id, column_name, raw, file_sha256)"
            " VALUES ('cell', 'not_a_flag', '7', 'processed', '{\"processed\": \"x\"}', '')"
        ),
    ],
)
@pytest.mark.parametrize("row", [person(7), person(7, processed="TRUE")])
def test_values_that_the_same_bytes_do_not_show_are_mended(
    row: list[str], spoiled: str, site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(spelled([person(1), row]))
    pipeline.sync()
    site.execute(spoiled)
    pipeline.sync()
    assert_agree(site, pipeline)
    assert compared(pipeline, monkeypatch, wholly=True).equal
    assert site.execute(
        "SELECT count(*) FROM ingestion.record WHERE NOT whole OR link = '' OR permanent_failure IS NULL"
        " OR processed IS DISTINCT FROM (verbatim ->> 'processed' IS NOT NULL)"
    ) == [(0,)]
    assert site.execute("SELECT count(*) FROM ingestion.standing") == [(0,)]


@pytest.mark.parametrize(
    "held", ['{"a": 1}', '{"a": ["x"]}', '{"a": []}', '{"a": {"b": "c"}}', '{"a": null}']
)
def test_a_map_that_holds_more_than_text_is_not_taken_for_one(
    held: str, site: Site, pipeline: Pipeline
) -> None:
    site.put(spelled([person(1), person(7, s3_paths='{"a": "b"}')]))
    pipeline.sync()
    site.put(spelled([person(1), person(7, s3_paths=held)]))
    with unchecked(site.database):
        site.execute("UPDATE s3_metadata SET s3_paths = %s WHERE s3_paths IS NOT NULL", held)
    assert pipeline.sync().quarantined_cells == 1
    assert site.execute("SELECT count(*) FROM s3_metadata WHERE s3_paths IS NOT NULL") == [(0,)]


def test_what_was_told_apart_is_dropped_where_a_row_is_repeated(
    site: Site, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = people(range(3))
    site.put(spelled(rows))
    pipeline.sync()
    for again in (rows[1], [rows[1][0], "another", *rows[1][2:]]):
        site.put(spelled([*rows, again]))
        found = compared(pipeline, monkeypatch, wholly=False)
        assert found.counted
        assert found == compared(pipeline, monkeypatch, wholly=True)
