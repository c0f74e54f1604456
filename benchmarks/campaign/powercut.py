"""Cut the power under a writer: a file system is shut down with all it had not written, and mounted again."""

import csv
import fcntl
import io
import json
import os
import random
import secrets
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from benchmarks.campaign import record
from benchmarks.campaign.mounting import run, unmount
from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Phase, Side
from ingestion_pipeline.settings import Settings
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer, account
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.files import rendered
from ingestion_pipeline_tests.forks import forks
from ingestion_pipeline_tests.scenarios.killing import PEOPLE, WRITTEN
from ingestion_pipeline_tests.scenarios.sites import Kept, Site, make_site

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""
LOG_FLUSHED, NOTHING_FLUSHED = 1, 2
"""Its flags: the file system's own journal is written first, or nothing is."""

PATIENCE = 30.0
LONGEST = 0.06
"""Seconds of writing before a cut, at most, after the first write was acknowledged."""

DRAW = random.Random(41)  # noqa: S311 - no secret


class Writer(StrEnum):
    """Who writes."""

    OURS = "ours"
    UNSYNCED = "ours without fsync"
    LEGACY = "temporary file and os.replace, without fsync"


def cells_of(number: int) -> Mapping[str, str]:
    """What a write writes."""
    return {
        "link": f"{number}",
        "document_text": f'{number},\n"x"',
        "file_uuids": json.dumps({"w": f"{number}"}),
    }


def row_of(number: int) -> str:
    """Whom it writes."""
    return str(1 + number % 20)


def hammer(settings: Settings, writer: Writer, first: int, told: Connection) -> None:
    """Write one after another until the disk is gone, telling of each that is done."""
    with suppress(PipelineError, OSError), ExitStack() as stack:
        if writer is Writer.UNSYNCED:
            stack.enter_context(patch.object(os, "fsync", lambda _descriptor: None))
        pipeline = stack.enter_context(open_pipeline(settings))
        for number in count(first):
            if writer is Writer.LEGACY:
                _write_as_legacy(settings.paths.output_csv, number)
            else:
                pipeline.write(row_of(number), cells_of(number))
            told.send(number)


