"""CSV files of every spelling, for property tests."""

from hypothesis import strategies as st

from ingestion_pipeline.domain.columns import COLUMNS
from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting

NAMES = [column.name for column in COLUMNS]

CELLS = st.text(
    st.sampled_from('ab ,"\r\n\t\x0b\x1c\x85\u2028\ufeff\u00e9\U0001f600')
    | st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    max_size=6,
)

HEADERS = st.lists(st.sampled_from(NAMES[2:]), max_size=3, unique=True).flatmap(
    lambda more: st.permutations(["row_id", "name", *more])
)

DIALECTS = st.builds(
    Dialect,
    columns=HEADERS.map(tuple),
    line_end=st.sampled_from(LineEnd),
    quoting=st.sampled_from(Quoting),
    header_quoting=st.sampled_from([Quoting.MINIMAL, Quoting.ALL]),
    bom=st.booleans(),
    final_newline=st.booleans(),
)


def rows_of(dialect: Dialect) -> st.SearchStrategy[list[list[str]]]:
    """Rows as wide as the dialect's header."""
    width = len(dialect.columns)
    return st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8)


FILES = DIALECTS.flatmap(lambda dialect: st.tuples(st.just(dialect), rows_of(dialect)))


def spelled_by_hand(dialect: Dialect, rows: list[list[str]]) -> bytes:
    """The file's bytes, by a rule of their own."""
    text = "".join(",".join(_cell(cell, dialect) for cell in row) + dialect.line_end for row in rows)
    data = dialect.header() + text.encode()
    return data if dialect.final_newline else data[: -len(dialect.line_end)]


def _cell(cell: str, dialect: Dialect) -> str:
    needed = any(tell in cell for tell in (",", '"', "\r", "\n"))
    wanted = dialect.quoting is Quoting.ALL or (dialect.quoting is Quoting.NONEMPTY and cell != "")
    return '"' + '""'.join(cell.split('"')) + '"' if needed or wanted else cell
