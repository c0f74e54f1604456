"""The legacy program's flags describe a phase, and its columns must be the contract's."""

from collections.abc import Callable

import pytest

from ingestion_pipeline.domain.columns import Mode, header
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse


def spelled(flag: bool | None) -> str:  # noqa: FBT001 - a flag is what is spelled
    return "" if flag is None else str(flag).lower()


def flags(
    *, dual: bool | None = None, export: bool | None = None, primary: bool | None = None, phase: str = ""
) -> str:
    return (
        f"migration: {{dual_write_enabled: {spelled(dual)}, csv_export_enabled: {spelled(export)}, "
        f"database_primary: {spelled(primary)}, phase: {phase}}}\n"
    )


@pytest.mark.parametrize(
    ("enabled", "dual", "export", "primary", "phase"),
    [
        (None, None, None, None, "original"),
        (None, False, False, False, "original"),
        (False, False, False, False, "original"),
        (False, None, True, None, "original"),
        (True, None, None, None, "original"),
        (True, False, True, False, "original"),
        (True, True, None, None, "dual_write"),
        (True, True, True, False, "dual_write"),
        (True, None, True, True, "database_primary"),
        (True, True, False, True, "database_primary"),
        (True, True, True, True, "database_primary"),
        (True, False, False, True, "database_native"),
        (True, None, None, True, "database_native"),
    ],
)
def test_the_legacy_flags_describe_a_phase(
    load: Load,
    *,
    enabled: bool | None,
    dual: bool | None,
    export: bool | None,
    primary: bool | None,
    phase: str,
) -> None:
    text = f"database: {{enabled: {spelled(enabled)}}}\n" + flags(dual=dual, export=export, primary=primary)
    assert load(text).wanted_phase is Phase(phase)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("database", ["", "database: {enabled: true}\n"])
def test_the_phase_may_be_named(load: Load, phase: Phase, database: str) -> None:
    assert load(database + flags(phase=phase)).wanted_phase is phase
    assert load(database + flags(phase=phase, export=True)).wanted_phase is phase
    assert load(database, INGESTION__MIGRATION__PHASE=phase).wanted_phase is phase


@pytest.mark.parametrize("enabled", ["enabled: false", "enabled: "])
@pytest.mark.parametrize("flag", ["dual_write_enabled", "database_primary"])
def test_a_flag_that_needs_the_database_needs_it_enabled(refuse: Refuse, enabled: str, flag: str) -> None:
    error = refuse(f"database: {{{enabled}}}\nmigration: {{{flag}: true}}")
    assert error.code == "phase_contradiction"
    assert f"migration.{flag}" in error.message
    assert "database.enabled" in error.message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("database: {enabled: false}\nmigration: {phase: dual_write}", ["database.enabled"]),
        ("migration: {phase: dual_write, dual_write_enabled: false}", ["migration.dual_write_enabled"]),
        (
            "database: {enabled: true}\nmigration: {phase: original, dual_write_enabled: true}",
            ["database.enabled", "migration.dual_write_enabled"],
        ),
        (
            "database: {enabled: true}\n" + flags(phase="database_native", primary=True, export=True),
            ["migration.csv_export_enabled", "migration.database_primary"],
        ),
    ],
)
def test_a_phase_and_flags_that_describe_another_are_refused(
    refuse: Refuse, text: str, named: list[str]
) -> None:
    error = refuse(text)
    assert error.code == "phase_contradiction"
    assert all(key in error.message for key in ["migration.phase", *named])


def test_a_phase_and_flags_that_agree_are_taken(load: Load) -> None:
    text = "database: {enabled: true}\n" + flags(dual=True, primary=False, phase="dual_write")
    assert load(text).wanted_phase is Phase.DUAL_WRITE


@pytest.mark.parametrize("mode", list(Mode))
def test_columns_that_agree_are_taken(load: Load, mode: Mode) -> None:
    assert load(f"csv_columns: {{{mode}: [{', '.join(header(mode))}]}}").csv_columns


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda names: [names[0], names[2], names[1], *names[3:]], "column 2 must be name"),
        (lambda names: names[:-1], "column 5 must be link"),
        (lambda names: [*names, CANARY], "nothing may follow link"),
        (lambda names: [*names[:2], CANARY, *names[3:]], "column 3 must be email"),
        (lambda _: [], "column 1 must be row_id"),
    ],
)
def test_columns_that_disagree_are_refused(
    refuse: Refuse, change: Callable[[list[str]], list[str]], said: str
) -> None:
    error = refuse(f"csv_columns: {{basic: [{', '.join(change(list(header(Mode.BASIC))))}]}}")
    assert error.code == "columns_disagree"
    assert error.message == f"csv_columns.basic is not the contract's list: {said}"
