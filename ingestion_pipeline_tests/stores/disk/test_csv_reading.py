"""The byte gate: what is read renders to the same bytes again, and all else is refused where it lies."""

import csv
import hashlib
import io
import os
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.domain.errors import Exit, InputRefusedError, PipelineError, UnavailableError
from ingestion_pipeline.stores.disk import csv_reading
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.header import HEADER_LIMIT
from ingestion_pipeline_tests.conftest import SAMPLES
from ingestion_pipeline_tests.stores.disk.strategies import FILES, spelled_by_hand

CANARY = "Canary"
HEAD = b"row_id,name,email\n"
CRLF_HEAD = b"row_id,name,email\r\n"

Put = Callable[[bytes], Path]
Refuse = Callable[[bytes], InputRefusedError]
File = tuple[Dialect, list[list[str]]]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def put(content: bytes) -> Path:
        file = tmp_path / "some.csv"
        file.write_bytes(content)
        return file

    return put


@pytest.fixture
def refuse(put: Put) -> Refuse:
    """Read what must be refused; the refusal names the file and nobody in it."""

    def refuse(content: bytes) -> InputRefusedError:
        path = put(content)
        with pytest.raises(InputRefusedError) as caught:
            rows_of(path)
        assert caught.value.exit is Exit.REFUSED_INPUT
        assert caught.value.place.file == str(path)
        assert CANARY not in everything_said(caught.value)
        return caught.value

    return refuse


@pytest.fixture
def two_rows_per_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reading, "ROWS_PER_BLOCK", 2)
    monkeypatch.setattr(csv_reading, "BYTES_PER_SCAN", 13)


@pytest.fixture(autouse=True, params=["scanned", "parsed"], scope="module")
def _way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test both ways: what is not certain at a look is parsed, and must come to the same."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "parsed":
            patch.setattr(csv_reading, "scan", lambda *_: None)
        yield


@pytest.fixture
def _cells_of_ten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = csv.field_size_limit(10)
    monkeypatch.setattr(csv_reading, "CELL_LIMIT", 10)
    yield
    csv.field_size_limit(before)


def everything_said(error: PipelineError) -> str:
    return f"{error!r}{error}{error.hint}{''.join(traceback.format_exception(error))}"


def rows_of(path: Path) -> list[list[str]]:
    with CsvReading(path) as file:
        return [row for block in file.blocks() for row in block.rows]


def rows_or_line(path: Path) -> tuple[list[list[str]], int | None]:
    try:
        return rows_of(path), None
    except InputRefusedError as error:
        return [], error.place.line or 0


def dialect_of(path: Path) -> Dialect:
    with CsvReading(path) as file:
        list(file.blocks())
        return file.dialect


def where(error: PipelineError) -> tuple[str, int | None, str | None]:
    return error.code, error.place.line, error.place.column


def render(dialect: Dialect, rows: list[list[str]]) -> bytes:
    return spelled_by_hand(dialect, rows)


# What passes


@settings(deadline=None, max_examples=200)
@given(FILES)
def test_a_file_of_any_dialect_is_read_and_renders_to_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, file: File
) -> None:
    dialect, rows = file
    content = spelled_by_hand(dialect, rows)
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with CsvReading(path) as reading:
        read = [row for block in reading.blocks() for row in block.rows]
        assert read == rows
        assert render(reading.dialect, rows) == content
        assert reading.sha256 == hashlib.sha256(content).hexdigest()
        assert (reading.size, reading.total, reading.rows) == (len(content), len(content), len(rows))


