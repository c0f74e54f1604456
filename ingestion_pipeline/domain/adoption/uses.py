"""Which calls read, write or remove a file, and whether that file is the CSV."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ingestion_pipeline.domain.adoption.access import Certainty, Use, What
from ingestion_pipeline.domain.adoption.called import Called
from ingestion_pipeline.domain.adoption.target import Target, join, name
from ingestion_pipeline.domain.adoption.values import Atom, Handle, Items, Text, Value, texts

_IMPORT = "from ingestion_pipeline.legacy import"
READ_CHANGE = f"{_IMPORT} safe_csv_read; then safe_csv_read(path)"
WRITE_CHANGE = f"{_IMPORT} safe_csv_write; then safe_csv_write(frame, path)"
ROWS_CHANGE = f"{_IMPORT} atomic_csv_update; then with atomic_csv_update(path, fieldnames)"
COPY_CHANGE = f"{_IMPORT} create_csv_backup; then create_csv_backup(path)"
REMOVE_CHANGE = "take it out; `ingest restore` brings an older state back"
_CHANGES = {What.READS: READ_CHANGE, What.WRITES: ROWS_CHANGE, What.REMOVES: REMOVE_CHANGE}


@dataclass(frozen=True, slots=True)
class _Argument:
    """Where a function takes a path, and what it does to it."""

    place: int
    names: tuple[str, ...]
    effect: What
    change: str


def _reads(place: int, *names: str, change: str = READ_CHANGE) -> _Argument:
    return _Argument(place, names, What.READS, change)


def _writes(place: int, *names: str, change: str = ROWS_CHANGE) -> _Argument:
    return _Argument(place, names, What.WRITES, change)


def _removes(place: int, *names: str) -> _Argument:
    return _Argument(place, names, What.REMOVES, REMOVE_CHANGE)


_COPY = (_reads(0, "src", change=COPY_CHANGE), _writes(1, "dst"))
_MOVE = (_removes(0, "src"), _writes(1, "dst"))
_FUNCTIONS: Mapping[str, tuple[_Argument, ...]] = {
    "os.replace": _MOVE,
    "os.rename": _MOVE,
    "os.renames": _MOVE,
    "shutil.move": _MOVE,
    "os.remove": (_removes(0, "path"),),
    "os.unlink": (_removes(0, "path"),),
    "os.truncate": (_writes(0, "path"),),
    "os.link": (_writes(1, "dst"),),
    "os.symlink": (_writes(1, "dst"),),
    "shutil.copy": _COPY,
    "shutil.copy2": _COPY,
    "shutil.copyfile": _COPY,
    "linecache.getline": (_reads(0, "filename"),),
    "linecache.getlines": (_reads(0, "filename"),),
    "numpy.loadtxt": (_reads(0, "fname"),),
    "numpy.genfromtxt": (_reads(0, "fname"),),
    "numpy.savetxt": (_writes(0, "fname", change=WRITE_CHANGE),),
    "csv.reader": (_reads(0, "csvfile"),),
    "csv.DictReader": (_reads(0, "f"),),
    "csv.writer": (_writes(0, "csvfile"),),
    "csv.DictWriter": (_writes(0, "f"),),
}
_METHODS: Mapping[str, tuple[_Argument, ...]] = {
    "read_csv": (_reads(0, "filepath_or_buffer", "source", "path", "urlpath"),),
    "read_table": (_reads(0, "filepath_or_buffer"),),
    "read_fwf": (_reads(0, "filepath_or_buffer"),),
    "scan_csv": (_reads(0, "source"),),
    "to_csv": (_writes(0, "path_or_buf", "filename", change=WRITE_CHANGE),),
    "write_csv": (_writes(0, "file", "path", change=WRITE_CHANGE),),
    "upload_file": (_reads(0, "Filename", change="`ingest export`"),),
    "download_file": (_writes(2, "Filename", change="`ingest restore`"),),
}
_ON_PATHS: Mapping[str, tuple[What, str]] = {
    "read_text": (What.READS, READ_CHANGE),
    "read_bytes": (What.READS, READ_CHANGE),
    "write_text": (What.WRITES, ROWS_CHANGE),
    "write_bytes": (What.WRITES, ROWS_CHANGE),
    "touch": (What.WRITES, REMOVE_CHANGE),
    "symlink_to": (What.WRITES, REMOVE_CHANGE),
    "hardlink_to": (What.WRITES, REMOVE_CHANGE),
    "unlink": (What.REMOVES, REMOVE_CHANGE),
}
_OPENS = {
    "builtins.open": 1,
    "io.open": 1,
    "codecs.open": 1,
    "gzip.open": 1,
    "bz2.open": 1,
    "lzma.open": 1,
    "aiofiles.open": 1,
    "os.open": 1,
    "fileinput.input": -1,
    "fileinput.FileInput": -1,
}
_CLASSES = {"DataFrame", "Series", "LazyFrame", "Path", "PosixPath", "WindowsPath"}
_MODES = frozenset("rwabxt+U")


def is_open(called: Called) -> bool:
    """Whether a call opens the file that its first argument names."""
    return called.name in _OPENS


def uses(called: Called, target: Target) -> Iterator[Use]:
    """What a call does to the CSV."""
    called = _of_first(called)
    if is_open(called):
        yield from _opening(called, target)
    elif called.name in _FUNCTIONS:
        yield from _passing(called, _FUNCTIONS[called.name], called.name, target)
        if called.name.startswith("shutil."):
            yield from _into_folder(called, target)
    elif called.name == "shutil.rmtree":
        yield from _whole_folder(called, target)
    elif called.method in _METHODS:
        yield from _passing(called, _METHODS[called.method], called.name or called.method, target)
    elif called.method == "load_output_csv" and called.name == "builtins.load_output_csv":
        yield Use(What.READS, "load_output_csv() from elsewhere", Certainty.LIKELY, READ_CHANGE)
    else:
        yield from _on_path(called, target)


def _of_first(called: Called) -> Called:
    """A method that is called by its class is one of its first argument: `DataFrame.to_csv(frame, path)`."""
    if called.name.rpartition(".")[0].rpartition(".")[2] not in _CLASSES or not called.args:
        return called
    if called.method not in (*_METHODS, *_ON_PATHS, "open", "rename", "replace"):
        return called
    parts = {
        key - 1 if isinstance(key, int) else key: part for key, part in called.parts.items() if key != -1
    }
    return replace(called, name="", receiver=called.args[0], args=called.args[1:], parts=parts)


def _passing(called: Called, arguments: tuple[_Argument, ...], shown: str, target: Target) -> Iterator[Use]:
    for each in arguments:
        value = called.argument(each.place, *each.names)
        found = certainty(value, target)
        if found is not None:
            how = f"{shown} {_of(called.spelled(each.place, *each.names), value, target)}"
            yield Use(each.effect, how, found, each.change)


def _opening(called: Called, target: Target) -> Iterator[Use]:
    names = ("file", "filename", "files", "path")
    value = called.argument(0, *names)
    value = frozenset(each for atom in value for each in _listed(atom))
    found = certainty(value, target)
    if found is None:
        return
    effect, mode = _effect_of_mode(called, _OPENS[called.name])
    how = f"{called.name.removeprefix('builtins.')} {_of(called.spelled(0, *names), value, target)}{mode}"
    yield Use(effect, how, found, _CHANGES[effect])


def _listed(atom: Atom) -> Iterator[Atom]:
    if isinstance(atom, Items):
        for value in atom.values:
            yield from value
    else:
        yield atom


def _effect_of_mode(called: Called, place: int) -> tuple[What, str]:
    if called.name == "os.open":
        flags = called.spelled(1, "flags")
        writing = any(flag in flags for flag in ("WRONLY", "RDWR", "CREAT", "TRUNC", "APPEND"))
        return (What.WRITES if writing else What.READS), ""
    if place < 0:
        given = called.parts.get("inplace")
        inplace = given is not None and called.spelled(-2, "inplace") != "False"
        return (What.WRITES, " in place") if inplace else (What.READS, "")
    mode = called.argument(place, "mode")
    if not mode:
        return What.READS, ""
    modes = [each.text for each in texts(mode)]
    if all(set(each) <= _MODES and not set(each) & set("wax+") for each in modes):
        return What.READS, ""
    return What.WRITES, f", mode {called.spelled(place, 'mode')}"


def _into_folder(called: Called, target: Target) -> Iterator[Use]:
    """A copy into the CSV's folder that keeps the name."""
    folders = texts(called.argument(1, "dst")) if called.argument(1, "dst") else []
    sources = texts(called.argument(0, "src")) if called.argument(0, "src") else []
    for folder in folders:
        if target.is_folder(folder.text) and any(
            target.match(join(folder.text, name(source.text))) for source in sources
        ):
            how = f"{called.name} into {called.spelled(1, 'dst')}"
            yield Use(What.WRITES, how, Certainty.LIKELY, ROWS_CHANGE)


