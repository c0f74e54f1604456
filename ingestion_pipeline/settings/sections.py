"""The sections of the file: their keys, types and defaults."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)

from ingestion_pipeline.domain.buckets import MOST
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.settings.hosts import is_local

_PLAIN = re.compile(r"[!-~]+")
"""What an address may be made of: no space, no control character, nothing that is not ASCII."""


def _filled(value: object) -> object:
    if value == "":
        raise ValueError("must not be empty")
    return value


def _without_login(url: str) -> str:
    if "@" in url:
        raise ValueError("must not hold a user or password")
    return url


def _of_the_web(url: SecretStr) -> SecretStr:
    # Its path is mostly the secret, so nothing of it is said.
    text = url.get_secret_value()
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _PLAIN.fullmatch(text):
        raise ValueError("must be an address that begins with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password")
    # Asked for, because a port that is none is only found out then.
    _ = parts.port
    return url


def _listed(value: object) -> object:
    """One address, several with commas between them, or a list."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


FilledPath = Annotated[Path, BeforeValidator(_filled)]
FilledText = Annotated[str, Field(min_length=1)]
PublicUrl = Annotated[str, AfterValidator(_without_login)]
Language = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
WebUrl = Annotated[SecretStr, AfterValidator(_of_the_web)]
Address = Annotated[str, Field(pattern=r"^[^\s@<>,;:\"()\[\]\\]+@[A-Za-z0-9.\-]+$", max_length=254)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_listed)]
Cron = Annotated[str, Field(pattern=r"^(@[a-z]+|\S+( +\S+){4})$")]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class _Section(BaseModel):
    """A section of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Paths(_Section):
    """Where the CSV and this program's own state lie; and which host has the CSV, where not all have it."""

    output_csv: FilledPath = Path("outputs/output.csv")
    state_dir: FilledPath = Path(".ingestion")
    csv_host: FilledText | None = None


class CsvColumns(_Section):
    """The legacy lists of columns; they must say what the contract says."""

    basic: tuple[str, ...] | None = None
    text: tuple[str, ...] | None = None
    full: tuple[str, ...] | None = None


class ConnectionPool(_Section):
    """How many connections are kept; `timeout` is the wait for a free one in seconds."""

    min_connections: PositiveInt = 1
    max_connections: PositiveInt = 10
    timeout: PositiveFloat = 30.0

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min_connections > self.max_connections:
            raise ValueError("min_connections must not exceed max_connections")
        return self


class Roles(_Section):
    """What the three roles are called; see `ingest db roles`."""

    owner: FilledText = "ingestion_owner"
    writer: FilledText = "ingestion_writer"
    reader: FilledText = "ingestion_reader"


class Database(_Section):
    """The PostgreSQL server; without a host the embedded one. All timeouts are seconds."""

    enabled: bool | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    name: FilledText = "ingestion"
    user: FilledText = "ingestion"
    password: SecretStr = SecretStr("")
    sslmode: SslMode | None = None
    sslrootcert: Path | None = None
    allow_insecure: bool = False
    connection_pool: ConnectionPool = ConnectionPool()
    connect_timeout: PositiveFloat = 10.0
    query_timeout: PositiveFloat = 30.0
    lock_timeout: PositiveFloat = 10.0
    idle_in_transaction_timeout: PositiveFloat = 60.0
    bulk_timeout: PositiveFloat = 3600.0
    fallback_to_csv: bool = True
    roles: Roles = Roles()
    replica_url: SecretStr | None = None
    replica_wait_seconds: PositiveFloat = 5.0


class Migration(_Section):
    """How far the move should go: a phase, or the legacy flags that describe one."""

    phase: Phase | None = None
    dual_write_enabled: bool | None = None
    csv_export_enabled: bool | None = None
    database_primary: bool | None = None


class CsvBackup(_Section):
    """The copies of the CSV that are kept."""

    enabled: bool = True
    backup_dir: FilledPath = Path("backups")
    max_backups: NonNegativeInt = 10
    compress: bool = True
    auto_backup_before_write: bool = True


class FileLocking(_Section):
    """How the CSV is locked; both times are seconds."""

    enabled: bool = True
    timeout: PositiveFloat = 30.0
    check_interval: PositiveFloat = 0.1


class Keep(_Section):
    """How many versions are kept: the last ones, and the last of an hour, day, month; all 0 for all."""

    last: NonNegativeInt = 0
    hourly: NonNegativeInt = 0
    daily: NonNegativeInt = 0
    monthly: NonNegativeInt = 0


