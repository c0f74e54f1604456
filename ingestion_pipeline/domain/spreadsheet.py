"""Spreadsheets: cells that a spreadsheet program would run as formulas, written so that it does not."""

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


def escape(cell: str) -> str:
    """The cell with an apostrophe before what would be run; nothing else is touched.

    A cell that looks escaped already gets one more, so that `unescape` gives every cell back.
    """
    return f"'{cell}" if _RUN.match(cell) else cell


def unescape(cell: str) -> str:
    """The cell that `escape` was given."""
    return cell[1:] if _ESCAPED.match(cell) else cell
