"""Processes forked from one that has imported all they need."""

import multiprocessing
from contextlib import chdir
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

RUN = (
    "ingestion_pipeline_tests.scenarios.counting_writer",
    "ingestion_pipeline_tests.scenarios.killed_writer",
    "ingestion_pipeline_tests.scenarios.switcher",
    "ingestion_pipeline_tests.stores.bucket.publisher",
)
"""The modules that run in processes of their own. There is one to fork from for all of them."""


def forks() -> ForkServerContext:
    """Makes processes by fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *RUN])
    # Here, where it finds them: where it does not, it says nothing, and each child imports everything.
    with chdir(Path(__file__).parents[1]):
        forkserver.ensure_running()
    return context
