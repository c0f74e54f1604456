"""Cut the connection around COMMIT: a write is made once, and its caller is told what is true."""

import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from itertools import cycle
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg2

from benchmarks.campaign import record
from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.receipt import Made
from ingestion_pipeline.stores.postgres import writing
from ingestion_pipeline_tests.conftest import Server
from ingestion_pipeline_tests.scenarios.killing import PEOPLE
from ingestion_pipeline_tests.scenarios.sites import make_site

DRAW = random.Random(5)  # noqa: S311 - no secret
LATE = 0.2
_QUERY = b"Q"


class Cut(StrEnum):
    """Where the connection is cut."""

    BEFORE = "before COMMIT reaches the server"
    LATE = "before COMMIT reaches the server, which it does a moment later"
    AFTER = "after COMMIT, before the reply"
    WITHIN = "within the reply"


class Proxy:
    """Stands between a client and PostgreSQL, and cuts at a COMMIT when it is told to.

    Attributes:
        port: Where it listens, on loopback.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._plan: Cut | None = None
        self._one = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, cut: Cut) -> None:
        """Cut at the next COMMIT."""
        self._plan = cut

    def taken(self) -> Cut | None:
        """Take the plan, if there is one still."""
        with self._one:
            plan, self._plan = self._plan, None
            return plan

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                link = _Link(self, client, server)
                threading.Thread(target=link.forth, daemon=True).start()
                threading.Thread(target=link.back, daemon=True).start()


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._within = False

    def forth(self) -> None:
        """Pass on what the client says, message by message."""
        with suppress(OSError):
            self._server.sendall(_message(self._client, b""))
            while True:
                kind = _exactly(self._client, 1)
                message = _message(self._client, kind)
                plan = self._proxy.taken() if kind == _QUERY and _commits(message) else None
                if plan is None:
                    self._server.sendall(message)
                else:
                    self._cut(plan, message)
        self._close()

    def _cut(self, plan: Cut, message: bytes) -> None:
        match plan:
            case Cut.BEFORE:
                self._close()
            case Cut.LATE:
                _shut(self._client)
                time.sleep(DRAW.uniform(0, LATE))
                self._server.sendall(message)
            case Cut.AFTER:
                _shut(self._client)
                self._server.sendall(message)
            case Cut.WITHIN:
                self._within = True
                self._server.sendall(message)

    def back(self) -> None:
        """Pass on what the server says."""
        with suppress(OSError):
            while data := self._server.recv(65536):
                if self._within:
                    self._client.sendall(data[: DRAW.randrange(len(data))])
                    self._close()
                self._client.sendall(data)
        _shut(self._client)

    def _close(self) -> None:
        _shut(self._client)
        _shut(self._server)


def _commits(message: bytes) -> bool:
    """Whether it is COMMIT, or a transaction of its own that writes."""
    return message[5:11] == b"COMMIT" or b"; EXECUTE " in message


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _message(source: socket.socket, kind: bytes) -> bytes:
    head = _exactly(source, 4)
    (size,) = struct.unpack(">I", head)
    return kind + head + _exactly(source, size - 4)


class Cutting:
    """One site whose connections are cut.

    Attributes:
        told: How often callers were told what.
        violations: What was found amiss.
    """

    def __init__(self, pipeline: Pipeline, proxy: Proxy, url: str) -> None:
        self.told: Counter[str] = Counter()
        self.violations: list[str] = []
        self._pipeline = pipeline
        self._proxy = proxy
        self._direct = psycopg2.connect(url)
        self._direct.autocommit = True
        self._number = 0

    def cut(self, cut: Cut, *, given: bool) -> None:
        """Write once under a cut, and compare what is there with what was told."""
        self._number += 1
        text = f"text {self._number}"
        write_id = uuid4() if given else None
        self._proxy.arm(cut)
        try:
            self._pipeline.write(str(1 + self._number % 20), {"link": text}, write_id=write_id)
            told = "done"
        except PipelineError as error:
            told = error.code
        if self._proxy.taken() is not None:
            self.violations.append(f"{cut}: nothing was committed")
        if cut is Cut.LATE:
            time.sleep(LATE)  # what was not waited for comes now
        self._look(text, told, cut)

    def _look(self, text: str, told: str, cut: Cut) -> None:
        self.told[f"{cut}: {told}"] += 1
        times = self._times(text)
        allowed = {"done": {1}, "outcome_unknown": {0, 1}}.get(told, {0})
        if times not in allowed:
            self.violations.append(f"{cut}: told {told}, made {times} times")

    def _times(self, text: str) -> int:
        """How often the write was made: each time is a change of its own, of whatever it changed."""
        with self._direct.cursor() as cursor:
            cursor.execute(
                "SELECT write_id FROM ingestion.history WHERE changed #>> '{link,1}' = %s", (text,)
            )
            found = cursor.fetchall()
            if not found:
                return 0
            [(write_id,)] = found
            cursor.execute(
                "SELECT count(*) FROM ingestion.history WHERE table_name = 'people' AND write_id = %s",
                (write_id,),
            )
            return int(cursor.fetchone()[0])

    def close(self) -> None:
        """Let go of the server."""
        self._direct.close()


@contextmanager
def cutting(server: Server) -> Iterator[Cutting]:
    """A site on which PostgreSQL leads, behind a proxy."""
    with record.database(server) as url, record.folder() as folder:
        site = make_site(folder, Phase.DATABASE_NATIVE, PEOPLE, url)
        parts = urlsplit(url)
        [place] = parse_qs(parts.query)["host"]
        proxy = Proxy(f"{place}/.s.PGSQL.5432")
        through = (
            f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable&gssencmode=disable"
        )
        secret = type(site.settings.environment_url)
        settings = site.settings.model_copy(update={"environment_url": secret(through)})
        with open_pipeline(settings) as pipeline:
            pipeline.write("1", {"link": "first"})
            one = Cutting(pipeline, proxy, url)
            try:
                yield one
            finally:
                one.close()
                proxy.close()


def work(part: record.Part, cuts: int, controls: int) -> None:
    """Do all of it, on a server that needs not outlive a power cut."""
    with record.server(fsync="off", full_page_writes="off", synchronous_commit="off") as server:
        for believed in (True, False):
            with cutting(server) as one, patch.object(writing, "_found", _believed(done=believed)):
                _cut(one, controls)
            name = "every lost COMMIT is taken for " + ("done" if believed else "undone")
            part.control(name, noticed=bool(one.violations))
        with cutting(server) as one:
            _cut(one, cuts)
        part.add("database_native", one.violations, cuts=cuts, told=dict(sorted(one.told.items())))


def _believed(*, done: bool) -> Callable[..., list[Made] | None]:
    def found(
        _pool: object, _is_over: object, _write_id: object, writes: Sequence[Made]
    ) -> list[Made] | None:
        return [Made(one.row_id, 1, one.write_id, created=False) for one in writes] if done else None

    return found


def _cut(one: Cutting, cuts: int) -> None:
    ways = cycle([(cut, given) for cut in Cut for given in (False, True)])
    for _ in range(cuts):
        cut, given = next(ways)
        one.cut(cut, given=given)
        if one.violations:
            return


if __name__ == "__main__":
    numbers = {"cuts": (10_000, 80), "controls": (40, 16)}
    sys.exit(record.run(record.Part("commits", "R6"), __doc__ or "", numbers, work))
