"""Named queries from the .sql files beside the code.

A file holds queries that begin with a line `-- name: the_name`, followed by a line of prose. Identifiers
are filled in through `psycopg2.sql`, written `{identifier}`; values are always parameters.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from psycopg2 import sql

_NAMED = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Queries:
    """The named queries of one file."""

    texts: dict[str, str]

    def __getattr__(self, name: str) -> sql.SQL:
        """The query of this name.

        Raises:
            AttributeError: The file has no such query.
        """
        try:
            return sql.SQL(self.texts[name])
        except KeyError:
            raise AttributeError(name) from None

    def fill(self, name: str, **identifiers: Any) -> sql.Composed:
        """The query of this name with its identifiers filled in."""
        return sql.SQL(self.texts[name]).format(**identifiers)


@cache
def load(name: str) -> Queries:
    """The queries of `<name>.sql`."""
    text = files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    _, *parts = _NAMED.split(text)
    return Queries(dict(zip(parts[::2], parts[1::2], strict=True)))
