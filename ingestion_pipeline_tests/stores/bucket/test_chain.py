"""Versions in a folder and in a bucket: published whole, chained, and never believed unread."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from threading import Timer
from typing import Any

import pytest

from ingestion_pipeline.domain.errors import InputRefusedError, UnavailableError
from ingestion_pipeline.domain.version import Form, Manifest, Removal, entry_from_bytes
from ingestion_pipeline.stores.bucket.chain import Chain
from ingestion_pipeline_tests.proxy import eventually
from ingestion_pipeline_tests.stores.bucket.kept import Kept
from ingestion_pipeline_tests.stores.bucket.publishing import (
    NAME,
    NOON,
    content_of,
    entry_key,
    fetched,
    flip,
    publish,
    publish_three,
    sha256,
)

NOT_PUBLISHED = "its bytes are not those that were published"


def amiss(chain: Chain) -> list[str | None]:
    return [version.amiss for version in chain.listing()]


def test_an_empty_place_has_no_versions(kept: Kept) -> None:
    assert list(kept.chain.listing()) == []
    assert kept.chain.holding(sha256(b"")) is None
    assert kept.chain.place == kept.place.where
    assert kept.names() == []


def test_a_version_is_its_csv_and_an_entry(kept: Kept) -> None:
    manifest = publish(kept.chain, b"the csv")
    assert manifest.key == "csv-versions/2026/03/output_20260304T120000000000Z_000.csv"
    assert kept.bytes_of(manifest.key) == b"the csv"
    assert kept.bytes_of(entry_key(1)) == manifest.as_bytes()
    assert kept.names() == [manifest.key, entry_key(1)]


def test_the_manifest_says_what_was_published(chain: Chain) -> None:
    manifest = publish(chain, b"the csv")
    assert (manifest.content.sha256, manifest.content.size) == (sha256(b"the csv"), 7)
    assert (manifest.stored.sha256, manifest.stored.size) == (sha256(b"the csv"), 7)
    assert manifest.content.published_at == NOON


def test_no_entry_holds_a_cell(kept: Kept) -> None:
    publish(kept.chain, b"row_id,name\n4711,CANARY\n")
    kept.chain.remove([publish(kept.chain, b"row_id,name\n4712,CANARY\n").key], NOON, "tests")
    for number in (1, 2, 3):
        assert not {b"CANARY", b"4711", b"4712"} & set(kept.bytes_of(entry_key(number)).split(b'"'))
        assert b"CANARY" not in kept.bytes_of(entry_key(number))


def test_what_is_fetched_is_what_was_published(chain: Chain) -> None:
    csv = bytes(range(256)) * 10_000
    assert fetched(chain, publish(chain, csv)) == csv
    assert fetched(chain, publish(chain, b"")) == b""


def test_a_version_can_lie_there_compressed(kept: Kept) -> None:
    csv = b"a row\n" * 100_000
    manifest = publish(kept.chain, csv, form=Form.ZSTD)
    assert manifest.key.endswith("_000.csv.zst")
    assert (manifest.content.sha256, manifest.content.size) == (sha256(csv), len(csv))
    assert manifest.stored.sha256 == sha256(kept.bytes_of(manifest.key))
    assert manifest.stored.size < len(csv) // 100
    assert fetched(kept.chain, manifest) == csv
    assert fetched(kept.chain, publish(kept.chain, b"", form=Form.ZSTD)) == b""
    assert amiss(kept.chain) == [None, None]


def test_a_dump_is_given_back_as_it_is(chain: Chain) -> None:
    with chain.draft(Form.DUMP) as new:
        new.write(b"the dump")
        rendered = replace(content_of(new, NOON), sha256=sha256(b"the csv"), size=7)
        manifest = new.publish(rendered, made_by="pg_dump 18, revision 12")
    assert manifest.key == "csv-versions/2026/03/dump_20260304T120000000000Z_000.dump"
    assert manifest.stored.made_by == "pg_dump 18, revision 12"
    assert fetched(chain, manifest) == b"the dump"
    assert amiss(chain) == [None]


def test_two_dumps_of_the_same_content_are_two(chain: Chain) -> None:
    for _ in range(2):
        with chain.draft(Form.DUMP) as new:
            new.write(b"the dump")
            new.publish(content_of(new, NOON))
    assert amiss(chain) == [None, None]


def test_versions_are_listed_newest_first(chain: Chain) -> None:
    published = publish_three(chain)
    assert [version.manifest for version in chain.listing()] == published[::-1]
    assert amiss(chain) == [None] * 3


def test_keys_are_sorted_by_month(chain: Chain) -> None:
    moments = [datetime(*date, tzinfo=UTC) for date in [(2025, 12, 31), (2026, 1, 1), (2026, 11, 1)]]
    published = [publish(chain, f"csv {moment}".encode(), moment).key for moment in moments]
    assert [key.rpartition("/")[0] for key in published] == [f"{NAME}/{m:%Y/%m}" for m in moments]
    assert [version.key for version in chain.listing()] == published[::-1]


def test_each_entry_names_the_one_before_by_its_bytes(kept: Kept) -> None:
    published = publish_three(kept.chain)
    assert [manifest.number for manifest in published] == [1, 2, 3]
    assert published[0].parent is None
    for after in published[1:]:
        assert after.parent == sha256(kept.bytes_of(entry_key(after.number - 1)))


def test_two_in_the_same_microsecond_do_not_collide(kept: Kept) -> None:
    one, other = publish(kept.chain, b"one"), publish(kept.chain, b"other")
    assert one.key != other.key
    assert [kept.bytes_of(manifest.key) for manifest in (one, other)] == [b"one", b"other"]
    assert [version.manifest for version in kept.chain.listing()] == [other, one]
    assert amiss(kept.chain) == [None, None]


def test_a_csv_left_without_an_entry_is_no_version_and_keeps_its_name(kept: Kept) -> None:
    first = publish(kept.chain, b"one")
    kept.lose(entry_key(1))
    assert list(kept.chain.listing()) == []
    second = publish(kept.chain, b"two")
    assert second.key != first.key
    assert kept.bytes_of(first.key) == b"one"


def test_the_same_content_is_published_once(kept: Kept) -> None:
    first = publish(kept.chain, b"csv")
    assert publish(kept.chain, b"csv", NOON + timedelta(days=1)) == first
    assert publish(kept.chain, b"csv", NOON + timedelta(days=1), Form.ZSTD) == first
    assert kept.names() == [first.key, entry_key(1)]


def test_the_same_content_is_published_again_where_it_is_damaged(kept: Kept) -> None:
    first = publish(kept.chain, b"the csv")
    kept.damage(first.key, flip)
    second = publish(kept.chain, b"the csv", NOON + timedelta(days=1))
    assert second.number == 2
    assert amiss(kept.chain) == [None, NOT_PUBLISHED]


def test_the_same_content_is_published_again_after_another(chain: Chain) -> None:
    for csv in (b"one", b"two", b"one"):
        publish(chain, csv)
    assert [one.content.sha256 for one in manifests(chain)] == [
        sha256(b"one"),
        sha256(b"two"),
        sha256(b"one"),
    ]


def manifests(chain: Chain) -> list[Manifest]:
    return [version.manifest for version in chain.listing() if version.manifest is not None]


MANY = 1_100
"""More than a server lists at once."""


def test_there_may_be_very_many_entries(kept: Kept) -> None:
    publish(kept.chain, b"first")
    for number in range(2, MANY + 1):
        kept.put(entry_key(number), b"")
    manifest = publish(kept.chain, b"last", NOON + timedelta(days=1))
    assert manifest.number == MANY + 1
    newest, before = islice(kept.chain.listing(), 2)
    assert newest.manifest == manifest
    assert (before.key, before.amiss) == (entry_key(MANY), "its manifest is damaged")


def test_very_many_entries_are_all_listed(in_folder: Kept) -> None:
    publish(in_folder.chain, b"first")
    for number in range(2, MANY + 1):
        in_folder.put(entry_key(number), b"")
    listed = list(in_folder.chain.listing())
    assert [version.good for version in listed] == [False] * (MANY - 1) + [True]


def test_a_draft_not_published_is_gone(kept: Kept) -> None:
    with kept.chain.draft(Form.CSV) as new:
        new.write(b"csv")
        assert list(kept.place.drafts.iterdir())
    assert kept.names() == []
    assert list(kept.place.drafts.iterdir()) == []


def write_and_fail(chain: Chain) -> None:
    with chain.draft(Form.CSV) as new:
        new.write(b"csv")
        raise RuntimeError("stopped")


def test_a_draft_that_failed_is_gone(kept: Kept) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        write_and_fail(kept.chain)
    assert list(kept.place.drafts.iterdir()) == []


def publish_damaged(kept: Kept) -> None:
    with kept.chain.draft(Form.CSV) as new:
        new.write(b"csv")
        (beside,) = kept.place.drafts.glob(".version.*.tmp")
        eventually(lambda: beside.read_bytes() == b"csv")
        beside.write_bytes(b"CSV")
        new.publish(content_of(new, NOON))


def test_what_the_disk_does_not_hold_is_not_published(kept: Kept) -> None:
    with pytest.raises(UnavailableError) as caught:
        publish_damaged(kept)
    assert caught.value.code == "damaged_write"
    assert kept.names() == []


def cut(stored: bytes) -> bytes:
    return stored[:3]


def add(stored: bytes) -> bytes:
    return stored + b"\n"


def empty(_stored: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("form", [Form.CSV, Form.ZSTD])
@pytest.mark.parametrize("harm", [flip, cut, add, empty])
def test_a_damaged_version_is_not_good_and_not_given_back(
    harm: Callable[[bytes], bytes], form: Form, kept: Kept
) -> None:
    one, other = publish(kept.chain, b"one csv", form=form), publish(kept.chain, b"other", form=form)
    kept.damage(one.key, harm)
    assert amiss(kept.chain) == [None, NOT_PUBLISHED]
    assert not kept.chain.is_good(one)
    assert fetched(kept.chain, other) == b"other"
    with pytest.raises(InputRefusedError, match=NOT_PUBLISHED) as caught:
        fetched(kept.chain, one)
    assert caught.value.code == "version_damaged"
    assert caught.value.place.file == one.key
    assert caught.value.hint


def test_every_flipped_bit_of_a_compressed_version_is_noticed(in_folder: Kept) -> None:
    manifest = publish(in_folder.chain, b"the csv", form=Form.ZSTD)
    whole = in_folder.bytes_of(manifest.key)
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        in_folder.put(manifest.key, bytes(changed))
        assert amiss(in_folder.chain) == [NOT_PUBLISHED]


def test_a_version_whose_bytes_are_gone_is_not_good(kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.lose(published[1].key)
    assert amiss(kept.chain) == [None, "its bytes are gone", None]
    with pytest.raises(InputRefusedError, match="its bytes are gone"):
        fetched(kept.chain, published[1])


def test_unread_only_the_chain_is_looked_at(kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.damage(published[1].key, flip)
    kept.damage(entry_key(1), flip)
    assert [version.amiss for version in kept.chain.listing(read=False)] == [
        None,
        None,
        "its manifest is damaged",
    ]


def test_content_that_is_not_the_drafts_is_not_good(chain: Chain) -> None:
    with chain.draft(Form.CSV) as new:
        new.write(b"csv")
        manifest = new.publish(replace(content_of(new, NOON), sha256="0" * 64))
    assert amiss(chain) == [NOT_PUBLISHED]
    with pytest.raises(InputRefusedError):
        fetched(chain, manifest)


def test_only_the_newest_version_holds_what_need_not_be_published_again(kept: Kept) -> None:
    published = publish_three(kept.chain)
    assert [kept.chain.holding(one.content.sha256) for one in published] == [None, None, published[-1]]


@pytest.mark.parametrize("what", ["bytes", "entry"])
def test_a_damaged_version_holds_nothing(what: str, kept: Kept) -> None:
    newest = publish_three(kept.chain)[-1]
    kept.damage(newest.key if what == "bytes" else entry_key(3), flip)
    assert kept.chain.holding(newest.content.sha256) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_damaged_entry_is_told_by_its_number(number: int, kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.damage(entry_key(number), flip)
    listed = {version.key: version.amiss for version in kept.chain.listing()}
    whole = {one.key: None for one in published if one.number != number}
    assert listed == {entry_key(number): "its manifest is damaged", **whole}


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_entry_is_told_by_its_number(number: int, kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.lose(entry_key(number))
    listed = {version.key: version.amiss for version in kept.chain.listing()}
    whole = {one.key: None for one in published if one.number != number}
    assert listed == {entry_key(number): "its manifest is gone", **whole}


def test_any_changed_byte_of_the_newest_entry_is_noticed(in_folder: Kept) -> None:
    publish(in_folder.chain, b"csv")
    whole = in_folder.bytes_of(entry_key(1))
    for at in range(len(whole)):
        in_folder.put(entry_key(1), whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert amiss(in_folder.chain) == ["its manifest is damaged"]


@pytest.mark.parametrize(
    "stored",
    [b"", b"{}", b"[]", b"null", b"\xff", b"not json", b"[" * 100_000],
    ids=lambda stored: repr(stored[:8]),
)
def test_anything_else_is_no_entry(stored: bytes, kept: Kept) -> None:
    publish_three(kept.chain)
    kept.put(entry_key(2), stored)
    assert amiss(kept.chain) == [None, "its manifest is damaged", None]


def test_a_well_made_entry_in_another_s_place_is_noticed(kept: Kept) -> None:
    _, second, _ = publish_three(kept.chain)
    other = replace(second, content=replace(second.content, rows=2))
    kept.put(entry_key(2), other.as_bytes())
    assert amiss(kept.chain) == [
        None,
        "its manifest is not the one that number 3 was published after",
        None,
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"number": 2},
        {"parent": "0" * 64},
        {"key": "csv-versions/../../elsewhere"},
        {"key": "other/2026/03/x"},
    ],
)
def test_an_entry_that_cannot_be_of_this_chain_is_none(other: dict[str, Any], kept: Kept) -> None:
    manifest = publish(kept.chain, b"csv")
    kept.put(entry_key(1), replace(manifest, **other).as_bytes())
    assert amiss(kept.chain) == ["its manifest is damaged"]


def test_the_chain_goes_on_from_a_damaged_entry(kept: Kept) -> None:
    publish(kept.chain, b"one")
    kept.put(entry_key(1), b"broken")
    after = publish(kept.chain, b"two", NOON + timedelta(days=1))
    assert (after.number, after.parent) == (2, sha256(b"broken"))
    assert amiss(kept.chain) == [None, "its manifest is damaged"]


def test_an_entry_that_is_being_taken_back_is_not_followed(kept: Kept) -> None:
    publish(kept.chain, b"one")
    whole = kept.bytes_of(entry_key(1))
    kept.put(entry_key(1), flip(whole))
    mending = Timer(0.2, kept.put, (entry_key(1), whole))
    mending.start()
    after = publish(kept.chain, b"two", NOON + timedelta(days=1))
    mending.join()
    assert after.parent == sha256(whole)
    assert amiss(kept.chain) == [None, None]


def test_files_of_others_are_no_versions(kept: Kept) -> None:
    manifest = publish(kept.chain, b"csv")
    others = (
        f"{NAME}/manifests/notes.json", f"{NAME}/manifests/00000002.json.bak", "manifests/00000007.json",
        f"{NAME}/manifests/old/manifests/00000009.json", f"{NAME}/2026/03/notes.txt",
        f"{NAME}-old/manifests/00000009.json",
    )  # fmt: skip
    for name in others:
        kept.put(name, b"{}")
    assert [version.key for version in kept.chain.listing()] == [manifest.key]
    assert publish(kept.chain, b"more").number == 2


def test_two_chains_share_a_place(kept: Kept) -> None:
    backups = Chain(kept.place, "database-backups")
    manifest = publish(kept.chain, b"csv")
    dump = publish(backups, b"csv")
    assert (manifest.number, dump.number) == (1, 1)
    assert [version.key for version in kept.chain.listing()] == [manifest.key]
    assert [version.key for version in backups.listing()] == [dump.key]


def test_a_removal_leaves_the_chain_whole(kept: Kept) -> None:
    first, second, third = publish_three(kept.chain)
    kept.chain.remove([first.key, second.key], NOON + timedelta(days=4), "somebody")
    assert [version.key for version in kept.chain.listing()] == [third.key]
    assert amiss(kept.chain) == [None]
    assert kept.names() == [third.key, *map(entry_key, (1, 2, 3, 4))]
    removal = entry_from_bytes(kept.bytes_of(entry_key(4)))
    assert isinstance(removal, Removal)
    assert (removal.keys, removal.by) == ((first.key, second.key), "somebody")
    after = publish(kept.chain, b"more", NOON + timedelta(days=5))
    assert (after.number, after.parent) == (5, sha256(kept.bytes_of(entry_key(4))))
    assert amiss(kept.chain) == [None, None]


def test_nothing_to_remove_is_no_entry(kept: Kept) -> None:
    kept.chain.remove([], NOON, "tests")
    assert kept.names() == []


def test_what_is_gone_already_can_be_removed(kept: Kept) -> None:
    first, _, _ = publish_three(kept.chain)
    kept.lose(first.key)
    kept.chain.remove([first.key], NOON, "tests")
    assert amiss(kept.chain) == [None, None]


def test_a_damaged_removal_is_told_and_not_believed(kept: Kept) -> None:
    first, *_ = publish_three(kept.chain)
    kept.chain.remove([first.key], NOON, "tests")
    kept.damage(entry_key(4), flip)
    listed = list(kept.chain.listing())
    assert [version.key for version in listed][::3] == [entry_key(4), first.key]
    assert [version.amiss for version in listed[:3]] == ["its manifest is damaged", None, None]


def test_a_removal_in_another_s_place_is_told_and_not_believed(kept: Kept) -> None:
    first, second, _ = publish_three(kept.chain)
    kept.chain.remove([first.key], NOON, "tests")
    publish(kept.chain, b"more", NOON + timedelta(days=5))
    removal = entry_from_bytes(kept.bytes_of(entry_key(4)))
    assert isinstance(removal, Removal)
    kept.put(entry_key(4), replace(removal, keys=(second.key,)).as_bytes())
    listed = [(version.key, version.amiss) for version in kept.chain.listing()]
    assert (entry_key(4), "its manifest is not the one that number 5 was published after") in listed
    assert (second.key, None) in listed


def test_a_manifest_that_is_not_sealed_is_damaged(kept: Kept) -> None:
    publish(kept.chain, b"csv")
    told = json.loads(kept.bytes_of(entry_key(1)))
    told["content"]["rows"] = 2
    kept.put(entry_key(1), json.dumps(told, indent=2, sort_keys=True).encode() + b"\n")
    assert amiss(kept.chain) == ["its manifest is damaged"]
