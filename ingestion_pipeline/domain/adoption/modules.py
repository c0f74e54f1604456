"""The modules of a checkout, and which of them an import means."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

OLD_MODULE = "csv_manager"
NEW_PACKAGE, NEW_NAME = "ingestion_pipeline", "legacy"
NEW_MODULE = f"{NEW_PACKAGE}.{NEW_NAME}"
_PACKAGE = "/__init__.py"


def dotted(file: str) -> tuple[str, ...]:
    """The parts of a module's name, by its file."""
    return tuple(file.removesuffix(_PACKAGE).removesuffix(".py").split("/"))


def absolute(file: str, module: str | None, level: int) -> str:
    """The dotted name that an import means, from the checkout's folder; `?` for packages above it."""
    if not level:
        return module or ""
    package = file.split("/")[:-1]
    climbed = level - 1
    above = package[: len(package) - climbed] if climbed <= len(package) else ["?"]
    return ".".join([*above, *([module] if module else [])])


@dataclass(slots=True)
class Modules:
    """The Python files of a checkout.

    Args:
        files: Their paths, with slashes.
    """

    files: Collection[str]
    _by_end: dict[str, list[tuple[str, ...]]] = field(init=False)
    _by_name: dict[tuple[str, ...], str] = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {dotted(file): file for file in sorted(self.files)}
        self._by_end = {}
        for each in self._by_name:
            self._by_end.setdefault(each[-1], []).append(each)

    def find(self, name: str, importer: str) -> str | None:
        """The file that an import means; None where the module is none of the checkout's.

        Args:
            name: The dotted name, absolute.
            importer: The file that imports it; a module beside it comes first where `sys.path` decides.
        """
        wanted = tuple(name.split("."))
        beside = tuple(importer.split("/")[:-1]) + wanted
        for each in (wanted, beside):
            if each in self._by_name:
                return self._by_name[each]
        ends = [each for each in self._by_end.get(wanted[-1], ()) if each[-len(wanted) :] == wanted]
        # Of several that fit, only the import path could tell.
        return self._by_name[ends[0]] if len(ends) == 1 else None

    def inner(self, package: str, name: str) -> str | None:
        """The file of a module in a package; None where there is none."""
        if not package.endswith(_PACKAGE):
            return None
        return self._by_name.get((*dotted(package), name))

    def is_old(self, name: str, importer: str) -> bool:
        """Whether an import means the old module, and not another of that name."""
        wanted = name.split(".")
        if wanted[-1] != OLD_MODULE:
            return False
        found = self.find(name, importer)
        if found is not None:
            return is_old_file(found, self.files)
        return wanted[:-1] == [] or wanted[-2] in ("utils", "?")


def is_old_file(file: str, files: Iterable[str]) -> bool:
    """Whether a file is the old module: in `utils`, or the only one of its name."""
    if not f"/{file}".endswith(f"/{OLD_MODULE}.py"):
        return False
    if f"/{file}".endswith(f"/utils/{OLD_MODULE}.py"):
        return True
    return not any(f"/{each}".endswith(f"/utils/{OLD_MODULE}.py") for each in files) and "/" not in file
