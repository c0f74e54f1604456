"""A normalised copy: the same cells, spelled one way throughout, with every change named."""

from pathlib import Path

from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting
from ingestion_pipeline.domain.errors import Place, ProtectedError
from ingestion_pipeline.domain.reports import Normalised, Respelled
from ingestion_pipeline.stores.atomic import Draft, digest, draft, refuse_unless_file
from ingestion_pipeline.stores.disk.csv_reading import CsvReading
from ingestion_pipeline.stores.disk.spelling import parting, spell


def _create(new: Draft, target: Path) -> None:
    refuse_unless_file(target)
    try:
        new.create()
    except FileExistsError:
        if digest(target).sha256 != new.sha256:
            raise ProtectedError(
                "there is another file where the normalised copy would go",
                code="file_in_the_way",
                place=Place(file=str(target)),
                hint="Move it away, then run this again.",
            ) from None


def normalise(source: Path, target: Path) -> Normalised:
    """Write a copy with minimal quoting, LF line ends, no BOM and a final newline.

    No cell's text is changed: what the csv module reads from the source, it reads from the copy.

    Raises:
        InputRefusedError: The source is not readable as this table at all; the error says where.
    """
    changes: list[Respelled] = []
    with CsvReading(source) as file, draft(target) as new:
        before = file.dialect.header()
        after = Dialect(file.columns).header()
        if before != after or file.head != before:
            changes.append(Respelled(1, None))
        new.write(after)
        for line, row, text in file.plain_rows():
            spelled = spell([row], Quoting.MINIMAL, LineEnd.LF)
            if spelled != text:
                _, cell, _ = parting([row], text, Quoting.MINIMAL, LineEnd.LF)
                changes.append(Respelled(line, file.columns[min(cell, len(row) - 1)]))
            new.write(spelled.encode())
        _create(new, target)
    return Normalised(str(target), tuple(changes))