BODIES = st.lists(
    st.sampled_from(
        [
            b"1",
            b"a",
            b",",
            b",",
            b'"',
            b'""',
            b"\n",
            b"\r\n",
            b"\r",
            b"\0",
            b"\xff",
            "\u2028".encode(),
            b"1,a\n",
        ]
    ),
    max_size=14,
).map(b"".join)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from([b"row_id,name\n", b"row_id,name\r\n", b'\xef\xbb\xbf"row_id","name"\n']), BODIES)
@example(b"row_id,name\n", b"1,a\r")
@example(b"row_id,name\r\n", b"1,a\r")
@example(b"row_id,name\n", b'1,"a\n"')
def test_whatever_passes_renders_to_its_bytes_and_all_else_is_refused_with_a_line(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, body: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "whatever.csv"
    path.write_bytes(head + body)
    rows, line = rows_or_line(path)
    if line is None:
        assert render(dialect_of(path), rows) == head + body
    else:
        assert 2 <= line <= (head + body).count(b"\n") + 1


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.csv")))
def test_the_samples_pass(name: str) -> None:
    path = SAMPLES / name
    assert render(dialect_of(path), rows_of(path)) == path.read_bytes()


@pytest.mark.usefixtures("two_rows_per_block")
def test_blocks_hold_the_files_bytes_and_count_from_one(put: Put) -> None:
    content = HEAD + b'1,a,\n2,"b\n",\n3,c,\n4,d,\n5,e,\n'
    with CsvReading(put(content)) as file:
        blocks = list(file.blocks())
        assert [block.position for block in blocks] == [1, 3, 5]
        assert [len(block.rows) for block in blocks] == [2, 2, 1]
        assert file.head + b"".join(block.raw for block in blocks) == content
        assert file.rows == 5


def test_a_block_of_long_rows_is_cut_short(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reading, "BYTES_PER_SCAN", 11)
    monkeypatch.setattr(csv_reading, "CHARACTERS_PER_BLOCK", 9)
    with CsvReading(put(HEAD + b"1,a,\n2,b,\n3,c,\n4,0123456789,\n5,d,\n")) as file:
        assert [len(block.rows) for block in file.blocks()] in ([2, 2, 1], [2, 1, 1, 1])


def test_a_large_file_takes_little_memory(put: Put) -> None:
    path = put(HEAD + b"".join(b"%d,%s,\n" % (n, b"x" * 8000) for n in range(4000)))
    tracemalloc.start()
    with CsvReading(path) as file:
        assert sum(len(block.rows) for block in file.blocks()) == 4000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 30_000_000
    assert peak < 10_000_000


@pytest.mark.usefixtures("two_rows_per_block")
def test_progress_is_told_up_to_the_files_size(put: Put) -> None:
    told: list[int] = []
    with CsvReading(put(HEAD + b"1,a,\n2,b,\n3,\xc3\xa9,\n"), told.append) as file:
        list(file.blocks())
    assert told == [18, 28, 34]


@pytest.mark.parametrize("columns", ["name,row_id", "email,row_id,s3_paths,name", "row_id,name"])
def test_known_columns_may_stand_in_any_order(columns: str, put: Put) -> None:
    with CsvReading(put(f"{columns}\n".encode())) as file:
        assert file.columns == tuple(columns.split(","))


@pytest.mark.parametrize("content", [HEAD, CRLF_HEAD, HEAD[:-1], b'\xef\xbb\xbf"row_id","name"'])
def test_a_header_alone_is_a_file(content: bytes, put: Put) -> None:
    assert rows_of(put(content)) == []
    dialect = dialect_of(put(content))
    assert render(dialect, []) == content
    assert dialect.final_newline is content.endswith(b"\n")


def test_a_bom_before_a_quoted_header_is_remembered(put: Put) -> None:
    dialect = dialect_of(put(b'\xef\xbb\xbf"row_id","name"\n"1","a"\n'))
    assert dialect == Dialect(("row_id", "name"), LineEnd.LF, Quoting.NONEMPTY, Quoting.ALL, bom=True)


@pytest.mark.parametrize(
    ("body", "quoting"),
    [
        (b"1,a,\n", Quoting.MINIMAL),
        (b'1,"a,",\n', Quoting.MINIMAL),
        (b'"1","a",\n', Quoting.NONEMPTY),
        (b'"1","a",""\n', Quoting.ALL),
        (b'"1","a","b"\n', Quoting.NONEMPTY),
        (b'"1","a","b"\n"2","c",\n', Quoting.NONEMPTY),
        (b'"1","a","b"\n"2","c","d"\n"3","e",""\n', Quoting.ALL),
        (b",,\n,,\n1,a,\n", Quoting.MINIMAL),
        (b',,\n,,\n"1","a",\n', Quoting.NONEMPTY),
        (b'"\n","\n","\n"\n"\n","\n","\n"\n1,a,b\n', Quoting.MINIMAL),
    ],
)
@pytest.mark.usefixtures("two_rows_per_block")
def test_the_quoting_may_become_clear_only_later(body: bytes, quoting: Quoting, put: Put) -> None:
    assert dialect_of(put(HEAD + body)).quoting is quoting


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("head", [HEAD, CRLF_HEAD])
@pytest.mark.usefixtures("two_rows_per_block")
def test_a_missing_final_newline_is_remembered_wherever_a_block_ends(
    head: bytes, rows: int, put: Put
) -> None:
    end = head[len(HEAD) - 1 :]
    content = head + end.join([b"1,a,"] * rows)
    assert len(rows_of(put(content))) == rows
    assert not dialect_of(put(content)).final_newline
    assert dialect_of(put(content + end)).final_newline


def test_a_missing_final_newline_at_the_end_of_a_real_block(put: Put) -> None:
    content = HEAD + b"\n".join([b"1,a,b"] * csv_reading.ROWS_PER_BLOCK)
    assert render(dialect_of(put(content)), rows_of(put(content))) == content


@pytest.mark.parametrize(
    "cell", ["a\u2028b", "\x0b", "\x0c", "\x1c\x1d\x1e", "\x85", "\ufeff", "\u2029", "\x1a"]
)
def test_other_line_separators_are_just_characters(cell: str, put: Put) -> None:
    path = put(HEAD + f"1,{cell},\n2,b,\n".encode())
    assert rows_of(path) == [["1", cell, ""], ["2", "b", ""]]


@pytest.mark.parametrize(("head", "end"), [(HEAD, b"\n"), (CRLF_HEAD, b"\r\n")])
@pytest.mark.parametrize("cell", ["\r", "a\rb", "\n", "a\r\nb", "\r\r\n", "a\n\rb"])
def test_line_breaks_of_any_kind_may_stand_in_quotes(head: bytes, end: bytes, cell: str, put: Put) -> None:
    path = put(head + f'1,"{cell}",'.encode() + end)
    assert rows_of(path) == [["1", cell, ""]]
    assert render(dialect_of(path), rows_of(path)) == path.read_bytes()


@pytest.mark.parametrize("offset", range(-3, 3))
def test_a_character_across_a_buffers_end_is_whole(offset: int, put: Put) -> None:
    cell = "x" * (io.DEFAULT_BUFFER_SIZE + offset - 2) + "\U0001f600\r\n\u00e9"
    assert rows_of(put(CRLF_HEAD + f'1,"{cell}",\r\n'.encode())) == [["1", cell, ""]]


# What is refused, and where


@pytest.mark.parametrize(
    ("content", "code", "column"),
    [
        (b"", "empty_file", None),
        (b"\xef\xbb\xbf", "empty_file", None),
        (b"\n", "not_this_table", None),
        (b"row_id\n1\n", "not_this_table", None),
        (b"name,email\nCanary,x\n", "not_this_table", None),
        (b"7,Canary\n8,Canary\n", "not_this_table", None),
        (b"row_id;name\n1;Canary\n", "not_this_table", None),
        (b"Row_ID,Name\n", "not_this_table", None),
        (b'"row_id",name\n', "not_this_table", None),
        (b"\xef\xbb\xbf\xef\xbb\xbfrow_id,name\n", "not_this_table", None),
        (b"row_id,name,nonsense\n", "unknown_column", "nonsense"),
        (b'row_id,name,"email"\n', "unknown_column", '"email"'),
        (b"row_id,name, email\n", "unknown_column", " email"),
        (b"row_id,name,\n", "unknown_column", ""),
        (b"row_id,name,em\0ail\n", "unknown_column", "em\0ail"),
        (b"row_id,name,email,name\n", "repeated_column", "name"),
        (b'"row_id","name","name"\n', "repeated_column", "name"),
        (b"row_id,name\r", "line_end", None),
        (b"row_id,name\r\r\n1,a\r\n", "line_end", None),
        (b"row_id,name,email\r7,Canary,x\r", "line_end", None),
        (b"row_id,name,\xff\n", "not_utf8", None),
        (b"\xff\xfer\0o\0w\0", "not_utf8", None),
    ],
)
def test_another_header_is_refused(content: bytes, code: str, column: str | None, refuse: Refuse) -> None:
    error = refuse(content)
    assert (error.code, error.place.column) == (code, column)
    assert error.place.line == (None if code == "empty_file" else 1)


def test_a_header_nearly_right_gets_a_hint(refuse: Refuse) -> None:
    assert refuse(b"row_id,name,emial\n").hint == "Did you mean email?"
    assert "docs" in refuse(b"row_id,name,zzzzzz\n").hint


def test_a_long_unknown_name_is_cut(refuse: Refuse) -> None:
    assert refuse(b"row_id,name," + b"x" * 500 + b"\n").place.column == "x" * 80


def test_a_first_line_without_end_is_no_header(refuse: Refuse) -> None:
    assert where(refuse(b"row_id,name," + b"x" * HEADER_LIMIT)) == ("no_header", 1, None)


def test_both_missing_columns_are_named(refuse: Refuse) -> None:
    assert "no column row_id and no column name" in refuse(b"email\n").message


MULTILINE = b'1,"a\nb\nc",\n'  # lines 2 to 4


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"1,Canary\n", 2),
        (b"1,Canary,x,y\n", 2),
        (b"1,a,\nCanary\n", 3),
        (MULTILINE + b"2,Canary\n", 5),
        (b'1,"a\rb\r\rc",\n2,Canary\n', 3),
        (b'1,"a\r\nb",\n2,Canary\n', 4),
        (b'1,a,\n2,b,\n3,"c\n",\n4,d,\n5,Canary\n', 7),
        (b"\n1,a,\n", 2),
        (b"1,a,\n\n2,b,\n", 3),
        (b"1,a,\n\n", 3),
        (b"1,a,\n2,b,\n\n", 4),
        (b"1,a,\n\n\n", 3),
        (b"1,a,\n2,Canary\r3,b,\n", 3),
        (b'1,a,\n2,"Canary\n\n\n"\n', 3),
    ],
)
@pytest.mark.parametrize("rows_per_block", [1, 2, 256])
def test_a_row_of_another_width_is_refused_at_its_first_line(
    body: bytes, line: int, rows_per_block: int, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reading, "ROWS_PER_BLOCK", rows_per_block)
    assert where(refuse(HEAD + body)) == ("wrong_width", line, None)