def _write_as_legacy(path: Path, number: int) -> None:
    with io.StringIO(path.read_bytes().decode(), newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["row_id"] == row_of(number):
            row.update(cells_of(number))
    new = path.with_suffix(".new")
    with new.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    os.replace(new, path)  # noqa: PTH105 - as the recipe goes


@dataclass(frozen=True)
class Disk:
    """An ext4 file system in a file."""

    image: Path
    place: Path

    def make(self) -> None:
        """Make it anew, and mount it."""
        unmount(self.place)
        self.place.mkdir(exist_ok=True)
        self.image.unlink(missing_ok=True)
        self.image.touch()
        os.truncate(self.image, 512 * 1024 * 1024)
        run("mkfs.ext4", "-q", "-F", str(self.image))
        self._mount()

    def cut(self, flag: int) -> None:
        """Cut its power."""
        descriptor = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", flag))
        except OSError as error:
            raise record.NotRunError(f"the file system cannot be shut down: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def back(self) -> None:
        """Give it its power back."""
        unmount(self.place)
        try:
            self._mount()
        except record.NotRunError:
            run("e2fsck", "-p", str(self.image))
            self._mount()

    def close(self) -> None:
        """Take it away."""
        unmount(self.place)

    def _mount(self) -> None:
        run("mount", "-o", "loop", str(self.image), str(self.place))


class Postgres:
    """A server whose cluster lies on the disk that is cut."""

    def __init__(self, state: Path, disk: Disk, settings: Mapping[str, str]) -> None:
        self._disk = disk
        self._server = EmbeddedServer(state, settings)
        # Root's clusters lie in a folder of their own: this one's place there only points to the disk.
        named = state / "postgres" / "id"
        named.parent.mkdir(mode=0o700)
        named.write_text(secrets.token_hex(8), encoding="ascii")
        self._pointer = account.base() / named.read_text(encoding="ascii")
        (disk.place / "cluster").mkdir(mode=0o700)
        self._pointer.symlink_to(disk.place / "cluster")

    def start(self) -> str:
        """Start it, or start it again; gives its URL."""
        self._server.acquire()
        return self._server.dsn("postgres")

    def kill(self) -> None:
        """End it as a power cut would."""
        for process in _working_in(self._disk.place):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._server.release()

    def close(self) -> None:
        """Take it away."""
        self.kill()
        self._pointer.unlink()


def _working_in(place: Path) -> Iterator[int]:
    """The processes that have their working folder there: only this program's own server's."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(place):
                yield int(entry.name)


class Cutting:
    """One site whose power is cut again and again.

    Args:
        disk: Where it lies.
        site: The site.
        postgres: The server that lies there too, if one does.
    """

    def __init__(self, disk: Disk, site: Site, postgres: Postgres | None) -> None:
        self.acknowledged = 0
        self.violations: list[str] = []
        self._disk = disk
        self._site = site
        self._postgres = postgres
        self._forks = forks()
        self._next = 0
        self._standing = site.in_authority(WRITTEN)

    def cut(self, writer: Writer, flag: int) -> None:
        """Cut once, and look at what is left."""
        last = self._write_until_cut(writer, flag)
        self._disk.back()
        made = last - self._next + 1
        self.acknowledged += made
        allowed = [self._after(made), self._after(made + 1)]
        try:
            if self._postgres is not None:
                self._postgres.start()
            found = self._look(allowed, writer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the data are not there
            self.violations.append(f"{type(error).__name__} after a cut")
            return
        self._next += made + (found == allowed[1])
        self._standing = found

    def _look(self, allowed: list[Kept], writer: Writer) -> Kept:
        found = self._site.in_authority(WRITTEN)
        if found not in allowed:
            self.violations.append("an acknowledged write is gone after a cut")
        if writer is Writer.OURS:
            with open_pipeline(self._site.settings) as pipeline:
                pipeline.settle()
                found = self._site.in_authority(WRITTEN)
                if found not in allowed:
                    self.violations.append("an acknowledged write is gone once it was settled")
                if self._site.phase.follower and rendered(pipeline) != self._site.csv.read_bytes():
                    self.violations.append("the two sides differ after one settle")
        return found

    def _write_until_cut(self, writer: Writer, flag: int) -> int:
        """Gives the number of the last write that was acknowledged."""
        listening, telling = self._forks.Pipe(duplex=False)
        child = self._forks.Process(target=hammer, args=(self._site.settings, writer, self._next, telling))
        child.start()
        telling.close()
        last = self._next - 1
        try:
            if listening.poll(PATIENCE):
                last = listening.recv()
            time.sleep(DRAW.uniform(0, LONGEST))
            self._disk.cut(flag)
            child.kill()
            child.join()
            if self._postgres is not None:
                self._postgres.kill()
            while True:
                last = listening.recv()
        except EOFError:
            listening.close()
        if last < self._next:
            self.violations.append("no write was acknowledged before the cut")
        return last

    def _after(self, made: int) -> Kept:
        numbers = range(self._next, self._next + made)
        return self._standing | {row_of(n): tuple(cells_of(n)[name] for name in WRITTEN) for n in numbers}


@contextmanager
def cutting(phase: Phase, disk: Disk, elsewhere: Server, **settings: str) -> Iterator[Cutting]:
    """A new site on a new disk; where PostgreSQL leads, it lies there too."""
    with ExitStack() as stack:
        disk.make()
        postgres = None
        if phase.authority is Side.POSTGRES:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            postgres = Postgres(state, disk, settings)
            stack.callback(postgres.close)
            url = postgres.start()
            record.upgrade(url)
        else:
            url = stack.enter_context(record.database(elsewhere))
        site = make_site(disk.place / "site", phase, PEOPLE, url)
        yield Cutting(disk, site, postgres)


def work(part: record.Part, cuts: int, clusters: int, controls: int) -> None:
    """Do all of it.

    Args:
        part: The part.
        cuts: In the phases in which the CSV leads, together.
        clusters: In those in which PostgreSQL does.
        controls: For each way to lose a write.
    """
    record.as_root()
    with record.server(fsync="off") as elsewhere, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user goes through here
        disk = Disk(Path(folder) / "disk", Path(folder) / "mounted")
        try:
            for writer in (Writer.LEGACY, Writer.UNSYNCED):
                _control(part, Phase.ORIGINAL, writer, controls, disk, elsewhere)
            if clusters:
                _control(part, Phase.DATABASE_NATIVE, Writer.OURS, controls, disk, elsewhere, fsync="off")
            for phase in Phase:
                times = cuts if phase.authority is Side.CSV else clusters
                for flag in (LOG_FLUSHED, NOTHING_FLUSHED):
                    _cut(part, phase, flag, times // 4, disk, elsewhere)
        finally:
            disk.close()


def _control(
    part: record.Part,
    phase: Phase,
    writer: Writer,
    times: int,
    disk: Disk,
    elsewhere: Server,
    **settings: str,
) -> None:
    lost = 0
    for _ in range(times):
        with cutting(phase, disk, elsewhere, **settings) as one:
            one.cut(writer, NOTHING_FLUSHED)
            lost += bool(one.violations)
    named = ", ".join([writer, *(f"{name}={value}" for name, value in settings.items())])
    part.control(f"{phase}, {named}", noticed=lost > 0, cuts=times, lost=lost)


def _cut(part: record.Part, phase: Phase, flag: int, times: int, disk: Disk, elsewhere: Server) -> None:
    if not times:
        return
    with cutting(phase, disk, elsewhere) as one:
        for _ in range(times):
            one.cut(Writer.OURS, flag)
            if one.violations:
                break
    lost = "its journal and all data" if flag == NOTHING_FLUSHED else "all data"
    part.add(
        f"{phase}, the file system loses {lost}", one.violations, cuts=times, acknowledged=one.acknowledged
    )


if __name__ == "__main__":
    counts = {"cuts": (10_000, 80), "clusters": (400, 8), "controls": (20, 3)}
    sys.exit(record.run(record.Part("powercut", "R3"), __doc__ or "", counts, work))
