"""What this process takes, and what its disks have left."""

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ingestion_pipeline.domain.health import Signal


def process() -> Iterator[Signal]:
    """The memory and the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Signal("process_resident_bytes", float(_resident(used)))
    yield Signal("process_cpu_seconds_total", used.ru_utime + used.ru_stime)


def _resident(used: resource.struct_rusage) -> int:
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    # The most it has had so far; macOS counts bytes, others KiB.
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def disk(name: str, folder: Path) -> Iterator[Signal]:
    """The room on a folder's disk; nothing where it cannot be told.

    Args:
        name: What the folder is for.
        folder: It, or where it is to be made.
    """
    with suppress(OSError):
        found = shutil.disk_usage(_existing(folder))
        about = (("folder", name),)
        yield Signal("disk_free_bytes", float(found.free), about)
        # Of what is not kept back for root.
        yield Signal("disk_free_percent", 100.0 * found.free / max(1, found.used + found.free), about)


def _existing(folder: Path) -> Path:
    return next((one for one in (folder, *folder.parents) if one.is_dir()), folder)
