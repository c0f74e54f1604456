"""How progress is drawn: one line on standard error, wiped away at the end."""

import time
from datetime import timedelta

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ingestion_pipeline.cli.progress import Standing

WIDTH = 16
"""Of the bar itself, so that a step's name has room beside it."""


class _Amount(ProgressColumn):
    """How much is done, of how much."""

    def __init__(self, unit: str | None) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        if not task.fields["measured"]:
            return Text("")
        done = _size(task.completed, self._unit)
        return Text(done if task.total is None else f"{done} of {_size(task.total, self._unit)}")


class _Rate(ProgressColumn):
    """How quickly."""

    def __init__(self, unit: str | None) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{_size(speed, self._unit)}/s" if speed and task.fields["measured"] else "")


class _Left(ProgressColumn):
    """How long yet, where the end is known."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None or task.finished else f"{_clock(left)} left")


class _Since(ProgressColumn):
    """How long all of it has taken."""

    def __init__(self, began: float) -> None:
        super().__init__()
        self._began = began

    def render(self, _task: Task) -> Text:
        return Text(_clock(time.monotonic() - self._began))


def _size(amount: float, unit: str | None) -> str:
    return filesize.decimal(int(amount)) if unit is None else f"{amount:,.0f} {unit}"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds))).removeprefix("0:")


class Drawing:
    """A standing as it is shown.

    Args:
        standing: What is shown first.
        began: When all of it began, by the monotonic clock.
        unit: What is counted; None for bytes.
    """

    def __init__(self, standing: Standing, began: float, unit: str | None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=WIDTH),
            _Amount(unit),
            _Rate(unit),
            _Left(),
            _Since(began),
            console=Console(stderr=True),
            transient=True,
        )
        self._shown = standing
        self._task = self._added(standing)
        self._progress.start()

    def show(self, standing: Standing) -> None:
        """Show another standing."""
        before, self._shown = self._shown, standing
        if standing.done is None or before.done is None or standing.step != before.step:
            # A step has a rate of its own, and an end of its own.
            old, self._task = self._task, self._added(standing)
            self._progress.remove_task(old)
            return
        if standing.total is None:
            self._progress.tasks[-1].total = None
        self._progress.update(self._task, completed=standing.done, total=standing.total)

    def _added(self, standing: Standing) -> TaskID:
        return self._progress.add_task(
            standing.step,
            total=standing.total,
            completed=standing.done or 0,
            measured=standing.done is not None,
        )

    def stop(self) -> None:
        """Wipe it away."""
        self._progress.stop()
