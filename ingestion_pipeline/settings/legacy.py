"""What the legacy program's keys say: its flags describe a phase, and its columns must be the contract's."""

from itertools import zip_longest
from pathlib import Path

from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.errors import Place, SettingsError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings.sections import CsvColumns, Sections


def phase_of_flags(sections: Sections) -> Phase | None:
    """What the legacy flags ask for; None when they do not say."""
    enabled, flags = sections.database.enabled, sections.migration
    # Exports exist in every phase, so that flag alone says nothing.
    if enabled is not False and flags.dual_write_enabled is None and flags.database_primary is None:
        return None
    if enabled and flags.database_primary:
        both = flags.dual_write_enabled or flags.csv_export_enabled
        return Phase.DATABASE_PRIMARY if both else Phase.DATABASE_NATIVE
    return Phase.DUAL_WRITE if enabled and flags.dual_write_enabled else Phase.ORIGINAL


def refuse_contradictions(sections: Sections, file: Path) -> None:
    """Refuse flags that need a database without one, and flags that describe another phase than the named."""
    flags = {f"migration.{name}": value for name, value in sections.migration if name != "phase"}
    for flag in ("migration.dual_write_enabled", "migration.database_primary"):
        if flags[flag] and not sections.database.enabled:
            raise _contradiction(
                f"{flag} is true, but database.enabled is not",
                file,
                "set database.enabled: true, or take the flag out and set migration.phase",
            )
    asked, described = sections.migration.phase, phase_of_flags(sections)
    if asked is not None and described not in (None, asked):
        flags["database.enabled"] = sections.database.enabled
        given = " and ".join(name for name, value in flags.items() if value is not None)
        message = f"migration.phase is {asked}, but {given} describe {described}"
        raise _contradiction(message, file, "keep migration.phase and take the others out")


def _contradiction(message: str, file: Path, hint: str) -> SettingsError:
    return SettingsError(message, "phase_contradiction", Place(file=str(file)), hint)


def refuse_other_columns(columns: CsvColumns, file: Path) -> None:
    """Refuse a list of columns that is not the contract's."""
    for mode in Mode:
        given, contract = getattr(columns, mode), header(mode)
        if given is not None and given != contract:
            raise SettingsError(
                f"csv_columns.{mode} is not the contract's list: {_first_difference(given, contract)}",
                "columns_disagree",
                Place(file=str(file)),
                f"take csv_columns.{mode} out; the contract is used without it",
            )


def _first_difference(given: tuple[str, ...], contract: tuple[str, ...]) -> str:
    pairs = enumerate(zip_longest(given, contract), start=1)
    number, name = next((number, ours) for number, (theirs, ours) in pairs if theirs != ours)
    return f"nothing may follow {contract[-1]}" if name is None else f"column {number} must be {name}"
