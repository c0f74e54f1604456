"""The CSV for a spreadsheet program, and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ingestion_pipeline.app.places import Places
from ingestion_pipeline.app.timed import timed
from ingestion_pipeline.domain.counting import Counted
from ingestion_pipeline.domain.errors import ProtectedError
from ingestion_pipeline.domain.ports import Progress, Sink
from ingestion_pipeline.domain.spreadsheet import escape, unescape
from ingestion_pipeline.stores.atomic import Draft, Written, draft, refuse_unless_file
from ingestion_pipeline.stores.disk.respelling import respell


class Spreadsheets:
    """Writes the CSV so that a spreadsheet program runs none of its cells as a formula.

    Args:
        places: The site's.
        render: Writes the CSV that PostgreSQL holds.
    """

    def __init__(self, places: Places, render: Callable[[Sink], object]) -> None:
        self._places = places
        self._render = render

    @timed("spreadsheet")
    def render(self, sink: Sink, progress: Progress | None = None) -> int:
        """Write the CSV that PostgreSQL holds, escaped; gives its rows."""
        with self._places.csv.scratch() as plain:
            self._render(plain)
            return respell(plain.path, escape, Counted(sink, progress))

    @timed("spreadsheet")
    def render_to(self, target: Path, progress: Progress | None = None) -> tuple[int, Written]:
        """Put it in a file's place; gives its rows and what lies there.

        Raises:
            ProtectedError: The file is the site's CSV.
        """
        with elsewhere(self._places, target) as new:
            return self.render(new, progress), new.replace()

    @timed("spreadsheet")
    def unescape_to(
        self, source: Path, target: Path, progress: Progress | None = None
    ) -> tuple[int, Written]:
        """Write an escaped file as it was; gives its rows and what lies there.

        Raises:
            InputRefusedError: The file does not keep the contract: a program has spelled it otherwise.
            ProtectedError: The target is the site's CSV.
        """
        with elsewhere(self._places, target) as new:
            return respell(source, unescape, Counted(new, progress)), new.replace()


@contextmanager
def elsewhere(places: Places, target: Path) -> Iterator[Draft]:
    """A new file that takes a target's place, which must not be the site's own.

    Raises:
        ProtectedError: It is the site's CSV, or among what is kept of it, or it is no file.
    """
    refuse_unless_file(target)
    if any(target.resolve().is_relative_to(own.resolve()) for own in places.own):
        raise ProtectedError(
            "this is the site's own, and its place is not taken so",
            code="sites_own",
            hint="Name another file.",
        )
    with draft(target) as new:
        yield new
