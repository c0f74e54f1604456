"""What every command has: --config and --json, a pipeline, errors that say what, where and what next."""

import dataclasses
import functools
import gc
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli.progress import Bar, bar
from ingestion_pipeline.domain.errors import Exit, PipelineError

if TYPE_CHECKING:
    from ingestion_pipeline.app import Pipeline

_CONFIG_HELP = "The configuration file.  [default: config/config.yaml]"


INTERRUPTED = 130
"""How a shell counts an end by SIGINT."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """How a command was called.

    Attributes:
        config: The configuration file named, if one was.
        as_json: Whether the answer is for a program.
    """

    config: Path | None
    as_json: bool

    @contextmanager
    def pipeline(self) -> Iterator["Pipeline"]:
        """The site's pipeline."""
        with _uncollected():
            from ingestion_pipeline.app import open_pipeline  # noqa: PLC0415 - --help does not wait for it

        with open_pipeline(self.config) as pipeline:
            for ignored, ours in pipeline.settings.near_misses():
                click.echo(f"ingest: section {ignored} is ignored; did you mean {ours}?", err=True)
            yield pipeline

    def bar(
        self, step: str, *, total: int | None = None, unit: str | None = None
    ) -> AbstractContextManager[Bar]:
        """A bar for what takes a while, where a person watches; see `progress.bar`."""
        return bar(step, total=total, unit=unit, hidden=self.as_json or not is_terminal())

    def answer(self, answer: Mapping[str, Any], show: Callable[[], None]) -> None:
        """Print the answer: as JSON, or as `show` does it for people."""
        if self.as_json:
            click.echo(as_json(answer))
        else:
            show()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Load modules without looking for garbage among them, of which there is none: a sixth of the start."""
    if "ingestion_pipeline.app.pipeline" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def command(run: Callable[..., Exit | None]) -> Callable[..., None]:
    """Give a command its --config and --json, and its errors their form and exit code."""

    @functools.wraps(run)
    def framed(config: Path | None, as_json: bool, **options: Any) -> None:  # noqa: FBT001 - click's call
        context = click.get_current_context()
        above: Mapping[str, Any] = context.find_root().params
        frame = Frame(config or above.get("config"), as_json or bool(above.get("as_json")))
        try:
            exit_code = run(frame, **options)
        except click.ClickException:
            raise
        except PipelineError as error:
            _show_error(error, as_json=frame.as_json)
            exit_code = error.exit
        except Exception as error:  # noqa: BLE001 - its text may quote a value
            _show_error(_unexpected(error), as_json=frame.as_json)
            exit_code = Exit.UNEXPECTED
        except KeyboardInterrupt:
            click.echo("ingest: interrupted; what was not finished is as it was before", err=True)
            context.exit(INTERRUPTED)
        context.exit(exit_code or Exit.DONE)

    named = click.option("--config", type=click.Path(path_type=Path), help=_CONFIG_HELP)
    return named(click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(framed))


def _unexpected(error: Exception) -> PipelineError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return PipelineError(
        f"unexpected {type(error).__name__} at {Path(last.filename).name}:{last.lineno}",
        code="unexpected",
        hint="This is a fault of the program, or of what it runs on; please report it with this line.",
    )


def as_json(answer: Mapping[str, Any]) -> str:
    """An answer as JSON."""
    return json.dumps(answer, indent=2, ensure_ascii=False, default=_plain)


def as_json_line(answer: Mapping[str, Any]) -> str:
    """An answer as JSON on one line."""
    return json.dumps(answer, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _show_error(error: PipelineError, *, as_json: bool) -> None:
    if as_json:
        place = dataclasses.asdict(error.place)
        known = {"code": error.code, "message": error.message, **place, "hint": error.hint}
        click.echo(json.dumps({"error": {k: v for k, v in known.items() if v not in (None, "")}}, indent=2))
        return
    click.secho(f"ingest: {error}", fg="red", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


def is_terminal() -> bool:
    """Whether a person watches."""
    return sys.stderr.isatty()
