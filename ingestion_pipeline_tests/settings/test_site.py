"""Loading: what wins, where paths start, what is left alone, and that nothing secret is ever said."""

import logging
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import load_settings
from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse

SHIPPED = Path(__file__).parent.parent.parent / "config" / "config.yaml"


def test_an_empty_file_takes_every_default(load: Load, tmp_path: Path) -> None:
    settings = load("")
    assert settings.paths.output_csv == tmp_path / "outputs" / "output.csv"
    assert settings.paths.state_dir == tmp_path / ".ingestion"
    assert settings.database_url is None
    assert settings.wanted_phase is Phase.ORIGINAL
    assert (settings.brakes.rows, settings.brakes.percent) == (20, 5.0)
    assert settings.database.connection_pool.max_connections == 10


def test_the_file_wins_over_the_default_and_the_environment_over_the_file(load: Load) -> None:
    assert load("database: {port: 1111}").database.port == 1111
    settings = load("database: {port: 1111, name: kept}", INGESTION__DATABASE__PORT="2222")
    assert (settings.database.port, settings.database.name) == (2222, "kept")


def test_database_url_wins_over_everything_about_the_server(load: Load) -> None:
    settings = load(
        "database: {host: localhost, name: file}",
        INGESTION__DATABASE__HOST="127.0.0.2",
        DATABASE_URL="postgresql://u:p@127.0.0.3:6543/url",
    )
    assert settings.describe_database() == "127.0.0.3:6543/url"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:p@127.0.0.3:6543/url"


def test_the_environment_is_read_once(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load("database: {host: localhost}")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.3/later")
    assert settings.describe_database() == "localhost:5432/ingestion"


def test_settings_are_frozen(load: Load) -> None:
    settings = load("")
    with pytest.raises(pydantic.ValidationError):
        settings.base = Path("/")
    with pytest.raises(pydantic.ValidationError):
        settings.database.port = 1


def test_a_named_file_wins_over_the_variable_and_that_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    files = [tmp_path / "config" / "config.yaml", tmp_path / "variable.yaml", tmp_path / "argument.yaml"]
    for file in files:
        file.write_text("")
    assert load_settings().config_file == files[0]
    monkeypatch.setenv("INGESTION_CONFIG", "variable.yaml")
    assert load_settings().config_file == files[1]
    assert load_settings("argument.yaml").config_file == files[2]


@pytest.mark.parametrize("named", [None, "absent.yaml", "."])
def test_a_missing_file_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load_settings(named)
    assert caught.value.code == "config_missing"
    assert ("make config/config.yaml" in caught.value.hint) == (named is None)


def test_relative_paths_start_where_the_config_folder_lies(load: Load, tmp_path: Path) -> None:
    settings = load("{paths: {output_csv: a.csv}, exports: {folder: /abs}, csv_backup: {backup_dir: ../b}}")
    assert settings.base == tmp_path
    assert settings.paths.output_csv == tmp_path / "a.csv"
    assert settings.exports.folder == Path("/abs")
    assert settings.csv_backup.backup_dir == tmp_path / ".." / "b"


def test_relative_paths_of_another_file_start_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "prod.yaml").write_text("database: {host: localhost, sslrootcert: ca.crt}")
    monkeypatch.chdir(tmp_path)
    settings = load_settings("config/../config/prod.yaml")
    assert settings.base == tmp_path / "config"
    assert settings.config_file == tmp_path / "config" / "prod.yaml"
    assert settings.exports.folder == tmp_path / "config" / "exports"
    assert settings.database.sslrootcert == tmp_path / "config" / "ca.crt"


def test_the_environment_s_paths_are_relative_to_the_same_folder(load: Load, tmp_path: Path) -> None:
    assert load("", INGESTION__PATHS__STATE_DIR="s").paths.state_dir == tmp_path / "s"


def test_the_machine_s_own_certificates_are_not_a_path(load: Load) -> None:
    assert load("database: {sslrootcert: system}").database.sslrootcert == Path("system")


def test_foreign_sections_are_left_alone(load: Load) -> None:
    settings = load(
        "{retry: {a: '${NOT_SET}'}, downloads: {b: '${NOT_SET}', s3: {c: '${NOT_SET}', aws_profile: p}}}"
    )
    assert settings.ignored_sections == ("retry",)
    assert settings.downloads.s3.aws_profile == "p"


