"""Merging a file that somebody else rewrote: no acknowledged write is lost, no knowing change undone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.journal import Kind, Record
from ingestion_pipeline.domain.merge import THERE, Chain, Fate, Judged, chains, judge

Rows = dict[str, dict[str, str]]
COLUMNS = ("name", "link", "type")


def person(key: str) -> dict[str, str]:
    return {"name": f"Name {key}", "link": "", "type": "INTJ"}


@dataclass
class Site:
    """A file with a journal, as far as merging knows either."""

    rows: Rows = field(default_factory=lambda: {key: person(key) for key in "abcdef"})
    records: list[Record] = field(default_factory=list)

    def write(self, row_id: str, **cells: str) -> None:
        self.note(row_id, Kind.WRITE, cells)

    def note(self, row_id: str, kind: Kind, cells: dict[str, str]) -> None:
        created = row_id not in self.rows
        row = self.rows.setdefault(row_id, dict.fromkeys(COLUMNS, ""))
        texts = {name: (None if created else row[name], text) for name, text in cells.items()}
        row.update(cells)
        number = len(self.records) + 1
        self.records.append(Record(number, number - 1, 1, kind, row_id=row_id, cells=texts, created=created))

    def copy(self) -> Rows:
        return {row_id: dict(row) for row_id, row in self.rows.items()}

    def judged(self, rows: Rows, read_at: int | None = None) -> list[Judged]:
        def present(row_id: str, column: str) -> str | None:
            if row_id not in rows:
                return None
            return THERE if column == THERE else rows[row_id].get(column)

        return list(judge(chains(self.records), present, read_at))

    def merged(self, rows: Rows, read_at: int | None = None) -> Rows:
        """The other's rows with what was stale written again."""
        merged = {row_id: dict(row) for row_id, row in rows.items()}
        stale = [one for one in self.judged(rows, read_at) if one.fate is Fate.STALE]
        for one in stale:
            if one.column == THERE:
                merged.setdefault(one.row_id, dict.fromkeys(COLUMNS, ""))
        for one in stale:
            if one.column != THERE and one.row_id in merged:
                assert one.acknowledged is not None
                merged[one.row_id][one.column] = one.acknowledged
        return merged

    def fates(self, rows: Rows) -> dict[tuple[str, str], Fate]:
        return {(one.row_id, one.column): one.fate for one in self.judged(rows)}


def test_a_stale_rewrite_of_the_whole_file_loses_no_write() -> None:
    site = Site()
    site.write("a", link="seen by the script")
    stale = site.copy()
    for key in "abcdef":
        site.write(key, link=f"link {key}")
    assert site.merged(stale) == site.rows


def test_a_script_that_read_before_every_write_loses_none() -> None:
    site = Site()
    stale = site.copy()
    site.write("a", link="one")
    site.write("a", link="two", name="A")
    assert site.merged(stale) == site.rows


def test_a_change_of_a_cell_that_nobody_wrote_stays() -> None:
    site = Site()
    stale = site.copy()
    site.write("a", link="link a")
    stale["b"]["name"] = "the script's"
    stale["a"]["name"] = "the script's too"
    merged = site.merged(stale)
    assert merged["a"] == {"name": "the script's too", "link": "link a", "type": "INTJ"}
    assert merged["b"]["name"] == "the script's"


def test_a_change_of_a_cell_that_was_written_before_stays() -> None:
    site = Site()
    site.write("a", link="link a")
    edited = site.copy()
    edited["a"]["link"] = "the script's"
    assert site.fates(edited) == {("a", "link"): Fate.OWN}
    assert site.merged(edited) == edited


def test_an_untouched_file_is_seen() -> None:
    site = Site()
    site.write("a", link="link a")
    site.write("a", name="A")
    assert set(site.fates(site.rows).values()) == {Fate.SEEN}


def test_a_revert_by_somebody_who_had_seen_everything_stays() -> None:
    site = Site()
    site.write("a", link="link a")
    for key in "bcd":
        site.write(key, link=f"link {key}")
    edited = site.copy()
    edited["a"]["link"] = ""
    assert site.merged(edited) == edited


