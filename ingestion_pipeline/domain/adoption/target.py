"""The CSV's path, and whether a text that stands for a path can be it.

Texts are worked out from code without running it. Three characters stand for what is not spelled out: the
checkout's folder, a part that nobody knows, and a folder that is surely another one.
"""

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ingestion_pipeline.domain.adoption.access import Certainty

UNKNOWN_PART = "\x00"
ROOT = "\x01"
ELSEWHERE = "\x02"
MOST_FOLDERS = 8
"""Folders that code is followed to."""

_MARKERS = str.maketrans("", "", UNKNOWN_PART + ROOT + ELSEWHERE)
_WILD = re.compile(r"[*?\[]")
_DRIVE = re.compile(r"[A-Za-z]:")


def plain(text: str) -> str:
    """A text of the code, without the characters that mean something here."""
    return text.translate(_MARKERS)


def join(folder: str, more: str) -> str:
    """The path of something in a folder; an absolute one stays as it is."""
    if more.startswith(("/", ROOT, ELSEWHERE)) or not folder:
        return more
    return f"{folder.rstrip('/')}/{more}" if more else folder


def parent(path: str) -> str:
    """The folder of a path."""
    head, slash, _ = path.rstrip("/").rpartition("/")
    if slash:
        return head or "/"
    if path.startswith("/"):
        return "/"
    if path in ("", "."):
        return ".."
    return UNKNOWN_PART if UNKNOWN_PART in path else ROOT + "/.." if path == ROOT else ""


def name(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2]


def parts(path: str) -> list[str]:
    """The parts of a path, without those that say nothing and those that are taken back."""
    found: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == ".." and found and found[-1] != ".." and UNKNOWN_PART not in found[-1]:
            found.pop()
        elif part == ".." and found and UNKNOWN_PART in found[-1]:
            found[-1] = UNKNOWN_PART
        elif part not in ("", "."):
            found.append(part)
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """The CSV that is looked for.

    Attributes:
        path: As it is configured: from the checkout's folder, or absolute.
        root: The checkout's folder, absolute.
        folders: Where the code may have gone, besides the checkout's folder.
    """

    path: str
    root: str
    folders: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The path as a text worked out from code."""
        return self.path if self._absolute else f"{ROOT}/{self.path}"

    @property
    def _absolute(self) -> bool:
        return self.path.startswith("/")

    @property
    def _parts(self) -> list[str]:
        """From the checkout's folder where it lies in it."""
        whole, root = parts(self.path), parts(self.root)
        if self._absolute and whole[: len(root)] == root:
            return whole[len(root) :]
        return whole

    def match(self, text: str) -> Certainty | None:
        """Whether a path is the CSV's; None when it is another file's."""
        found = self._match(text)
        if found is None and any(self._match(join(folder, text)) for folder in self.folders):
            return Certainty.LIKELY
        return found

    def seen_from(self, folder: str) -> "Target":
        """The same for code that goes to a folder; one whose name nobody knows says nothing."""
        if UNKNOWN_PART in name(folder) or folder in self.folders or len(self.folders) == MOST_FOLDERS:
            return self
        return replace(self, folders=(*self.folders, folder))

    def _match(self, text: str) -> Certainty | None:
        if ELSEWHERE in text or "://" in text or not text:
            return None
        found = parts(text)
        if _WILD.search(text):
            return self._match_pattern(found)
        if any(UNKNOWN_PART in part for part in found):
            return self._match_unknown(found)
        if text.startswith(ROOT):
            return Certainty.CERTAIN if found[1:] == self._parts and not self._foreign else None
        if text.startswith("/") or _DRIVE.match(text):
            return self._match_absolute(found)
        return self._match_relative(found)

    @property
    def _foreign(self) -> bool:
        """Whether the CSV lies outside of the checkout."""
        return self._absolute and self._parts == parts(self.path)

    def _match_relative(self, found: list[str]) -> Certainty | None:
        if self._foreign:
            return None
        if found == self._parts:
            return Certainty.CERTAIN
        climbed = [part for part in found if part != ".."]
        return Certainty.LIKELY if climbed == self._parts and len(climbed) < len(found) else None

    def _match_absolute(self, found: list[str]) -> Certainty | None:
        if self._foreign:
            return Certainty.CERTAIN if found == self._parts else None
        root = parts(self.root)
        if found[: len(root)] == root:
            return Certainty.CERTAIN if found[len(root) :] == self._parts else None
        # The checkout may lie elsewhere on the machine for which this was written.
        return Certainty.LIKELY if len(self._parts) > 1 and self._ends(found) else None

    def _ends(self, found: list[str]) -> bool:
        return found[-len(self._parts) :] == self._parts

    def _match_unknown(self, found: list[str]) -> Certainty | None:
        """What follows the last unknown part must be the end of the CSV's path."""
        last = max(number for number, part in enumerate(found) if UNKNOWN_PART in part)
        if last > 0 and found[0] != ROOT:
            return None
        known = found[last].rpartition(UNKNOWN_PART)[2]
        tail = ([known] if known else []) + found[last + 1 :]
        if tail and tail[0] == name(self.root) and tail[1:] == self._parts:
            tail = tail[1:]
        if known and len(tail) < len(self._parts):
            return None
        fits = bool(tail) and len(tail) <= len(self._parts) and self._parts[-len(tail) :] == tail
        return Certainty.LIKELY if fits and (not known or len(tail) > 1) else None

    def _match_pattern(self, found: list[str]) -> Certainty | None:
        wanted = self._parts
        rooted = found[1:] if found and (found[0] == ROOT or UNKNOWN_PART in found[0]) else found
        if len(rooted) != len(wanted) or not rooted:
            return None
        fits = all(fnmatchcase(part, pattern) for part, pattern in zip(wanted, rooted, strict=True))
        return Certainty.LIKELY if fits else None

    def is_folder(self, text: str) -> bool:
        """Whether a path is the folder that the CSV lies in, below the checkout's."""
        found = [part for part in parts(text) if part not in ("..", ROOT)]
        return bool(self._parts[:-1]) and found == self._parts[:-1]

    def is_below(self, text: str) -> bool:
        """Whether the CSV lies somewhere in a folder of the checkout."""
        found = [part for part in parts(text) if part not in ("..", ROOT)]
        return not self._foreign and found == self._parts[: len(found)] and len(found) < len(self._parts)

    def mentioned(self, text: str) -> bool:
        """Whether a text of another language names the CSV between its words."""
        words = re.split(r"[\s'\"`();,=<>|&]+", text)
        return any(self.match(word) is not None for word in words if word)
