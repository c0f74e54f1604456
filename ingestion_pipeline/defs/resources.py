"""The pipeline as a resource, and its errors as Dagster's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, Failure
from dagster_aws.s3 import S3Resource

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.places import ConnectS3
from ingestion_pipeline.domain.errors import PipelineError, UnavailableError
from ingestion_pipeline.settings import Settings


class PipelineResource(ConfigurableResource[Pipeline]):
    """One site's pipeline.

    Attributes:
        config: The configuration file; without it INGESTION_CONFIG names it, else config/config.yaml.
        s3: The account and server of the bucket; without it those that the configuration names.
    """

    config: str | None = None
    s3: S3Resource | None = None

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
        s3 = self.s3
        return None if s3 is None else lambda **_named: s3.get_client()


class SiteS3(S3Resource):
    """The bucket's account and server, with the pipeline's own timeouts and no address from elsewhere."""

    def get_client(self) -> Any:
        """A client; see `client.connect`."""
        # boto3 takes long to load, and few have a bucket.
        from ingestion_pipeline.stores.bucket.client import connect  # noqa: PLC0415

        return connect(self.region_name, self.profile_name, self.endpoint_url)


def s3_of(settings: Settings) -> S3Resource:
    """The bucket's account and server, as the configuration names them."""
    exports, legacy = settings.exports, settings.downloads.s3
    return SiteS3(
        region_name=exports.region or legacy.aws_region,
        endpoint_url=exports.endpoint_url,
        profile_name=exports.profile or legacy.aws_profile,
    )


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
