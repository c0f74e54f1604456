"""Adopting: reading an old checkout, and moving its imports over."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ingestion_pipeline.domain.adoption import Checkout, Findings, Target, Unreadable
from ingestion_pipeline.domain.adoption.shell_files import form
from ingestion_pipeline.domain.errors import Place, SettingsError
from ingestion_pipeline.settings.checkout import CONFIG, DEFAULT_CSV, configured_csv
from ingestion_pipeline.stores.sources import replace_source, sources, uncommitted


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What an old checkout does to the CSV.

    Attributes:
        root: The checkout's folder.
        csv: The CSV that was looked for, from that folder or absolute.
        findings: What was found, before anything was changed.
        changed: The files whose imports were changed.
        uncommitted: Whether git knew of changes that were not committed before.
    """

    root: Path
    csv: str
    findings: Findings
    changed: tuple[str, ...] = ()
    uncommitted: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left that touches the CSV, and every file could be read."""
        found = self.findings
        left = [one for one in found.accesses if not (one.patched and one.file in self.changed)]
        return not left and not found.unreadable


def adopt(
    path: Path, csv: str | None = None, *, write: bool = False, step: Callable[[int], None] = lambda _: None
) -> AdoptReport:
    """Look for everything that touches the CSV.

    Args:
        path: The checkout's folder, a folder in it, or one file.
        csv: The CSV's path; what the checkout's configuration says by default.
        write: Change the imports, and nothing else.
        step: Called for every file that was looked at once more.

    Raises:
        SettingsError: There is nothing to look at, or the checkout's configuration cannot be read.
        ProtectedError: A file was changed meanwhile; those before it are changed.
        UnavailableError: The disk refuses; those before it are changed.
    """
    below = _existing(path)
    root = _root(below)
    target = Target(csv or configured_csv(root) or DEFAULT_CSV, str(root))
    found = list(sources(root, below, lambda file, start: form(file, start) is not None))
    if not found:
        raise _nothing(path, "there is no script")
    files = {one.file: one.data for one in found if one.data is not None}
    findings = Checkout(files, target, lambda: step(1)).examine()
    refused = tuple(Unreadable(one.file, 1, one.why) for one in found if one.data is None)
    findings = replace(findings, unreadable=tuple(sorted((*findings.unreadable, *refused), key=_by_file)))
    report = AdoptReport(root, target.path, findings)
    return _written(report) if write else report


def _by_file(one: Unreadable) -> str:
    return one.file


def _written(report: AdoptReport) -> AdoptReport:
    dirty = bool(report.findings.patches) and uncommitted(report.root)
    for patch in report.findings.patches:
        replace_source(report.root, patch.file, patch.before, patch.after)
    changed = tuple(patch.file for patch in report.findings.patches)
    return replace(report, changed=changed, uncommitted=dirty)


def _existing(path: Path) -> Path:
    try:
        found = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise _nothing(path, "it cannot be found") from None
    if not found.is_dir() and not found.is_file():
        raise _nothing(path, "it is neither a folder nor a file")
    return found


def _nothing(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"there is nothing to look at: {why}",
        code="nothing_to_adopt",
        place=Place(file=str(path)),
        hint="Name the folder of the old scripts, or one of them: Python, shell, Makefile, crontab.",
    )


def _root(below: Path) -> Path:
    """The folder that paths start at: the nearest one with a configuration or a repository."""
    folder = below if below.is_dir() else below.parent
    marked = (
        each for each in (folder, *folder.parents) if (each / CONFIG).is_file() or (each / ".git").exists()
    )
    return next(marked, folder)
