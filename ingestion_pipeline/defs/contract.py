"""The contract as Dagster shows it: column schemas and where each column comes from."""

from collections.abc import Iterable

from dagster import (
    AssetKey,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableConstraints,
    TableSchema,
)

from ingestion_pipeline.domain.columns import COLUMNS, Column, Table, of_table

CSV_SNAPSHOT = AssetKey("csv_snapshot")
VERSIONED_EXPORT = AssetKey("versioned_export")
DATABASE_BACKUP = AssetKey("database_backup")
SEARCH_INDEX = AssetKey("search_index")
MIGRATION_PHASE = AssetKey("migration_phase")
DATABASE_HEALTH = AssetKey("database_health")


def csv_schema() -> TableSchema:
    """Every column a file may have, as text."""
    return TableSchema(
        columns=[TableColumn(column.name, "text", column.about) for column in COLUMNS],
        constraints=TableConstraints(other=["Every row is as wide as the header", "UTF-8, no NUL"]),
    )


def table_schema(table: Table) -> TableSchema:
    """A table's columns of the contract."""
    return TableSchema(columns=[_column(column) for column in of_table(table)])


def from_csv(table: Table) -> TableColumnLineage:
    """Each column of a table comes from the CSV's column of that name."""
    return _lineage((column, CSV_SNAPSHOT) for column in of_table(table))


def from_tables() -> TableColumnLineage:
    """Each column of an export comes from its table."""
    return _lineage((column, AssetKey(column.table.value)) for column in COLUMNS)


def _column(column: Column) -> TableColumn:
    limits = [] if column.limit is None else [f"at most {column.limit} characters"]
    constraints = TableColumnConstraints(
        nullable=not column.required, unique=column.name == "row_id", other=limits
    )
    return TableColumn(column.name, column.sql_type, column.about, constraints)


def _lineage(columns: Iterable[tuple[Column, AssetKey]]) -> TableColumnLineage:
    return TableColumnLineage({column.name: [TableColumnDep(key, column.name)] for column, key in columns})
