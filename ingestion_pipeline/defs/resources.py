"""The pipeline as a resource, with the bucket that it publishes to."""

from typing import Any

from dagster_aws.s3 import S3Resource

from ingestion_pipeline.app.places import ConnectS3
from ingestion_pipeline.defs.site import SiteResource
from ingestion_pipeline.settings import Settings


class PipelineResource(SiteResource):
    """One site's pipeline.

    Attributes:
        s3: The account and server of the bucket; without it those that the configuration names.
    """

    s3: S3Resource | None = None

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
