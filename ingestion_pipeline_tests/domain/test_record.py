"""The bulk path: it must find exactly what reading every cell would find."""

import json
from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.cells import Reason, read
from ingestion_pipeline.domain.columns import BY_NAME, COLUMNS, Codec, Column
from ingestion_pipeline.domain.record import Correction, Examination, ParsedRows, Rejection, _is_plain

NAMES = tuple(column.name for column in COLUMNS)


def row(**cells: str) -> list[str]:
    return [cells.get(name, "7" if name == "row_id" else "") for name in NAMES]


def examined(*rows: Sequence[str], position: int = 1) -> list[Correction | Rejection]:
    return list(Examination(NAMES).examine(ParsedRows(rows), position))


def test_canonical_rows_have_no_exceptions() -> None:
    canonical = row(
        name="A",
        processed="yes",
        last_download_attempt="2026-01-02T03:04:05",
        file_uuids='{"a": "b"}',
        s3_paths='{"a": "b", "bb": "c"}',
        document_text=" anything,\n",
    )
    assert examined(canonical, row()) == []


def test_another_spelling_is_corrected() -> None:
    (found,) = examined(row(processed="TRUE", permanent_failure="no"))
    assert found == Correction(
        1,
        canonical={"processed": "yes", "permanent_failure": ""},
        verbatim={"processed": "TRUE", "permanent_failure": "no"},
    )


def test_a_cell_without_a_value_is_corrected_to_nothing_with_its_reason() -> None:
    (found,) = examined(row(file_uuids="not a map", processed="1"))
    assert found == Correction(
        1,
        canonical={"file_uuids": "", "processed": "yes"},
        verbatim={"file_uuids": "not a map", "processed": "1"},
        reasons={"file_uuids": Reason.NOT_A_MAP},
    )


def test_a_row_without_a_key_is_rejected() -> None:
    assert examined(row(row_id="")) == [Rejection(1, "row_id", Reason.MISSING_ROW_ID)]


def test_a_row_with_too_long_a_text_is_rejected_whatever_else_it_holds() -> None:
    long = row(drive_status="x" * 51, processed="maybe")
    assert examined(long) == [
        Rejection(1, "drive_status", Reason.TOO_LONG),
        Correction(1, {"processed": ""}, {"processed": "maybe"}, {"processed": Reason.NOT_A_FLAG}),
    ]


def test_positions_count_every_row_from_the_given_one() -> None:
    found = examined(row(), row(row_id=""), row(), row(processed="1"), position=257)
    assert [exception.position for exception in found] == [258, 260]


def test_rows_of_a_shorter_and_shuffled_header_are_examined_by_name() -> None:
    examination = Examination(("processed", "name", "row_id"))
    found = list(examination.examine(ParsedRows([["1", "n" * 256, "7"], ["1", "n", "7"], ["", "", ""]]), 1))
    assert found == [
        Rejection(1, "name", Reason.TOO_LONG),
        Correction(1, {"processed": "yes"}, {"processed": "1"}),
        Correction(2, {"processed": "yes"}, {"processed": "1"}),
        Rejection(3, "row_id", Reason.MISSING_ROW_ID),
    ]


ONE_ENTRY_OR_NEARLY = st.from_regex(r'\{ ?"[a\\"\n\x1f\x7f]{0,2}": ?"[b\\"\t\x80]{0,2}"\}\Z')
OF_CODEC = {
    Codec.FLAG: st.sampled_from(["", "yes", "Yes", "no", "0", "perhaps", "\n"]),
    Codec.TIMESTAMP: st.sampled_from(["", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "yesterday"]),
    Codec.MAP: st.sampled_from(["", "{}", '{"b": "c", "a": "d"}', '{"a": "\\u0000"}', '{"a": "b"}\n', "?"])
    | ONE_ENTRY_OR_NEARLY,
    Codec.TEXT: st.sampled_from(["", " ", "x", "x" * 50, "x" * 51, "x" * 256]),
    Codec.NULLABLE_TEXT: st.sampled_from(["", "x", "x" * 51, "\r\n"]),
}
ROWS = st.tuples(*(OF_CODEC[column.codec] for column in COLUMNS)).map(list)
LOADABLE = st.tuples(
    *(st.just("x") if column.codec.is_text else OF_CODEC[column.codec] for column in COLUMNS)
).map(list)


def by_reading(cells: Sequence[str]) -> list[Correction | Rejection]:
    """What is to be found, cell by cell."""
    read_cells = [(BY_NAME[name], read(BY_NAME[name], text)) for name, text in zip(NAMES, cells, strict=True)]
    rejections: list[Correction | Rejection] = [
        Rejection(1, column.name, cell.reason)
        for column, cell in read_cells
        if column.codec.is_text and cell.reason is not None
    ]
    correction = Correction(1)
    for column, cell in read_cells:
        if cell.verbatim is not None:
            correction.canonical[column.name] = cell.canonical
            correction.verbatim[column.name] = cell.verbatim
            if cell.reason is not None:
                correction.reasons[column.name] = cell.reason
    return rejections[:1] + ([correction] if correction.verbatim else [])


@settings(deadline=None, max_examples=300)
@given(ROWS | LOADABLE)
def test_a_row_is_examined_as_if_every_cell_were_read(cells: list[str]) -> None:
    assert examined(cells) == by_reading(cells)


@pytest.mark.parametrize(
    "column", [column for column in COLUMNS if column.limit], ids=lambda column: column.name
)
def test_a_text_at_its_limit_is_no_exception(column: Column) -> None:
    assert column.limit
    assert examined(row(**{column.name: "\U0001f600" * column.limit})) == []
    assert examined(row(**{column.name: "x" * (column.limit + 1)})) == [
        Rejection(1, column.name, Reason.TOO_LONG)
    ]


MAPS = st.lists(
    st.tuples(st.text('ab\u00e9"\\: ,}\x7f\n', max_size=3), st.text('a"\\:, \u2028', max_size=3)), max_size=3
)
TIMES = (
    st.datetimes().map(datetime.isoformat)
    | st.text("0123456789-:T .Z+", max_size=27)
    | st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S.%f"))
)


@settings(max_examples=400)
@given(entries=MAPS, ascii_only=st.booleans(), separators=st.sampled_from([(", ", ": "), (",", ":")]))
def test_a_map_that_passes_quickly_is_canonical(
    entries: list[tuple[str, str]], *, ascii_only: bool, separators: tuple[str, str]
) -> None:
    text = json.dumps(dict(entries), ensure_ascii=ascii_only, separators=separators)
    twice = text[:-1] + ", " + text[1:]
    for one in (text, twice, text + " "):
        if _is_plain(Codec.MAP)(one):
            assert read(BY_NAME["s3_paths"], one).verbatim is None


@settings(max_examples=400)
@given(TIMES)
def test_a_timestamp_that_passes_quickly_is_canonical(text: str) -> None:
    canonical = read(BY_NAME["last_download_attempt"], text).verbatim is None
    if text:
        assert bool(_is_plain(Codec.TIMESTAMP)(text)) == canonical
