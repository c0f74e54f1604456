"""doctor: everything the pipeline needs, looked at one by one, so that one fault does not hide the next."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.domain.errors import PipelineError
from ingestion_pipeline.domain.reports import READ
from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline.stores.postgres.tables import durability, lacking_settings

ENOUGH_DISK = 3
"""Times the CSV's size that should be free: a new file, a version, and a spare."""

NEWEST = 20
"""Versions that are read."""

TOGETHER = (("dagster", "1.13."), ("dagster-postgres", "0.29."), ("dagster-aws", "0.29."))
"""Libraries that only work in step."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What.
        ok: Whether it is as it should be.
        finding: How it is.
        hint: What to do, where something is to be done.
    """

    name: str
    ok: bool
    finding: str
    hint: str = ""


def examine(config: Path | None) -> list[Check]:
    """Look at configuration, CSV, PostgreSQL, versions' place, disk and libraries."""
    checks = [_libraries()]
    try:
        with open_pipeline(config) as pipeline:
            checks += _of_site(pipeline)
    except PipelineError as error:
        checks.append(_failed("configuration", error))
    return checks


def _of_site(pipeline: Pipeline) -> Iterator[Check]:
    of_csv = (("csv", _csv), ("csv permissions", _permissions), ("disk", _disk))
    looks: tuple[tuple[str, Callable[[Pipeline], Check]], ...] = (
        ("configuration", _configuration),
        *([("host", _host)] if pipeline.settings.paths.csv_host is not None else []),
        *(of_csv if pipeline.settings.has_csv else ()),
        ("postgres", _postgres),
        ("session", _session),
        ("schema", _schema),
        *([("replica", _replica)] if pipeline.settings.replica_url is not None else []),
        ("versions", _versions),
        ("versions permissions", _privacy),
    )
    for name, look in looks:
        try:
            yield look(pipeline)
        except PipelineError as error:
            yield _failed(name, error)


def _failed(name: str, error: PipelineError) -> Check:
    return Check(name, ok=False, finding=str(error), hint=error.hint)


def _libraries() -> Check:
    found = {name: version(name) for name, _ in TOGETHER}
    ok = all(found[name].startswith(series) for name, series in TOGETHER)
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    return Check("libraries", ok, listed, "" if ok else "Install from requirements.lock: make setup.")


def _configuration(pipeline: Pipeline) -> Check:
    settings = pipeline.settings
    near = settings.near_misses()
    if near:
        meant = ", ".join(f"{ignored} (did you mean {ours}?)" for ignored, ours in near)
        return Check("configuration", ok=False, finding=f"ignored sections: {meant}", hint="Rename them.")
    return Check(
        "configuration", ok=True, finding=f"{settings.config_file}, phase {settings.wanted_phase} wanted"
    )


def _host(pipeline: Pipeline) -> Check:
    report = pipeline.status()
    if report.host is None:
        raise AssertionError("a host is named to have the CSV")
    return Check("host", ok=True, finding=f"{report.host.name}: {report.host.may(report.in_force)}")


def _csv(pipeline: Pipeline) -> Check:
    report = pipeline.inspect()
    dialect = report.dialect
    spelled = f"{dialect.quoting} quoting, {dialect.line_end.name}" + (", BOM" if dialect.bom else "")
    return Check("csv", ok=True, finding=f"{report.rows} rows, {report.generation}, {spelled}")


def _permissions(pipeline: Pipeline) -> Check:
    path = pipeline.csv.path
    if not path.exists():
        return Check("csv permissions", ok=False, finding="there is no file")
    mode = path.stat().st_mode & 0o777
    if not os.access(path.parent, os.W_OK):
        return Check("csv permissions", ok=False, finding="its folder cannot be written to")
    ok = not mode & 0o007
    hint = "" if ok else f"It holds personal data: chmod 600 {path}"
    return Check("csv permissions", ok, f"mode {mode:o}", hint)


def _disk(pipeline: Pipeline) -> Check:
    path = pipeline.csv.path
    size = path.stat().st_size if path.exists() else 0
    free = shutil.disk_usage(path.parent if path.parent.is_dir() else pipeline.settings.base).free
    ok = free > ENOUGH_DISK * size
    return Check(
        "disk", ok, f"{free / 2**30:.1f} GiB free", "" if ok else "Make room: a write needs a new file."
    )


def _postgres(pipeline: Pipeline) -> Check:
    found = durability(pipeline.pool)
    where = pipeline.settings.describe_database()
    if not found.safe:
        off = [
            name for name in ("fsync", "full_page_writes", "synchronous_commit") if not getattr(found, name)
        ]
        return Check(
            "postgres", ok=False, finding=f"{where}: {', '.join(off)} off", hint="A power cut loses writes."
        )
    ok = found.encoding == "UTF8"
    hint = "" if ok else "Make a database with ENCODING 'UTF8'."
    return Check("postgres", ok, f"{where}: {found.version}, {found.encoding}", hint)


def _session(pipeline: Pipeline) -> Check:
    lacking = lacking_settings(pipeline.pool)
    if lacking:
        hint = "Behind pgbouncer they are set for the database or user: docs/scaling.md has the statements."
        return Check("session", ok=False, finding=f"other than asked for: {', '.join(lacking)}", hint=hint)
    return Check("session", ok=True, finding="every setting is as asked for")


def _schema(pipeline: Pipeline) -> Check:
    found = schema.current(pipeline.pool)
    if found is None:
        return Check("schema", ok=True, finding="none yet; the first sync makes it")
    ok = found == schema.head()
    return Check("schema", ok, f"revision {found}", "" if ok else "Run `ingest db upgrade`.")


def _replica(pipeline: Pipeline) -> Check:
    finding = pipeline.replica()
    ok = finding == READ
    hint = "" if ok else "The primary is read meanwhile. Is it running, and does it follow this primary?"
    return Check("replica", ok, "level with the primary" if ok else finding or "", hint)


def _versions(pipeline: Pipeline) -> Check:
    newest = list(islice(pipeline.listing(), NEWEST))
    damaged = [one.key for one in newest if not one.good]
    hint = "Restore from another; `ingest versions` shows them." if damaged else ""
    looked = f"the newest {len(newest)} read" if newest else "none yet"
    finding = f"{pipeline.versions.place}: {looked}, {len(damaged)} damaged"
    return Check("versions", not damaged, finding, hint)


def _privacy(pipeline: Pipeline) -> Check:
    place = pipeline.publishing
    if place.is_public():
        hint = "It holds personal data: shut the public out of the bucket, or chmod 700 the folder."
        return Check("versions permissions", ok=False, finding=f"others may read {place.where}", hint=hint)
    return Check("versions permissions", ok=True, finding="nobody else may read them, as far as it says")
