"""Versions in a local folder.

The format asks for one thing only: that a name can be made if nobody has it. A manifest is made after its
CSV has been read back, so whatever has a manifest was whole when it was published.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from ingestion_pipeline.domain.version import Content, Manifest, Version, key
from ingestion_pipeline.stores.atomic import Draft, digest, draft, make_folder

_MANIFEST = ".manifest.json"


class VersionFolder:
    """Versions in one folder, open to its owner only.

    Args:
        folder: Where they lie; made when the first one is published.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def place(self) -> str:
        """Where the versions lie, for people."""
        return str(self._folder)

    def newest(self) -> Version | None:
        """The newest good version."""
        return next((version for version in self.listing() if version.good), None)

    def listing(self) -> Iterator[Version]:
        """All versions, the newest first, each with its bytes compared to its manifest's digest."""
        return (self._version(path) for path in self._manifests())

    @contextmanager
    def draft(self) -> Iterator["VersionDraft"]:
        """A version being written; gone at the end unless it was published."""
        make_folder(self._folder)
        with draft(self._folder / "version") as new:
            yield VersionDraft(self, new)

    def _manifests(self) -> list[Path]:
        return sorted(self._folder.glob(f"csv-versions/*/*/*{_MANIFEST}"), reverse=True)

    def _version(self, path: Path) -> Version:
        data = path.with_name(path.name.removesuffix(_MANIFEST))
        name = data.relative_to(self._folder).as_posix()
        try:
            manifest = Manifest.from_bytes(path.read_bytes())
            found = digest(data)
        except (OSError, ValueError):
            return Version(name, None, good=False)
        content = manifest.content
        good = (manifest.key, content.sha256, content.size) == (name, found.sha256, found.size)
        return Version(name, manifest, good)

    def _publish(self, new: Draft, content: Content) -> Manifest:
        parent = next((hashlib.sha256(path.read_bytes()).hexdigest() for path in self._manifests()), None)
        for number in count():
            name = key(content.published_at, number)
            target = self._folder / name
            make_folder(target.parent)
            try:
                new.create(target)
            except FileExistsError:
                continue
            manifest = Manifest(name, parent, content)
            with draft(target.with_name(target.name + _MANIFEST)) as kept:
                kept.write(manifest.as_bytes())
                kept.create()
            return manifest
        raise AssertionError


class VersionDraft:
    """A version being written."""

    def __init__(self, versions: VersionFolder, new: Draft) -> None:
        self._versions = versions
        self._new = new

    def write(self, data: bytes, /) -> None:
        """Append bytes of the CSV."""
        self._new.write(data)

    @property
    def sha256(self) -> str:
        """Hex digest of what has been written."""
        return self._new.sha256

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._new.size

    def publish(self, content: Content) -> Manifest:
        """Publish what has been written, once it has been read back.

        Raises:
            UnavailableError: The place does not hold what was written to it.
        """
        return self._versions._publish(self._new, content)  # noqa: SLF001 - the draft is the folder's own
