"""Make the disk fail under a write in every way: refused or done whole, and the next write works."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.campaign import record
from benchmarks.campaign.mounting import mounted, remount
from benchmarks.campaign.tracing import ON_DISK, PATIENCE, Traced, check_strace
from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.atomic import Draft, Written
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.files import person, rendered, spelled
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.scenarios.sites import Kept, Site, make_site

ERRORS = ("ENOSPC", "EIO", "EMFILE", "EACCES")
WRITTEN = ("link", "document_text")
PHASES = (Phase.ORIGINAL, Phase.DUAL_WRITE)
DONE, REFUSED = 0, 3
"""How a writer ends."""

MOST = 200
"""Calls of one name in one write, at most."""

PAGE = 4096
LARGE = 64 * 1024 * 1024
ROOMY = 1_000_000


class Way(StrEnum):
    """How the write is made."""

    OURS = "ours"
    SHORT = "ours, one os.write does half"
    UNCHECKED = "ours without a second look, one os.write does half"
    IN_PLACE = "the file opened and written over"


def people() -> bytes:
    """A file that takes more than a few pages."""
    return spelled([person(key, document_text="text " * 60) for key in range(200, 0, -1)])


def write_one(settings: Settings, way: Way, at: int, number: int, told: Connection) -> None:
    """Make one write, and tell what its caller was told: done, a code, or an error's name."""
    try:
        with _made(way, at) as shortened:
            if way is Way.IN_PLACE:
                _write_in_place(settings.paths.output_csv, number)
            else:
                with open_pipeline(settings) as pipeline:
                    pipeline.write("7", cells_of(number))
        said = ("done", shortened())
    except PipelineError as error:
        said = (f"refused: {error.code}", at)
    except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
        said = (f"failed: {type(error).__name__}", at)
    with suppress(OSError):  # where writing is what fails, the exit code must do
        told.send(said)
    sys.exit(DONE if said[0] == "done" else REFUSED)


def cells_of(number: int) -> Mapping[str, str]:
    """What a write writes."""
    return {"link": str(number), "document_text": f"{number} " * 60}


