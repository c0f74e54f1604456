"""The pipeline's own table, behind the calls of the old scripts."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pandas as pd

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.columns import BY_NAME
from ingestion_pipeline.domain.errors import (
    InputRefusedError,
    PipelineError,
    Place,
    ProtectedError,
    UnavailableError,
)
from ingestion_pipeline.domain.phase import Side
from ingestion_pipeline.domain.receipt import NEEDED_TO_CREATE, Write, checked
from ingestion_pipeline.legacy.frames import (
    Cells,
    Difference,
    Seen,
    copy_name,
    difference,
    frame_of,
    known_after,
    text,
)
from ingestion_pipeline.stores.disk.backups import Backups

_log = logging.getLogger(__name__)

Row = dict[str, str]


class OwnTable:
    """Reads from the side that leads, writes through the pipeline.

    Args:
        pipeline: The pipeline.
        seen: What this process has seen of the table.
    """

    def __init__(self, pipeline: Pipeline, seen: Seen | None = None) -> None:
        self._pipeline = pipeline
        self._seen = seen or Seen()

    @property
    def path(self) -> Path:
        """The CSV."""
        return self._pipeline.csv.path

    def columns(self) -> tuple[str, ...]:
        """The columns of the side that leads."""
        return self._pipeline.columns()

    def frame(self) -> pd.DataFrame:
        """Everybody; what is saved later is compared with this."""
        frame = frame_of(self.rows(), self.columns())
        self._seen.remember(frame, Cells.of(frame).kept())
        return frame

    def rows(self) -> Iterator[Row]:
        """Everybody's cells, in one state and constant memory."""
        return self._pipeline.rows()

    def row(self, row_id: str) -> Row | None:
        """One person's cells."""
        return self._pipeline.read(row_id)

    def replace(self, frame: pd.DataFrame) -> None:
        """Write what a frame has changed since it was last seen, and delete who is gone from it.

        Cells that the frame has not changed stay what others have made of them meanwhile. A frame that was
        never seen, as the first one that a process saves without having read, is compared with what is there.

        Raises:
            InputRefusedError: A cell does not fit its column; all other rows are written.
            UnavailableError: The side that leads is away; what was not written is with the next frame.
            ProtectedError: A brake stopped it; nothing is written.
        """
        unknown = [name for name in frame.columns if not self._is_known(name)]
        with self._seen.lock:
            cells = Cells.of(frame.drop(columns=unknown) if unknown else frame)
            closest = before = self._seen.closest(frame, cells)
            if before is None:
                before = Cells.of(frame_of(self.rows(), self.columns()))
            if not cells.columns.keys() <= before.columns.keys():
                present = frame_of(self.rows(), dict.fromkeys([*self.columns(), *cells.columns]))
                before = before.with_columns_of(Cells.of(present))
            found = difference(before, cells)
            self._brake(found, len(before))
            left = self._write(found)
            over = closest if closest is not None and self._seen.is_over(closest, frame) else None
            known = before if over is closest else before.kept()
            self._seen.remember(frame, known_after(known, found, left), instead_of=over)
        _refuse(left)

    def put(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add people, or change the cells that are named."""
        found = Difference(Cells({}))
        for row in rows:
            cells = self._known(row)
            row_id = cells.pop("row_id", "")
            into = found.changed if self._pipeline.read(row_id) else found.new
            into.setdefault(row_id, {}).update(cells)
        _refuse(self._write(found))

    def work_off(self, size: int, work: Callable[[list[Row]], Iterable[Mapping[str, object]]]) -> int:
        """Write what some work makes of everybody, so many at a time; who is missing then is deleted.

        Raises:
            PipelineError: As `replace`; what was made of those before stays written.
        """
        gone: list[str] = []
        count, columns, rows = 0, self.columns(), self.rows()
        while chunk := list(islice(rows, size)):
            count += len(chunk)
            before = Cells.of(frame_of(chunk, columns))
            made = [self._known(row) for row in work([dict(row) for row in chunk])]
            names = dict.fromkeys(["row_id", *(name for row in made for name in row)])
            found = difference(before, Cells.of(frame_of(made, list(names))))
            gone += found.gone
            found.gone = []
            self._brake(found, len(before))
            _refuse(self._write(found))
        if gone:
            self._pipeline.delete(gone)
        return count

    def add_columns(self, names: Iterable[str]) -> None:
        """Add the columns that the CSV, if it leads, has not; PostgreSQL has them all."""
        lacking = set(names) - set(self.columns())
        if lacking:
            self._pipeline.add_columns([name for name in BY_NAME if name in lacking])

    def back_up(self, operation: str) -> Path:
        """Copy what the side that leads holds into the folder of the copies."""
        csv, phase = self._pipeline.csv, self._pipeline.in_force().phase
        copies = Backups(self._pipeline.settings.csv_backup.backup_dir, 0, compress=True)
        named = copy_name(self.path, operation)
        with ExitStack() as stack:
            if phase.authority is Side.POSTGRES:
                rendered = stack.enter_context(csv.scratch())
                self._pipeline.render(rendered)
                return copies.copy(rendered.path, named)
            with csv.held():
                pinned = stack.enter_context(csv.pinned())
            return copies.copy(pinned.path, named)

    def _known(self, row: Mapping[str, object]) -> Row:
        return {name: text(cell) for name, cell in row.items() if self._is_known(name)}

    def _is_known(self, name: object) -> bool:
        if name not in BY_NAME:
            _log.warning("the contract has no column %.80r: it is left out", name)
            return False
        return True

    def _brake(self, found: Difference, stored: int) -> None:
        for lost, what in (
            (len(found.gone), "be gone"),
            (len(found.emptied), "lose what a cell of theirs holds"),
        ):
            if self._pipeline.brakes.stop(lost, stored):
                raise ProtectedError(
                    f"{lost} of {stored} people would {what}",
                    code="brake",
                    place=Place(file=str(self.path)),
                    hint="Nothing was written. A script that builds its records anew reads the table first, "
                    "and fills in what is there; people who are to go: `ingest delete --accept-loss`.",
                )

    def _write(self, found: Difference) -> dict[str, PipelineError]:
        """Write what was found; gives whose cells are not written, and why."""
        # Each new person comes on top of those before.
        filled = {
            row_id: {name: cell for name, cell in cells.items() if cell or name in NEEDED_TO_CREATE}
            for row_id, cells in reversed(found.new.items())
        }
        writes: list[Write] = []
        left: dict[str, PipelineError] = {}
        for row_id, cells in (*found.changed.items(), *filled.items()):
            try:
                writes.append(checked(row_id, cells))
            except InputRefusedError as error:
                left[row_id] = error
        widened = False
        if found.gone:
            try:
                self._pipeline.delete(found.gone)
            except UnavailableError as error:
                # The CSV may still take in what others have become.
                left |= dict.fromkeys(found.gone, error)
        while writes:
            done = 0
            try:
                for _receipt in self._pipeline.write_each(writes):
                    done += 1
            except InputRefusedError as error:
                if error.code == "column_not_in_csv" and not widened:
                    self.add_columns({name for write in writes for name in write.cells})
                    widened = True
                else:
                    left[writes[done].row_id] = error
                    done += 1
            except PipelineError as error:
                left |= {write.row_id: error for write in writes[done:]}
                break
            writes = writes[done:]
        return left


def _refuse(left: Mapping[str, PipelineError]) -> None:
    """Raise why the first of some people was not written, if there are any."""
    if len(left) > 1:
        _log.error("%d people are not written; this is why the first of them is not", len(left))
    for error in left.values():
        raise error
