"""The codecs: what a text means, the one text it is rendered as, and what is quarantined."""

import json
from datetime import datetime
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain import cells
from ingestion_pipeline.domain.cells import Cell, Reason, Value, read, render, text_fault
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Codec, Column

FLAG = BY_NAME["processed"]
TIME = BY_NAME["last_download_attempt"]
MAP = BY_NAME["file_uuids"]
TYPED = [FLAG, TIME, MAP]

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FLAG_LIKE = st.sampled_from(["yes", "no", "true", "false", "1", "0", ""]).map(str.title) | st.just("yes")
TIME_LIKE = st.from_regex(r"2\d{3}-[01]\d-[0-3]\d[T ][0-2]\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-][0-2]\d:\d\d)?\Z")
MAP_LIKE = st.builds(
    lambda entries, ascii_only, indent: json.dumps(entries, ensure_ascii=ascii_only, indent=indent),
    st.dictionaries(STORABLE, STORABLE, max_size=5),
    st.booleans(),
    st.sampled_from([None, 1]),
)
ANYTHING = STORABLE | FLAG_LIKE | TIME_LIKE | MAP_LIKE


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def reason(column: Column, text: str) -> Reason | None:
    return read(column, text).reason


@pytest.mark.parametrize("text", ["yes", "YES", "Yes", "true", "TRUE", "tRuE", "1"])
def test_these_flags_are_true(text: str) -> None:
    assert read(FLAG, text) == Cell(value=True, canonical="yes", verbatim=None if text == "yes" else text)


@pytest.mark.parametrize("text", ["", "no", "NO", "No", "false", "FALSE", "0"])
def test_these_flags_are_false(text: str) -> None:
    assert read(FLAG, text) == Cell(value=False, canonical="", verbatim=text or None)


@pytest.mark.parametrize("text", [" yes", "yes ", "y", "n", "on", "2", "01", "\n", "ye\u017f", "\uff11", "-"])
def test_other_flags_are_quarantined(text: str) -> None:
    assert read(FLAG, text) == Cell(None, "", text, Reason.NOT_A_FLAG)


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05", "2026-01-02T03:04:05.000001", "0001-01-01T00:00:00", "9999-12-31T23:59:59"],
)
def test_a_timestamp_in_isoformat_is_canonical(text: str) -> None:
    assert read(TIME, text) == Cell(moment(text), text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05"),
        ("2026-01-02 03:04:05+05:30", "2026-01-01T21:34:05"),
        ("2026-01-02T03:04:05.5-01:00", "2026-01-02T04:04:05.500000"),
        ("2026-01-02T03:04:05.000000", "2026-01-02T03:04:05"),
        ("2026-01-02T03:04:05.1", "2026-01-02T03:04:05.100000"),
        ("2026-01-02T03:04:05.1234", "2026-01-02T03:04:05.123400"),
    ],
)
def test_another_spelling_of_a_timestamp_is_remembered(text: str, canonical: str) -> None:
    assert read(TIME, text) == Cell(moment(canonical), canonical, text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02",
        "2026-01-02T03:04",
        "2026-01-02T03:04:05.",
        "2026-01-02T03:04:05.1234567",
        "2026-01-02T03:04:05,5",
        "2026-01-02t03:04:05",
        "2026-01-02T03:04:05z",
        "2026-01-02T03:04:05+0530",
        "2026-01-02T03:04:05+05",
        "2026-01-02T03:04:05+05:30:15",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05 Z",
        " 2026-01-02T03:04:05",
        "2026-01-02T03:04:05\n",
        "2026-02-30T03:04:05",
        "2026-13-01T03:04:05",
        "2026-01-02T25:04:05",
        "2026-01-02T03:04:60",
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "20260102T030405",
        "2026-W01-1T00:00:00",
        "\u0662026-01-02T03:04:05",
        "now",
        "infinity",
        " ",
    ],
)
def test_other_timestamps_are_quarantined(text: str) -> None:
    assert read(TIME, text) == Cell(None, "", text, Reason.NOT_A_TIMESTAMP)


@pytest.mark.parametrize("column", [TIME, MAP, BY_NAME["link"]], ids=lambda column: column.name)
def test_an_empty_cell_is_no_value(column: Column) -> None:
    assert read(column, "") == Cell(None, "")


@pytest.mark.parametrize(
    "text", ["{}", '{"a": "b"}', '{"b": "1", "aa": "0"}', '{"": ""}', '{"\u00fc\u2028": "\U0001f600\x7f"}']
)
def test_a_map_as_jsonb_renders_it_is_canonical(text: str) -> None:
    assert read(MAP, text) == Cell(json.loads(text), text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("{ }", "{}"),
        (' {"a":"b"}\n', '{"a": "b"}'),
        ('{"aa": "1", "b": "2"}', '{"b": "2", "aa": "1"}'),
        ('{"zz": "1", "\u00e9": "2", "b": "3"}', '{"b": "3", "zz": "1", "\u00e9": "2"}'),
        ('{"a": "\\u00e9\\/"}', '{"a": "\u00e9/"}'),
        ('{"a": "\\ud83d\\ude00"}', '{"a": "\U0001f600"}'),
        ('{"a": "\\u000A\\u001F"}', '{"a": "\\n\\u001f"}'),
    ],
)
def test_another_spelling_of_a_map_is_remembered(text: str, canonical: str) -> None:
    assert read(MAP, text) == Cell(json.loads(text), canonical, text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "1", "a": "1"}',
        '{"a": "1", "\\u0061": "2"}',
        '{"a": 1}',
        '{"a": null}',
        '{"a": true}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": {}}',
        '{"a": {"b": "c"}}',
        '{"a": ["b"]}',
        '{"a": "\\u0000"}',
        '{"\\u0000": "a"}',
        '{"a": "\\ud800"}',
        '{"\\udc00": "a"}',
        '{"a": "b\nc"}',
        '{"a": "b",}',
        "{'a': 'b'}",
        '{"a": "b"} x',
        '{"a"}',
        "{",
        "[]",
        '[{"a": "b"}]',
        '"a"',
        "1",
        "null",
        "NaN",
        " ",
        "\ufeff{}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": ' + "[" * 100_000,
    ],
    ids=lambda text: text[:20],
)
def test_other_maps_are_quarantined(text: str) -> None:
    assert read(MAP, text) == Cell(None, "", text, Reason.NOT_A_MAP)


