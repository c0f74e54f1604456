"""The pipeline as a resource, and its errors as Dagster's."""

from collections.abc import Iterator
from contextlib import contextmanager

from dagster import ConfigurableResource, Failure

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.places import ConnectS3
from ingestion_pipeline.domain.errors import PipelineError, UnavailableError


class SiteResource(ConfigurableResource[Pipeline]):
    """One site's pipeline, for work that publishes nothing.

    Attributes:
        config: The configuration file; without it INGESTION_CONFIG names it, else config/config.yaml.
    """

    config: str | None = None

    @contextmanager
    def open(self) -> Iterator[Pipeline]:
        """The pipeline, closed at the end.

        Raises:
            Failure: For whatever must stop, with where and what next as metadata; tried again only where
                a store was away.
        """
        try:
            with open_pipeline(self.config, connect_s3=self._connect_s3()) as pipeline:
                yield pipeline
        except PipelineError as error:
            raise Failure(
                description=f"{error}\n{error.hint}".strip(),
                metadata=_known(error),
                allow_retries=isinstance(error, UnavailableError),
            ) from None

    def _connect_s3(self) -> ConnectS3 | None:
        return None


def _known(error: PipelineError) -> dict[str, str | int]:
    place = error.place
    known = {
        "code": error.code,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "row_id": place.row_id,
        "hint": error.hint,
    }
    return {name: value for name, value in known.items() if value}
