"""The row index: where each row lies, in any file, and never trusted once it is damaged."""

import hashlib
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.domain.errors import InputRefusedError, UnavailableError
from ingestion_pipeline.stores.disk import row_index
from ingestion_pipeline.stores.disk.identity import Identity
from ingestion_pipeline.stores.disk.row_index import RowIndex, build, hash_of, load
from ingestion_pipeline_tests.files import COLUMNS, people, person, spelled
from ingestion_pipeline_tests.stores.disk.strategies import FILES, spelled_by_hand


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "output.csv"


def built(csv: Path, content: bytes, sequence: int = 0) -> RowIndex:
    csv.unlink(missing_ok=True)  # some file systems sync a file that is made anew in the old one's place
    csv.write_bytes(content)
    return build(csv, sequence)


def known(index: RowIndex) -> tuple[object, ...]:
    return (
        index.identity,
        index.sha256,
        index.sequence,
        index.dialect,
        index.head,
        index.hashes.tolist(),
        index.lengths.tolist(),
    )


def lines(csv: Path, index: RowIndex) -> list[bytes]:
    """Each row's bytes, as the index cuts them out."""
    data = csv.read_bytes()
    offsets = [int(offset) for offset in index.offsets]
    return [data[start:end] for start, end in pairwise(offsets)]


def test_one_that_is_kept_in_another_form_is_as_good_as_none(csv: Path, tmp_path: Path) -> None:
    index, path = built(csv, spelled(people(range(3)))), tmp_path / "index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_index, "_FORM", 1)
        index.save(path)
    assert load(path) is None
    index.save(path)
    assert known(index) == known(load(path) or index)
    assert load(path) is not None


def test_it_describes_the_file(csv: Path) -> None:
    content = spelled(people(range(3)), end="\r\n", quoting="all", bom=True)
    index = built(csv, content, 7)
    found = csv.stat()
    assert index.identity == Identity(found.st_ino, len(content), found.st_mtime_ns)
    assert (index.sha256, index.sequence) == (hashlib.sha256(content).hexdigest(), 7)
    assert index.dialect == Dialect(COLUMNS, LineEnd.CRLF, Quoting.ALL, bom=True)
    assert index.head == content.index(b"\r\n") + 2


def test_every_row_is_found_where_it_lies(csv: Path) -> None:
    rows = [person(1), person(2, document_text='two\n"lines",\r\n'), person(3, document_text="\n\n\n")]
    index = built(csv, spelled(rows))
    assert lines(csv, index) == [spelled([row], ()).removeprefix(b"\n") for row in rows]
    assert [index.places(str(key)) for key in (1, 2, 3, 4)] == [[0], [1], [2], []]


def test_all_rows_of_one_person_are_found(csv: Path) -> None:
    assert built(csv, spelled(people([1, 2, 1, 3, 1]))).places("1") == [0, 2, 4]


@settings(max_examples=80, deadline=None)
@given(FILES)
def test_rows_are_cut_out_of_any_file(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[Dialect, list[list[str]]]
) -> None:
    dialect, rows = file
    csv = tmp_path_factory.getbasetemp() / "index.csv"
    content = spelled_by_hand(dialect, rows)
    index = built(csv, content)
    whole = replace(dialect, final_newline=True)
    ended = [spelled_by_hand(whole, [row]).removeprefix(whole.header()) for row in rows]
    if ended and not dialect.final_newline:
        ended[-1] = ended[-1].removesuffix(dialect.line_end.encode())
    assert lines(csv, index) == ended
    key = dialect.columns.index("row_id")
    assert index.hashes.tolist() == [hash_of(row[key]) for row in rows]


@pytest.mark.parametrize("rows", [[], people([1]), people(range(300))])
def test_it_is_saved_and_loaded(rows: list[list[str]], csv: Path) -> None:
    index = built(csv, spelled(rows), 9)
    target = csv.parent / "state" / "index"
    index.save(target)
    found = load(target)
    assert found is not None
    assert known(found) == known(index)
    assert [path.name for path in target.parent.iterdir()] == ["index"]


def test_a_later_one_takes_its_place(csv: Path) -> None:
    target = csv.parent / "index"
    built(csv, spelled(people([1])), 1).save(target)
    later = built(csv, spelled(people([1, 2])), 2)
    later.save(target)
    found = load(target)
    assert found is not None
    assert known(found) == known(later)


def test_it_is_its_owner_s_only(csv: Path) -> None:
    before = os.umask(0)
    try:
        built(csv, spelled(people([1]))).save(csv.parent / "index")
    finally:
        os.umask(before)
    assert (csv.parent / "index").stat().st_mode & 0o777 == 0o600


def test_a_missing_one_is_none(csv: Path) -> None:
    assert load(csv.parent / "index") is None


def test_a_damaged_one_is_none_whatever_bit_is_flipped(csv: Path) -> None:
    target = csv.parent / "index"
    built(csv, spelled(people([1, 2]))).save(target)
    whole = target.read_bytes()
    for offset in range(len(whole)):
        data = bytearray(whole)
        data[offset] ^= 1 << offset % 8
        target.write_bytes(data)
        assert load(target) is None, offset


def test_a_cut_one_is_none_wherever_it_is_cut(csv: Path) -> None:
    target = csv.parent / "index"
    built(csv, spelled(people([1, 2]))).save(target)
    whole = target.read_bytes()
    for length in range(0, len(whole), 7):
        target.write_bytes(whole[:length])
        assert load(target) is None, length


def test_another_mark_leaves_the_rows_as_they_are(csv: Path) -> None:
    index = built(csv, spelled(people([1, 2])))
    marked = index.marked(4)
    assert (marked.identity, marked.sequence) == (index.identity, 4)
    assert known(marked)[3:] == known(index)[3:]


def test_a_file_that_does_not_pass_the_gate_has_none(csv: Path) -> None:
    with pytest.raises(InputRefusedError):
        built(csv, spelled(people([1])) + b'"2",two\n')


def test_a_file_that_is_not_there_has_none(csv: Path) -> None:
    with pytest.raises(UnavailableError):
        build(csv, 0)


def test_a_file_swapped_while_it_is_read_has_none(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = csv.with_name("other.csv")
    other.write_bytes(spelled(people([9])))

    def swap(row_id: str) -> int:
        if other.exists():
            other.replace(csv)
        return hash_of(row_id)

    monkeypatch.setattr(row_index, "hash_of", swap)
    with pytest.raises(UnavailableError):
        built(csv, spelled(people([1])))
