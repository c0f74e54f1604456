"""A client for S3, where nobody else brings one."""

from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from ingestion_pipeline.domain.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits, in seconds, and how often it asks."""

    connect: float = 10
    read: float = 60
    attempts: int = 5


USUAL = Patience()


def connect(
    region: str | None, profile: str | None, endpoint_url: str | None, patience: Patience = USUAL
) -> Any:
    """A client that finds its credentials where every program of AWS does.

    Args:
        region: The bucket's region.
        profile: The profile of ~/.aws that is meant.
        endpoint_url: Another server than Amazon's; only what is named here is used.
        patience: How long it waits.

    Raises:
        SettingsError: There is no such profile, or the address is none.
    """
    asked = Config(
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        # The configuration refuses an address that others could listen to; a variable would pass it by.
        ignore_configured_endpoint_urls=True,
    )
    try:
        session = boto3.session.Session(region_name=region, profile_name=profile)
        return session.client("s3", endpoint_url=endpoint_url, config=asked)
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(
            f"no client for the bucket can be made: {type(error).__name__}",
            code="bucket_client",
            hint="Check exports.profile, exports.region and exports.endpoint_url.",
        ) from None
