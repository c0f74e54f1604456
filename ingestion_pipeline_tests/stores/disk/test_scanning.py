"""What is found by a look at the bytes is what the csv module reads from them."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.dialect import LineEnd, Quoting
from ingestion_pipeline.stores.disk.scanning import Block, parsed, scan
from ingestion_pipeline.stores.disk.spelling import spell

CELLS = st.text(st.sampled_from('a,"\n\r é\u2028'), max_size=6)
ROWS = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5)
)


def found_in(rows: list[list[str]], quoting: Quoting, line_end: LineEnd) -> Block | None:
    data = spell(rows, quoting, line_end).encode()
    found = scan(data, 1, len(rows[0]), line_end)
    if found is None or len(found.block) != len(rows):
        return None
    assert quoting in found.quotings
    assert all(spell(rows, each, line_end).encode() == data for each in found.quotings)
    return found.block


@settings(deadline=None, max_examples=300)
@given(ROWS, st.sampled_from(Quoting), st.sampled_from(LineEnd))
@example([["", '"'], ['""', ","]], Quoting.MINIMAL, LineEnd.LF)
@example([["", ""]], Quoting.ALL, LineEnd.CRLF)
def test_a_block_says_what_its_rows_say(rows: list[list[str]], quoting: Quoting, line_end: LineEnd) -> None:
    block = found_in(rows, quoting, line_end)
    assert block is not None
    raw = spell(rows, quoting, line_end).encode()
    by_rows = parsed(1, rows, len(rows[0]), raw, quoting, line_end)
    for one in (block, by_rows):
        assert one.rows == rows
        assert one.raw == raw
        assert list(one.lengths()) == [len(spell([row], quoting, line_end).encode()) for row in rows]
        for column in range(len(rows[0])):
            cells = [row[column] for row in rows]
            assert one.cells(column) == cells
            assert list(one.filled(column)) == [(n, cell) for n, cell in enumerate(cells) if cell]
            longer = {(n, cell) for n, cell in enumerate(cells) if len(cell) > 1}
            assert longer <= set(one.longer(column, 1)) <= set(enumerate(cells))


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from('a,"\n\r'), max_size=14), st.sampled_from(LineEnd))
@example('"a"a,b\n', LineEnd.LF)
@example('a"",b\n', LineEnd.LF)
@example('"a""b,c\n', LineEnd.LF)
@example('"a" "b",c\n', LineEnd.LF)
@example("a\rb,c\n", LineEnd.LF)
@example("a,b\n", LineEnd.CRLF)
@example('a,"b\r"\n', LineEnd.CRLF)
def test_whatever_is_certain_is_spelled_like_its_rows(text: str, line_end: LineEnd) -> None:
    found = scan(text.encode(), 1, 2, line_end)
    if found is None:
        return
    assert text.encode().startswith(found.block.raw)
    assert all(len(row) == 2 for row in found.block.rows)
    for quoting in found.quotings:
        assert spell(found.block.rows, quoting, line_end).encode() == found.block.raw


def test_half_a_row_is_no_row_yet() -> None:
    found = scan(b'1,"a\n', 1, 2, LineEnd.LF)
    assert found is not None
    assert len(found.block) == 0
