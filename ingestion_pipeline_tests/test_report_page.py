"""The report as a page: whole in itself, nothing in it runs, and it tells how a migration has gone."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.app.report_page import page
from ingestion_pipeline.app.reports import Report
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.domain.phase_change import PhaseChange
from ingestion_pipeline.domain.timing import Latency
from ingestion_pipeline_tests.conftest import Site
from ingestion_pipeline_tests.figures import FULL, IMAGE, OUTLANDISH, VARIED, someone
from ingestion_pipeline_tests.files import people, spelled
from ingestion_pipeline_tests.phases import lead

VOID = {"meta"}
PLAIN = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "section",
        "footer",
        "div",
        "h1",
        "h2",
    ),
    *(
        "h3",
        "p",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
    ),
    *("bdi", "time", "svg", "rect", "text", "line", "circle"),
}
"""Elements that load nothing and run nothing."""

ATTRIBUTES = {
    *(
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
        "class",
        "id",
        "scope",
        "aria-labelledby",
        "datetime",
    ),
    *("role", "aria-label", "width", "height", "rx", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r"),
    *("text-anchor",),
}
"""Attributes that name no other place and run nothing."""


class Parsed(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(" ".join(data.split()))

    def of(self, name: str, kind: str) -> list[dict[str, str | None]]:
        """The attributes of the elements of a name and a class."""
        return [found for tag, found in self.tags if (tag, found.get("class")) == (name, kind)]


@pytest.fixture
def report(site: Site, pipeline: Pipeline) -> Report:
    """Of a site with something of everything."""
    site.put(VARIED)
    pipeline.sync()
    pipeline.compare()
    return pipeline.reports.read()


def moved(before: Phase, after: Phase, at: datetime, epoch: int) -> PhaseChange:
    return PhaseChange(
        epoch, before, after, at.isoformat(), by="a person", wanted=after, by_hand=True, pause=0.25
    )


def test_page_loads_nothing_and_runs_nothing(report: Report) -> None:
    rendered = page.render(report)

    found = Parsed(rendered)

    assert {tag for tag, _ in found.tags} <= PLAIN
    assert {name for _, attributes in found.tags for name in attributes} <= ATTRIBUTES
    assert not re.search(r"@import|url\(|https?:|//", rendered)
    [policy] = [one["content"] for _, one in found.tags if one.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_what_others_wrote_is_text(report: Report) -> None:
    rendered = page.render(replace(report, latencies=(Latency("<i>write</i>", 0.001, 0.002, 0.003),)))

    text = Parsed(rendered).text
    for one in (OUTLANDISH, IMAGE, "<script>{{ 7 * 7 }}</script>", "<i>write</i>"):
        assert one in text
        assert one not in rendered


def test_latencies_are_shown_once_they_are_measured(report: Report) -> None:
    measured = (Latency("write", 0.0021, 0.05, 0.5), Latency("settle", 0.1, 0.2, 1.42))

    without, with_them = (Parsed(page.render(replace(report, latencies=one))).text for one in ((), measured))

    assert "Not measured yet." in without
    assert "Not measured yet." not in with_them
    assert {"2.1 ms", "50.0 ms", "500.0 ms", "1.4 s"} <= set(with_them)


def test_phases_are_drawn_where_they_lie(report: Report) -> None:
    end, [compared] = datetime(2026, 11, 11, tzinfo=UTC), report.comparisons
    changes = (
        moved(Phase.ORIGINAL, Phase.DUAL_WRITE, end - timedelta(days=8), 2),
        moved(Phase.DUAL_WRITE, Phase.DATABASE_PRIMARY, end - timedelta(days=5), 3),
    )
    first = replace(compared, stamped_at=end - timedelta(days=10))

    found = Parsed(page.render(replace(report, made_at=end, changes=changes, comparisons=(first,))))

    spans = [(one["x"], one["width"]) for one in found.of("rect", "span")]
    assert spans == [("0.000%", "20.000%"), ("20.000%", "30.000%")]
    assert [(one["x"], one["width"]) for one in found.of("rect", "span now")] == [("50.000%", "50.000%")]
    assert [text for text in found.text if text.startswith(("original →", "dual_write →"))] == [
        "dual_write → database_primary",
        "original → dual_write",
    ]
    assert "0.250" in found.text


def test_differences_are_drawn_by_time_and_number(report: Report) -> None:
    begin, [compared] = datetime(2026, 11, 1, tzinfo=UTC), report.comparisons
    comparisons = tuple(
        replace(compared, stamped_at=begin + timedelta(hours=hour), differences=differences, pending=pending)
        for hour, (differences, pending) in enumerate(((0, 0), (10, 0), (5, 4)))
    )

    found = Parsed(page.render(replace(report, comparisons=comparisons)))

    assert [(one["cx"], one["cy"]) for one in found.of("circle", "some")] == [
        ("50.000%", "0.00%"),
        ("100.000%", "50.00%"),
        ("100.000%", "0.00%"),
    ]
    none = [(one["cx"], one["cy"]) for one in found.of("circle", "none")]
    assert none == [("0.000%", "100.00%"), ("0.000%", "100.00%"), ("50.000%", "100.00%")]
    assert len(found.of("td", "count bad")) == 2


def test_many_comparisons_are_not_all_written_out(report: Report) -> None:
    [compared] = report.comparisons
    assert compared.stamped_at is not None
    comparisons = tuple(
        replace(compared, stamped_at=compared.stamped_at + timedelta(hours=hour)) for hour in range(100)
    )

    found = Parsed(page.render(replace(report, comparisons=comparisons)))

    assert "The last comparisons, 8 of 100" in found.text
    assert {one["r"] for one in found.of("circle", "none")} == {"1"}


def test_site_with_a_history(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled(people("4321")))
    pipeline.sync()
    pipeline.compare()
    site.execute("UPDATE people SET type = 'behind the back' WHERE row_id IN ('1', '2')")
    pipeline.compare()
    pipeline.sync()
    pipeline.compare()
    lead(pipeline, Phase.DATABASE_PRIMARY)
    lead(pipeline, Phase.DUAL_WRITE)
    pipeline.reports.read()
    pipeline.backups.make()
    pipeline.write("1", {"type": "since"})
    pipeline.backups.restore("latest")

    report = pipeline.reports.read()

    assert [one.after for one in report.changes] == [Phase.DATABASE_PRIMARY, Phase.DUAL_WRITE]
    assert [one.differences for one in report.comparisons][:3] == [0, 2, 0]
    assert report.figures is not None
    assert {one.type: one.people for one in report.figures.types} == {"INTJ": 3, "since": 1}
    found = Parsed(page.render(report))
    assert len(found.of("circle", "some")) == 1
    assert len(found.of("rect", "span")) == 2
    assert "since" in found.text


def test_what_is_not_known_is_said(report: Report) -> None:
    bare = replace(report, figures=None, why_no_figures="<why>", comparisons=())

    text = Parsed(page.render(bare)).text

    assert "There are none: <why>." in text
    assert "No comparison is known." in text
    assert "Phase dual_write is in force." in text
    assert "It has never been changed." in text


def test_many_types_are_counted_together(site: Site, pipeline: Pipeline) -> None:
    site.put(spelled([someone(key, type=f"type {key}") for key in range(1, 26)], FULL))
    pipeline.sync()

    found = Parsed(page.render(pipeline.reports.read()))

    assert "And 5 more types, of 5 people." in found.text
    assert sum(text.startswith("type ") for text in found.text) == 20
