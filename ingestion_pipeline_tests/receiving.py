"""Servers that receive alerts, by HTTP and by SMTP."""

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast


@dataclass
class Web:
    """An HTTP server.

    Attributes:
        port: Where it listens.
        answers: What it answers next, in order; 200 once there is none left.
        got: The bodies it was sent, as JSON; those it answered with 200.
        asked: How often it was asked.
        location: Where it sends those whom it answers with 3xx.
    """

    port: int = 0
    answers: list[int] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    location: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/s3cr3t-CANARY"

    @property
    def told(self) -> list[tuple[str, str]]:
        """What it was told: event and key."""
        return [(one["event"], one["key"]) for one in self.got]

    def take(self) -> list[tuple[str, str]]:
        """What it was told since the last time."""
        told = self.told
        self.got.clear()
        return told


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])


@contextmanager
def web(state: Web | None = None) -> Iterator[Web]:
    """An HTTP server, at the port where it was before if it is given."""
    known = state or Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.asked += 1
            answer = known.answers.pop(0) if known.answers else 200
            if answer == 200:
                known.got.append(json.loads(body))
            self.send_response(answer)
            if known.location:
                self.send_header("Location", known.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            known.asked += 1
            self.send_error(405)

        def log_message(self, *_arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", known.port), Handler)
    known.port = server.server_address[1]
    with _serving(server):
        yield known


@dataclass
class Post:
    """An SMTP server.

    Attributes:
        port: Where it listens.
        letters: What it was sent.
        said: Every line a client said before it sent one, those that were encrypted marked.
        refuse: The answer to RCPT, in place of 250.
    """

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    refuse: str = ""


class _Mailbox(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, known: Post, certificate: Path | None) -> None:
        self.known = known
        self.certificate = certificate
        super().__init__(("127.0.0.1", 0), _Clerk)

    def handle_error(self, *_arguments: object) -> None:
        """A client that does not trust the certificate breaks off."""


class _Clerk(socketserver.StreamRequestHandler):
    server: _Mailbox
    is_encrypted = False

    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            self.server.known.said.append(f"{'*' if self.is_encrypted else ''}{line}")
            verb = line.split()[0].upper()
            answer = {"EHLO": self.offer, "STARTTLS": self.encrypt, "DATA": self.take}.get(verb)
            plain = {"AUTH": "235 you are", "RCPT": self.server.known.refuse, "QUIT": "221 bye"}
            self.say(answer() if answer else plain.get(verb) or "250 ok")

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def say(self, line: str) -> None:
        if line:
            self.wfile.write(f"{line}\r\n".encode())

    def offer(self) -> str:
        may_encrypt = self.server.certificate and not self.is_encrypted
        return f"250-here\r\n250 {'STARTTLS' if may_encrypt else 'AUTH PLAIN'}"

    def encrypt(self) -> str:
        self.say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.server.certificate))
        self.request = context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.request.do_handshake()
        self.setup()
        self.is_encrypted = True
        return ""

    def take(self) -> str:
        self.say("354 go on")
        lines = b""
        while (line := self.rfile.readline()) != b".\r\n":
            lines += line[1:] if line.startswith(b"..") else line
        self.server.known.letters.append(message_from_bytes(lines, policy=policy.default))
        return "250 taken"


@contextmanager
def post(certificate: Path | None = None) -> Iterator[Post]:
    """An SMTP server; its certificate's file holds the key too."""
    known = Post()
    server = _Mailbox(known, certificate)
    known.port = server.server_address[1]
    with _serving(server):
        yield known


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