class Exports(_Section):
    """Where versions go: a bucket if one is named, else a folder."""

    folder: FilledPath = Path("exports")
    bucket: Annotated[str, Field(min_length=3)] | None = None
    prefix: str = ""
    endpoint_url: PublicUrl | None = None
    region: str | None = None
    profile: str | None = None
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key_id: str | None = None
    allow_insecure: bool = False
    compress: bool = False
    keep: Keep = Keep()

    @model_validator(mode="after")
    def _check_safe(self) -> Self:
        url = urlsplit(self.endpoint_url or "https://")
        is_safe = self.allow_insecure or is_local(url.hostname or "")
        if url.scheme not in ({"http", "https"} if is_safe else {"https"}):
            raise ValueError("endpoint_url must begin with https://, or allow_insecure be true")
        if self.kms_key_id and self.encryption != "aws:kms":
            raise ValueError("kms_key_id goes with encryption: aws:kms")
        return self


class Search(_Section):
    """How people are searched; the language is a text search configuration of the server."""

    language: Language = "simple"


class Brakes(_Section):
    """How much a load may take away before it stops and asks.

    Attributes:
        rows: People deleted, or cells emptied, at most, before a load stops.
        percent: The same as a share of the people stored.
    """

    rows: NonNegativeInt = 20
    percent: Annotated[float, Field(ge=0, le=100)] = 5.0


class Bulk(_Section):
    """In how many buckets several workers share a sync or a comparison; see docs/celery.md."""

    buckets: Annotated[int, Field(ge=1, le=MOST)] = 1


class Automation(_Section):
    """What runs by itself, and when."""

    enabled: bool = True
    consistency_cron: Cron = "0 * * * *"
    export_cron: Cron = "30 2 * * *"
    backup_cron: Cron = "0 3 * * *"
    drill_cron: Cron = "0 4 * * 0"
    reports_cron: Cron = "15 * * * *"
    health_cron: Cron = "*/5 * * * *"
    csv_sensor_seconds: PositiveInt = 30
    settle_sensor_seconds: PositiveInt = 30
    phase_sensor_seconds: PositiveInt = 15
    alert_sensor_seconds: PositiveInt = 30
    compare_sensor_seconds: NonNegativeInt = 30


class Email(_Section):
    """The server that sends alerts by e-mail, and to whom; without a host none are sent."""

    host: FilledText | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    starttls: bool = True
    user: FilledText | None = None
    password: SecretStr = SecretStr("")
    to: Addresses = ()
    sender: Address | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.host is not None and not (self.to and self.sender):
            raise ValueError("with a host, from and to are needed too")
        if self.user is not None and not (self.starttls or is_local(self.host or "")):
            raise ValueError("a password goes to another machine with starttls: true only")
        return self


class Alerts(_Section):
    """Who is told when something goes wrong; without any of it, the log only.

    Attributes:
        webhook_url: Gets every alert as JSON.
        slack_webhook_url: An incoming webhook of Slack, or of what speaks its language.
        email: The server that sends them by e-mail.
        remind_hours: Hours after which they are told again of what is still wrong.
        patience: Looks in a row at which a finding must be bad.
        drill_age_days: Days after which the last drill is too old.
    """

    webhook_url: WebUrl | None = None
    slack_webhook_url: WebUrl | None = None
    email: Email = Email()
    remind_hours: PositiveFloat = 24.0
    patience: PositiveInt = 1
    drill_age_days: PositiveFloat = 8.0


class Health(_Section):
    """How far a figure may go before it is a finding; see docs/watching.md."""

    pending_age_seconds: PositiveFloat = 300.0
    proof_age_seconds: PositiveFloat = 7200.0
    differences: NonNegativeInt = 0
    conflicts: NonNegativeInt = 0
    disk_free_percent: Annotated[float, Field(ge=0, le=100)] = 10.0
    cache_hit_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    long_transaction_seconds: PositiveFloat = 600.0
    replica_lag_seconds: PositiveFloat = 60.0
    version_age_hours: PositiveFloat = 36.0
    backup_age_hours: PositiveFloat = 36.0
    slower_than: Annotated[float, Field(ge=1)] = 3.0


class S3(_Section):
    """The legacy program's bucket and account."""

    default_bucket: str | None = None
    aws_profile: str | None = None
    aws_region: str | None = None


class Downloads(_Section):
    """The part of the legacy section that is of use here."""

    s3: S3 = S3()


class Sections(BaseModel):
    """Every section there is."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    paths: Paths = Paths()
    csv_columns: CsvColumns = CsvColumns()
    database: Database = Database()
    migration: Migration = Migration()
    csv_backup: CsvBackup = CsvBackup()
    file_locking: FileLocking = FileLocking()
    exports: Exports = Exports()
    brakes: Brakes = Brakes()
    search: Search = Search()
    bulk: Bulk = Bulk()
    automation: Automation = Automation()
    health: Health = Health()
    alerts: Alerts = Alerts()
    downloads: Downloads = Downloads()
