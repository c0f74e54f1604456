"""Other processes that use the server, and looks behind it."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer

FAST = {"fsync": "off"}
ROOT = os.geteuid() == 0

PREPARED = """
import os, sys
from pathlib import Path
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]), options={"fsync": "off"})
"""

# Does on its server what the lines it reads say, and answers each.
ANSWERING = """
print("here", flush=True)
for line in sys.stdin:
    try:
        answer = getattr(server, line.strip())()
        print(answer or "done", flush=True)
    except PipelineError as error:
        print(error.code, flush=True)
"""


class User:
    """Another process that uses the server."""

    def __init__(self, state: Path, code: str = ANSWERING, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREPARED + code, str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.hear() == "here"

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, word: str) -> str:
        self.say(word)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def leave(self) -> None:
        self.process.communicate(timeout=30)


def ask(dsn: str, query: str) -> Any:
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def pid_file(server: EmbeddedServer) -> Path:
    return server.folder / "data" / "postmaster.pid"


def postmaster_pid(server: EmbeddedServer) -> int:
    return int(pid_file(server).read_text().splitlines()[0])


def socket_dir(server: EmbeddedServer) -> Path:
    return Path(pid_file(server).read_text().splitlines()[4])


def kill_server(server: EmbeddedServer) -> None:
    pid = postmaster_pid(server)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for process in (pid, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not server.status().running)


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def refused(kind: type[PipelineError], code: str) -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    assert caught.value.code == code
    assert caught.value.hint


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
