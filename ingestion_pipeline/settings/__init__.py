"""What a site has configured: one file, the environment over it, read once and frozen.

The file may be the legacy program's own: sections that are not listed here belong to it and are left
alone. No error and no `repr` shows a value, because any value may be a secret.
"""

from ingestion_pipeline.settings.sections import (
    S3,
    Alerts,
    Automation,
    Brakes,
    ConnectionPool,
    CsvBackup,
    CsvColumns,
    Database,
    Downloads,
    Email,
    Exports,
    FileLocking,
    Migration,
    Paths,
    Roles,
)
from ingestion_pipeline.settings.site import DEFAULT_FILE, Settings, load_settings

__all__ = [
    "DEFAULT_FILE",
    "S3",
    "Alerts",
    "Automation",
    "Brakes",
    "ConnectionPool",
    "CsvBackup",
    "CsvColumns",
    "Database",
    "Downloads",
    "Email",
    "Exports",
    "FileLocking",
    "Migration",
    "Paths",
    "Roles",
    "Settings",
    "load_settings",
]
