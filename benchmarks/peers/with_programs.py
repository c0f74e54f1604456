"""Programs: pgloader, csvsql, reladiff, and EXCEPT in psql."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks import child
from benchmarks.bench import psql
from benchmarks.child import FailedError, Taken
from benchmarks.floors import AS_TEXT, JOINED, NAMES
from benchmarks.peers import program
from benchmarks.shapes import COLUMNS


def pgloader(url: str, path: Path, script: Path) -> Taken:
    """A file into one table of text."""
    script.write_text(
        f"LOAD CSV FROM '{path}' HAVING FIELDS ({NAMES})\n"
        f"INTO {_for_pgloader(url)} TARGET TABLE flat ({NAMES})\n"
        "WITH skip header = 1, fields optionally enclosed by '\"', fields escaped by double-quote,\n"
        "fields terminated by ',';\n",
        encoding="utf-8",
    )
    return child.program(str(program("pgloader")), "--no-ssl-cert-verification", script, cwd=path.parent)


def _for_pgloader(url: str) -> str:
    """The URL as pgloader wants it: a socket's folder where the host would be."""
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    if "host" not in asked:
        return url
    host, [port] = asked["host"][0], asked.get("port", ["5432"])
    return f"postgresql://{parts.username}@unix:{host}:{port}{parts.path}"


def csvsql(url: str, path: Path) -> Taken:
    """A file into one table of text."""
    told = url.replace("postgresql://", "postgresql+psycopg2://", 1)
    words = ("--db", told, "--insert", "--no-create", "--no-inference", "--tables", "flat")
    return child.program(str(program("csvsql")), *words, path)


def reladiff(url: str, different: int) -> Taken:
    """Tables flat and here, by all columns; so many rows must differ."""
    columns = [word for column in COLUMNS if column != "row_id" for word in ("-c", column)]
    told, env = _for_reladiff(url)
    words = (told, "flat", "here", "-k", "row_id", *columns, "--stats", "--algorithm", "hashdiff")
    taken = child.program(str(program("reladiff")), *words, env=env)
    counted = re.findall(r"^(\d+) rows (?:exclusive|updated)", taken.answer["text"], re.MULTILINE)
    # It ends well even where it cannot connect.
    return checked(taken, found=sum(map(int, counted)) if counted else -1, wanted=different)


def _for_reladiff(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its question, which it does not read, and that in the environment."""
    parts = urlsplit(url)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    told = url.partition("?")[0] if not asked else f"postgresql://{parts.username}@{parts.path}"
    return told, {f"PG{name.upper()}": asked[name] for name in ("host", "port") if name in asked}


def excepted(url: str, path: Path, different: int) -> Taken:
    """The file into a temporary table, and EXCEPT both ways; so many rows must be found."""
    there = f"SELECT {AS_TEXT} {JOINED}"
    here = f"SELECT {NAMES} FROM here"  # noqa: S608 - our own names
    columns = ", ".join(f"{column} text" for column in COLUMNS)
    taken = psql(
        url,
        f"CREATE TEMP TABLE here ({columns})",
        f"\\copy here FROM '{path}' WITH (FORMAT csv, HEADER, FORCE_NOT_NULL ({NAMES}))",
        f"SELECT count(*) FROM ({here} EXCEPT ALL {there}) AS one",  # noqa: S608 - our own names
        f"SELECT count(*) FROM ({there} EXCEPT ALL {here}) AS one",  # noqa: S608 - our own names
    )
    return checked(taken, found=sum(map(int, taken.answer["text"].split())), wanted=different)


def checked(taken: Taken, *, found: int, wanted: int) -> Taken:
    """What was taken, where what was found is what was wanted."""
    if found != wanted:
        raise FailedError(f"{found} were found in the place of {wanted}")
    return taken
