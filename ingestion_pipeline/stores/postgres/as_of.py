"""As of a time: the CSV that the tables held then; what history notes since is undone, and nothing kept."""

from datetime import datetime

from psycopg2 import sql

from ingestion_pipeline.domain.columns import Table, of_table
from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.errors import ProtectedError, SettingsError
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.reports import State
from ingestion_pipeline.stores.postgres import expressions, queries, rendering, writing
from ingestion_pipeline.stores.postgres.bulk_sync import lock
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one

_sql = queries.load("as_of")


def render(
    pool: Pool, state: State, at: datetime, sink: Sink, *, accept_loss: bool = False
) -> tuple[int, Dialect]:
    """Write the CSV with every person, cell and place as it was; nobody writes the tables meanwhile.

    History notes neither how the file was spelled nor which lines were repeated: that is as it is now.

    Args:
        pool: Connections to the database.
        state: The phase in force.
        at: The time; what a transaction did that began later is undone.
        sink: Takes the bytes.
        accept_loss: Go on where a null in a map, which the contract does not know, may be missing.

    Raises:
        SettingsError: History does not tell.
        ProtectedError: A map may have held a null; or the phase changed meanwhile.
    """
    with pool.transaction(bulk=True) as cursor:
        writing.carry(cursor, state)
        lock(cursor, 1)
        _check_told(cursor, at)
        for statement in (_sql.find_later, _sql.find_undone, _sql.find_comings):
            cursor.execute(statement, {"at": at})
        if not accept_loss:
            _check_maps(cursor)
        _undo(cursor, at)
        found = rendering.render(cursor, sink)
        cursor.connection.rollback()
        return found


def _check_told(cursor: Cursor, at: datetime) -> None:
    cursor.execute(_sql.told, {"at": at})
    now, since, renamed, restored = fetch_one(cursor)
    if at > now:
        raise SettingsError(
            f"that time is still to come: it is {now:%F %T %Z}",
            code="in_future",
            hint="A time without a zone is this machine's.",
        )
    if since is None or at < since:
        reach = "" if since is None else f": it begins at {since:%F %T %Z}"
        raise _untold("history does not reach back so far" + reach, "before_history")
    if restored is not None:
        raise _untold(
            f"at {restored:%F %T %Z} a dump was restored over what was then, history and all", "restored_over"
        )
    if renamed is not None:
        raise _untold(
            f"at {renamed:%F %T %Z} a person was given another row_id, and who was who before is not told",
            "row_ids_changed",
        )


def _check_maps(cursor: Cursor) -> None:
    maps = [column.name for column in of_table(Table.S3_METADATA)]
    cursor.execute(_sql.count_doubtful, {"maps": maps})
    (doubtful,) = fetch_one(cursor)
    if doubtful:
        raise ProtectedError(
            f"maps of {doubtful} people were set other than through the pipeline, and changed since: "
            "history does not tell whether a key of theirs had null for its text",
            code="maps_untold",
            hint="If none had, or it does not matter, run it again with --accept-loss.",
        )


def _untold(why: str, code: str) -> SettingsError:
    return SettingsError(
        why, code=code, hint="`ingest versions` lists what was published; restore one of those."
    )


def _undo(cursor: Cursor, at: datetime) -> None:
    marks = {"at": at}
    for statement in (_sql.free_places, _sql.delete_comers, _sql.bring_back_people, _sql.undo_people):
        cursor.execute(statement)
    for table in (Table.PROCESSING_STATUS, Table.S3_METADATA):
        columns = of_table(table)
        parts = {
            "table": sql.Identifier(table),
            "columns": expressions.names(columns),
            "blank": expressions.each("{name} = NULL", columns),
            "was": expressions.names(columns, "was"),
        }
        for name in ("bring_back_child", "empty_child", "undo_child"):
            cursor.execute(_sql.fill(name, **parts), marks)
    for statement in (_sql.take_back_rows, _sql.bring_back_rows):
        cursor.execute(statement, marks)
