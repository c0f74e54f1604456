"""Progress bars: rate and time left while a file is read, the step's name while PostgreSQL works."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar on standard error; nothing is drawn where nobody watches."""

    progress: "Progress"
    task: "TaskID"

    def read(self, size: int) -> None:
        """So many bytes have been read."""
        self.progress.update(self.task, completed=size)

    def step(self, name: str) -> None:
        """A step has begun. Only reading has a length that is known; the others pulse."""
        self.progress.update(self.task, description=name)
        if name != "reading":
            self.progress.tasks[0].total = None


@contextmanager
def bar(path: Path, *, hidden: bool) -> Iterator[Bar]:
    """A bar for work on one file."""
    from rich import progress as parts  # noqa: PLC0415 - commands without a bar start quicker
    from rich.console import Console  # noqa: PLC0415 - likewise

    columns = (
        parts.TextColumn("{task.description:<10}"),
        parts.BarColumn(),
        parts.DownloadColumn(),
        parts.TransferSpeedColumn(),
        parts.TimeRemainingColumn(),
        parts.TimeElapsedColumn(),
    )
    total = path.stat().st_size if path.is_file() else None
    with parts.Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        yield Bar(progress, progress.add_task("reading", total=total))
