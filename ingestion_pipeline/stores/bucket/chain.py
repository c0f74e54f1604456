"""What was published in one place, as a chain: each entry names the digest of the one before it.

The format asks for one thing only: that a name can be made if nobody has it. An entry is made after its
bytes have been read back, under the next number, so whatever has an entry was whole when it was published,
and two who publish at once come one after the other.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import zstandard

from ingestion_pipeline.domain.errors import InputRefusedError, UnavailableError
from ingestion_pipeline.domain.errors import Place as Where
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.version import (
    Content,
    Entry,
    Form,
    Manifest,
    Removal,
    Stored,
    Version,
    entry_from_bytes,
    key,
)
from ingestion_pipeline.stores.atomic import Draft, draft
from ingestion_pipeline.stores.beside import Beside
from ingestion_pipeline.stores.bucket.place import Place, UnreadableError
from ingestion_pipeline.stores.digest import Digest

LEFT_FOR = timedelta(days=1)
"""After which nobody works any more on what was never published."""

_LEVEL = 1
"""Of packing, which takes longer than rendering: little larger than 3 gives, in half the time."""
_PIECE = 64 * 1024
"""Bytes that are decompressed at a time, into so many more."""
_TAKING_BACK = (0.1, 0.2, 0.5, 1.0)
_ENTRY = re.compile(r"manifests/(\d{8})\.json", re.ASCII)
_BYTES = re.compile(r"\d{4}/\d{2}/[a-z]+_(\d{8}T\d{12})Z_\d{3,}\.[a-z.]+", re.ASCII)
_STAMP = "%Y%m%dT%H%M%S%f"

Found = tuple[int, Entry | None, str | None]
"""A number, its entry if that can be read, and what is amiss with it."""


class Chain:
    """The versions in one place.

    Args:
        place: Where they lie.
        name: What their keys begin with: csv-versions, or database-backups.
    """

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._name = name

    @property
    def place(self) -> str:
        """Where the versions lie, for people."""
        return self._place.where

    def holding(self, sha256: str) -> Manifest | None:
        """The newest version's manifest, if it holds this content and is good."""
        newest = next(self.listing(read=False), None)
        manifest = None if newest is None or newest.amiss is not None else newest.manifest
        return manifest if manifest and manifest.content.sha256 == sha256 and self.is_good(manifest) else None

    def listing(self, *, read: bool = True) -> Iterator[Version]:
        """All versions, the newest first, but for those that were removed.

        Args:
            read: Read their bytes anew; otherwise only the chain is looked at.
        """
        removed: set[str] = set()
        for number, entry, amiss in self._entries():
            if entry is None or (amiss is not None and isinstance(entry, Removal)):
                yield Version(self._entry_key(number), None, amiss)
            elif isinstance(entry, Removal):
                removed |= set(entry.keys)
            elif entry.key not in removed:
                unread = amiss is not None or not read
                yield Version(entry.key, entry, amiss if unread else self._amiss(entry))

    def newest(self) -> Manifest | None:
        """The manifest of the newest version that was published for itself; its bytes are not looked at."""
        readable = (one for one in self.listing(read=False) if one.manifest is not None)
        return next((one.manifest for one in readable if one.is_for_itself), None)

    @contextmanager
    def draft(self, form: Form) -> Iterator["VersionDraft"]:
        """A version being written; gone at the end unless it was published."""
        with draft(self._place.drafts / "version") as new:
            packer = _Packer(new) if form is Form.ZSTD else None
            with Beside(packer or new) as beside:
                yield VersionDraft(self, new, form, beside, packer)

    def fetch(self, manifest: Manifest, sink: Sink) -> None:
        """Write what a version holds: the CSV, or the dump as it is.

        Raises:
            InputRefusedError: Its bytes are not those that were published. Some may have been written.
            UnavailableError: The place is away.
        """
        form = manifest.stored.form
        stored = Digest()
        opened = Digest() if form is Form.ZSTD else stored
        with Beside(sink) as beside:
            for chunk in _opened(self._stored(manifest, stored), form):
                if opened is not stored:
                    opened.write(chunk)
                beside.write(chunk)
            beside.end()
        wanted = manifest.stored if form is Form.DUMP else manifest.content
        if (stored.sha256, opened.sha256, opened.size) != (
            manifest.stored.sha256,
            wanted.sha256,
            wanted.size,
        ):
            raise damaged(manifest.key, "its bytes are not those that were published")

    def publish(self, content: Content, stored: Stored, new: Draft) -> Manifest:
        """Publish what was written; see `VersionDraft.publish`."""
        name, version_id = self._put(content.published_at, stored.form, new)
        kept = replace(stored, version_id=version_id)
        while True:
            number, parent, newest = self._last()
            if isinstance(newest, Manifest) and self._is_same(newest, content, stored):
                # Somebody else has published it meanwhile.
                self._place.remove(name)
                return newest
            manifest = Manifest(number + 1, parent, name, content, kept)
            if self._append(manifest):
                return manifest

    def remove(self, keys: Sequence[str], at: datetime, by: str) -> None:
        """Take versions away; their manifests stay, so that the chain stays whole."""
        while keys:
            number, parent, _ = self._last()
            if self._append(Removal(number + 1, parent, tuple(keys), at, by)):
                break
        for one in keys:
            self._place.remove(one)

    def sweep(self, now: datetime, left_for: timedelta = LEFT_FOR) -> int:
        """Take away what was begun long ago and never published, or removed; gives how much that was.

        Args:
            now: The time in UTC.
            left_for: How long others may yet work on what they have begun.
        """
        swept = self._place.sweep(f"{self._name}/", now - left_for)
        # Looked up first: whatever gets its entry meanwhile is not taken for one left behind.
        names = list(self._place.names(f"{self._name}/"))
        for name in self._left(names, now - left_for):
            self._place.remove(name)
            swept += 1
        return swept

    def _left(self, names: Sequence[str], before: datetime) -> list[str]:
        """Whose entry never came, or was followed by a removal.

        Where an entry is missing or damaged, what it was about looks left behind. So nothing is while one is
        known to be, nor what no later version followed, nor what is older than all.
        """
        listed: set[str] = set()
        removed: set[str] = set()
        moments: list[datetime] = []
        is_whole = True
        for _, entry, amiss in self._entries():
            is_whole = is_whole and amiss is None
            if isinstance(entry, Manifest):
                moments.append(entry.content.published_at)
                listed |= {entry.key} - removed
            elif isinstance(entry, Removal) and amiss is None:
                removed |= set(entry.keys) - listed
        if not is_whole or not moments:
            return [name for name in names if name in removed]
        first, last = f"{min(moments):{_STAMP}}", f"{min(before, *moments[:1]):{_STAMP}}"
        unlisted = (name for name in names if name not in listed)
        return [name for name in unlisted if name in removed or first < self._moment(name) < last]

    def _moment(self, name: str) -> str:
        """When a version began to be published, by its name; '' where it is none."""
        made = _BYTES.fullmatch(name.removeprefix(f"{self._name}/"))
        return "" if made is None else made.group(1)

    def _entries(self) -> Iterator[Found]:
        """Every number given so far, the newest first: its entry, and what is amiss with it."""
        numbers = self._numbers()
        expected: str | None = None
        for number in range(numbers[-1] if numbers else 0, 0, -1):
            entry, amiss = self._looked_at(number, expected)
            yield number, entry, amiss
            expected = None if entry is None else entry.parent

    def _looked_at(self, number: int, expected: str | None) -> tuple[Entry | None, str | None]:
        """An entry, and what is amiss with it, given the digest by which the next one names it."""
        try:
            raw = self._entry_bytes(number)
        except UnreadableError as error:
            return None, f"its manifest: {error.message}"
        if raw is None:
            return None, "its manifest is gone"
        entry = self._entry(number, raw)
        if entry is None:
            return None, "its manifest is damaged"
        if expected is not None and hashlib.sha256(raw).hexdigest() != expected:
            return entry, f"its manifest is not the one that number {number + 1} was published after"
        return entry, None

    def _entry(self, number: int, raw: bytes) -> Entry | None:
        """The entry of this number in this chain, if it is one."""
        try:
            entry = entry_from_bytes(raw)
        except ValueError:
            return None
        keys = entry.keys if isinstance(entry, Removal) else (entry.key,)
        is_ours = entry.number == number and (entry.parent is None) == (number == 1)
        return entry if is_ours and all(map(self._moment, keys)) else None

    def _last(self) -> tuple[int, str | None, Entry | None]:
        """The last number, the digest of its entry, and the entry; None where it is damaged for good."""
        for pause in _TAKING_BACK:
            number, parent, entry = self._newest()
            if number == 0 or entry is not None:
                return number, parent, entry
            # Stored wrong, it is taken back by who sent it, and must not be followed before.
            time.sleep(pause)
        return self._newest()

    def _newest(self) -> tuple[int, str | None, Entry | None]:
        numbers = self._numbers()
        if not numbers:
            return 0, None, None
        try:
            raw = self._entry_bytes(numbers[-1])
        except UnreadableError:
            raw = None
        if raw is None:
            raise UnavailableError(
                "the newest manifest cannot be read, so that none can follow it",
                code="chain_unavailable",
                place=Where(file=self._entry_key(numbers[-1])),
                hint="Try again; should it stay so, see what became of it.",
            )
        return numbers[-1], hashlib.sha256(raw).hexdigest(), self._entry(numbers[-1], raw)

    def _numbers(self) -> list[int]:
        names = self._place.names(f"{self._name}/manifests/")
        found = (_ENTRY.fullmatch(name.removeprefix(f"{self._name}/")) for name in names)
        return [int(one.group(1)) for one in found if one is not None]

    def _entry_key(self, number: int) -> str:
        return f"{self._name}/manifests/{number:08d}.json"

    def _entry_bytes(self, number: int) -> bytes | None:
        try:
            return b"".join(self._place.read(self._entry_key(number)))
        except FileNotFoundError:
            return None

    def _append(self, entry: Entry) -> bool:
        """Add an entry; False when somebody else was first."""
        raw = entry.as_bytes()
        with draft(self._place.drafts / "manifest") as new:
            new.write(raw)
            try:
                self._place.create(self._entry_key(entry.number), new)
            except FileExistsError:
                # Sent twice, the answer to the first having been lost, it is ours.
                return self._entry_bytes(entry.number) == raw
        return True

    def _put(self, moment: datetime, form: Form, new: Draft) -> tuple[str, str | None]:
        for number in count():
            name = key(self._name, moment, number, form)
            try:
                return name, self._place.create(name, new)
            except FileExistsError:
                continue
        raise AssertionError

    def _stored(self, manifest: Manifest, digest: Digest) -> Iterator[bytes]:
        try:
            for chunk in self._place.read(manifest.key, manifest.stored.version_id):
                digest.write(chunk)
                yield chunk
        except FileNotFoundError:
            raise damaged(manifest.key, "its bytes are gone") from None
        except UnreadableError as error:
            raise damaged(manifest.key, error.message) from None

    def _is_same(self, newest: Manifest, content: Content, stored: Stored) -> bool:
        kept_only = newest.content.before is not None and content.before is None
        if stored.form is Form.DUMP or kept_only or newest.content.sha256 != content.sha256:
            return False
        return self.is_good(newest)

    def is_good(self, manifest: Manifest) -> bool:
        """Whether a version's bytes, read anew, are those that were published."""
        return self._amiss(manifest) is None

    def _amiss(self, manifest: Manifest) -> str | None:
        """Why a version is not good; None where its bytes, read anew, are those that were published."""
        try:
            self.fetch(manifest, _Nowhere())
        except InputRefusedError as error:
            return error.message
        return None


