"""Any file that is accepted comes back byte for byte, from a fresh start and after any edits."""
# ruff: noqa: E501 - lists of spellings

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.cells import read
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Codec
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import assert_agree, spelled
from ingestion_pipeline_tests.reused import EMPTY

PIECES = [
    "a", "Z", "é", "e\u0301", "🜀", "\u200b", "\ufeff", "\u2028", "\x85", "\x1f", "\x7f", " ", "\t", "\\", "\\.", "\\N",
    "\n\\.\n", ",", '"', '""', "\n", "\r", "\r\n", "'", "%", "%s", "{", "}", "$$", "NULL", "=1+1", "0", ";", "|",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
)
KEYS = st.sampled_from([*"1234567", "", "01", " 1", "a", "A", "é", "x" * 50, "x" * 51, '"', "\n", "\\."])
FLAGS = st.sampled_from(["", "yes", "no", "YES", "true", "False", "1", "0", "maybe", " yes", "y"])
TIMES = st.datetimes().map(lambda moment: moment.isoformat()) | st.sampled_from(
    [
        "", "2024-01-02 03:04:05", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05.50", "2024-01-02T03:04:05.120000",
        "2024-01-02T03:04:05+05:30", "0001-01-01T00:00:00+01:00", "2024-02-30T00:00:00", "2024-01-02", "infinity",
    ]
)  # fmt: skip
MAPS = st.sampled_from(
    [
        "", "{}", "[]", "null", '{"a": 1}', '{"a": "b"}', '{"a":"b"}', '{"b": "1", "aa": "2", "a": "3"}', "{",
        '{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": "1", "a": "2"}', ' {"a": "b"}', '{"\\u00e9": "\\n"}',
    ]
) | st.builds(json.dumps, st.dictionaries(TEXT, TEXT, max_size=3), ensure_ascii=st.booleans())  # fmt: skip
OF_CODEC = {
    Codec.TEXT: TEXT,
    Codec.NULLABLE_TEXT: TEXT,
    Codec.FLAG: FLAGS,
    Codec.TIMESTAMP: TIMES,
    Codec.MAP: MAPS,
}
NAMES = tuple(column.name for column in COLUMNS)


@dataclass(frozen=True)
class File:
    """One CSV: whole records, of which it shows some columns."""

    records: tuple[dict[str, str], ...]
    header: tuple[str, ...]
    dialect: dict[str, Any]

    def spell(self) -> bytes:
        rows = [[record[name] for name in self.header] for record in self.records]
        return spelled(rows, self.header, **self.dialect)


RECORDS = st.fixed_dictionaries(
    {column.name: KEYS if column.name == "row_id" else OF_CODEC[column.codec] for column in COLUMNS}
)
HEADERS = (
    st.lists(st.sampled_from(NAMES[2:]), unique=True)
    .map(lambda names: ["row_id", "name", *names])
    .flatmap(st.permutations)
    .map(tuple)
)
DIALECTS = st.fixed_dictionaries(
    {
        "quoting": st.sampled_from(["minimal", "nonempty", "all"]),
        "header_quoting": st.sampled_from(["minimal", "all"]),
        "end": st.sampled_from(["\n", "\r\n"]),
        "bom": st.booleans(),
        "final": st.booleans(),
    }
)


@st.composite
def files(draw: st.DrawFn) -> File:
    records = draw(st.lists(RECORDS, max_size=7))
    again = draw(st.lists(st.sampled_from(records), max_size=2)) if records else []
    header = draw(HEADERS | st.just(NAMES))
    return File(tuple(draw(st.permutations([*records, *again]))), header, draw(DIALECTS))


@st.composite
def edits(draw: st.DrawFn, file: File) -> File:
    """The file after one more change of some kind."""
    records = list(file.records)
    kind = draw(st.sampled_from(["insert", "cell", "delete", "move", "repeat", "columns", "dialect"]))
    at = draw(st.integers(0, len(records)))
    if kind == "columns":
        return replace(file, header=draw(HEADERS))
    if kind == "dialect":
        return replace(file, dialect=draw(DIALECTS))
    if kind == "insert" or at == len(records):
        records.insert(at, draw(RECORDS))
    elif kind == "cell":
        column = draw(st.sampled_from(NAMES))
        records[at] = records[at] | {column: draw(RECORDS)[column]}
    elif kind == "delete":
        del records[at]
    elif kind == "move":
        records.insert(draw(st.integers(0, len(records) - 1)), records.pop(at))
    else:
        records.insert(draw(st.integers(0, len(records))), records[at])
    return replace(file, records=tuple(records))


@st.composite
def histories(draw: st.DrawFn) -> list[File]:
    history = [draw(files())]
    for _ in range(draw(st.integers(1, 4))):
        history.append(draw(edits(history[-1])))
    return history


def assert_typed(site: Site, file: File) -> None:
    """What is stored of the first row of each key means what the codecs say the file means."""
    coded = [name for name in file.header if not BY_NAME[name].codec.is_text]
    stored = {
        str(row_id): values
        for row_id, *values in site.execute(f"SELECT {', '.join(['row_id', *coded])} FROM ingestion.record")
    }
    loaded: dict[str, dict[str, str]] = {}
    for record in file.records:
        if all(read(BY_NAME[name], record[name]).reason is None for name in file.header if name not in coded):
            loaded.setdefault(record["row_id"], record)
    assert stored == {
        key: [read(BY_NAME[name], record[name]).value for name in coded] for key, record in loaded.items()
    }


def bring(site: Site, pipeline: Pipeline, file: File) -> None:
    site.put(file.spell())
    first = pipeline.sync(accept_loss=True)
    assert_agree(site, pipeline)
    assert_typed(site, file)
    assert first.people + first.repeated + first.quarantined_rows == first.rows_read == len(file.records)


def begin_anew(site: Site) -> None:
    site.execute(EMPTY.partition(";")[2])


QUICK = settings(
    max_examples=30,
    deadline=None,
    # The database is emptied for every example.
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@QUICK
@given(file=files())
def test_any_file_comes_back(site: Site, pipeline: Pipeline, file: File) -> None:
    begin_anew(site)

    bring(site, pipeline, file)

    report = pipeline.sync()
    assert (report.changed, report.moved) == (0, 0)


@QUICK
@given(history=histories())
def test_any_edits_come_back(site: Site, pipeline: Pipeline, history: list[File]) -> None:
    begin_anew(site)

    for file in history:
        bring(site, pipeline, file)


@pytest.mark.parametrize("quoting", ["minimal", "nonempty", "all"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_nasty_pieces_in_every_column(site: Site, pipeline: Pipeline, quoting: str, end: str) -> None:
    rows = [[str(key), *[piece] * (len(NAMES) - 1)] for key, piece in enumerate(PIECES)]
    site.put(spelled(rows, NAMES, quoting=quoting, end=end))

    pipeline.sync()

    assert_agree(site, pipeline)
