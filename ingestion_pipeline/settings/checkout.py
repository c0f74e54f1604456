"""Which CSV an old checkout works on, by its own configuration."""

from pathlib import Path

from ingestion_pipeline.domain.errors import Place
from ingestion_pipeline.settings.environment import expanded, read_environment
from ingestion_pipeline.settings.yaml_file import read_yaml

CONFIG = Path("config") / "config.yaml"
"""Where a checkout keeps its configuration."""

DEFAULT_CSV = "outputs/output.csv"


def configured_csv(root: Path) -> str | None:
    """`paths.output_csv` of a checkout's configuration; None where it has none.

    Raises:
        SettingsError: The configuration cannot be read.
    """
    file = root / CONFIG
    if not file.is_file():
        return None
    paths = read_yaml(file).get("paths")
    found = paths.get("output_csv") if isinstance(paths, dict) else None
    if not isinstance(found, str) or not found:
        return None
    return str(expanded(found, "paths.output_csv", read_environment(), Place(file=str(file))))