@contextmanager
def _made(way: Way, at: int) -> Iterator[Callable[[], int]]:
    """Have one os.write do half; gives how many there have been."""
    calls = 0
    whole = os.write

    def short(descriptor: int, data: Any) -> int:
        nonlocal calls
        calls += 1
        return whole(descriptor, data[: len(data) // 2] if calls == at and len(data) > 1 else data)

    with ExitStack() as stack:
        if way in (Way.SHORT, Way.UNCHECKED):
            stack.enter_context(patch.object(os, "write", short))
        if way is Way.UNCHECKED:
            stack.enter_context(patch.object(Draft, "write", _write_once))
            stack.enter_context(patch.object(Draft, "settle", _settle_unread))
        yield lambda: calls


def _write_once(draft: Draft, data: bytes) -> None:
    draft._written.write(data)  # noqa: SLF001
    os.write(draft._descriptor, data)  # noqa: SLF001


def _settle_unread(draft: Draft) -> Written:
    return Written(draft.sha256, draft.size)


def _write_in_place(path: Path, number: int) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text + spelled([person(f"n{number}")]).decode().partition("\n")[2], encoding="utf-8")


class Failing:
    """One site, whose disk fails.

    Attributes:
        told: How often callers were told what.
        violations: What was found amiss.
    """

    def __init__(self, site: Site) -> None:
        self.told: dict[str, int] = {}
        self.violations: list[str] = []
        self.faults = 0
        self._site = site
        self._forks = forks()
        self._number = 0
        self._standing = self._there()

    def inject(self, call: str, error: str, when: str) -> bool:
        """Write with a fault in one system call; gives whether it came."""
        listening, telling = self._forks.Pipe(duplex=False)
        fault = f"{call}:error={error}:when={when}"
        self._number += 1
        traced = Traced(
            self._forks, fault, write_one, self._site.settings, Way.OURS, 0, self._number, telling
        )
        telling.close()
        said, _ = _heard(listening)
        traced.process.join(PATIENCE)
        if said == "nothing":
            said = {DONE: "done", REFUSED: "refused"}.get(traced.process.exitcode, said)
        came = traced.faults()
        self.faults += came > 0
        self._look(said, f"{call} {error} {when}")
        return came > 0

    def write(self, way: Way, at: int = 0, then: Callable[[], None] = lambda: None) -> tuple[str, int]:
        """Write in a process of its own; gives what the caller was told."""
        listening, telling = self._forks.Pipe(duplex=False)
        self._number += 1
        args = (self._site.settings, way, at, self._number, telling)
        child = self._forks.Process(target=write_one, args=args)
        child.start()
        telling.close()
        said, calls = _heard(listening)
        child.join(PATIENCE)
        then()
        self._look(said, f"{way} {at}")
        return said, calls

    def _look(self, said: str, case: str) -> None:
        """Check what is left, and that the next write works."""
        done = self._standing | {"7": tuple(cells_of(self._number)[name] for name in WRITTEN)}
        allowed = [done] if said == "done" else [self._standing, done]
        try:
            found = self._there()
            told = f"{said}, yet done" if said != "done" and found == done else said
            self.told[told] = self.told.get(told, 0) + 1
            if found not in allowed:
                self.violations.append(f"{case}, {said}: the file is not whole")
            with open_pipeline(self._site.settings) as pipeline:
                pipeline.settle()
                if self._there() not in allowed:
                    self.violations.append(f"{case}, {said}: the file is not whole once settled")
                self._number += 1
                pipeline.write("8", {"link": str(self._number)})
                if self._site.phase.follower and rendered(pipeline) != self._site.csv.read_bytes():
                    self.violations.append(f"{case}, {said}: the two sides differ")
            if self._there().get("8", ("",))[0] != str(self._number):
                self.violations.append(f"{case}, {said}: the next write is lost")
            self._standing = self._there()
        except Exception as error:  # noqa: BLE001 - whatever it is, the site is not whole
            self.violations.append(
                f"{case}, {said}: then {type(error).__name__} {getattr(error, 'code', '')}"
            )

    def _there(self) -> Kept:
        return self._site.in_csv(WRITTEN)


def _heard(listening: Connection) -> tuple[str, int]:
    try:
        said: tuple[str, int] = listening.recv() if listening.poll(PATIENCE) else ("hangs", 0)
    except EOFError:
        said = ("nothing", 0)
    listening.close()
    return said


@contextmanager
def failing(server: Server, phase: Phase, folder: Path | None = None) -> Iterator[Failing]:
    """A site whose disk is about to fail."""
    with record.database(server) as url, record.folder() as elsewhere:
        yield Failing(make_site(folder or elsewhere, phase, people(), url))


def every_call(part: record.Part, server: Server, most: int) -> None:
    """Every system call of a write, each error, once and from then on."""
    check_strace()
    for phase in PHASES:
        with failing(server, phase) as site:
            for call in ON_DISK:
                for error in ERRORS:
                    for more in ("", "+"):
                        for when in range(1, most + 1):
                            if not site.inject(call, error, f"{when}{more}") or site.violations:
                                break
        _add(part, f"{phase}, every system call x {len(ERRORS)} errors", site, faults=site.faults)


def every_short_write(part: record.Part, server: Server) -> None:
    """Every os.write does half in turn."""
    for phase in PHASES:
        with failing(server, phase) as site:
            at = 1
            said, calls = site.write(Way.SHORT, at)
            while said == "done" and at <= calls and not site.violations:
                at += 1
                said, calls = site.write(Way.SHORT, at)
        _add(part, f"{phase}, every os.write does half", site, faults=at - 1)


def full_disk(part: record.Part, server: Server, step: int) -> None:
    """A file system from too small to large enough, in bytes and in files."""
    record.as_root()
    for phase in PHASES:
        with tempfile.TemporaryDirectory() as place:
            for way in (Way.OURS, Way.IN_PLACE) if phase is Phase.ORIGINAL else (Way.OURS,):
                with mounted("tmpfs", Path(place)), failing(server, phase, Path(place) / "site") as site:
                    sizes = _fill(site, Path(place), way, step)
                if way is Way.IN_PLACE:
                    part.control("a full disk, written in place", noticed=bool(site.violations))
                else:
                    _add(part, f"{phase}, a full disk", site, sizes=sizes)


def _fill(site: Failing, place: Path, way: Way, step: int) -> int:
    """Write on a disk that grows until it is done three times in a row; gives how many sizes there were."""
    done = sizes = extra = 0
    limits = [("nr_inodes", 1, ROOMY)] if way is Way.OURS else []
    for option, unit, large in [("size", step * PAGE, LARGE), *limits]:
        extra, done = 0, 0
        while done < 3 and not site.violations:  # noqa: PLR2004 - a few, to be sure
            found = os.statvfs(place)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            base = used if option == "size" else found.f_files - found.f_ffree
            remount(place, f"{option}={base + extra * unit}")
            said, _ = site.write(way, then=lambda: remount(place, f"{option}={large}"))  # noqa: B023
            done = done + 1 if said == "done" else 0
            extra += 1
            sizes += 1
    return sizes


def controls(part: record.Part, server: Server) -> None:
    """A write that is not looked at again."""
    with failing(server, Phase.ORIGINAL) as site:
        at = 1
        while not site.violations and at < MOST:
            said, calls = site.write(Way.UNCHECKED, at)
            if said == "done" and at > calls:
                break
            at += 1
    part.control("a short write that is not looked at", noticed=bool(site.violations))


def _add(part: record.Part, case: str, site: Failing, **figures: object) -> None:
    part.add(case, site.violations, **figures, told=dict(sorted(site.told.items())))


def work(part: record.Part, calls: int, step: int) -> None:
    """Do all of it, as far as this machine lets it.

    Args:
        part: The part.
        calls: Calls of one name in one write, at most.
        step: Pages from one size of the disk to the next.
    """
    with record.server(fsync="off", full_page_writes="off", synchronous_commit="off") as server:
        controls(part, server)
        every_short_write(part, server)
        for what in (lambda: full_disk(part, server, step), lambda: every_call(part, server, calls)):
            try:
                what()
            except record.NotRunError as error:
                print(f"  not run: {error}")


if __name__ == "__main__":
    counts = {"calls": (MOST, 3), "step": (1, 8)}
    sys.exit(record.run(record.Part("disk", "R4"), __doc__ or "", counts, work))
