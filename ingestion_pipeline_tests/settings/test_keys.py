"""A wrong key is named, with the one that may be meant."""

from pathlib import Path

import pytest

from ingestion_pipeline_tests.settings.conftest import CANARY, Refuse


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("database: {hots: x}", "database.hots", "did you mean database.host?"),
        (
            "database: {connection_pool: {max_conections: 1}}",
            "database.connection_pool.max_conections",
            "did you mean database.connection_pool.max_connections?",
        ),
        ("paths: {output_cvs: x}", "paths.output_cvs", "did you mean paths.output_csv?"),
        ("brakes: {zzz: 1}", "brakes.zzz", "known here: rows, percent"),
        ("brakes: {zzz: }", "brakes.zzz", "known here: rows, percent"),
        ("brakes: {1: 1}", "brakes.1", "known here: rows, percent"),
    ],
)
def test_an_unknown_key_names_the_nearest(
    refuse: Refuse, tmp_path: Path, text: str, key: str, hint: str
) -> None:
    error = refuse(text)
    assert (error.code, error.message, error.hint) == ("unknown_key", f"unknown key {key}", hint)
    assert error.place.file == str(tmp_path / "config" / "config.yaml")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("INGESTION__DATABASE__HOTS", "did you mean database.host?"),
        ("INGESTION__DATABSE__HOST", "did you mean database.host?"),
        ("INGESTION__PATHS__TMP_DIRECTORY", "known here: output_csv, state_dir"),
        ("INGESTION__BRAKES", "known here: rows, percent"),
        (
            "INGESTION__DATABASE__CONNECTION_POOL",
            "known here: min_connections, max_connections, timeout",
        ),
        ("INGESTION__DATABASE__PORT__X", "did you mean database.port?"),
        ("INGESTION__RETRY__TIMES", "known here: paths,"),
        ("INGESTION__CONFIG_FILE", "known here: paths,"),
        ("INGESTION__", "known here: paths,"),
    ],
)
def test_an_unknown_variable_is_named(refuse: Refuse, variable: str, hint: str) -> None:
    error = refuse("", **{variable: CANARY})
    assert error.code == "unknown_key"
    assert variable in error.message
    assert hint in error.hint