def _whole_folder(called: Called, target: Target) -> Iterator[Use]:
    if any(target.is_folder(each.text) for each in texts(called.argument(0, "path"))):
        how = f"shutil.rmtree of {called.spelled(0, 'path')}, the CSV's folder"
        yield Use(What.REMOVES, how, Certainty.LIKELY, REMOVE_CHANGE)


def _on_path(called: Called, target: Target) -> Iterator[Use]:
    """Methods of a path, which a text has not: a text's `replace` takes two."""
    if called.method in ("rename", "replace") and len(called.args) + len(called.keywords) == 1:
        moved = certainty(called.receiver, target)
        if moved is not None:
            yield Use(What.REMOVES, _shown_method(called, target), moved, REMOVE_CHANGE)
        onto = certainty(called.argument(0, "target"), target)
        if onto is not None:
            how = f".{called.method} onto {called.spelled(0, 'target')}"
            yield Use(What.WRITES, how, onto, ROWS_CHANGE)
        return
    found = certainty(called.receiver, target) if called.method in (*_ON_PATHS, "open") else None
    if found is None or any(isinstance(atom, Handle) for atom in called.receiver):
        return
    if called.method == "open":
        effect, mode = _effect_of_mode(called, 0)
        yield Use(effect, _shown_method(called, target) + mode, found, _CHANGES[effect])
    else:
        effect, change = _ON_PATHS[called.method]
        yield Use(effect, _shown_method(called, target), found, change)


def _shown_method(called: Called, target: Target) -> str:
    return f".{called.method} {_of(called.spelled(-1), called.receiver, target)}"


def certainty(value: Value, target: Target) -> Certainty | None:
    """Whether a value is the CSV's path, or the CSV opened."""
    found = [(_as_text(atom), atom) for atom in value]
    matches = [target.match(each.text) if each else None for each, _ in found]
    if not any(matches):
        return None
    sure = all(match is Certainty.CERTAIN for match in matches)
    loose = any(each is not None and each.loose for each, _ in found)
    return Certainty.CERTAIN if sure and not loose else Certainty.LIKELY


def _as_text(atom: object) -> Text | None:
    if isinstance(atom, Handle):
        return atom.path
    return atom if isinstance(atom, Text) else None


def _of(shown: str, value: Value, target: Target) -> str:
    """`of CSV (CSV of settings.py)`: the argument as it is spelled, and where its text comes from."""
    known = sorted(
        {each.origin for each in map(_as_text, value) if each and each.origin and target.match(each.text)}
    )
    origin = f" ({known[0]})" if known and known[0] != shown else ""
    return f"of {shown}{origin}"
