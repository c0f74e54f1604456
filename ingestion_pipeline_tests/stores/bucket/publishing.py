"""Publishing in tests, with short waits."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

from ingestion_pipeline.domain.dialect import Dialect
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.version import Content, Form, Manifest
from ingestion_pipeline.stores.bucket.chain import Chain, VersionDraft
from ingestion_pipeline.stores.bucket.client import Patience

NAME = "csv-versions"
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LONG_AFTER = NOON + timedelta(days=100)

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "TESTS",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-CANARY",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}
ONCE = Patience(attempts=1)
"""Nothing is asked for twice."""


def content_of(new: VersionDraft, moment: datetime) -> Content:
    """What a manifest says of two columns of one person."""
    columns = ("row_id", "name")
    return Content(new.sha256, new.size, 1, columns, Dialect(columns), Phase.DUAL_WRITE, 1, moment)


def publish(chain: Chain, csv: bytes, moment: datetime = NOON, form: Form = Form.CSV) -> Manifest:
    with chain.draft(form) as new:
        new.write(csv[:2])
        new.write(csv[2:])
        return new.publish(content_of(new, moment))


def publish_three(chain: Chain) -> list[Manifest]:
    return [publish(chain, b"csv %d" % day, NOON + timedelta(days=day)) for day in range(3)]


def entry_key(number: int) -> str:
    return f"{NAME}/manifests/{number:08d}.json"


def fetched(chain: Chain, manifest: Manifest) -> bytes:
    sink = io.BytesIO()
    chain.fetch(manifest, sink)
    return sink.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def flip(stored: bytes) -> bytes:
    """One bit in the middle is another."""
    at = len(stored) // 2
    return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]


def publish_now(chain: Chain, csv: bytes, form: Form = Form.CSV) -> Manifest:
    return publish(chain, csv, datetime.now(UTC), form)
