"""What runs without being an asset."""

from dagster import OpExecutionContext, op

from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.reports import Merged
from ingestion_pipeline.operations.settle import SettleReport


@op(name="settle_once", pool="writers")
def settle(context: OpExecutionContext, pipeline: PipelineResource) -> None:
    """Bring the follower what the authority has and it has not."""
    with pipeline.open() as site:
        report = site.settle()
    context.add_output_metadata(_counted(report))


def _counted(report: SettleReport) -> dict[str, str | int | float]:
    return {
        "settled": report.settled,
        "taken_back": report.taken_back,
        "conflicts": report.conflicts,
        "phase": report.phase.value,
        "seconds": report.seconds,
        **({} if report.merged is None else {"merged": _merged(report.merged)}),
    }


def _merged(found: Merged) -> str:
    if found.aside is not None:
        return f"{found.at}: somebody else had rewritten the CSV; rendered again, theirs is {found.aside}"
    return (
        f"{found.at}: somebody else had rewritten the CSV; {found.restored} rows written again, "
        f"{found.kept} kept as theirs, {found.gone} gone"
    )
