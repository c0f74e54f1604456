"""The database's URL: written, taken apart by libpq itself, and refused where others could read along."""

import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from ingestion_pipeline.domain.errors import Place, SettingsError
from ingestion_pipeline.settings.hosts import is_local
from ingestion_pipeline.settings.sections import Database

# An @ that is not encoded is mostly a password's, and libpq would take the rest of it for a host.
_URL = re.compile(r"postgres(ql)?://([^@/?#\s\\]*@)?[^@#\s\\]*")


def url_of_environment(environment: Mapping[str, str]) -> SecretStr | None:
    """DATABASE_URL as libpq reads it, written so that nobody reads it otherwise; None if it is not set."""
    return url_of_text(environment.get("DATABASE_URL", ""), "DATABASE_URL")


def url_of_text(text: str, name: str) -> SecretStr | None:
    """A URL as libpq reads it, written so that nobody reads it otherwise; None if it is empty.

    Args:
        text: The URL.
        name: What it was given as, for the refusal.
    """
    url = text.strip()
    if not url:
        return None
    # Nothing of psycopg2's own error, which quotes the URL, is kept.
    with suppress(psycopg2.ProgrammingError, UnicodeError):
        parts = parse_dsn(url)
        if _URL.fullmatch(url) and re.fullmatch("[0-9,]*", parts.get("port", "")):
            return _url(parts)
    raise SettingsError(
        f"{name} is not a URL that can be read in one way only",
        "bad_value",
        hint="write postgresql://user:password@host:5432/name, the rest percent-encoded (@ is %40)",
    )


def url_of_section(database: Database) -> SecretStr | None:
    """The URL of the server the file names; None if it names none."""
    if database.host is None:
        return None
    parts = database.model_dump(include={"host", "port", "user", "sslmode", "sslrootcert"}, exclude_none=True)
    parts |= {"dbname": database.name, "password": database.password.get_secret_value()}
    return _url({key: str(value) for key, value in parts.items()})


def describe(url: SecretStr) -> str:
    """Host, port and database, for people."""
    parts = parse_dsn(url.get_secret_value())
    hosts, ports = parts.get("host", "").split(","), parts.get("port", "5432").split(",")
    pairs = zip_longest(hosts, ports * len(hosts) if len(ports) == 1 else ports, fillvalue="")
    shown = ",".join(f"{_bracketed(host) or '(default)'}:{port or 5432}" for host, port in pairs)
    return f"{shown}/{parts.get('dbname', '(default)')}"


def refuse_insecure(url: SecretStr, environment: Mapping[str, str], place: Place) -> None:
    """Refuse a server on another machine that need not prove who it is."""
    if not _is_safe(parse_dsn(url.get_secret_value()), environment):
        raise SettingsError(
            "the database is on another machine and need not prove who it is: others could read on the way",
            "insecure_database",
            place,
            "set database.sslmode: verify-full (in DATABASE_URL add ?sslmode=verify-full), "
            "or database.allow_insecure: true if the network between is trusted",
        )


def _is_safe(parts: Mapping[str, str], environment: Mapping[str, str]) -> bool:
    def given(name: str) -> str:
        return parts.get(name) or environment.get(f"PG{name.upper()}", "")

    # What a service says is not known here, and libpq puts it over the environment.
    if given("service"):
        return parts.get("sslmode") == "verify-full"
    hosts = f"{given('host')},{given('hostaddr')}".split(",")
    return given("sslmode") == "verify-full" or all(is_local(host) for host in hosts if host)


def _url(parts: Mapping[str, str]) -> SecretStr:
    rest, place = dict(parts), ""
    user, password, name = (quote(rest.pop(key, ""), safe="") for key in ("user", "password", "dbname"))
    # A socket's folder or a list of hosts has no place in front of the path.
    if re.fullmatch(r"[\w.:%-]+", rest.get("host", ""), re.ASCII):
        port = rest.pop("port", "")
        place = quote(_bracketed(rest.pop("host")), safe="[]:") + (f":{port}" if port else "")
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    tail = urlencode(rest, quote_via=quote, safe="")
    return SecretStr(f"postgresql://{login}{place}/{name}" + (f"?{tail}" if tail else ""))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
