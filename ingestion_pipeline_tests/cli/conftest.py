"""`ingest` as it is called: in this process, or as a program of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from ingestion_pipeline.cli import ingest
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "reused_database"]

MAIN = "from ingestion_pipeline.cli import main; main()"


@dataclass(frozen=True)
class Answer:
    """How a call ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def said(self) -> str:
        return self.out + self.err


Call = Callable[..., Answer]


@pytest.fixture
def call() -> Call:
    """Call `ingest` in this process."""

    def run(*arguments: str) -> Answer:
        result = CliRunner().invoke(ingest, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def program() -> Call:
    """Call `ingest` as a program."""

    def run(*arguments: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *arguments],
            capture_output=True,
            check=False,
            timeout=60,
            # The working directory is a site's, so the project is named.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
