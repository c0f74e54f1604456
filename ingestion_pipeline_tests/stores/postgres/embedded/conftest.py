"""One cluster that tests start, stop and kill, one that stands, and folders for clusters of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestion_pipeline.stores.postgres.embedded import EmbeddedServer
from ingestion_pipeline_tests.stores.postgres.embedded.helpers import FAST, User


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("shared") / "state"
    with EmbeddedServer(path, FAST):
        pass
    yield path
    EmbeddedServer(path).destroy()


@pytest.fixture
def state(shared: Path) -> Iterator[Path]:
    """The state folder of a cluster whose server does not run."""
    yield shared
    EmbeddedServer(shared).stop(force=True)


@pytest.fixture
def server(state: Path) -> EmbeddedServer:
    return EmbeddedServer(state, options=FAST)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server whose cluster is yet to be made."""
    server = EmbeddedServer(tmp_path / "state", options=FAST)
    yield server
    server.stop(force=True)
    server.destroy()


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server for the tests that only look at it."""
    server = EmbeddedServer(tmp_path_factory.mktemp("running"), options=FAST)
    with server:
        yield server
    server.destroy()


@pytest.fixture
def another(state: Path) -> Iterator[Callable[..., User]]:
    users: list[User] = []

    def start(**settings: str) -> User:
        users.append(User(state, **settings))
        return users[-1]

    yield start
    for user in users:
        user.kill()
        user.process.communicate()
