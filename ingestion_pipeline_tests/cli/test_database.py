"""`ingest db`: the schema up and down, and no embedded server where another is named."""

import pytest

from ingestion_pipeline.stores.postgres import schema
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.conftest import Site


@pytest.fixture
def own(site: Site, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site with a database that nobody else uses."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    return Site(site.folder, empty_database)


def test_up_and_down(own: Site, call: Call) -> None:
    head = schema.head()

    assert call("db", "upgrade", "--json").json == {"before": None, "now": head}
    assert call("db", "upgrade", "--json").json == {"before": head, "now": head}
    call("sync")
    refused = call("db", "downgrade", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (5, "brake")
    assert own.execute("SELECT count(*) FROM people") == [(509,)]

    down = call("db", "downgrade", "--accept-loss", "--json")

    assert (down.code, down.json) == (0, {"before": head, "now": None})
    assert own.execute("SELECT to_regclass('people') IS NULL") == [(True,)]
    assert call("sync", "--json").json["inserted"] == 509


def test_a_revision_that_is_not_known_is_the_askers_mistake(own: Site, call: Call) -> None:
    call("sync")

    answer = call("db", "downgrade", "--to", "0000", "--accept-loss", "--json")

    assert (answer.code, answer.json["error"]["code"]) == (2, "unknown_revision")
    assert own.execute("SELECT count(*) FROM people") == [(509,)]


@pytest.mark.parametrize(("revision", "code"), [("0000", "schema_behind"), ("9999", "schema_ahead")])
def test_other_schema_is_refused(own: Site, call: Call, revision: str, code: str) -> None:
    call("db", "upgrade")
    own.execute("UPDATE ingestion.schema_version SET version_num = %s", revision)

    answer = call("sync", "--json")
    examined = call("doctor", "--json")

    assert (answer.code, answer.json["error"]["code"]) == (4, code)
    [found] = [check for check in examined.json["checks"] if check["name"] == "schema"]
    assert not found["ok"]
    assert revision in found["finding"]


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_named_server_is_not_ours_to_start(site: Site, call: Call, verb: str) -> None:
    answer = call("db", verb, "--json")

    assert (answer.code, answer.json["error"]["code"]) == (2, "not_embedded")
    assert not (site.folder / ".ingestion").exists()


@pytest.mark.usefixtures("own")
def test_tables_come_into_parts_and_are_whole_again(call: Call) -> None:
    assert call("db", "partition", "--parts", "4", "--json").json["error"]["code"] == "schema_missing"
    call("sync")

    done = call("db", "partition", "--parts", "4", "--json")
    told = call("db", "partition", "--json")

    assert (done.code, done.json) == (0, {"before": 0, "parts": 4, "people": 509})
    assert told.json == {"parts": 4}
    assert call("compare").code == 0
    assert call("sync", "--json").json["updated"] == 0
    assert call("db", "partition", "--parts", "257").code == 2
    assert call("db", "partition", "--parts", "0", "--json").json == {"before": 4, "parts": 0, "people": 509}
    assert call("compare").code == 0
