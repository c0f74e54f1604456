"""Starting `ingest` does not wait for libraries it needs not."""

import subprocess
import sys

HEAVY = ("dagster", "pandas", "sqlalchemy", "alembic", "prometheus_client")


def test_heavy_libraries_are_not_imported() -> None:
    script = f"import sys, ingestion_pipeline.cli; print([n for n in {HEAVY} if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)

    assert shown.stdout == "[]\n"
