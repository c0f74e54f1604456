"""Whose the server is and where it lies: in a normal user's state folder, or elsewhere in root's stead.

PostgreSQL refuses to run as root, and its user may not enter root's folders. So root's server has a
system user, and its cluster and programs lie in a folder of their own; no existing folder's mode changes.
"""

import os
import pwd
import re
import secrets
import subprocess
from contextlib import suppress
from pathlib import Path

from ingestion_pipeline.domain.errors import UnavailableError
from ingestion_pipeline.stores.atomic import draft

_BASE = Path("/var/lib/ingestion_pipeline")
_NAME = "ingestion-pg"


def is_root() -> bool:
    """Whether this process may not run PostgreSQL itself."""
    return os.geteuid() == 0


def base() -> Path:
    """The folder for what is root's, made if need be."""
    if not _BASE.exists():
        _BASE.mkdir(parents=True, exist_ok=True)
        _BASE.chmod(0o755)
    return _BASE


def find_folder(state: Path) -> Path:
    """Where a state folder's cluster lies; for root, in the state folder as long as there is none."""
    if is_root():
        with suppress(FileNotFoundError):
            name = (state / "id").read_text(encoding="ascii", errors="replace").strip()
            if re.fullmatch(r"[0-9a-f]{16}", name):  # an empty one would be the folder of all clusters
                return _BASE / name
    return state


def make_folder(state: Path) -> Path:
    """Like `find_folder`, but root's is made first. The caller holds the state folder alone."""
    if not is_root():
        return state
    if find_folder(state) == state:
        with draft(state / "id") as new:
            new.write(secrets.token_hex(8).encode())
            new.replace()
    folder = find_folder(state)
    if not folder.exists():
        (state / "WHERE").write_text(f"The cluster lies in {folder}\n", encoding="ascii")
        (base() / folder.name).mkdir(mode=0o700)
    user = system_user()
    os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def system_user() -> pwd.struct_passwd:
    """Who runs the server in root's stead; made on first use."""
    with suppress(KeyError):
        return pwd.getpwnam(_NAME)
    words = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
    with suppress(OSError, KeyError):
        subprocess.run(["/usr/sbin/useradd", *words, _NAME], capture_output=True, check=False)  # noqa: S603
        return pwd.getpwnam(_NAME)
    raise UnavailableError(
        f"PostgreSQL does not run as root, and the system user {_NAME} cannot be made",
        code="embedded_user",
        hint=f"add a system user {_NAME}, run as a normal user, or set DATABASE_URL",
    )
