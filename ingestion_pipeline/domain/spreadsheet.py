"""Spreadsheets: cells that a spreadsheet program would run as formulas, written so that it does not."""

import re

from ingestion_pipeline.domain.errors import InputRefusedError

_RUN = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escape(cell: str) -> str:
    """The cell with an apostrophe before what would be run; nothing else is touched.

    A cell that looks escaped already gets one more, so that `unescape` gives every cell back.
    """
    return f"'{cell}" if _RUN.match(cell) else cell


def unescape(cell: str) -> str:
    """The cell that `escape` was given.

    Raises:
        InputRefusedError: Nothing gives this cell when it is escaped: it has lost its apostrophe.
    """
    if _ESCAPED.match(cell):
        return cell[1:]
    if _RUN.match(cell):
        raise InputRefusedError(
            "a cell that a spreadsheet program would run has lost its apostrophe",
            code="not_escaped",
            hint="A program has changed it; take the file that `ingest render --spreadsheet` wrote.",
        )
    return cell
