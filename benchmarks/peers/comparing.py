"""What others would compare two sides with."""

from pathlib import Path

from benchmarks import child, floors
from benchmarks.bench import Site, run
from benchmarks.child import Taken
from benchmarks.job import Contender, Role
from benchmarks.peers import lacking, with_programs
from benchmarks.peers.with_programs import checked

MOST = 100_000
"""Rows beyond which they take too long, or too much memory."""


def contenders(site: Site, synced: Path, csv: Path, *, cells: int, rows: int) -> list[Contender]:
    """pandas, EXCEPT and reladiff, that look at what is in the tables and at another file.

    Args:
        site: Where the tables are.
        synced: The file that is in them; reladiff, which reads no file, gets both as tables.
        csv: The other one.
        cells: Rows of which one cell differs.
        rows: Rows that one side lacks.
    """

    def frames() -> Taken:
        taken = child.work("benchmarks.peers.with_pandas:compare", site.url, str(csv))
        return checked(taken, found=taken.answer["differences"], wanted=cells + rows)

    def two_tables() -> None:
        for name, path in (("flat", synced), ("here", csv)):
            floors.create_flat(site.url, name)
            floors.copy_in(site.url, path, name)
            run(site.url, f"CREATE UNIQUE INDEX ON {name} (row_id); ANALYZE {name}")

    # To EXCEPT a row that is another one is two.
    return [
        Contender(Role.PEER, "pandas", frames, most=MOST),
        Contender(
            Role.PEER, "EXCEPT", lambda: with_programs.excepted(site.url, csv, 2 * cells + rows), most=MOST
        ),
        Contender(
            Role.PEER,
            "reladiff, load not counted",
            lambda: with_programs.reladiff(site.url, cells + rows),
            two_tables,
            MOST,
            lacking("reladiff"),
        ),
    ]
