"""Fixtures: a folder and a bucket, and servers for the latter."""

import logging
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from ingestion_pipeline.stores.bucket.bucket import Bucket
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.client import connect
from ingestion_pipeline_tests.stores.bucket import s3_stub
from ingestion_pipeline_tests.stores.bucket.kept import InBucket, InFolder, Kept
from ingestion_pipeline_tests.stores.bucket.publishing import (
    CREDENTIALS,
    NAME,
    ONCE,
)
from ingestion_pipeline_tests.stores.bucket.s3_stub import S3

_NUMBERS = count(1)


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a server of moto's."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def in_bucket(moto: str, tmp_path: Path) -> InBucket:
    return InBucket(moto, f"people-{next(_NUMBERS)}", tmp_path / "state" / "outgoing")


@pytest.fixture
def in_folder(tmp_path: Path) -> InFolder:
    return InFolder(tmp_path / "versions")


@pytest.fixture(params=["folder", "bucket"])
def kept(request: pytest.FixtureRequest) -> Kept:
    found: Kept = request.getfixturevalue(f"in_{request.param}")
    return found


@pytest.fixture
def chain(kept: Kept) -> Chain:
    return kept.chain


@pytest.fixture
def s3() -> Iterator[S3]:
    """A bucket that fails as it is told to."""
    with s3_stub.serving() as served:
        yield served


@pytest.fixture
def stubbed(s3: S3, tmp_path: Path) -> Bucket:
    client = connect("us-east-1", None, s3.url, ONCE)
    return Bucket(client, s3_stub.BUCKET, "", tmp_path / "outgoing")


@pytest.fixture
def in_stub(stubbed: Bucket) -> Chain:
    return Chain(stubbed, NAME)
