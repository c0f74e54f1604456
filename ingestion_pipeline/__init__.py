"""The safe way from a CSV that acts as a database to PostgreSQL, and back."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestion_pipeline.app import Pipeline, open_pipeline
else:
    # What is imported below this package, `ingest --help` above all, does not wait for all the rest.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ingestion_pipeline import app  # noqa: PLC0415 - see above

        return getattr(app, name)


__all__ = ["Pipeline", "open_pipeline"]
