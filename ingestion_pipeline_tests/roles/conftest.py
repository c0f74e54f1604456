"""A database with its three roles, and a user who may log in for each of them and for nobody."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from ingestion_pipeline.stores.postgres import roles
from ingestion_pipeline.stores.postgres.pool import Pool
from ingestion_pipeline.stores.postgres.roles import Part
from ingestion_pipeline_tests.conftest import Server, Site

PASSWORD = uuid.uuid4().hex
NOBODY = "nobody"


@dataclass(frozen=True)
class Granted:
    """A database in which the roles were granted what they need."""

    database: str
    names: dict[Part, str]

    def user(self, part: str) -> str:
        return f"{self.names[Part.OWNER]}_{part}_user"

    def url(self, part: str) -> str:
        """The database as a member of the role sees it."""
        parts = urlsplit(self.database)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{self.user(part)}:{PASSWORD}@{place}"))


@pytest.fixture(scope="module")
def granted(server: Server, template: str) -> Iterator[Granted]:
    mark = uuid.uuid4().hex[:8]
    with server.new_database(template) as url:
        made = Granted(url, {part: f"test_{mark}_{part}" for part in Part})
        pool = Pool(url)
        roles.create(pool, made.names)
        pool.close()
        for part in (*Part, NOBODY):
            server.run(f"CREATE ROLE {made.user(part)} LOGIN PASSWORD '{PASSWORD}'")
            if part != NOBODY:
                server.run(f"GRANT {made.names[Part(part)]} TO {made.user(part)}")
        yield made
    for part in (*Part, NOBODY):
        server.run(f"DROP ROLE {made.user(part)}")
    for name in made.names.values():
        server.run(f"DROP ROLE {name}")


@pytest.fixture
def own_site(tmp_path: Path, granted: Granted, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site in dual_write whose database has roles; nothing synced yet in this folder."""
    made = Site(tmp_path, granted.database)
    made.config.parent.mkdir()
    made.csv.parent.mkdir()
    names = ", ".join(f"{part}: {name}" for part, name in granted.names.items())
    made.config.write_text(
        f"migration:\n  phase: dual_write\ndatabase:\n  allow_insecure: true\n  roles: {{{names}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    return made