def cut(site: Site, kind: Kind, *, through: int = 0, by: str = "") -> int:
    """A record that is no write; gives its number."""
    number = len(site.records) + 1
    site.records.append(Record(number, number - 1, 1, kind, through=through, by=by))
    return number


def test_what_was_restored_is_no_stale_copy() -> None:
    site = Site()
    site.write("a", link="link a")
    restored = site.copy()
    site.write("a", link="rolled back")
    site.write("x", name="rolled back")
    cut(site, Kind.RESTORED)
    assert site.merged(restored) == restored
    site.rows = site.copy() | restored
    site.write("b", link="since")
    assert site.merged(restored)["b"]["link"] == "since"


def test_a_restore_that_never_was_takes_no_write_away() -> None:
    site = Site()
    stale = site.copy()
    site.write("a", link="link a")
    never = cut(site, Kind.RESTORED)
    cut(site, Kind.RESTORED, through=never)
    site.write("b", link="link b")
    assert site.merged(stale) == site.rows


@pytest.mark.parametrize(("by", "kept"), [("", "link a"), ("postgres", "")])
def test_a_file_that_postgres_made_is_no_stale_copy(by: str, kept: str) -> None:
    site = Site()
    before = site.copy()
    site.write("a", link="link a")
    cut(site, Kind.CLOSED, by=by)
    assert site.merged(before)["a"]["link"] == kept


def test_a_revert_that_nothing_tells_from_a_stale_file_is_undone() -> None:
    site = Site()
    before = site.copy()
    site.write("a", link="link a")
    assert site.merged(before) == site.rows


def test_where_two_moments_explain_as_much_the_write_stays() -> None:
    site = Site()
    site.write("a", link="link a")
    site.write("b", link="link b")
    edited = site.copy()
    edited["a"]["link"] = ""
    assert site.merged(edited) == site.rows


def test_a_short_text_is_no_evidence_that_its_writer_had_seen_the_write() -> None:
    site = Site()
    site.write("a", link="link a")
    for key in "bcd":
        site.write(key, link="yes")
    edited = site.copy()
    edited["a"]["link"] = ""
    assert site.merged(edited) == site.rows


def test_a_text_that_was_there_before_is_no_evidence_either() -> None:
    site = Site()
    site.write("a", link="link a")
    for key in "bcd":
        site.write(key, name="somebody else")
        site.write(key, name=f"Name {key}")
    stale = site.copy()
    stale["a"]["link"] = ""
    assert site.merged(stale) == site.rows


def test_the_last_of_several_writes_is_written_again() -> None:
    site = Site()
    stale = site.copy()
    for text in ("one", "two", "three"):
        site.write("a", link=text)
    assert site.judged(stale) == [Judged("a", "link", Fate.STALE, "", "three")]


def test_a_new_person_that_the_stale_file_lacks_comes_back() -> None:
    site = Site()
    site.write("a", link="link a")
    stale = site.copy()
    site.write("new", name="New", link="link", type="INTJ")
    assert site.merged(stale) == site.rows


def test_a_new_person_comes_back_with_all_that_was_written_later() -> None:
    site = Site()
    stale = site.copy()
    site.write("new", name="New", type="INTJ")
    site.write("new", link="written later")
    site.write("new", name="Renamed")
    assert site.merged(stale) == site.rows


def test_a_person_that_the_script_took_out_stays_out() -> None:
    site = Site()
    for key in "abc":
        site.write(key, link=f"link {key}")
    edited = site.copy()
    del edited["b"], edited["f"]
    assert site.merged(edited) == edited


def test_a_new_person_that_was_seen_and_taken_out_stays_out() -> None:
    site = Site()
    site.write("new", name="New")
    for key in "abcdef":
        site.write(key, link=f"link {key}")
    edited = site.copy()
    del edited["new"]
    assert site.merged(edited) == edited


def test_a_person_written_anew_after_it_was_taken_out_comes_back() -> None:
    site = Site()
    site.write("a", link="link a")
    del site.rows["a"]
    stale = site.copy()
    site.write("a", name="Again", type="INTJ", link="")
    assert site.merged(stale) == site.rows


def test_a_column_that_the_file_has_no_more_is_left() -> None:
    site = Site()
    site.write("a", link="link a")
    narrow = site.copy()
    for row in narrow.values():
        del row["link"]
    assert site.merged(narrow) == narrow


