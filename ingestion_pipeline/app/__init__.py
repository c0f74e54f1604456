"""The composition root: settings in, a pipeline with its places out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestion_pipeline.app.pipeline import Pipeline, open_pipeline
else:
    # Who needs another module of this package does not wait for the pipeline.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ingestion_pipeline.app import pipeline  # noqa: PLC0415 - see above

        return getattr(pipeline, name)


__all__ = ["Pipeline", "open_pipeline"]