@pytest.mark.parametrize("text", ["paths: {input_sheet: x}", "downloads: {folder: x, s3: {bucket_map: {}}}"])
def test_the_legacy_program_s_keys_beside_ours_are_let_be(load: Load, text: str) -> None:
    assert load(text).ignored_sections == ()


def test_near_misses_among_the_ignored_are_told(load: Load) -> None:
    settings = load("{databse: {}, google_sheets: {}, retry: {}, web_scraping: {}, logging: {}, export: {}}")
    assert settings.near_misses() == (("databse", "database"), ("export", "exports"))
    assert "google_sheets" in settings.ignored_sections


def test_the_file_cannot_set_what_is_not_a_section(load: Load, tmp_path: Path) -> None:
    settings = load("{base: /elsewhere, config_file: x, environment_url: 'postgresql://other/x'}")
    assert settings.base == tmp_path
    assert settings.database_url is None


def test_a_password_of_digits_wants_quotes(refuse: Refuse) -> None:
    assert refuse("database: {password: 12345}").hint == "put the value in quotes"


def test_a_bad_variable_is_named_instead_of_the_file(refuse: Refuse) -> None:
    error = refuse("database: {port: 1}", INGESTION__DATABASE__PORT=CANARY)
    assert "INGESTION__DATABASE__PORT" in error.message
    assert error.place.file is None


def test_neither_repr_nor_summary_show_secrets(load: Load) -> None:
    settings = load(f"database: {{host: localhost, password: {CANARY}, user: someone}}")
    assert CANARY not in f"{settings!r}{settings}{settings.database_url!r}{settings.describe_database()}"
    with_url = load("", DATABASE_URL=f"postgresql://someone:{CANARY}@localhost/x?sslpassword={CANARY}")
    assert CANARY not in f"{with_url!r}{with_url}{with_url.database_url!r}{with_url.describe_database()}"
    assert "someone" not in with_url.describe_database()


@pytest.mark.parametrize(
    "text", ["database:\nmigration:\n", "database: {port: , connection_pool: , password: }"]
)
def test_a_key_without_a_value_is_not_set(load: Load, text: str) -> None:
    assert load(text).database.port == 5432


def test_the_embedded_database_is_described(load: Load, tmp_path: Path) -> None:
    assert load("").describe_database() == f"embedded (under {tmp_path / '.ingestion'})"


def test_the_shipped_file_loads_and_ignores_nothing() -> None:
    settings = load_settings(SHIPPED)
    assert settings.wanted_phase is Phase.DUAL_WRITE
    assert settings.base == SHIPPED.parent.parent
    assert settings.paths.output_csv == settings.base / "outputs" / "output.csv"
    assert settings.database_url is None
    assert settings.ignored_sections == ()


def test_the_shipped_file_shows_the_defaults(load: Load) -> None:
    unlike = {"config_file", "base", "migration"}
    defaults, shipped = load(""), load(SHIPPED.read_bytes())
    assert shipped.model_dump(exclude=unlike) == defaults.model_dump(exclude=unlike)


def test_the_shipped_file_s_password_comes_from_the_environment(load: Load) -> None:
    assert load(SHIPPED.read_bytes(), DB_PASSWORD=CANARY).database.password.get_secret_value() == CANARY


def test_settings_load_without_the_heavy_libraries() -> None:
    heavy = "{'dagster', 'pandas', 'sqlalchemy', 'boto3'}"
    code = f"import sys, ingestion_pipeline.settings; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_loading_logs_no_value(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    load(
        f"{{exports: {{prefix: {CANARY}}}, database: {{password: '${{SECRET}}'}}}}",
        SECRET=CANARY,
        INGESTION__DATABASE__USER=CANARY,
        DATABASE_URL=f"postgresql://u:{CANARY}@localhost/x",
    )
    assert CANARY not in caplog.text


def test_what_pydantic_found_is_not_chained(refuse: Refuse) -> None:
    error = refuse(f"database: {{password: [{CANARY}]}}")
    assert error.__cause__ is None
    assert error.__context__ is None
