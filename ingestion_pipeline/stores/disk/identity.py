"""What tells one file from another without reading it."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A file as it was looked at.

    Attributes:
        inode: Its number on its disk.
        size: Bytes.
        modified: When it was last written to, in nanoseconds.
    """

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Identity":
        """The identity of a file that was looked at."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)
