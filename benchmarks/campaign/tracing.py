"""Faults in system calls, put in by strace from outside the process."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from shutil import which
from typing import Any

from benchmarks.campaign.record import NotRunError

ON_DISK = (
    *("openat", "write", "fsync", "rename", "renameat2", "link", "linkat", "unlink", "ftruncate"),
    *("truncate", "flock", "mkdir"),
)
"""The system calls of a write that change something on disk."""

TO_POSTGRES = ("connect", "sendto", "recvfrom", "poll")
"""Those that it makes to PostgreSQL."""

PATIENCE = 20.0


class Traced:
    """A process that waits for its tracer, and then works with a fault in it.

    Args:
        forks: Makes processes.
        fault: What strace is to inject.
        target: What the process does.
        args: With what.
    """

    def __init__(
        self, forks: ForkServerContext, fault: str, target: Callable[..., object], *args: Any
    ) -> None:
        gate, waiting = forks.Pipe()
        self.process: ForkServerProcess = forks.Process(target=_when_told, args=(waiting, target, *args))
        self.process.start()
        waiting.close()
        if not gate.poll(PATIENCE):
            raise TimeoutError("a process does not begin")
        gate.recv()
        self._log = tempfile.NamedTemporaryFile("r")  # noqa: SIM115 - closed by `faults`
        self._tracer = _attached(self.process.pid, fault, self._log.name)
        gate.send("go")
        gate.close()

    def faults(self) -> int:
        """How often the fault came, once the process has ended."""
        self._tracer.wait(PATIENCE)
        with self._log as log:
            return log.read().count("(INJECTED)")


def _when_told(waiting: Connection, target: Callable[..., object], *args: Any) -> None:
    waiting.send("ready")
    waiting.recv()
    waiting.close()
    target(*args)


def _attached(pid: int | None, fault: str, log: str) -> subprocess.Popen[bytes]:
    call = fault.partition(":")[0]
    words = ["-f", "-qq", "-o", log, "-e", f"trace={call}", "-e", f"inject={fault}", "-p", str(pid)]
    tracer = subprocess.Popen(["strace", *words], stderr=subprocess.DEVNULL)  # noqa: S603, S607
    until = time.monotonic() + PATIENCE
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text(encoding="ascii"):
        if tracer.poll() is not None or time.monotonic() > until:
            raise NotRunError("strace may not attach to other processes here: run as root")
        time.sleep(0.002)
    return tracer


def check_strace() -> None:
    """See that there is strace.

    Raises:
        NotRunError: There is none.
    """
    if which("strace") is None:
        raise NotRunError("needs strace")