@pytest.mark.parametrize("body", [b"1,a,\r\r\n", b"1,Canary,\r2,Canary\n", b"1,a,\r2,b,\r3,Canary\n"])
def test_a_carriage_return_ends_a_row_but_no_line(body: bytes, refuse: Refuse) -> None:
    assert where(refuse(HEAD + body)) == ("wrong_width", 2, None)


def test_an_empty_line_is_called_one(refuse: Refuse) -> None:
    assert "empty line" in refuse(HEAD + b"1,a,\n\n").message
    assert "2 cells, the header 3" in refuse(HEAD + b"1,a\n").message


@pytest.mark.parametrize(
    ("content", "line", "column", "character"),
    [
        (HEAD + b'1,Canary"x,\n', 2, "name", 3),
        (HEAD + b'1,"Canary",\n', 2, "name", 3),
        (HEAD + b'1,a,\n2,Canary,""\n', 3, "email", 10),
        (HEAD + MULTILINE + b'2,"Canary",\n', 5, "name", 3),
        (HEAD + b'1,"a\nCanary",\r\n', 3, "email", 9),
        (HEAD + b'1,"a,\r",\n2,"Canary",\n', 3, "name", 3),
        (HEAD + b"1,a,\r\n", 2, "email", 5),
        (HEAD + b"1,a,\n2,Canary,\r\n3,b,\n", 3, "email", 10),
        (HEAD + b"1,a,\r2,Canary,\n", 2, "email", 5),
        (HEAD + b"1,a,\n2,b,\r", 3, "email", 5),
        (HEAD + b'1,a,\n2,b,"Canary"', 3, "email", 5),
        (CRLF_HEAD + b"1,a,\n", 2, "email", 5),
        (CRLF_HEAD + b"1,a,\r\n2,Canary,\n", 3, "email", 10),
        (CRLF_HEAD + b"1,a,\r\n2,b,\r", 3, "email", 6),
        (CRLF_HEAD + b"1,a,\r\n2,b,\n", 3, "email", 5),
        (HEAD + b'"1","a","b"\n"2","c","d"\n"3",Canary,"e"\n', 4, "name", 5),
        (HEAD + b'"1","a",\n"2","c","d"\n"3","Canary",""\n', 4, "email", 14),
        (HEAD + b'"1","a",""\n"2","c","d"\n"3","Canary",\n', 4, "email", 14),
    ],
)
@pytest.mark.parametrize("rows_per_block", [1, 2, 256])
def test_another_spelling_is_refused_where_it_parts(
    content: bytes,
    line: int,
    column: str,
    character: int,
    rows_per_block: int,
    refuse: Refuse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(csv_reading, "ROWS_PER_BLOCK", rows_per_block)
    error = refuse(content)
    assert where(error) == ("not_reproducible", line, column)
    assert f"from character {character} of this line" in error.message


@pytest.mark.usefixtures("two_rows_per_block")
def test_quoting_that_changes_in_a_later_block_is_refused(refuse: Refuse) -> None:
    quoted, bare = b'"1","a",""\n', b"1,a,\n"
    error = refuse(HEAD + quoted * 2 + bare)
    assert where(error) == ("not_reproducible", 4, "row_id")
    assert "(all quoting, LF line ends)" in error.message
    assert "(minimal quoting, CRLF line ends)" in refuse(CRLF_HEAD + b"1,a,\r\n1,a,\n").message


@pytest.mark.usefixtures("two_rows_per_block")
def test_two_candidates_may_rule_each_other_out(refuse: Refuse) -> None:
    either = b'"1","a","b"\n' * 2
    assert where(refuse(HEAD + either + b'"1","a",\n' + b'"1","a",""\n')) == ("not_reproducible", 5, "email")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'1,"Canary"x,\n', 2),
        (b'1,a,\n2,"Canary" ,\n', 3),
        (MULTILINE + b'2,"Canary"x,\n', 5),
        (b'1,"a\r\rb",\n2,"Canary"x,\n', 3),
        (b'1,"a\r\nb",\n2,"Canary"x,\n', 4),
        (b'1,"a\nCanary"x,\n', 2),
        (b'1,a,\n2,b,\n3,"\nc",\n4,"Canary"x,\n', 6),
        (b'1,a,\n2,"Canary,\n3,b,\n', 3),
        (b'1,a,\n2,"Canary', 3),
    ],
)
@pytest.mark.parametrize("rows_per_block", [1, 2, 256])
def test_what_is_no_csv_is_refused_where_its_row_begins(
    body: bytes, line: int, rows_per_block: int, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reading, "ROWS_PER_BLOCK", rows_per_block)
    assert where(refuse(HEAD + body)) == ("malformed", line, None)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"1,Canary\0,\n", 2),
        (b"1,a,\n2,\0Canary,\n", 3),
        (MULTILINE + b'2,"Canary\n\n\0",\n', 7),
        (b"1,a,\n2,b,\n3,c,\0", 4),
    ],
)
@pytest.mark.usefixtures("two_rows_per_block")
def test_a_nul_is_refused_at_its_line(body: bytes, line: int, refuse: Refuse) -> None:
    assert where(refuse(HEAD + body)) == ("nul", line, None)


