"""The settings that executor and workers share: one file."""

import os
from pathlib import Path
from typing import Any

from yaml import safe_load

VARIABLE = "INGESTION_CELERY"
"""Names the file."""

DEFAULT = Path("deploy") / "celery" / "celery.yaml"
"""Where it lies when nothing names another."""


def celery_settings() -> dict[str, Any]:
    """The executor's configuration, as its file says it; `env` is not filled in yet."""
    text = Path(os.environ.get(VARIABLE, DEFAULT)).read_text(encoding="utf-8")
    settings: dict[str, Any] = safe_load(text)["execution"]["config"]
    return settings
