"""What nobody works on any more is swept away, and nothing else."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ingestion_pipeline.domain.version import Form, key
from ingestion_pipeline.stores.bucket.chain import LEFT_FOR, Chain
from ingestion_pipeline_tests.stores.bucket.kept import Kept
from ingestion_pipeline_tests.stores.bucket.publishing import (
    LONG_AFTER,
    NAME,
    NOON,
    entry_key,
    flip,
    publish,
    publish_three,
)
from ingestion_pipeline_tests.stores.bucket.s3_stub import NONE, S3, Fault, Request, Upload

LEFT = key(NAME, NOON + timedelta(hours=30), 0, Form.CSV)
"""Where a version lies that never got its entry, between the second and the third of three."""


def test_a_version_left_without_an_entry_is_swept(kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.put(LEFT, b"left")
    assert kept.chain.sweep(LONG_AFTER) == 1
    assert kept.names() == [*(one.key for one in published), *map(entry_key, (1, 2, 3))]
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert [version.good for version in kept.chain.listing()] == [True] * 3


def test_what_somebody_may_yet_work_on_is_left(kept: Kept) -> None:
    publish_three(kept.chain)
    kept.put(LEFT, b"begun")
    begun = NOON + timedelta(hours=30)
    assert kept.chain.sweep(begun + LEFT_FOR - timedelta(seconds=1)) == 0
    assert kept.chain.sweep(begun + timedelta(seconds=2), timedelta(seconds=3)) == 0
    assert kept.chain.sweep(begun + timedelta(seconds=4), timedelta(seconds=3)) == 1


def test_a_version_that_is_listed_is_never_swept(kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.damage(published[1].key, flip)
    before = kept.names()
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert kept.names() == before


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_with_an_entry_amiss_nothing_is_taken_for_left(harm: str, number: int, kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.put(LEFT, b"left")
    if harm == "lost":
        kept.lose(entry_key(number))
    else:
        kept.damage(entry_key(number), flip)
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert {one.key for one in published} | {LEFT} < set(kept.names())


def test_with_the_newest_entry_lost_its_version_is_left(kept: Kept) -> None:
    published = publish_three(kept.chain)
    kept.lose(entry_key(3))
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert published[2].key in kept.names()


def test_with_every_entry_lost_nothing_is_swept(kept: Kept) -> None:
    for one in publish_three(kept.chain):
        kept.lose(entry_key(one.number))
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert len(kept.names()) == 3


def test_what_is_older_than_the_chain_is_left(kept: Kept) -> None:
    older = key(NAME, NOON - timedelta(days=1), 0, Form.CSV)
    kept.put(older, b"of an earlier program")
    publish_three(kept.chain)
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert older in kept.names()


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_was_removed_by_its_entry_only_is_swept(
    is_whole: bool,  # noqa: FBT001
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = publish_three(kept.chain)
    with monkeypatch.context() as patch:
        patch.setattr(type(kept.place), "remove", lambda *_: None)
        kept.chain.remove([published[0].key], NOON, "killed")
    assert published[0].key in kept.names()
    if not is_whole:
        kept.damage(entry_key(2), flip)
    assert kept.chain.sweep(NOON) == 1
    assert published[0].key not in kept.names()
    assert published[1].key in kept.names()


def test_a_name_that_was_given_again_after_a_removal_is_kept(kept: Kept) -> None:
    first = publish(kept.chain, b"one")
    kept.chain.remove([first.key], NOON, "tests")
    again = publish(kept.chain, b"two")
    publish(kept.chain, b"three", NOON + timedelta(days=1))
    assert again.key == first.key
    assert kept.chain.sweep(LONG_AFTER) == 0
    kept.damage(entry_key(1), flip)
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert kept.chain.is_good(again)


def test_files_of_others_are_left(kept: Kept) -> None:
    publish_three(kept.chain)
    others = (
        LEFT.replace(NAME, "other-versions"), f"{LEFT}/more.csv", LEFT.replace("Z_000", ""),
        f"{NAME}/notes.txt", f"{NAME}/2026/03/notes.csv",
        f"{NAME}/old/{LEFT.removeprefix(f'{NAME}/')}",
    )  # fmt: skip
    for name in others:
        kept.put(name, b"of others")
    assert kept.chain.sweep(LONG_AFTER) == 0
    assert set(others) < set(kept.names())


def aged(path: Path, moment: datetime) -> Path:
    path.touch()
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    return path


def test_drafts_of_those_who_died_are_swept(kept: Kept) -> None:
    folder = kept.place.drafts
    left = [aged(folder / f".{name}.0123456789abcdef.tmp", NOON) for name in ("version", "manifest")]
    young = aged(folder / ".version.fedcba9876543210.tmp", NOON + timedelta(hours=1))
    others = [aged(folder / name, NOON) for name in (".other.tmp", "version.tmp", ".version.csv")]
    assert kept.chain.sweep(NOON + LEFT_FOR + timedelta(minutes=1)) == 2
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (young, *others))


def test_uploads_in_parts_that_were_left_are_aborted(s3: S3, in_stub: Chain) -> None:
    begun = {"left": (LEFT, NOON), "young": (LEFT, LONG_AFTER), "other": ("other.csv", NOON)}
    s3.uploads = {upload_id: Upload(*one) for upload_id, one in begun.items()}
    assert in_stub.sweep(NOON) == 0
    assert in_stub.sweep(LONG_AFTER) == 1
    assert set(s3.uploads) == {"young", "other"}


def test_very_many_uploads_are_aborted(s3: S3, in_stub: Chain) -> None:
    s3.page = 3
    s3.uploads = {f"upload-{number}": Upload(LEFT, NOON) for number in range(10)}
    s3.uploads["young"] = Upload(LEFT, LONG_AFTER)
    assert in_stub.sweep(LONG_AFTER) == 10
    assert set(s3.uploads) == {"young"}


def test_an_upload_that_another_ended_meanwhile_is_passed_over(s3: S3, in_stub: Chain) -> None:
    s3.uploads = {f"upload-{number}": Upload(LEFT, NOON) for number in range(3)}

    def ended(request: Request) -> Fault:
        if request.what == "abort_multipart_upload":
            s3.uploads.pop("upload-1", None)
        return NONE

    s3.decide = ended
    assert in_stub.sweep(LONG_AFTER) == 2
    assert s3.uploads == {}
