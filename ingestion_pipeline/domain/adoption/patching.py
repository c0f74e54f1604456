"""Unified patches of bytes, for `patch -p1` and `git apply`."""

import difflib
import re
from collections.abc import Iterable, Iterator

from ingestion_pipeline.domain.adoption.checkout import Patch

_NO_END = b"\n\\ No newline at end of file\n"
_QUOTED = re.compile(rb'[\x00-\x1f"\\\x7f]')


def unified(patches: Iterable[Patch]) -> bytes:
    """The patches as one text, in the encodings of their files."""
    return b"".join(line for patch in patches for line in _lines(patch))


def _lines(patch: Patch) -> Iterator[bytes]:
    file = patch.file.encode("utf-8", "surrogateescape")
    lines = difflib.diff_bytes(
        difflib.unified_diff,
        _split(patch.before),
        _split(patch.after),
        _name(b"a/" + file),
        _name(b"b/" + file),
    )
    for line in lines:
        yield line if line.endswith(b"\n") else line + _NO_END


def _split(data: bytes) -> list[bytes]:
    """Lines as `patch` counts them: only LF ends one."""
    return [line for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", data) if line]


def _name(file: bytes) -> bytes:
    """A file as git names it: quoted where a character needs that, ended by a tab where there is a space."""
    if _QUOTED.search(file):
        return b'"' + _QUOTED.sub(lambda found: b"\\%03o" % found.group()[0], file) + b'"'
    return file + b"\t" if b" " in file else file
