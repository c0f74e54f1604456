"""Roles: three groups of database users, and what each may do. What is granted is in migration 0007."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from psycopg2 import errors, sql

from ingestion_pipeline.domain.errors import ProtectedError, SettingsError
from ingestion_pipeline.stores.postgres import queries, schema
from ingestion_pipeline.stores.postgres.pool import Cursor, Pool, fetch_one, schema_missing

_sql = queries.load("roles")


class Part(StrEnum):
    """What the members of a role may do."""

    OWNER = "owner"
    WRITER = "writer"
    READER = "reader"


Names = Mapping[Part, str]
"""What the roles are called."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role as the server has it.

    Attributes:
        part: What its members may do.
        name: What it is called.
        exists: Whether the server has it.
        granted: Whether this database's grants were made for it.
        members: Who is in it.
        is_group: Whether it is nothing but a group: it may neither log in nor do more than is granted.
    """

    part: Part
    name: str
    exists: bool = False
    granted: bool = False
    members: tuple[str, ...] = ()
    is_group: bool = True

    @property
    def good(self) -> bool:
        """Whether it is there and has what it needs."""
        return self.exists and self.granted and self.is_group


def found(pool: Pool, names: Names) -> list[Role]:
    """The roles as they are.

    Raises:
        UnavailableError: The schema is missing, or of another revision.
    """
    _refuse_without_schema(pool)
    with pool.transaction() as cursor:
        return [_found(cursor, part, name) for part, name in names.items()]


def create(pool: Pool, names: Names) -> list[Role]:
    """Make the roles that are missing, and grant all three what they need and no more.

    Safe to run again. The tables become the owner's, and this user a member of that.

    Returns:
        The roles as they are then.

    Raises:
        SettingsError: Two of them have one name.
        ProtectedError: This user may not make roles, or a role is more than a group or has another's rights.
        UnavailableError: The schema is missing, or somebody keeps the tables locked.
    """
    if len({*names.values()}) < len(Part):
        raise SettingsError(
            "two of the roles have one name", code="bad_value", hint="Rename one in database.roles."
        )
    _refuse_without_schema(pool)
    with pool.transaction(bulk=True) as cursor:
        there = [_found(cursor, part, name) for part, name in names.items()]
        for role in there:
            _refuse_more(role)
        _create(cursor, [role.name for role in there if not role.exists])
        _refuse_mixed(cursor, names)
        _join(cursor, names[Part.OWNER])
        cursor.execute(_sql.grant, {part.value: name for part, name in names.items()})
        return [_found(cursor, part, name) for part, name in names.items()]


def _refuse_without_schema(pool: Pool) -> None:
    if schema.current(pool) is None:
        raise schema_missing()
    schema.check(pool)


def _found(cursor: Cursor, part: Part, name: str) -> Role:
    cursor.execute(_sql.found, {"part": part, "name": name})
    row = cursor.fetchone()
    if row is None:
        return Role(part, name)
    is_more, members, granted = row
    return Role(part, name, exists=True, granted=granted, members=tuple(members), is_group=not is_more)


def _create(cursor: Cursor, missing: list[str]) -> None:
    if not missing:
        return
    cursor.execute(_sql.may_create)
    if not fetch_one(cursor)[0]:
        raise ProtectedError(
            f"the roles {', '.join(missing)} are missing, and this user may not make any",
            code="not_permitted",
            hint="As an administrator: " + " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in missing),
        )
    for name in missing:
        cursor.execute("SAVEPOINT making")
        # Roles are the whole server's: somebody may be making them for another database.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            cursor.execute(_sql.fill("create", role=sql.Identifier(name)))
            continue
        cursor.execute("ROLLBACK TO making")


def _refuse_more(role: Role) -> None:
    if not role.is_group:
        raise ProtectedError(
            f"role {role.name} may log in, or do more than is granted here",
            code="role_is_more",
            hint="Name a role that is a group only in database.roles, and make users members of it.",
        )


def _refuse_mixed(cursor: Cursor, names: Names) -> None:
    for part, higher in (
        (Part.READER, Part.WRITER),
        (Part.READER, Part.OWNER),
        (Part.WRITER, Part.OWNER),
    ):
        cursor.execute(_sql.is_more, {"role": names[part], "other": names[higher]})
        if fetch_one(cursor)[0]:
            raise ProtectedError(
                f"role {names[part]} is a member of {names[higher]}, and so may do all that may",
                code="role_is_more",
                hint=f"REVOKE {names[higher]} FROM {names[part]};",
            )


def _join(cursor: Cursor, owner: str) -> None:
    cursor.execute(_sql.is_owner, {"owner": owner})
    if not fetch_one(cursor)[0]:
        cursor.execute(_sql.fill("join_owner", owner=sql.Identifier(owner)))
