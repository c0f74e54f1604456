"""Fixtures: a configuration loaded from its text, or refused without a secret said."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion_pipeline.domain.errors import SettingsError
from ingestion_pipeline.settings import Settings, load_settings

CANARY = "s3cr3t-CANARY"


Load = Callable[..., Settings]


Refuse = Callable[..., SettingsError]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own variables out."""
    for name in list(os.environ):
        if name.upper().startswith(("INGESTION_", "DATABASE_URL", "DB_PASSWORD", "PG")):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a configuration from its text, with these variables set."""

    def load(text: str | bytes = "", **environment: str) -> Settings:
        file = tmp_path / "config" / "config.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings(file)

    return load


@pytest.fixture
def refuse(load: Load) -> Refuse:
    """Load what must be refused; the refusal names something to do and no secret."""

    def refuse(text: str | bytes = "", **environment: str) -> SettingsError:
        with pytest.raises(SettingsError) as caught:
            load(text, **environment)
        error = caught.value
        assert error.hint
        assert CANARY not in everything_said(error)
        return error

    return refuse


def everything_said(error: SettingsError) -> str:
    chained = []
    link: BaseException | None = error
    while link is not None:
        chained.append(f"{link!r}{link}{link.args}")
        link = link.__cause__ or link.__context__
    return " ".join([*chained, error.hint, *traceback.format_exception_only(error)])
