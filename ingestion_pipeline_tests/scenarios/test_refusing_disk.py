"""A disk that refuses any one call of a write: it is refused in so many words, or done whole."""

import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.files import people, rendered, spelled
from ingestion_pipeline_tests.scenarios.sites import Site, make_site

CALLS = (
    *((os, name) for name in ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "listdir")),
    *((os, name) for name in ("truncate", "ftruncate", "scandir")),
    (fcntl, "flock"),
    (io, "open"),
)
WRITTEN = ("link", "document_text")


class Refusing:
    """Refuses one call, and counts them."""

    def __init__(self, at: int) -> None:
        self.calls = 0
        self._at = at

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module, name in CALLS:
                stack.enter_context(patch.object(module, name, self._counted(getattr(module, name))))
            yield

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self._at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return function(*args, **kwargs)

        return call


def write(site: Site, at: int, text: str) -> tuple[bool, bool]:
    """Write under a refusal; gives whether it was acknowledged, and whether there was a refusal."""
    refusing = Refusing(at)
    with open_pipeline(site.settings) as pipeline, refusing.watching():
        try:
            pipeline.write("7", {"link": text, "document_text": text})
        except UnavailableError:
            return False, True
    return True, refusing.calls >= at


@pytest.mark.parametrize("phase", [Phase.ORIGINAL, Phase.DUAL_WRITE])
def test_a_write_is_refused_or_done_whole(tmp_path: Path, database: str, phase: Phase) -> None:
    site = make_site(tmp_path, phase, spelled(people(range(20, 0, -1))), database)
    standing = site.in_csv(WRITTEN)

    for at in count(1):
        done, refused = write(site, at, f"text {at}")

        found = site.in_csv(WRITTEN)
        made = standing | {"7": (f"text {at}", f"text {at}")}
        assert found in ([made] if done else [standing, made]), f"call {at}"
        with open_pipeline(site.settings) as pipeline:
            pipeline.settle()
            pipeline.write("8", {"link": f"next {at}"})
            standing = site.in_csv(WRITTEN)
            assert standing == found | {"8": (f"next {at}", found["8"][1])}, f"call {at}"
            if phase is Phase.DUAL_WRITE:
                assert rendered(pipeline) == site.csv.read_bytes(), f"call {at}"
        if not refused:
            break
    assert at > 20