def test_a_change_of_somebody_else_that_was_noted_is_as_good_as_a_write() -> None:
    site = Site()
    site.write("a", link="link a")
    stale = site.copy()
    site.note("a", Kind.FOREIGN, {"link": "edited by hand"})
    assert site.merged(stale) == site.rows


def test_records_that_are_about_no_cell_are_passed_over() -> None:
    cells: dict[str, tuple[str | None, str]] = {"name": ("a", "b")}
    records = [Record(1, 0, 1, kind, row_id="a", cells=cells) for kind in (Kind.CLOSED, Kind.MERGED)]
    assert chains(records) == {}


@pytest.mark.parametrize(
    ("read_at", "fate"), [(0, Fate.STALE), (1, Fate.STALE), (2, Fate.OWN), (9, Fate.OWN)]
)
def test_a_known_moment_decides_alone(read_at: int, fate: Fate) -> None:
    site = Site()
    site.write("b", link="link b")
    before = site.copy()
    site.write("a", link="link a")
    assert Judged("a", "link", fate, "", "link a") in site.judged(before, read_at)


def test_a_write_that_changed_nothing_is_no_evidence() -> None:
    chain = Chain(["same text"])
    chain.append(1, "same text", "same text")
    assert chain == Chain(["same text"])
    assert not chain.tells("same text")


def test_a_text_put_behind_the_journal_s_back_has_its_place_in_the_chain() -> None:
    chain = Chain(["one"], [])
    chain.append(1, "one", "two")
    chain.append(5, "edited", "three")
    assert (chain.texts, chain.sequences) == (["one", "two", "edited", "three"], [1, 5, 5])
    assert [chain.superseded(text) for text in chain.texts] == [1, 5, 5, None]
    assert chain.superseded("never there") is None


# Any writes, any moment, any changes of the script's own


@dataclass(frozen=True)
class Story:
    """Writes, the number of them the script had seen, and what it changed."""

    writes: Sequence[tuple[str, dict[str, str]]]
    seen: int
    own: dict[tuple[str, str], str]

    def told(self) -> tuple[Site, Rows]:
        """The site at the end, and the file the script left."""
        site = Site()
        _write_all(site, self.writes[: self.seen])
        left = site.copy()
        _write_all(site, self.writes[self.seen :])
        later = {(row_id, name) for row_id, cells in self.writes[self.seen :] for name in cells}
        for (row_id, name), text in self.own.items():
            if row_id in left and (row_id, name) not in later:
                left[row_id][name] = text
                site.rows[row_id][name] = text
        return site, left


def _write_all(site: Site, writes: Iterable[tuple[str, dict[str, str]]]) -> None:
    for row_id, cells in writes:
        new = {} if row_id in site.rows else {"name": "New", "type": "INTJ"}
        site.note(row_id, Kind.WRITE, new | cells)


def stories(own: st.SearchStrategy[str]) -> st.SearchStrategy[Story]:
    keys = st.sampled_from("abcdefxyz")  # the last three are not there at first
    columns = st.sampled_from(COLUMNS)
    texts = st.sampled_from(["", "yes", "done", "first text", "other text", "third text"])
    writes = st.lists(st.tuples(keys, st.dictionaries(columns, texts, min_size=1, max_size=2)), max_size=15)
    owns = st.dictionaries(st.tuples(keys, columns), own, max_size=4)
    return writes.flatmap(lambda made: st.builds(Story, st.just(made), st.integers(0, len(made)), owns))


@settings(max_examples=150, deadline=None)
@given(stories(st.integers(0, 99).map("the script's own {}".format)))
def test_writes_after_the_reading_and_the_script_s_own_changes_all_survive(story: Story) -> None:
    site, left = story.told()
    assert site.merged(left) == site.rows


@settings(max_examples=150, deadline=None)
@given(stories(st.sampled_from(["", "yes", "first text", "other text", "Name a"])))
def test_writes_after_the_reading_survive_whatever_the_script_wrote(story: Story) -> None:
    site, left = story.told()
    merged = site.merged(left)
    for row_id, cells in story.writes[story.seen :]:
        for name in cells:
            assert merged[row_id][name] == site.rows[row_id][name]
