"""`make dev`: Dagster, and beside it what still looks when Dagster's own storage is away.

They begin together and end together. Without the one that watches, the sensor alerts goes on looking.
"""

import signal
import subprocess
import sys
from pathlib import Path

PATIENCE = 30.0
"""Seconds in which a look that is under way comes to its end: a receiver that hangs takes the longest."""


def run(*options: str) -> int:
    """Run both until Dagster ends, and give its exit code.

    Args:
        options: Those of `dagster dev`.
    """
    # Ctrl-C reaches all three; SIGTERM may reach this one only.
    signal.signal(signal.SIGINT, lambda *_: None)
    watch = _begun("ingest", "alerts", "watch")
    try:
        dagster = _begun("dagster", "dev", *options)
        signal.signal(signal.SIGTERM, lambda *_: dagster.terminate())
        return dagster.wait()
    finally:
        _end(watch)


def _begun(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    words = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.Popen(words)  # noqa: S603 - our own program, no shell


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Run `make dev`."""
    sys.exit(run(*sys.argv[1:]))


if __name__ == "__main__":
    main()
