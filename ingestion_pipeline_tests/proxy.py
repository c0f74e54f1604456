"""A proxy between client and server that cuts the line at a chosen moment, or is away altogether."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from urllib.parse import quote

from psycopg2.extensions import parse_dsn


class Cut(Enum):
    """When the line is cut, as seen from one message of the client's."""

    NOT_SENT = auto()
    """The server never gets it."""
    HALF_SENT = auto()
    """The server gets a part of it."""
    SENT = auto()
    """The server gets it, and nobody waits for the answer."""
    ANSWERED = auto()
    """The server has answered, and the client never hears."""
    LATE = auto()
    """The client's end is cut, and the server gets it a while later."""


LATE = 0.15
"""Seconds."""


Decide = Callable[[bytes], Cut | None]
"""Given a statement, whether and when to cut."""


class Proxy:
    """Passes on what client and server say, until it is told to cut.

    Args:
        dsn: The server's URL.
    """

    def __init__(self, dsn: str) -> None:
        parts = parse_dsn(dsn)
        self._host, self._port = parts.pop("host", "127.0.0.1"), int(parts.pop("port", "5432"))
        self._parts = parts
        self._listener: socket.socket | None = None
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self.decide: Decide = lambda _statement: None
        self.port = 0
        self.back()

    @property
    def url(self) -> str:
        """The URL by which clients reach the server through the proxy."""
        parts = dict(self._parts)
        user, password, name = (quote(parts.pop(key, ""), safe="") for key in ("user", "password", "dbname"))
        login = f"{user}:{password}@" if password else f"{user}@" if user else ""
        return f"postgresql://{login}127.0.0.1:{self.port}/{name}?sslmode=disable&gssencmode=disable"

    def back(self) -> None:
        """Take connections again, at the same place."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def away(self) -> None:
        """Cut every line, and take no connections."""
        if self._listener is not None:
            _cut(self._listener)
            self._listener.close()
            self._listener = None
        with self._guard:
            lines = list(self._lines)
        for line in lines:
            _cut(line)

    def close(self) -> None:
        """Be away for good."""
        self.away()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), self._upstream() as server:
            line = _Line(client, server, self._decided)
            with self._guard:
                self._lines |= {client, server}
            answers = threading.Thread(target=line.pass_answers_on, daemon=True)
            answers.start()
            line.pass_statements_on()
            answers.join()
            with self._guard:
                self._lines -= {client, server}

    def _decided(self, statement: bytes) -> Cut | None:
        return self.decide(statement)

    def _upstream(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return server


class _Line:
    """One client's line to the server."""

    def __init__(self, client: socket.socket, server: socket.socket, decide: Decide) -> None:
        self._client = client
        self._server = server
        self._decide = decide
        self._deaf = threading.Event()

    def pass_answers_on(self) -> None:
        with suppress(OSError):
            while (data := self._server.recv(65536)) and not self._deaf.is_set():
                self._client.sendall(data)
        self._end()

    def pass_statements_on(self) -> None:
        with suppress(OSError, EOFError):
            self._server.sendall(self._message(b""))  # the first has no type
            while True:
                kind = self._read(1)
                self._pass_on(kind, self._message(kind))
        if not self._deaf.is_set():
            self._end()

    def _pass_on(self, kind: bytes, message: bytes) -> None:
        cut = self._decide(message[5:-1]) if kind == b"Q" else None
        match cut:
            case None:
                self._server.sendall(message)
                return
            case Cut.HALF_SENT:
                self._server.sendall(message[: len(message) // 2])
            case Cut.SENT:
                self._deaf.set()
                self._server.sendall(message)
                self._end()
            case Cut.ANSWERED:
                self._deaf.set()
                self._server.sendall(message)
            case Cut.LATE:
                self._deaf.set()
                _cut(self._client)
                time.sleep(LATE)
                self._server.sendall(message)
            case Cut.NOT_SENT:
                pass
        raise EOFError

    def _message(self, kind: bytes) -> bytes:
        length = self._read(4)
        return kind + length + self._read(int.from_bytes(length, "big") - 4)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._client.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _end(self) -> None:
        _cut(self._client)
        _cut(self._server)


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def through(dsn: str) -> Iterator[Proxy]:
    """A proxy to a server, for as long as it is used."""
    proxy = Proxy(dsn)
    try:
        yield proxy
    finally:
        proxy.close()


def eventually(happened: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something has happened."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)
