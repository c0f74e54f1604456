"""A site with something of everything, and a dump of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ingestion_pipeline.app import open_pipeline
from ingestion_pipeline.stores.postgres import figures
from ingestion_pipeline.stores.postgres.dumping import clients
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline_tests.conftest import Server, Site
from ingestion_pipeline_tests.stores.postgres.dumping.helpers import PEOPLE, STORED, Fakes, dumped_to
from ingestion_pipeline_tests.strays import stray


@dataclass(frozen=True)
class Filled:
    """A database to make others from, and the CSV that it renders."""

    name: str
    csv: bytes


@pytest.fixture(scope="session")
def filled_template(
    server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    """People, repeats, quarantine, history, a proof and figures: something of everything but pending rows."""
    folder = tmp_path_factory.mktemp("filled")
    csv, config = folder / "people.csv", folder / "config.yaml"
    csv.write_bytes(PEOPLE)
    config.write_text(f"migration: {{phase: dual_write}}\npaths: {{output_csv: {csv}}}\n")
    with server.new_database(template) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.chdir(folder)
        with open_pipeline(config) as pipeline:
            pipeline.sync()
            pipeline.write("3", {"link": "written"})
            pipeline.compare()
            figures.refresh(pipeline.pool)
        full = [table for table in STORED if stray(url, f"SELECT 1 FROM {table}")]
        assert {*full, "ingestion.pending"} == {*STORED}
        yield Filled(urlsplit(url).path[1:], csv.read_bytes())


@pytest.fixture
def database(server: Server, filled_template: Filled) -> Iterator[str]:
    """A database of its own, as its tables are replaced."""
    with server.new_database(filled_template.name) as url:
        yield url


@pytest.fixture
def filled(site: Site, filled_template: Filled) -> Site:
    """A site with something of everything."""
    site.put(filled_template.csv)
    return site


@pytest.fixture
def kept(filled: Site, pool: Pool, tmp_path: Path) -> Path:
    """A dump of the site."""
    dumped_to(tmp_path / "kept.dump", pool)
    assert filled.database
    return tmp_path / "kept.dump"


@pytest.fixture
def fakes(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    made = Fakes(tmp_path / "fakes", clients.find(pool).folder)
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    assert clients.find(pool).folder == made.folder
    return made