@pytest.mark.parametrize(
    ("content", "line", "byte"),
    [
        (b"row_id,n\xe4me\n", 1, 9),
        (b"\xef\xbb\xbfrow_id,\xff\n", 1, 11),
        (HEAD + b"1,\xffCanary,\n", 2, 3),
        (HEAD + b"1,a,\n2,Canary\xc3,\n", 3, 9),
        (HEAD + b"1,Canary,\xe2\x82", 2, 10),
        (HEAD + b"1,\xed\xa0\x80,\n", 2, 3),
        (HEAD + b"1,\xc0\x80,\n", 2, 3),
        (HEAD + b"1,a\x0b\xe2\x80\xa8,\n2,\xfe,\n", 3, 3),
        (HEAD + MULTILINE + b'2,"\r\r\xff",\n', 5, 6),
        (HEAD + b"1,Canary,\n" * 5000 + b"1,\x80,\n", 5002, 3),
    ],
)
def test_what_is_not_utf8_is_refused_at_its_byte(
    content: bytes, line: int, byte: int, refuse: Refuse
) -> None:
    error = refuse(content)
    assert where(error) == ("not_utf8", line, None)
    assert error.message.startswith(f"byte {byte} of this line")


@pytest.mark.usefixtures("_cells_of_ten")
def test_a_cell_at_the_limit_passes(put: Put) -> None:
    assert rows_of(put(HEAD + b"1,0123456789,\n")) == [["1", "0123456789", ""]]


