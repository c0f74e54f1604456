"""The example of docs/processing.md, taken out of the page and run."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from dagster import DagsterInstance, Definitions

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.defs.conftest import Dagster, checks, failure, materialized, metadata
from ingestion_pipeline_tests.phases import lead

PAGE = Path(__file__).parent.parent.parent / "docs" / "processing.md"
BLOCK = re.compile(r'```python\n("""(\w+)\.py: .*?)```', re.DOTALL)
UNPROCESSED = 497
SOMEBODY = "503"


@pytest.fixture
def example(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's modules, in a folder of a site that has been synced."""
    names = []
    for code, name in BLOCK.findall(PAGE.read_text()):
        (site.folder / f"{name}.py").write_text(code.replace("delay=30", "delay=0"))
        names.append(name)
    assert names == ["processing", "site_definitions"]
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module("processing")
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def dagster(example: ModuleType) -> Iterator[Dagster]:
    assert example.extracted_links
    definitions = importlib.import_module("site_definitions").defs
    assert isinstance(definitions, Definitions)
    with DagsterInstance.ephemeral() as instance:
        yield Dagster(definitions, instance)


def test_the_batch_of_the_page_writes_all_of_them(pipeline: Pipeline, example: ModuleType) -> None:
    [code] = re.findall(r"```python\n(with .*?)```", PAGE.read_text(), re.DOTALL)
    pipeline.sync()

    todo = {SOMEBODY: "https://example.org/edit", "500": ""}
    exec(code, vars(example) | {"site": pipeline, "todo": todo, "run": uuid4()})  # noqa: S102 - our own page

    found = pipeline.read(SOMEBODY)
    assert found is not None
    assert found["extracted_links"] == "https://example.org"


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY])
def test_the_example_processes_everybody_once(
    dagster: Dagster, site: Site, pipeline: Pipeline, phase: Phase
) -> None:
    pipeline.sync()
    if phase is Phase.DATABASE_PRIMARY:
        lead(pipeline, phase)

    assert dagster.run("process").success

    assert metadata(dagster, "extracted_links")["written"] == UNPROCESSED
    assert site.execute("SELECT count(*) FROM processing_status WHERE NOT processed") == [(0,)]
    found = pipeline.read(SOMEBODY)
    assert found is not None
    assert found["extracted_links"] == found["link"].removesuffix("/edit?tab=t.0") != found["link"]
    settled_and_equal(dagster, site)

    dagster.run("process")

    assert metadata(dagster, "extracted_links")["written"] == 0


def settled_and_equal(dagster: Dagster, site: Site) -> None:
    assert dagster.run("settle").success
    compared = dagster.run("compare")
    assert checks(compared) == {"people.dual_write_consistency": True, "people.bytes_equal": True}
    assert site.csv.read_bytes().count(b",yes,") >= UNPROCESSED


def shorten(site: Site) -> None:
    """Leave only the file's first rows."""
    content = site.csv.read_bytes()
    site.put(content[: content.index(b"\n480,") + 1])


def test_a_step_that_is_tried_again_goes_on_where_it_stopped(
    dagster: Dagster, site: Site, pipeline: Pipeline, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(site)
    pipeline.sync()
    unprocessed = sum(not person["processed"] for person in pipeline.rows())
    work, links = example.found_in, []

    def fail_once(link: str) -> str:
        links.append(link)
        if len(links) == 4:
            raise RuntimeError
        found: str = work(link)
        return found

    monkeypatch.setattr(example, "found_in", fail_once)

    result = dagster.run("process")

    assert result.success
    assert [event.event_type_value for event in result.all_events].count("STEP_RESTARTED") == 1
    assert metadata(dagster, "extracted_links")["written"] == unprocessed - 3
    made = site.execute(
        "SELECT count(*), count(DISTINCT row_id), count(DISTINCT write_id) FROM ingestion.history"
        " WHERE table_name = 'people' AND operation = 'update'"
    )
    assert made == [(unprocessed, unprocessed, unprocessed)]


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY])
def test_one_run_writes_a_person_once_only(
    dagster: Dagster, site: Site, pipeline: Pipeline, phase: Phase
) -> None:
    shorten(site)
    pipeline.sync()
    if phase is Phase.DATABASE_PRIMARY:
        lead(pipeline, phase)
    job = dagster.definitions.resolve_job_def("process")
    run_id = job.execute_in_process(instance=dagster.instance).run_id
    pipeline.write(SOMEBODY, {"processed": False, "extracted_links": "by hand"})

    with DagsterInstance.ephemeral() as other:
        assert job.execute_in_process(instance=other, run_id=run_id).success

    found = pipeline.read(SOMEBODY)
    assert found is not None
    assert found["extracted_links"] == "by hand"


def test_a_refused_cell_is_a_failure_without_its_text(
    dagster: Dagster, pipeline: Pipeline, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.sync()
    monkeypatch.setattr(example, "found_in", lambda _link: "canary\0canary")

    result = dagster.run("process")

    assert not result.success
    known = failure(result)
    assert (known["code"], known["column"]) == ("nul", "extracted_links")
    assert known["row_id"]
    assert "canary" not in str(dagster.instance.all_logs(result.run_id))


def test_migrate_leaves_a_sites_own_assets_alone(dagster: Dagster) -> None:
    result = dagster.run("migrate")

    assert result.success
    assert "people" in materialized(result)
    assert "extracted_links" not in materialized(result)
