"""`make demo`: the whole job on the sample, through Dagster, and a short summary."""

import shutil
import sys
import time
from pathlib import Path

from dagster import DagsterInstance, ExecuteInProcessResult
from rich.console import Console
from rich.table import Table

from ingestion_pipeline.defs.build import build_definitions
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.settings import Settings, load_settings
from ingestion_pipeline.stores.atomic import draft, make_folder

SAMPLE = Path("sample_data/output.csv")

# Every event is kept in the run; the terminal gets the summary.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

_KEPT = {"statement_timeout": 60_000, "pool_recycle": 3600, "max_overflow": 10}
"""How Dagster's connections are kept open while the job runs: milliseconds, seconds, connections."""

OPEN = """
See it in Dagster:  make dev, then open http://127.0.0.1:3000
At the terminal:    .venv/bin/ingest status   (and --help)"""


def main() -> int:
    """Run job `migrate` and say what came of it; 0 when both sides are equal and a version is published."""
    began = time.monotonic()
    console = Console(highlight=False)
    try:
        settings = load_settings()
        console.print(_place_sample(settings))
        result = _run(console, settings)
    except PipelineError as error:
        console.print(f"[red]{error}[/red]\n  {error.hint}")
        return error.exit
    if not result.success:
        return _show_failures(console, result)
    console.print(_summary(result, time.monotonic() - began))
    console.print(OPEN)
    return 0


def _place_sample(settings: Settings) -> str:
    target = settings.paths.output_csv
    if target.exists():
        return f"The CSV: {target}, as it is"
    make_folder(target.parent)
    with draft(target) as new, (settings.base / SAMPLE).open("rb") as sample:
        shutil.copyfileobj(sample, new)
        new.create()
    return f"The CSV: {target}, a copy of the sample"


def _run(console: Console, settings: Settings) -> ExecuteInProcessResult:
    with (
        console.status("Reading the CSV, syncing, comparing, publishing a version"),
        DagsterInstance.from_config(str(settings.base)) as instance,
    ):
        # Else every event of the run makes a connection of its own.
        instance.optimize_for_webserver(**_KEPT)
        job = build_definitions(settings).resolve_job_def("migrate")
        return job.execute_in_process(instance=instance, run_config=_QUIET, raise_on_error=False)


def _summary(result: ExecuteInProcessResult, seconds: float) -> Table:
    synced = _metadata(result, "people")
    exported = _metadata(result, "versioned_export")
    checks = result.get_asset_check_evaluations()
    compared = {check.check_name: check for check in checks if check.asset_key.path == ["people"]}
    consistency = compared["dual_write_consistency"].metadata
    shown = Table(show_header=False, box=None, pad_edge=False)
    shown.add_column(style="dim")
    shown.add_column(overflow="fold")
    for name, value in (
        ("rows read", synced.get("rows_read")),
        ("people", synced["dagster/row_count"]),
        ("quarantined", f"{synced.get('quarantined_rows')} rows, {synced.get('quarantined_cells')} cells"),
        ("differences", consistency["differences"].value if "differences" in consistency else "-"),
        ("bytes equal", "yes" if compared["bytes_equal"].passed else "no"),
        ("checks passed", f"{sum(check.passed for check in checks)} of {len(checks)}"),
        ("version", exported["version"]),
        ("published", "yes" if exported["published"] else "already: the newest holds the same bytes"),
        ("seconds", f"{seconds:.1f}"),
    ):
        shown.add_row(name, str(value))
    return shown


def _metadata(result: ExecuteInProcessResult, asset: str) -> dict[str, object]:
    events = result.asset_materializations_for_node("tables" if asset != "versioned_export" else asset)
    event = next(event for event in events if event.asset_key.path == [asset])
    return {name: value.value for name, value in event.metadata.items()}


def _show_failures(console: Console, result: ExecuteInProcessResult) -> int:
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            console.print(f"[red]{check.check_name}[/red]: {check.description or 'failed'}")
    for event in result.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        console.print(f"[red]{event.step_key}[/red]: {failure.description if failure else 'failed'}")
    console.print("\n`make dev` shows the run in full.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
