"""A program that publishes to the stub, may be killed over it, and can be made worse."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.retries.standard import ExponentialBackoff

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.version import Content, Form, Manifest, Stored, key
from ingestion_pipeline.stores.atomic import Draft
from ingestion_pipeline.stores.bucket import bucket
from ingestion_pipeline.stores.bucket.bucket import Bucket
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline.stores.bucket.client import Patience, connect
from ingestion_pipeline_tests.stores.bucket.publishing import CREDENTIALS, NAME, publish_now
from ingestion_pipeline_tests.stores.bucket.s3_stub import BUCKET


class Mutant(StrEnum):
    """A fault put into the program, or into the bucket, which the test must notice."""

    NONE = "none"
    ENTRY_FIRST = "entry first"
    """The entry is written before the bytes it is about."""
    NOT_READ_BACK = "not read back"
    """What the bucket says it has stored is believed."""
    UNCONDITIONAL = "unconditional"
    """The bucket gives a name that is taken once more, and nobody looks."""
    NOT_SWEPT = "not swept"
    """Uploads in parts are left as they are."""


@cache
def _client(url: str, attempts: int) -> Any:
    return connect("us-east-1", None, url, Patience(10, 10, attempts))


@dataclass(frozen=True)
class Program:
    """How one publishes.

    Attributes:
        url: The stub's address.
        folder: For its drafts.
        part: Bytes that are sent together.
        attempts: How often a request is sent.
        mutant: What is wrong with it.
    """

    url: str
    folder: Path
    part: int
    attempts: int = 2
    mutant: Mutant = Mutant.NONE

    def chain(self) -> Chain:
        """The versions, as a program that has just begun sees them."""
        return Chain(Bucket(_client(self.url, self.attempts), BUCKET, "", self.folder), NAME)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Wait hardly at all, and be as wrong as asked."""
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, CREDENTIALS))
            stack.enter_context(patch.object(bucket, "PART", self.part))
            stack.enter_context(patch.object(bucket, "PAUSE", 0.001))
            stack.enter_context(patch.object(ExponentialBackoff, "delay_amount", lambda *_: 0))
            if self.mutant is Mutant.ENTRY_FIRST:
                stack.enter_context(patch.object(Chain, "publish", _publish_entry_first))
            if self.mutant is Mutant.NOT_READ_BACK:
                stack.enter_context(patch.object(Bucket, "_check_stored", lambda *_: None))
            if self.mutant is Mutant.UNCONDITIONAL:
                stack.enter_context(patch.object(Bucket, "_check_taken", lambda *_: None))
            if self.mutant is Mutant.NOT_SWEPT:
                stack.enter_context(patch.object(Bucket, "sweep", lambda *_: 0))
            yield


def _publish_entry_first(chain: Chain, content: Content, stored: Stored, new: Draft) -> Manifest:
    number, parent, _ = chain._last()  # noqa: SLF001
    name = key(NAME, content.published_at, 0, stored.form)
    manifest = Manifest(number + 1, parent, name, content, stored)
    chain._append(manifest)  # noqa: SLF001
    chain._place.create(name, new)  # noqa: SLF001
    return manifest


def run(program: Program, csv: bytes, form: Form, telling: Connection) -> None:
    """Publish once, and tell the number; None where that was refused."""
    with program.begun():
        try:
            telling.send(publish_now(program.chain(), csv, form).number)
        except UnavailableError:
            telling.send(None)
