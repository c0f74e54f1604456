"""The checks: the contract's rules, and whether the two sides are equal."""

from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    TableMetadataValue,
    TableRecord,
    asset_check,
    multi_asset_check,
)

from ingestion_pipeline.defs.resources import PipelineResource
from ingestion_pipeline.domain.columns import Table
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.reports import CompareReport
from ingestion_pipeline.domain.rules import RULES, Rule

SHOWN = 100
"""Differences shown in a check's metadata; all are counted."""

LATE = 10
"""Looks of the sensor settle_pending after which what is pending should have been settled."""

_PEOPLE = AssetKey(Table.PEOPLE.value)
_OTHERS = [AssetKey(table.value) for table in Table if table is not Table.PEOPLE]


@multi_asset_check(
    name="consistency",
    specs=[
        AssetCheckSpec(
            "dual_write_consistency",
            asset=_PEOPLE,
            additional_deps=_OTHERS,
            blocking=True,
            description="No record and no column differs between the two sides; else nothing is exported.",
        ),
        AssetCheckSpec(
            "bytes_equal",
            asset=_PEOPLE,
            additional_deps=_OTHERS,
            description="PostgreSQL renders exactly the CSV's bytes.",
        ),
    ],
)
def consistency(
    context: AssetCheckExecutionContext, pipeline: PipelineResource
) -> Iterator[AssetCheckResult]:
    """Compare the two sides once, for both checks."""
    with pipeline.open() as site:
        phase = site.begin().phase
        if phase.follower is None:
            yield from _nothing_to_compare(phase)
            return
        report = site.compare(limit=SHOWN, run_id=context.run.run_id)
        lag = site.status().pending.seconds if report.pending else 0.0
    yield _consistency(report, lag)
    yield AssetCheckResult(
        asset_key=_PEOPLE,
        check_name="bytes_equal",
        passed=report.bytes_equal,
        metadata={"sha256": report.csv_sha256, "rows": report.rows},
    )


def _nothing_to_compare(phase: Phase) -> Iterator[AssetCheckResult]:
    for name in ("dual_write_consistency", "bytes_equal"):
        yield AssetCheckResult(
            asset_key=_PEOPLE,
            check_name=name,
            passed=True,
            metadata={"note": f"phase {phase} has no follower"},
        )


def _consistency(report: CompareReport, lag: float) -> AssetCheckResult:
    records = [
        TableRecord({"row_id": one.row_id or "", "column": one.column or "", "kind": one.kind.value})
        for one in report.differences
    ]
    found = f"{report.counted} differences" if report.counted else "the two sides are equal"
    return AssetCheckResult(
        asset_key=_PEOPLE,
        check_name="dual_write_consistency",
        passed=report.equal,
        description=found,
        metadata={
            "differences": report.counted,
            "missing": report.missing,
            "extra": report.extra,
            "changed": report.changed,
            "rows": report.rows,
            "pending": report.pending,
            "lag_seconds": lag,
            "seconds": report.seconds,
            **({"replica": report.replica} if report.replica else {}),
            **({"first": TableMetadataValue(records, None)} if records else {}),
        },
    )


@asset_check(asset=_PEOPLE, description="Nothing in quarantine waits for a decision.")
def quarantine_decided(pipeline: PipelineResource) -> AssetCheckResult:
    """Count what waits for a decision."""
    with pipeline.open() as site, site.tables.snapshot() as snapshot:
        count = snapshot.quarantine_count()
    return AssetCheckResult(
        passed=count.undecided == 0,
        severity=AssetCheckSeverity.WARN,
        metadata={
            "rows": count.rows,
            "cells": count.cells,
            "conflicts": count.conflicts,
            "accepted": count.accepted,
        },
    )


@asset_check(asset=_PEOPLE, description="The follower has everything that the authority has.")
def nothing_pending(pipeline: PipelineResource) -> AssetCheckResult:
    """Count what is pending, by the ledger and the journal where PostgreSQL is away."""
    with pipeline.open() as site:
        report = site.status()
        late = LATE * site.settings.automation.settle_sensor_seconds
    pending = report.pending
    # What is young is on its way; what is not has outlived several runs of settle_pending.
    is_young = report.degraded is None and pending.seconds < late
    return AssetCheckResult(
        passed=pending.all == 0 and report.degraded is None,
        severity=AssetCheckSeverity.WARN if is_young else AssetCheckSeverity.ERROR,
        metadata={
            "pending": pending.all,
            "lag_seconds": pending.seconds,
            "fallback": pending.fallback,
            **({} if report.degraded is None else {"degraded": report.degraded}),
        },
    )


def _check(rule: Rule) -> AssetChecksDefinition:
    severity = AssetCheckSeverity.WARN if rule.advisory else AssetCheckSeverity.ERROR

    @asset_check(asset=AssetKey(rule.table.value), name=rule.name, description=rule.about)
    def check(pipeline: PipelineResource) -> AssetCheckResult:
        with pipeline.open() as site:
            broken = site.tables.breaches(rule)
        return AssetCheckResult(passed=broken == 0, severity=severity, metadata={"breaches": broken})

    return check


CHECKS = [
    consistency,
    nothing_pending,
    quarantine_decided,
    *(_check(rule) for rule in RULES),
]
