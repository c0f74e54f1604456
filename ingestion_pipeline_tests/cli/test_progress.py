"""Progress at a terminal: when it is drawn, and what it says."""

import os
import pty
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from ingestion_pipeline.cli import ingest, progress
from ingestion_pipeline.cli.progress import Bar, bar
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled

SOON = 0.01
AMOUNT = re.compile(r"([\d.]+) MB of ([\d.]+) MB")
STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """What a person sees: everything that was written to it."""

    written: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return STYLE.sub("", self.written.decode(errors="replace"))

    def wait_for(self, pattern: str) -> str:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = re.search(pattern, self.text)
            if found is not None:
                return found.group()
            time.sleep(0.01)
        raise AssertionError(f"{pattern} was not seen")


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A terminal in the place of standard error."""
    ours, theirs = pty.openpty()
    shown = Terminal()

    def read() -> None:
        with suppress(OSError):  # the other end is shut
            while data := os.read(ours, 65536):
                shown.written.extend(data)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        with os.fdopen(theirs, "w") as stderr, redirect_stderr(stderr):
            yield shown
    finally:
        reading.join(10)
        os.close(ours)


@contextmanager
def watched(step: str = "reading", **about: Any) -> Iterator[tuple[Terminal, Bar]]:
    with terminal() as seen, bar(step, **{"hidden": False, **about}) as shown:
        yield seen, shown


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SLOW", SOON)


def test_what_is_soon_done_is_not_drawn() -> None:
    with watched(total=100) as (seen, shown):
        shown.read(100)

    assert seen.text == ""


@pytest.mark.usefixtures("soon")
def test_nothing_is_drawn_where_nobody_watches() -> None:
    with watched(total=100, hidden=True) as (seen, shown):
        time.sleep(10 * SOON)
        shown.read(50)
        time.sleep(10 * SOON)

    assert seen.text == ""


@pytest.mark.usefixtures("soon")
def test_how_far_how_quick_and_how_long_yet() -> None:
    with watched(total=40_000_000) as (seen, shown):
        seen.wait_for("reading")
        for size in range(1, 6):
            shown.read(size * 1_000_000)
            time.sleep(0.05)
        seen.wait_for(r"5\.0 MB of 40\.0 MB +\d+\.\d MB/s 00:\d\d left 00:0\d")
        shown.step("writing")
        seen.wait_for("writing")


@pytest.mark.usefixtures("soon")
def test_what_is_read_twice_begins_again_and_never_goes_beyond_its_end() -> None:
    with watched(total=8_000_000) as (seen, shown):
        seen.wait_for("reading")
        for size in (4, 8, 3, 8, 2):
            shown.read(size * 1_000_000)
            seen.wait_for(rf"{size}\.0 MB of 8\.0 MB")
        seen.wait_for("reading again")

    assert all(float(done) <= float(whole) for done, whole in AMOUNT.findall(seen.text))
    assert "again again" not in seen.text


@pytest.mark.usefixtures("soon")
def test_what_grows_while_it_is_read_has_no_end() -> None:
    with watched(total=1_000_000) as (seen, shown):
        shown.read(1_000_000)
        seen.wait_for(r"1\.0 MB of 1\.0 MB")
        shown.read(3_000_000)
        seen.wait_for(r"3\.0 MB")

    assert "3.0 MB of" not in seen.text


@pytest.mark.usefixtures("soon")
def test_a_header_alone_is_no_progress() -> None:
    with watched(total=1_000_000) as (seen, shown):
        seen.wait_for("reading")
        shown.read(112)
        shown.step("writing")
        seen.wait_for("writing")

    assert "112" not in seen.text


@pytest.mark.usefixtures("soon")
def test_people_are_counted_as_people() -> None:
    with watched("writing", unit="people") as (seen, shown):
        seen.wait_for("writing")
        for _ in range(6):
            shown.count(500)
            time.sleep(0.03)
        seen.wait_for(r"3,000 people +[\d,]+ people/s")


@pytest.mark.usefixtures("soon")
def test_it_is_wiped_away_also_where_the_work_fails() -> None:
    before = set(threading.enumerate())
    with suppress(ZeroDivisionError), watched() as (seen, _):
        seen.wait_for("reading")
        raise ZeroDivisionError

    assert set(threading.enumerate()) <= before
    assert b"\x1b[2K" in seen.written[seen.written.rindex(b"reading") :]


LONGER = (
    "sync", "sync --normalise", "compare", "settle", "export", "versions", "restore latest",
    "restore latest --to {folder}/restored.csv", "backup", "restore --database latest", "drill",
    "render --to {folder}/rendered.csv", "render --spreadsheet --to {folder}/escaped.csv", "report",
    "search Name", "quarantine decide 1 accept", "db upgrade", "phase plan", "phase advance",
    "phase rollback", "delete 5", "doctor", "health", "prune",
)  # fmt: skip


def test_every_verb_that_may_take_long_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put(spelled([*people(range(30)), person(30, processed="maybe")]))
    monkeypatch.setattr(progress, "SLOW", 0)
    silent = []

    for words in LONGER:
        arguments = words.format(folder=site.folder).split()
        with terminal() as seen:
            assert ingest(arguments, standalone_mode=False) in (0, 1, None), words
        if "━" not in seen.text:
            silent.append(words)
        with terminal() as seen:
            ingest([*arguments, "--json"], standalone_mode=False)
        assert seen.text == "", words

    assert not silent
