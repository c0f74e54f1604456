"""Splicing: what comes out is what the same rows, spelled afresh, would be."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.stores.disk import splicing
from ingestion_pipeline.stores.disk.identity import Identity
from ingestion_pipeline.stores.disk.row_index import RowIndex, build
from ingestion_pipeline.stores.disk.splicing import Splice, StaleIndexError, copy_spliced, line, row_at
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.stores.disk.strategies import CELLS, DIALECTS, rows_of

Rows = Sequence[Sequence[str]]


def content(dialect: Dialect, rows: Rows) -> bytes:
    """The rows spelled afresh, by rules that splicing does not know."""
    return spelled(
        rows,
        dialect.columns,
        quoting=dialect.quoting,
        header_quoting=dialect.header_quoting,
        end=dialect.line_end,
        bom=dialect.bom,
        final=dialect.final_newline,
    )


def built(path: Path, data: bytes) -> RowIndex:
    path.unlink(missing_ok=True)  # some file systems sync a file that is made anew in the old one's place
    path.write_bytes(data)
    return build(path, 3)


def spliced(path: Path, index: RowIndex, splice: Splice) -> tuple[bytes, RowIndex]:
    sink = io.BytesIO()
    with path.open("rb") as file:
        new = copy_spliced(file, index, splice, sink)
    return sink.getvalue(), new


def rows_in(index: RowIndex) -> tuple[object, ...]:
    return index.head, index.hashes.tolist(), index.lengths.tolist(), index.dialect.columns


@dataclass(frozen=True)
class Plan:
    """A file and what is to become of its rows."""

    dialect: Dialect
    rows: Rows
    replaced: dict[int, list[str] | None]
    on_top: Rows

    def afterwards(self) -> Rows:
        kept = (self.replaced.get(place, row) for place, row in enumerate(self.rows))
        return [*self.on_top, *(row for row in kept if row is not None)]


def plans(dialect: Dialect) -> st.SearchStrategy[Plan]:
    width = len(dialect.columns)
    row = st.lists(CELLS, min_size=width, max_size=width)

    def with_rows(rows: Rows) -> st.SearchStrategy[Plan]:
        replaced = st.fixed_dictionaries(
            {},
            optional={place: st.none() | row.map(partial(with_key, old)) for place, old in enumerate(rows)},
        )
        return st.builds(Plan, st.just(dialect), st.just(rows), replaced, st.lists(row, max_size=2))

    def with_key(old: Sequence[str], new: list[str]) -> list[str]:
        key = dialect.columns.index("row_id")
        return [*new[:key], old[key], *new[key + 1 :]]

    return rows_of(dialect).flatmap(with_rows)


@settings(max_examples=200, deadline=None)
@given(DIALECTS.flatmap(plans))
def test_a_spliced_file_is_the_one_that_would_be_spelled_afresh(
    tmp_path_factory: pytest.TempPathFactory, plan: Plan
) -> None:
    path = tmp_path_factory.getbasetemp() / "spliced.csv"
    index = built(path, content(plan.dialect, plan.rows))
    # Files with few rows are spelled in more ways than one; whichever was found is gone on with.
    dialect = index.dialect
    key = dialect.columns.index("row_id")
    splice = Splice(
        {place: None if row is None else line(row, dialect) for place, row in plan.replaced.items()},
        [(row[key], line(row, dialect)) for row in plan.on_top],
    )
    data, new = spliced(path, index, splice)
    assert data == content(dialect, plan.afterwards())
    assert rows_in(new) == rows_in(built(path, data))
    assert (new.sequence, new.dialect) == (index.sequence, index.dialect)


# One by one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "output.csv"


@pytest.mark.parametrize("quoting", ["minimal", "nonempty", "all"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_row_is_replaced_in_a_file_of_every_spelling(
    quoting: str, end: str, place: int, path: Path, *, bom: bool, final: bool
) -> None:
    rows = [person(1, link="a,b"), person(2, document_text='a\n"b"\r\nc'), person(3)]
    index = built(path, spelled(rows, quoting=quoting, end=end, bom=bom, final=final))
    assert index.dialect.quoting == quoting
    rows[place] = person(place, document_text='new,\n"text"', link="")
    data, _ = spliced(path, index, Splice({place: line(rows[place], index.dialect)}))
    assert data == spelled(rows, quoting=quoting, end=end, bom=bom, final=final)


def test_nothing_to_do_is_a_copy(path: Path) -> None:
    index = built(path, spelled(people(range(5))))
    data, new = spliced(path, index, Splice())
    assert data == path.read_bytes()
    assert rows_in(new) == rows_in(index)
    assert not Splice()


@pytest.mark.parametrize("final", [False, True])
def test_every_row_may_go_and_come_back(path: Path, *, final: bool) -> None:
    index = built(path, spelled(people([1, 2]), final=final))
    data, empty = spliced(path, index, Splice({0: None, 1: None}))
    assert data == spelled([], final=final)
    path.write_bytes(data)
    empty = replace(empty, sha256=hashlib.sha256(data).hexdigest())
    again = [(row[0], line(row, empty.dialect)) for row in people([3, 4])]
    data, full = spliced(path, empty, Splice(on_top=again))
    assert data == spelled(people([3, 4]), final=final)
    assert (full.places("3"), full.places("4")) == ([0], [1])


def test_a_large_file_is_copied_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splicing, "CHUNK", 7)
    rows = people(range(20))
    index = built(path, spelled(rows))
    data, _ = spliced(path, index, Splice({10: line(person(10, link="x"), index.dialect)}))
    rows[10] = person(10, link="x")
    assert data == spelled(rows)


def test_a_row_s_line_is_ended(path: Path) -> None:
    index = built(path, spelled(people([1]), end="\r\n", final=False))
    assert line(["a", "b,c"], replace(index.dialect, quoting=Quoting.ALL)) == b'"a","b,c"\r\n'
    assert line(["a", "b,c"], replace(index.dialect, line_end=LineEnd.LF)) == b'a,"b,c"\n'


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_one_row_is_read(place: int, path: Path, *, final: bool) -> None:
    rows = [person(1, document_text='a\n"b"\r\nc,'), person(2, document_text="\n")]
    index = built(path, spelled(rows, final=final))
    with path.open("rb") as file:
        assert row_at(file, index, place, int(index.offsets[place])) == rows[place]


# A file that is not the one that was indexed


STALE = [
    pytest.param(lambda data: data[:-1], id="one byte less"),
    pytest.param(lambda data: data + b"x", id="one byte more"),
    pytest.param(lambda data: data.replace(b"Name 2", b"Nama 2"), id="another text as long"),
    pytest.param(lambda data: data.replace(b"row_id", b"ROW_ID"), id="another header as long"),
    pytest.param(lambda _: b"", id="empty"),
    pytest.param(lambda data: spelled([]) + data[len(spelled([])) :][::-1], id="turned round"),
]


@pytest.mark.parametrize("change", STALE)
def test_another_file_than_the_one_indexed_is_noticed(change: Callable[[bytes], bytes], path: Path) -> None:
    index = built(path, spelled(people(range(5))))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StaleIndexError):
        spliced(path, index, Splice({1: line(person(1, link="x"), index.dialect)}))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"2,Name 2,mail2@example.org,INTJ,,,,,,\n", id="a cell too few"),
        pytest.param(b'2,"Name 2",mail2@example.org,INTJ,,,,,,,\n', id="spelled otherwise"),
        pytest.param(b'2,"Name 2,mail2@example.org,INTJ,,,,,,,\n', id="a quote left open"),
        pytest.param(b"2,\xff\xff,,,,,,,,,\n", id="not UTF-8"),
        pytest.param(b"1,,,,,,,,,,\n2,,,,,,,,,,\n", id="two rows"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_something_else_than_the_row_is_noticed(raw: bytes, path: Path) -> None:
    index = built(path, spelled(people([1, 2])))
    lengths = index.lengths.copy()
    lengths[1] = len(raw)
    data = path.read_bytes()[: int(index.offsets[1])] + raw
    stale = replace(index, lengths=lengths)
    with pytest.raises(StaleIndexError):
        row_at(io.BytesIO(data), stale, 1, int(index.offsets[1]))


def test_the_identity_tells_files_apart(path: Path) -> None:
    path.write_bytes(b"one")
    one = Identity.of(path.stat())
    assert Identity.of(path.stat()) == one
    path.write_bytes(b"more")
    assert Identity.of(path.stat()) != one
    other = path.with_name("other.csv")
    other.write_bytes(b"more")
    assert Identity.of(other.stat()).inode != one.inode
