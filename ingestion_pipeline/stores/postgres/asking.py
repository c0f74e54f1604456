"""The search index: made level with the people, and asked."""

import psycopg2

from ingestion_pipeline.domain.asking import (
    COUNTED,
    NAMED,
    File,
    FindReport,
    Hit,
    Indexed,
    SearchReport,
    Shared,
)
from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.stores.postgres import queries
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one

_sql = queries.load("asking")

MANY = 1_000
"""People put into the index at once after whom the planner counts anew."""

_FORM = 'StartSel=«, StopSel=», MaxWords=20, MinWords=8, MaxFragments=2, FragmentDelimiter=" … "'

_CANNOT_WRITE = (
    psycopg2.errors.InsufficientPrivilege,
    psycopg2.errors.ReadOnlySqlTransaction,
    # Somebody else is still at it.
    psycopg2.errors.LockNotAvailable,
)


def refresh(pool: Pool, language: str) -> Indexed:
    """Put into the index who is new or has changed since, and take out who is gone.

    Where nothing has changed, that is one question. Where this role or server may not write, or somebody else
    takes too long to refresh it, the index stays as it is.

    Args:
        pool: Connections to the database.
        language: The text search configuration; another one than before indexes everybody anew.

    Raises:
        SettingsError: The server knows no such configuration.
    """
    with pool.transaction(bulk=True) as cursor:
        try:
            return Indexed(language, _refresh(cursor, language))
        except psycopg2.errors.UndefinedObject:
            raise _no_language(language) from None
        except _CANNOT_WRITE:
            cursor.connection.rollback()
            return _left_as_it_is(cursor, language)


def _refresh(cursor: Cursor, language: str) -> int:
    if _is_level(cursor, language):
        return 0
    cursor.execute(_sql.lock)
    if _is_level(cursor, language):
        return 0
    cursor.execute(_sql.last_change)
    change = fetch_one(cursor)[0]
    cursor.execute(_sql.is_quiet)
    is_quiet = fetch_one(cursor)[0]
    cursor.execute(_sql.forget, {"language": language})
    cursor.execute(_sql.refresh, {"language": language})
    changed = int(fetch_one(cursor)[0])
    cursor.execute(_sql.tidy)
    if changed >= MANY:
        cursor.execute(_sql.analyse)
    cursor.execute(_sql.remember, {"change": change if is_quiet else None, "language": language})
    return changed


def _is_level(cursor: Cursor, language: str) -> bool:
    cursor.execute(_sql.is_level, {"language": language})
    return bool(fetch_one(cursor)[0])


def _left_as_it_is(cursor: Cursor, language: str) -> Indexed:
    cursor.execute(_sql.count_behind)
    behind = int(fetch_one(cursor)[0])
    cursor.execute(_sql.language)
    row = cursor.fetchone()
    return Indexed(language if row is None else row[0], behind=behind)


def _no_language(language: str) -> SettingsError:
    return SettingsError(
        f"the server knows no text search configuration {language}",
        code="unknown_language",
        hint="Name one of those that `\\dF` shows in psql in search.language; simple is always there.",
    )


def search(pool: Pool, index: Indexed, query: str, limit: int) -> SearchReport:
    """The people in whose name or document words are found.

    Args:
        pool: Connections to the database.
        index: The index, as it is.
        query: As `websearch_to_tsquery` takes it.
        limit: Shown at most.
    """
    asked = {"language": index.language, "query": query, "limit": limit, "most": COUNTED, "form": _FORM}
    with pool.transaction() as cursor:
        cursor.execute(_sql.search, asked)
        rows = cursor.fetchall()
    found = int(rows[0][-1]) if rows else 0
    hits = tuple(Hit(*row) for *row, _ in rows)
    return SearchReport(hits, min(found, COUNTED), found > COUNTED, index.behind)


def find(pool: Pool, index: Indexed, key: str, text: str, limit: int) -> FindReport:
    """The files that are asked for.

    Args:
        pool: Connections to the database.
        index: The index, as it is.
        key: `uuid`, `path` or `description`, to be exactly the text; or `mismatched`, which takes none.
        text: Which.
        limit: Shown at most.
    """
    question = _sql.fill("find", condition=getattr(_sql, f"of_{key}"))
    with pool.transaction() as cursor:
        cursor.execute(question, {"text": text, "limit": limit})
        rows = cursor.fetchall()
    total = int(rows[0][-1]) if rows else 0
    return FindReport(tuple(File(*row) for *row, _ in rows), (), total, index.behind)


def shared(pool: Pool, index: Indexed, limit: int) -> FindReport:
    """The UUIDs and paths that several people have."""
    with pool.transaction() as cursor:
        cursor.execute(_sql.shared, {"limit": limit, "named": NAMED})
        rows = cursor.fetchall()
    total = int(rows[0][-1]) if rows else 0
    found = tuple(Shared(kind, text, people, tuple(row_ids)) for kind, text, people, row_ids, _ in rows)
    return FindReport((), found, total, index.behind)