@pytest.mark.usefixtures("_cells_of_ten")
@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"1,Canary67890,\n", 2),
        (b"1,a,\n2,b,\n3,Canary67890,\n", 4),
        (b'1,"a\nb",\n2,Canary67890,\n', 4),
        (b'1,"\n\n\n\nCanary6",\n', 2),
        (b"1,a,\n2," + CANARY.encode() * 5 + b",\n3,c,\n", 3),
        (b"1,a,\n2," + CANARY.encode() * 5, 3),
    ],
)
def test_a_larger_cell_is_refused_where_its_row_begins(body: bytes, line: int, refuse: Refuse) -> None:
    error = refuse(HEAD + body)
    assert where(error) == ("cell_too_large", line, None)
    assert error.message == "a cell of more than 10 characters"


@pytest.mark.usefixtures("_cells_of_ten")
def test_a_line_of_twice_the_limit_is_refused_rather_than_cut(refuse: Refuse) -> None:
    assert where(refuse(HEAD + b"1,a,\n2,Canary789,abcdefghi\n")) == ("cell_too_large", 3, None)


# The file itself


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        CsvReading(tmp_path / "none.csv")
    assert (caught.value.code, caught.value.place.file) == ("csv_missing", str(tmp_path / "none.csv"))


def test_a_folder_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        CsvReading(tmp_path)
    assert caught.value.code == "csv_unreadable"


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"9,z,\n")


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(0, 0))