def test_an_empty_map_is_not_an_empty_cell() -> None:
    assert read(MAP, "{}").value == {}
    assert read(MAP, "").value is None


def by_jsonb(one: str, other: str) -> int:
    """jsonb's rule: the shorter key first, keys of one length by their bytes."""
    a, b = one.encode(), other.encode()
    if len(a) != len(b):
        return len(a) - len(b)
    return next((x - y for x, y in zip(a, b, strict=True) if x != y), 0)


def escaped(text: str) -> str:
    known = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    return "".join(known.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text)


KEYS = st.text(st.sampled_from("ab\u00e9\u20ac\U0001f600"), max_size=4) | STORABLE


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(KEYS, STORABLE, max_size=8))
def test_a_map_is_rendered_as_jsonb_renders_it(entries: dict[str, str]) -> None:
    keys = sorted(entries, key=cmp_to_key(by_jsonb))
    expected = "{" + ", ".join(f'"{escaped(key)}": "{escaped(entries[key])}"' for key in keys) + "}"
    assert render(entries) == expected


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(COLUMNS), ANYTHING)
def test_a_canonical_text_reads_back_as_itself(column: Column, text: str) -> None:
    cell = read(column, text)
    if cell.reason is None:
        assert read(column, cell.canonical) == Cell(cell.value, cell.canonical)
        assert render(cell.value) == cell.canonical


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(TYPED), ANYTHING)
def test_the_original_text_is_never_lost(column: Column, text: str) -> None:
    cell = read(column, text)
    assert (cell.canonical if cell.verbatim is None else cell.verbatim) == text
    assert cell.verbatim != cell.canonical


def assert_reads_back(column: Column, value: Value) -> None:
    assert read(column, render(value)) == Cell(value, render(value))


@settings(deadline=None, max_examples=100)
@given(st.datetimes())
def test_every_timestamp_reads_back(value: datetime) -> None:
    assert_reads_back(TIME, value)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(STORABLE, STORABLE, max_size=5))
def test_every_map_reads_back(value: dict[str, str]) -> None:
    assert_reads_back(MAP, value)


@pytest.mark.parametrize("value", [True, False])
def test_every_flag_reads_back(value: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert_reads_back(FLAG, value)


TEXTS = [column for column in COLUMNS if column.codec.is_text]


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(TEXTS), STORABLE.filter(bool))
@example(BY_NAME["name"], "  padded\t\r\n ")
@example(BY_NAME["name"], "e\u0301\u2028\x0b\x85")
def test_text_is_never_changed(column: Column, text: str) -> None:
    cell = read(column, text)
    assert (cell.value, cell.canonical, cell.verbatim) == (text, text, None)


def test_an_empty_required_text_is_a_value() -> None:
    assert read(BY_NAME["email"], "") == Cell("", "")


def test_an_empty_row_id_is_rejected() -> None:
    assert reason(BY_NAME["row_id"], "") is Reason.MISSING_ROW_ID
    assert reason(BY_NAME["row_id"], " ") is None


LIMITED = [column for column in COLUMNS if column.limit is not None]


@pytest.mark.parametrize("column", LIMITED, ids=lambda column: column.name)
def test_limits_count_characters(column: Column) -> None:
    assert column.limit
    assert reason(column, "\U0001f600" * column.limit) is None
    assert reason(column, "a" * (column.limit + 1)) is Reason.TOO_LONG


def test_a_text_without_a_limit_has_a_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "CELL_LIMIT", 3)
    assert reason(BY_NAME["document_text"], "abc") is None
    assert reason(BY_NAME["document_text"], "abcd") is Reason.TOO_LONG


@pytest.mark.parametrize("column", TEXTS, ids=lambda column: column.name)
def test_a_nul_is_rejected(column: Column) -> None:
    assert reason(column, "a\0b") is Reason.NUL


@pytest.mark.parametrize("text", ["", "a", "a\0", "x" * 51, "x" * 50])
def test_the_check_of_the_bulk_path_says_the_same(text: str) -> None:
    column = BY_NAME["row_id"]
    assert text_fault(column)(text) is reason(column, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, ""),
        ("as is ", "as is "),
        ({}, "{}"),
        (moment("2026-01-02T03:04:05.060000"), "2026-01-02T03:04:05.060000"),
    ],
)
def test_a_value_has_one_text(value: Any, text: str) -> None:
    assert render(value) == text


def test_every_column_has_a_codec_that_reads() -> None:
    assert {column.codec for column in COLUMNS} == set(Codec)
    assert all(isinstance(read(column, "x"), Cell) for column in COLUMNS)
