"""Starting `ingest` does not wait for libraries it needs not."""

import os
import subprocess
import sys

import pytest

HEAVY = ("dagster", "pandas", "sqlalchemy", "alembic", "prometheus_client", "boto3", "botocore")
OF_A_SITE = (
    "numpy",
    "psycopg2",
    "pydantic",
    "yaml",
    "rich",
    "hashlib",
    "ssl",
    "asyncio",
)

QUICK = 1.0
"""Seconds of the processor that help may take: five times what it does."""

LOADED = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from ingestion_pipeline.cli import main
sys.argv[0] = "ingest"
main()
"""


def loaded(*arguments: str, **environment: str) -> tuple[str, set[str]]:
    """What a call of `ingest` says, and the modules that it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), *((verb, "--help") for verb in ("status", "write", "restore", "phase"))],
)
def test_help_loads_nothing_that_a_site_needs(arguments: tuple[str, ...]) -> None:
    said, modules = loaded(*arguments)

    assert "Usage: ingest" in said or "version" in said
    assert "click" in modules
    assert not modules & {*HEAVY, *OF_A_SITE}


def test_completion_in_the_shell_loads_nothing_that_a_site_needs() -> None:
    said, modules = loaded(
        _INGEST_COMPLETE="bash_complete", COMP_WORDS="ingest quarantine decide 1 dr", COMP_CWORD="4"
    )

    assert "drop" in said
    assert not modules & {*HEAVY, *OF_A_SITE}


def test_help_takes_little_of_the_processor() -> None:
    script = (
        "import os, sys; from ingestion_pipeline.cli import ingest; ingest(['--help'], standalone_mode=False)"
    )
    script += "; print(sum(os.times()[:2]), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)

    assert float(done.stderr) < QUICK


def test_the_package_names_what_it_loads_later() -> None:
    script = "import ingestion_pipeline as p; from ingestion_pipeline import Pipeline, open_pipeline"
    script += (
        "; import ingestion_pipeline.app as a; print(Pipeline is a.Pipeline, hasattr(p, 'opne_pipeline'))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)

    assert shown.stdout == "True False\n"