def cut(path: Path) -> None:
    os.truncate(path, len(HEAD))


def spoil(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'9,"half a ro')


@pytest.mark.parametrize("change", [grow, rewrite, cut, spoil])
@pytest.mark.usefixtures("two_rows_per_block")
def test_a_file_changed_while_it_is_read_is_unavailable(change: Callable[[Path], None], put: Put) -> None:
    path = put(HEAD + b"1,a,\n2,b,\n3,c,\n")
    with CsvReading(path) as file:
        blocks = file.blocks()
        next(blocks)
        change(path)
        with pytest.raises(UnavailableError) as caught:
            list(blocks)
    assert caught.value.code == "csv_changing"


@pytest.mark.parametrize("change", [grow, rewrite, cut, spoil])
def test_a_file_changed_while_its_plain_rows_are_read_is_unavailable(
    change: Callable[[Path], None], put: Put
) -> None:
    path = put(HEAD + b"1,a,\n2,b,\n3,c,\n")
    with CsvReading(path) as file:
        rows = file.plain_rows()
        next(rows)
        change(path)
        with pytest.raises(UnavailableError) as caught:
            list(rows)
    assert caught.value.code == "csv_changing"


def test_a_file_replaced_while_it_is_read_is_read_to_its_end(put: Put, tmp_path: Path) -> None:
    path = put(HEAD + b"1,a,\n")
    other = tmp_path / "other.csv"
    other.write_bytes(HEAD)
    with CsvReading(path) as file:
        other.replace(path)
        assert [row for block in file.blocks() for row in block.rows] == [["1", "a", ""]]


def test_a_reading_lets_go_of_its_file(put: Put) -> None:
    with CsvReading(put(HEAD + b"1,a,\n")) as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        list(file.blocks())


# Rows in whatever spelling


def test_plain_rows_come_with_their_line_and_text(put: Put) -> None:
    content = HEAD + b'1,"a",\r\n2,"b\nc",""\n3,d,e\r4,f,\n"5",g,'
    with CsvReading(put(content)) as file:
        assert list(file.plain_rows()) == [
            (2, ["1", "a", ""], '1,"a",\r\n'),
            (3, ["2", "b\nc", ""], '2,"b\nc",""\n'),
            (5, ["3", "d", "e"], "3,d,e\r"),
            (5, ["4", "f", ""], "4,f,\n"),
            (6, ["5", "g", ""], '"5",g,'),
        ]


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        (b'1,a,\n2,"b\n",\n3,Canary\n', "wrong_width", 5),
        (b"1,a,\n\n", "wrong_width", 3),
        (b'1,a,\n2,"Canary"x,\n', "malformed", 3),
        (b"1,a,\n2,Canary\0,\n", "nul", 3),
        (b"1,a,\n2,Canary\xff,\n", "not_utf8", 3),
    ],
)
def test_plain_rows_keep_the_rest_of_the_contract(body: bytes, code: str, line: int, put: Put) -> None:
    path = put(HEAD + body)
    with CsvReading(path) as file, pytest.raises(InputRefusedError) as caught:
        list(file.plain_rows())
    assert where(caught.value) == (code, line, None)
    assert CANARY not in everything_said(caught.value)
