"""Which server: the one that is named, or the embedded one with our database in it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline.stores.postgres.server import DATABASE, serving


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    EmbeddedServer(tmp_path / "state").stop(force=True)
    EmbeddedServer(tmp_path / "state").destroy()


def database_of(url: str) -> object:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        return cursor.fetchone()


def test_named_server_is_taken_as_it_is(tmp_path: Path) -> None:
    with serving("postgresql://there/people", tmp_path) as url:
        assert url == "postgresql://there/people"

    assert list(tmp_path.iterdir()) == []


def test_embedded_server_gets_the_database_once(state: Path) -> None:
    def use(_: int) -> object:
        with serving(None, state) as url:
            assert urlsplit(url).path == f"/{DATABASE}"
            return database_of(url)

    with ThreadPoolExecutor() as threads, serving(None, state) as url:
        assert list(threads.map(use, range(2))) == [(DATABASE,)] * 2
        assert database_of(url) == (DATABASE,)
