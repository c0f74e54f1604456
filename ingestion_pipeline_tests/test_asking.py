"""Asking PostgreSQL: what was written is found, and an answer says what it may lack."""

import shutil
from collections.abc import Callable

import pytest

from ingestion_pipeline.app import Pipeline, open_pipeline
from ingestion_pipeline.app.changing import How
from ingestion_pipeline.domain.errors import Exit, PipelineError, SettingsError, UnavailableError
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.transition import Condition
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.files import people, person, spelled
from ingestion_pipeline_tests.phases import lead
from ingestion_pipeline_tests.proxy import Proxy
from ingestion_pipeline_tests.remote import proxy, remote
from ingestion_pipeline_tests.reused import database, reused_database

__all__ = ["database", "proxy", "remote", "reused_database"]

WITHOUT = How(overrides=frozenset({Condition.POSTGRES_AWAY}), because="it is gone")
MAPS = {"file_uuids": '{"film": "u1"}', "s3_paths": '{"u1": "p1"}'}


@pytest.fixture
def three(site: Site, pipeline: Pipeline) -> Pipeline:
    site.put(spelled([person(1, name="Ada", document_text="engine", **MAPS), *people("23")]))
    pipeline.sync()
    return pipeline


def found(pipeline: Pipeline, words: str) -> set[str]:
    report = pipeline.search(words)
    assert (report.behind, report.csv_changed) == (0, False)
    return {hit.row_id for hit in report.hits}


@pytest.mark.parametrize("phase", [Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY, Phase.DATABASE_NATIVE])
def test_what_was_written_is_found_in_every_phase_but_original(three: Pipeline, phase: Phase) -> None:
    lead(three, phase)
    assert found(three, "engine") == {"1"}

    three.write("2", {"document_text": "the engine", "file_uuids": {"film": "u2"}})
    three.write("1", {"document_text": "nothing", "s3_paths": {"u1": "p2"}})

    assert found(three, "engine") == {"2"}
    assert [one.row_id for one in three.find(path="p2").files] == ["1"]
    assert [one.row_id for one in three.find(uuid="u2").files] == ["2"]
    assert three.find(path="p1").total == 0


def test_every_question_of_files(three: Pipeline) -> None:
    three.write("2", {"file_uuids": {"film": "u1"}})

    assert three.find(uuid="u1").total == three.find(description="film").total == 2
    assert [one.row_id for one in three.find(path="p1").files] == ["1"]
    assert [(one.kind, one.text) for one in three.find(shared=True).shared] == [("uuid", "u1")]
    assert [one.row_id for one in three.find(mismatched=True).files] == ["2"]
    assert len(three.find(uuid="u1", limit=1).files) == 1


def test_a_big_document_is_written_as_ever(three: Pipeline) -> None:
    lead(three, Phase.DATABASE_PRIMARY)
    text = " ".join(f"word{number}" for number in range(150_000))

    assert three.write("3", {"document_text": text}).durable_in == "postgres"

    assert found(three, "word1") == {"3"}


def ask_files(pipeline: Pipeline) -> object:
    return pipeline.find(uuid="u")


def ask_words(pipeline: Pipeline) -> object:
    return pipeline.search("w")


def refresh(pipeline: Pipeline) -> object:
    return pipeline.asking.refresh()


Ask = Callable[[Pipeline], object]
asks = pytest.mark.parametrize("ask", [ask_files, ask_words, refresh])


@asks
def test_in_original_postgres_has_no_part(three: Pipeline, ask: Ask) -> None:
    three.phase.rollback(Phase.ORIGINAL)

    with pytest.raises(SettingsError) as refused:
        ask(three)

    assert (refused.value.code, refused.value.exit) == ("no_part", Exit.USAGE)


