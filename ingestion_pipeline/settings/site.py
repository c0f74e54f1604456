"""The settings of one site, and how they are loaded."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError

from ingestion_pipeline.domain.errors import Place, SettingsError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings import legacy, server
from ingestion_pipeline.settings.environment import expanded, overrides, read_environment, variable_of
from ingestion_pipeline.settings.hosts import this_host
from ingestion_pipeline.settings.keys import KEYS, SECTIONS, flat, is_section, nested, unknown_key
from ingestion_pipeline.settings.sections import Paths, Sections
from ingestion_pipeline.settings.yaml_file import read_yaml

DEFAULT_FILE = Path("config") / "config.yaml"
"""Where the configuration lies when nothing names another file."""


class Settings(Sections):
    """All settings of a site, frozen; made by `load_settings`.

    Attributes:
        config_file: The file they were read from, absolute.
        base: The folder relative paths start from, absolute.
        ignored_sections: The file's sections that belong to other programs.
        environment_url: DATABASE_URL, if it is set; it takes the place of `database`'s connection keys.
        host: What this host is called.
    """

    config_file: Path
    base: Path
    ignored_sections: tuple[str, ...] = ()
    environment_url: SecretStr | None = Field(default=None, repr=False)
    host: str = ""

    @property
    def wanted_phase(self) -> Phase:
        """The phase the configuration asks for; `original` when it asks for none."""
        return self.migration.phase or legacy.phase_of_flags(self) or Phase.ORIGINAL

    @property
    def database_url(self) -> SecretStr | None:
        """The server's `postgresql://` URL, for libpq and SQLAlchemy; None for the embedded server."""
        return self.environment_url or server.url_of_section(self.database)

    @property
    def replica_url(self) -> SecretStr | None:
        """The read replica's URL; None where there is none."""
        given = self.database.replica_url
        return None if given is None else server.url_of_text(given.get_secret_value(), "database.replica_url")

    @property
    def has_csv(self) -> bool:
        """Whether the CSV is on this host, as it is where no host is named."""
        return self.paths.csv_host in (None, self.host)

    def describe_database(self) -> str:
        """Which database is meant, for people: no user, no password."""
        if self.database_url is None:
            return f"embedded (under {self.paths.state_dir})"
        return server.describe(self.database_url)

    def near_misses(self) -> tuple[tuple[str, str], ...]:
        """The ignored sections that look like a misspelling, each with the section that may be meant."""
        pairs = ((name, get_close_matches(name, SECTIONS, 1, 0.75)) for name in self.ignored_sections)
        return tuple((name, close[0]) for name, close in pairs if close)


def load_settings(config: Path | str | None = None) -> Settings:
    """Read the configuration and the environment, once.

    Args:
        config: The file; without it INGESTION_CONFIG names it, else `config/config.yaml` here.

    Raises:
        SettingsError: The file is missing, cannot be read as YAML, or says what cannot be meant.
    """
    environment = read_environment()
    file = _config_file(config, environment)
    place, replaced = Place(file=str(file)), overrides(environment)
    tree = read_yaml(file)
    written = _written({name: tree[name] for name in SECTIONS if name in tree}, place)
    base = file.parent.parent if file.parts[-2:] == DEFAULT_FILE.parts else file.parent
    given = {key: expanded(value, key, environment, place) for key, value in written if key not in replaced}
    settings = _validated(
        {
            **nested(dict(_completed({**given, **replaced}, base))),
            "config_file": file,
            "base": base,
            "ignored_sections": tuple(str(key) for key in tree if key not in SECTIONS),
            "environment_url": server.url_of_environment(environment),
            "host": this_host(environment),
        },
        replaced,
    )
    legacy.refuse_contradictions(settings, file)
    legacy.refuse_other_columns(settings.csv_columns, file)
    _refuse_nothing_to_reach(settings, place)
    for url, where in (
        (settings.database_url, Place() if settings.environment_url else place),
        (settings.replica_url, place),
    ):
        if url is not None and not settings.database.allow_insecure:
            server.refuse_insecure(url, environment, where)
    return settings


def _refuse_nothing_to_reach(settings: Settings, place: Place) -> None:
    """Refuse a host that has neither the CSV nor a server that other hosts reach, too."""
    if not settings.has_csv and settings.database_url is None:
        raise SettingsError(
            f"the CSV is on host {settings.paths.csv_host}, this is {settings.host}, and no server is named",
            "no_server",
            place,
            "name the server in database.host or DATABASE_URL, or this host in paths.csv_host",
        )


def _config_file(config: Path | str | None, environment: Mapping[str, str]) -> Path:
    named = config or environment.get("INGESTION_CONFIG")
    # Not resolve(): behind a symbolic link `config/config.yaml` still belongs to the folder it is seen in.
    file = Path(os.path.normpath(Path(named or DEFAULT_FILE).absolute()))
    if file.is_file():
        return file
    hint = f"make {DEFAULT_FILE} (empty, it takes every default), or name a file in INGESTION_CONFIG"
    if named:
        hint = "check the name given on the command line or in INGESTION_CONFIG"
    raise SettingsError("there is no such configuration file", "config_missing", Place(file=str(file)), hint)


def _written(tree: Mapping[str, object], place: Place) -> Iterator[tuple[str, object]]:
    """The file's known keys; unknown ones are refused where they are not the legacy program's."""
    for key, value in flat(tree):
        section, _, name = key.partition(".")
        if key in KEYS:
            yield key, value
        elif is_section(key):
            if value is not None:
                raise _bad_value(key, "a section of keys is expected", place)
        elif section != "downloads" and (
            section != "paths" or get_close_matches(name, Paths.model_fields, 1, 0.8)
        ):
            raise unknown_key(key, place)


def _completed(given: Mapping[str, object], base: Path) -> Iterator[tuple[str, object]]:
    """The values that are set, a path always and absolute; nothing written is nothing set."""
    for key, field in KEYS.items():
        value = given.get(key)
        if value is None or (value == "" and field.default is None):
            value = field.default if field.annotation is Path else None
        if field.annotation in (Path, Path | None):
            value = _anchored(value, base)
        if value is not None:
            yield key, value


def _anchored(value: object, base: Path) -> object:
    # `system` is libpq's word for the machine's own certificates, not a file.
    return base / value if isinstance(value, str | Path) and value not in ("", "system") else value


def _validated(values: Mapping[str, Any], replaced: Mapping[str, str]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Raised here so that pydantic's own error, which holds the values, is not chained to it.
    key, place = ".".join(str(part) for part in details["loc"]), Place(file=str(values["config_file"]))
    if key in replaced:
        key, place = f"{key}, from the environment variable {variable_of(key)}", Place()
    hint = "put the value in quotes" if details["type"] == "string_type" else "correct the value"
    raise _bad_value(key, details["msg"].removeprefix("Value error, "), place, hint)


def _bad_value(key: str, expected: str, place: Place, hint: str = "correct the value") -> SettingsError:
    message = f"bad value of {key}: {expected[:1].lower()}{expected[1:]}"
    return SettingsError(message, "bad_value", place, hint)
