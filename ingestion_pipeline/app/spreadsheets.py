"""The CSV for a spreadsheet program, and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.ports import Sink
from ingestion_pipeline.domain.spreadsheet import escape, unescape
from ingestion_pipeline.stores.atomic import Draft, Written, draft, refuse_unless_file
from ingestion_pipeline.stores.disk.csv_store import CsvStore
from ingestion_pipeline.stores.disk.respelling import respell


class Spreadsheets:
    """Writes the CSV so that a spreadsheet program runs none of its cells as a formula.

    Args:
        csv: The CSV.
        render: Writes the CSV that PostgreSQL holds.
    """

    def __init__(self, csv: CsvStore, render: Callable[[Sink], object]) -> None:
        self._csv = csv
        self._render = render

    def render(self, sink: Sink) -> int:
        """Write the CSV that PostgreSQL holds, escaped; gives its rows."""
        with self._csv.scratch() as plain:
            self._render(plain)
            return respell(plain.path, escape, sink)

    def render_to(self, target: Path) -> tuple[int, Written]:
        """Put it in a file's place; gives its rows and what lies there.

        Raises:
            ProtectedError: The file is the site's CSV.
        """
        with elsewhere(self._csv.path, target) as new:
            return self.render(new), new.replace()

    def unescape_to(self, source: Path, target: Path) -> tuple[int, Written]:
        """Write an escaped file as it was; gives its rows and what lies there.

        Raises:
            InputRefusedError: The file does not keep the contract: a program has spelled it otherwise.
            ProtectedError: The target is the site's CSV.
        """
        with elsewhere(self._csv.path, target) as new:
            return respell(source, unescape, new), new.replace()


@contextmanager
def elsewhere(csv: Path, target: Path) -> Iterator[Draft]:
    """A new file that takes a target's place, which must not be the site's CSV.

    Raises:
        ProtectedError: It is, or it is no file.
    """
    refuse_unless_file(target)
    if target.resolve() == csv.resolve():
        raise ProtectedError(
            "this is the site's CSV, and its place is not taken so",
            code="sites_own_csv",
            hint="Name another file.",
        )
    with draft(target) as new:
        yield new
