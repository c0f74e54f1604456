"""Progress bars: rate and time left while a file is read, the step's name while PostgreSQL works."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

SLOW = 1.0
"""Seconds after which a person wants to see that something happens."""


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
def bar(path: Path | None, *, hidden: bool) -> Iterator[Bar]:
    """A bar for work on one file; without one nobody knows how long it will be."""
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
    total = path.stat().st_size if path is not None and path.is_file() else None
    with parts.Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        yield Bar(progress, progress.add_task("reading", total=total))


@contextmanager
def counter(description: str, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    """A count that grows, with its rate; nobody knows where it ends."""
    from rich import progress as parts  # noqa: PLC0415 - see bar
    from rich.console import Console  # noqa: PLC0415 - see bar
    from rich.text import Text  # noqa: PLC0415 - see bar

    class _Rate(parts.ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text("" if task.speed is None else f"{task.speed:,.0f}/s")

    columns = (
        parts.TextColumn("{task.description:<10}"),
        parts.SpinnerColumn(),
        parts.TextColumn("{task.completed:,}"),
        _Rate(),
        parts.TimeElapsedColumn(),
    )
    with parts.Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task(description, total=None)
        yield lambda more: progress.advance(task, more)


@contextmanager
def slow_counter(description: str, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    """A count that grows, drawn only once it has taken a second."""
    begun = time.monotonic()
    with ExitStack() as stack:
        advance: list[Callable[[int], None]] = []

        def step(more: int) -> None:
            if not hidden and not advance and time.monotonic() - begun > SLOW:
                advance.append(stack.enter_context(counter(description, hidden=hidden)))
            for each in advance:
                each(more)

        yield step


@contextmanager
def steps(*, hidden: bool) -> Iterator[Callable[[str], None]]:
    """The name of the step that is being done, and for how long all have taken."""
    from rich import progress as parts  # noqa: PLC0415 - see bar
    from rich.console import Console  # noqa: PLC0415 - see bar

    columns = (parts.SpinnerColumn(), parts.TextColumn("{task.description}"), parts.TimeElapsedColumn())
    with parts.Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task("looking at both sides", total=None)
        yield lambda name: progress.update(task, description=name)