def test_a_postgres_that_was_left_behind_is_not_asked(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    site.put(spelled(people("12")))
    remote.sync()
    proxy.away()
    remote.phase.rollback(Phase.ORIGINAL, WITHOUT)
    proxy.back()
    assert site.execute("SELECT phase FROM ingestion.migration_state") == [("dual_write",)]

    with pytest.raises(SettingsError, match="no part"):
        remote.search("name")


@asks
def test_no_server_is_started_to_say_so(site: Site, monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.delenv("DATABASE_URL")
    site.config.write_text("migration:\n  phase: original\n")

    with open_pipeline(site.config) as pipeline, pytest.raises(SettingsError, match="no part"):
        ask(pipeline)

    assert not (site.folder / ".ingestion").exists()


@asks
def test_before_the_first_sync(pipeline: Pipeline, ask: Ask) -> None:
    with pytest.raises(SettingsError, match="nothing was synced yet"):
        ask(pipeline)


@asks
def test_postgres_away(three: Pipeline, site: Site, monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    assert three.csv.path == site.csv
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/people")

    with open_pipeline(site.config) as away, pytest.raises(UnavailableError) as refused:
        ask(away)

    assert refused.value.exit == Exit.UNAVAILABLE


@pytest.mark.parametrize("bad", ["\0", "a\udc80", "w " * 501])
def test_what_no_cell_can_hold_is_no_question(three: Pipeline, bad: str) -> None:
    with pytest.raises(SettingsError) as refused:
        three.search(bad)

    assert refused.value.code == "bad_question"
    if len(bad) < 10:
        with pytest.raises(SettingsError, match="what is asked for"):
            three.find(path=bad)


def test_one_question_at_a_time(three: Pipeline) -> None:
    questions: list[Ask] = [
        lambda asked: asked.find(),
        lambda asked: asked.find(uuid="a", path="b"),
        lambda asked: asked.find(uuid="", shared=True),
        lambda asked: asked.find(shared=True, mismatched=True),
        lambda asked: asked.find(shared=True, limit=0),
        lambda asked: asked.search("w", limit=0),
    ]
    for question in questions:
        with pytest.raises(PipelineError) as refused:
            question(three)
        assert refused.value.code == "bad_question"


def test_who_postgres_has_yet_to_get_is_told(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    site.put(spelled(people("12")))
    remote.sync()
    proxy.away()
    remote.write("1", {"name": "Ada"})
    proxy.back()

    report = remote.search("ada")

    assert (report.hits, report.behind, report.csv_changed) == ((), 1, False)
    assert remote.find(shared=True).behind == 1
    remote.settle()
    assert found(remote, "ada") == {"1"}


def test_what_the_csv_took_in_for_postgres_is_found(site: Site, remote: Pipeline, proxy: Proxy) -> None:
    site.put(spelled(people("12")))
    remote.sync()
    lead(remote, Phase.DATABASE_PRIMARY)
    proxy.away()
    remote.write("1", {"name": "Ada"})
    proxy.back()

    assert found(remote, "ada") == {"1"}


def test_a_csv_that_somebody_else_changed_is_told(site: Site, three: Pipeline) -> None:
    site.put(site.csv.read_bytes().replace(b"Name 2", b"Name Ada"))

    report = three.search("ada")

    assert {hit.row_id for hit in report.hits} == {"1"}
    assert report.csv_changed
    assert three.find(shared=True).csv_changed
    three.sync()
    assert found(three, "ada") == {"1", "2"}


def test_who_only_reads_needs_no_csv(site: Site, three: Pipeline) -> None:
    assert found(three, "ada") == {"1"}
    shutil.rmtree(site.csv.parent)

    with open_pipeline(site.config) as elsewhere:
        assert found(elsewhere, "ada") == {"1"}
        assert not site.csv.parent.exists()


def test_a_restored_dump_is_searched_as_it_is(three: Pipeline) -> None:
    assert found(three, "engine") == {"1"}
    lead(three, Phase.DATABASE_PRIMARY)
    key = three.backups.make().key
    three.write("1", {"document_text": "changed"})
    assert found(three, "engine") == set()

    three.backups.restore(key)

    assert found(three, "engine") == {"1"}
    assert three.find(uuid="u1").total == 1


def test_a_restored_version_is_searched_as_it_is(three: Pipeline) -> None:
    three.export()
    three.write("1", {"document_text": "changed"})
    assert found(three, "engine") == set()

    three.restore.version("latest")

    assert found(three, "engine") == {"1"}


def test_the_language_is_the_configurations(site: Site) -> None:
    site.config.write_text("migration:\n  phase: dual_write\nsearch:\n  language: english\n")
    site.put(spelled([person(1, document_text="two engines")]))

    with open_pipeline(site.config) as pipeline:
        pipeline.sync()
        assert found(pipeline, "engine") == {"1"}


@pytest.mark.parametrize("language", ["english; DROP", "12345", "", "a.b", "English"])
def test_a_language_is_a_plain_name(site: Site, language: str) -> None:
    site.config.write_text(f"search:\n  language: '{language}'\n")

    with pytest.raises(SettingsError, match=r"search\.language"), open_pipeline(site.config):
        pass
