"""`ingest write`, `settle` and `history`: one person at a time."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from ingestion_pipeline.cli import show
from ingestion_pipeline.cli.frame import Frame, as_json_line, command
from ingestion_pipeline.cli.progress import size_of
from ingestion_pipeline.domain.errors import Exit, InputRefusedError, PipelineError, Place, SettingsError

if TYPE_CHECKING:
    from ingestion_pipeline.domain.change import Change
    from ingestion_pipeline.domain.receipt import Write, WriteReceipt
    from ingestion_pipeline.operations.settle import SettleReport

SHOWN = 60
"""Characters of a cell shown to people; --json has all of them."""


@click.command()
@click.argument("row_id", required=False)
@click.argument("cells", nargs=-1, metavar="COLUMN=VALUE…")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read one JSON object a line from standard input.")
@click.option("--write-id", help="A UUID of your own: the same write again has no further effect.")
@command
def write(
    frame: Frame, *, row_id: str | None, cells: tuple[str, ...], from_stdin: bool, write_id: str | None
) -> None:
    """Write some of a person's cells, in whichever side leads; durable when this returns.

    A row_id that is not there yet needs name, email and type.

    With --stdin each line is a person: {"row_id": "7", "type": "INTJ", "processed": true}. A write_id among
    the columns makes the line safe to send again. It ends at the first line that is refused; those before it
    are written.
    """
    if from_stdin:
        if row_id is not None or write_id is not None:
            raise click.UsageError("--stdin goes without ROW_ID and --write-id: each line has its own")
        _write_lines(frame)
        return
    if row_id is None or not cells:
        raise click.UsageError("name a ROW_ID and at least one COLUMN=VALUE, or use --stdin")
    with frame.pipeline() as pipeline:
        receipt = pipeline.write(row_id, by_column(cells), write_id=write_id)
    frame.answer(_receipt(receipt), lambda: show.rows("Written", _receipt(receipt).items()))


def by_column(cells: tuple[str, ...]) -> dict[str, str]:
    """COLUMN=TEXT arguments as a mapping.

    Raises:
        SettingsError: One has no =, or a column is named twice.
    """
    parted = [one.partition("=") for one in cells]
    if not all(separator for _, separator, _ in parted):
        raise SettingsError("the text is given as COLUMN=TEXT", code="usage")
    columns = {column: text for column, _, text in parted}
    if len(columns) < len(parted):
        raise SettingsError("a column is named twice", code="usage")
    return columns


def _receipt(receipt: "WriteReceipt") -> dict[str, Any]:
    return {name: getattr(receipt, name) for name in receipt.__dataclass_fields__}


def _write_lines(frame: Frame) -> None:
    written = 0
    try:
        with frame.pipeline() as pipeline, frame.bar("writing", unit="people") as progress:
            for receipt in pipeline.write_each(_parsed(sys.stdin.buffer)):
                written += 1
                progress.count(1)
                if frame.as_json:
                    click.echo(as_json_line(_receipt(receipt)))
    except PipelineError as error:
        error.hint = f"{written} lines before it are written. {error.hint}".strip()
        raise
    if not frame.as_json:
        click.echo(f"{written:,} written")


def _parsed(lines: Iterable[bytes]) -> Iterator["Write"]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _write(line)
            except InputRefusedError as error:
                place = Place("standard input", number, error.place.column, error.place.row_id)
                raise InputRefusedError(error.message, error.code, place, error.hint) from None


def _write(line: bytes) -> "Write":
    from ingestion_pipeline.domain.receipt import checked  # noqa: PLC0415 - --help does not wait for it

    try:
        person = json.loads(line)
    except (ValueError, RecursionError):
        raise InputRefusedError("the line is not JSON", code="not_json") from None
    if not isinstance(person, dict) or not isinstance(person.get("row_id"), str):
        raise InputRefusedError(
            "the line is not a JSON object with a row_id that is text",
            code="not_a_person",
            hint='For instance {"row_id": "7", "type": "INTJ"}.',
        )
    for name, value in person.items():
        if not _is_cell(value):
            raise InputRefusedError(
                "the value is neither text, true, false, null, nor an object of text",
                code="not_a_cell",
                place=Place(column=name[:80]),
            )
    row_id, write_id = person.pop("row_id"), person.pop("write_id", None)
    return checked(row_id, person, write_id)


def _is_cell(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(text, str) for text in value.values())
    return value is None or isinstance(value, (str, bool))


@click.command()
@click.argument("row_ids", nargs=-1, required=True, metavar="ROW_ID…")
@click.option("--accept-loss", is_flag=True, help="Go on where a brake would stop.")
@command
def delete(frame: Frame, *, row_ids: tuple[str, ...], accept_loss: bool) -> Exit:
    """Delete people, all or none, from whichever side leads. Exits 1 where some of them were not there."""
    with frame.pipeline() as pipeline, frame.bar("deleting"):
        report = pipeline.delete(row_ids, accept_loss=accept_loss)
    unknown = sorted(set(row_ids) - set(report.deleted))
    answer = {
        "deleted": sorted(report.deleted),
        "unknown": unknown,
        "durable_in": report.durable_in,
        "follower": report.follower,
    }
    frame.answer(answer, lambda: show.rows("Deleted", answer.items()))
    return Exit.FINDING if unknown else Exit.DONE


@click.command()
@click.option("--accept-loss", is_flag=True, help="Go on where a brake would stop.")
@command
def settle(frame: Frame, *, accept_loss: bool) -> Exit:
    """Bring the follower what the authority has and it has not. Exits 1 where that found conflicts."""
    with (
        frame.pipeline() as pipeline,
        frame.bar("settling", total=size_of(pipeline.csv.path)) as progress,
    ):
        report = pipeline.settle(accept_loss=accept_loss, progress=progress.read, step=progress.step)
    answer = {name: getattr(report, name) for name in report.__dataclass_fields__}
    frame.answer(answer, lambda: _show_settled(report))
    return Exit.FINDING if report.conflicts else Exit.DONE


def _show_settled(report: "SettleReport") -> None:
    pairs: list[tuple[str, object]] = [
        ("phase", report.phase),
        ("follower", report.follower),
        ("people brought over", f"{report.settled:,}"),
    ]
    if report.taken_back:
        pairs.append(("writes taken back", f"{report.taken_back:,}"))
    if report.conflicts:
        pairs.append(("conflicts", f"{report.conflicts:,}: see `ingest quarantine list`"))
    if report.merged is not None:
        pairs.append(("the CSV was rewritten by others", show.merged(report.merged)))
    show.rows("Settled" if report.settled or report.taken_back else "Nothing was pending", pairs)


@click.command()
@click.argument("row_id")
@command
def history(frame: Frame, *, row_id: str) -> Exit:
    """Show every change of a person: when, by whom, and each cell before and after."""
    with frame.pipeline() as pipeline:
        changes = pipeline.history(row_id)
    answer = {"row_id": row_id, "changes": changes}
    lines = [line for change in changes for line in _lines(change)]
    header = ("at", "revision", "by", "what", "column", "before", "after")
    if changes or frame.as_json:
        frame.answer(answer, lambda: show.table(f"History of {row_id}", header, lines))
    else:
        click.echo("There is no history of this row_id.")
    return Exit.DONE if changes else Exit.FINDING


def _lines(change: "Change") -> Iterator[tuple[object, ...]]:
    what = (f"{change.at:%Y-%m-%d %H:%M:%S}", change.revision, change.actor, change.operation)
    changed: Mapping[str, tuple[Any, Any]] = change.changed or {}
    if not changed:
        yield (*what, "(loaded)" if change.changed is None else None, None, None)
    for column, (before, after) in changed.items():
        yield (*what, column, _short(before), _short(after))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
