"""Answers for people, as tables."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ingestion_pipeline.domain.host import Host
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import Merged


def host(host: Host | None, phase: Phase | None) -> dict[str, dict[str, Any]]:
    """What an answer says of the host that gave it; nothing where the site has but one."""
    if host is None:
        return {}
    may = host.may(phase)
    return {"host": {"name": host.name, "csv_host": host.csv_host, "has_csv": host.has_csv, "may": may}}


def rows(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, a line each, of any length: a path is there to be copied."""
    from rich.text import Text  # noqa: PLC0415 - answers in JSON start quicker

    named = [(name, _text(value)) for name, value in pairs]
    width = max((len(name) for name, _ in named), default=0)
    _print(title, *(Text.assemble((f"{name:<{width}}  ", "dim"), value) for name, value in named))


def table(
    title: str, header: Sequence[str], lines: Iterable[Sequence[object]], *, whole: Collection[str] = ()
) -> None:
    """A table with a header; the columns named as whole are not broken, so that they can be copied."""
    from rich.table import Table  # noqa: PLC0415 - see rows

    shown = Table()
    for name in header:
        shown.add_column(name, no_wrap=name in whole)
    for line in lines:
        shown.add_row(*(_text(value) for value in line))
    _print(title, shown)


def merged(found: Merged) -> str:
    """What somebody else's change of the CSV came to, in a line."""
    if found.aside is not None:
        return f"{found.at}: rendered again, the other file is kept as {found.aside}"
    return (
        f"{found.at}: {found.restored} rows written again that the other had not seen, "
        f"{found.kept} kept as the other has them, {found.gone} gone"
    )


def _text(value: object) -> Any:
    from rich.text import Text  # noqa: PLC0415 - see rows

    # Text, so that a bracket in a name is not read as markup.
    return Text("-" if value in (None, "") else str(value))


def _print(title: str, *shown: Any) -> None:
    from rich.console import Console  # noqa: PLC0415 - see rows
    from rich.table import Table  # noqa: PLC0415 - see rows

    console = Console()
    # A table would break its own title, and a path in it, to its width.
    console.print(_text(title), style="italic", soft_wrap=True)
    for one in shown:
        console.print(one, soft_wrap=not isinstance(one, Table))
