"""A local folder that versions are published to, open to its owner only."""

import errno
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ingestion_pipeline.domain.errors import Place as Where
from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.atomic import CHUNK, Draft, make_folder, sync_folder
from ingestion_pipeline.stores.bucket.place import UnreadableError, sweep_drafts

_AMISS = frozenset({errno.EIO, errno.EISDIR, errno.EUCLEAN, errno.EBADMSG})
"""What the disk says of one file that is damaged, rather than of itself."""


class Folder:
    """See `place.Place`.

    Args:
        folder: Where versions lie; made when the first one is published.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def drafts(self) -> Path:
        """The folder itself, so that a new file needs its name only."""
        make_folder(self._folder)
        return self._folder

    def create(self, key: str, draft: Draft) -> None:
        """Publish a file under a name that nobody has, once it has been read back."""
        target = self._folder / key
        make_folder(target.parent)
        draft.create(target)

    def read(self, key: str, version_id: str | None = None) -> Iterator[bytes]:
        """The bytes under a name, in pieces."""
        del version_id
        path = self._folder / key
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(key) from None
        except OSError as error:
            raise _unavailable(error, path) from None

    def names(self, prefix: str) -> Iterator[str]:
        """Every key that begins so, in order."""
        # Path.rglob would pass over a folder that may not be read.
        walked = os.walk(self._folder / prefix.rpartition("/")[0], onerror=_refuse_unless_missing)
        files = (Path(folder, name) for folder, _, names in walked for name in names)
        found = (path.relative_to(self._folder).as_posix() for path in files if path.is_file())
        return iter(sorted(name for name in found if name.startswith(prefix)))

    def remove(self, key: str) -> None:
        """Take a name away, if it is there."""
        path = self._folder / key
        if path.exists():
            path.unlink(missing_ok=True)
            sync_folder(path.parent)

    def is_public(self) -> bool:
        """Whether others than the owner may enter the folder."""
        return self._folder.is_dir() and bool(self._folder.stat().st_mode & 0o077)

    def sweep(self, prefix: str, before: datetime) -> int:
        """Take away the files of programs that died while they wrote."""
        del prefix
        return sweep_drafts(self._folder, before)


def _refuse_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise _unavailable(error, error.filename) from None


def _unavailable(error: OSError, path: Path | str) -> UnavailableError:
    kind = UnreadableError if error.errno in _AMISS else UnavailableError
    return kind(
        f"it cannot be read: {error.strerror}",
        code="versions_unavailable",
        place=Where(file=str(path)),
        hint="Check the disk and the permissions.",
    )
