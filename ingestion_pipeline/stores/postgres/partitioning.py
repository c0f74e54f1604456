"""The three tables in parts by hash, and whole again. What is done is in migration 0011."""

from dataclasses import dataclass

from psycopg2 import errors

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.stores.postgres import queries, schema
from ingestion_pipeline.stores.postgres.pool import Pool, fetch_one, schema_missing

_sql = queries.load("partitioning")


@dataclass(frozen=True, slots=True)
class Partitioned:
    """What came of it.

    Attributes:
        before: In how many parts each table was; 0 where it was whole.
        parts: In how many it is now.
        people: How many people there are.
    """

    before: int
    parts: int
    people: int


def parts(pool: Pool) -> int:
    """In how many parts each table is; 0 where it is whole.

    Raises:
        UnavailableError: The schema is missing, or of another revision.
    """
    _refuse_without_schema(pool)
    with pool.transaction() as cursor:
        cursor.execute(_sql.parts)
        return int(fetch_one(cursor)[0])


def partition(pool: Pool, number: int) -> Partitioned:
    """Bring the tables into so many parts, or make them whole, in one transaction.

    Writers wait meanwhile; readers only for the moment in which the tables change places.

    Args:
        pool: Connections to the database.
        number: 2 to 256; 0 or 1 for whole tables.

    Raises:
        ProtectedError: Something that is not the pipeline's depends on the tables (`others_depend`), or a row
            from before a rule breaks it (`rule_broken`); nothing was changed.
        UnavailableError: The schema is missing or of another revision, or somebody keeps the tables locked.
    """
    _refuse_without_schema(pool)
    with pool.transaction(bulk=True) as cursor:
        try:
            cursor.execute(_sql.partition, {"parts": number})
        except errors.DependentObjectsStillExist:
            raise ProtectedError(
                "something that is not the pipeline's depends on its tables: a materialized view, a policy, "
                "a publication or a function",
                code="others_depend",
                hint="Nothing was changed. Drop it, partition, and make it again.",
            ) from None
        except errors.CheckViolation as error:
            raise ProtectedError(
                f"a row from before a rule breaks it: {error.diag.constraint_name}",
                code="rule_broken",
                hint="Nothing was changed. `ingest compare` names such rows: mend them first.",
            ) from None
        [before] = fetch_one(cursor)
        cursor.execute(_sql.count_people)
        [people] = fetch_one(cursor)
    return Partitioned(before, number if number > 1 else 0, people)


def _refuse_without_schema(pool: Pool) -> None:
    if schema.current(pool) is None:
        raise schema_missing()
    schema.check(pool)
