"""Runs the migrations on the connection that `schema` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="ingestion",
)
with context.begin_transaction():
    context.run_migrations()