class VersionDraft:
    """A version being written: the bytes of the CSV, or of a dump."""

    def __init__(
        self, chain: Chain, new: Draft, form: Form, beside: Beside, packer: "_Packer | None"
    ) -> None:
        self._chain = chain
        self._new = new
        self._form = form
        self._beside = beside
        self._packer = packer
        self._opened = new if packer is None else Digest()

    def write(self, data: bytes, /) -> None:
        """Append bytes."""
        if self._opened is not self._new:
            self._opened.write(data)
        self._beside.write(data)

    @property
    def sha256(self) -> str:
        """Hex digest of what has been written, before it is compressed."""
        self._beside.end()
        return self._opened.sha256

    @property
    def size(self) -> int:
        """Bytes written, before they are compressed."""
        self._beside.end()
        return self._opened.size

    def publish(self, content: Content, made_by: str | None = None) -> Manifest:
        """Publish what has been written, once it has been read back.

        Args:
            content: What the CSV is, and why it is published.
            made_by: The program and the schema of a dump.

        Returns:
            Its manifest; another's, where somebody else has published the same content meanwhile.

        Raises:
            UnavailableError: The place is away, or does not hold what was written to it.
        """
        self._beside.end()
        if self._packer is not None:
            self._packer.end()
        stored = Stored(self._new.sha256, self._new.size, self._form, made_by=made_by)
        return self._chain.publish(content, stored, self._new)


class _Packer:
    """Compresses what is written to it into a file."""

    def __init__(self, new: Draft) -> None:
        self._new = new
        self._packing = zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compressobj()

    def write(self, data: bytes, /) -> None:
        self._new.write(self._packing.compress(data))

    def end(self) -> None:
        self._new.write(self._packing.flush())


class _Nowhere:
    def write(self, data: bytes, /) -> None: ...


def damaged(name: str, why: str) -> InputRefusedError:
    """A version cannot be restored."""
    return InputRefusedError(
        why,
        code="version_damaged",
        place=Where(file=name),
        hint="`ingest versions` lists those that are good.",
    )


def _opened(stored: Iterator[bytes], form: Form) -> Iterator[bytes]:
    if form is not Form.ZSTD:
        yield from stored
        return
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    try:
        for chunk in stored:
            for begin in range(0, len(chunk), _PIECE):
                yield unpacker.decompress(chunk[begin : begin + _PIECE])
    except zstandard.ZstdError:
        # Its digest will say so.
        for _ in stored:
            pass
