"""However uploads fail, and whoever is killed over one: what is listed is whole."""

from pathlib import Path

import pytest

from ingestion_pipeline_tests.stores.bucket.publisher import Mutant, Program
from ingestion_pipeline_tests.stores.bucket.s3_stub import S3
from ingestion_pipeline_tests.stores.bucket.uploading import Uploading

PART = 64 * 1024


def program(s3: S3, folder: Path, mutant: Mutant = Mutant.NONE) -> Program:
    s3.looks = mutant is not Mutant.UNCONDITIONAL
    return Program(s3.url, folder / "drafts", PART, mutant=mutant)


def test_what_is_listed_as_good_can_be_restored(s3: S3, tmp_path: Path) -> None:
    whole = program(s3, tmp_path)
    with whole.begun():
        tally = Uploading(s3, whole).publish(25, kills=0.15)
    assert tally.violations == []
    assert min(tally.refused, tally.kills, tally.in_parts, tally.swept) > 0
    assert tally.listed >= tally.acknowledged > 10


def test_what_those_leave_who_die_while_they_send_is_swept(s3: S3, tmp_path: Path) -> None:
    whole = program(s3, tmp_path)
    with whole.begun():
        tally = Uploading(s3, whole, share=0, large=1).publish(5, kills=1)
    assert tally.violations == []
    assert tally.swept >= tally.kills > 0


def test_of_those_who_publish_at_once_nobody_loses_anything(s3: S3, tmp_path: Path) -> None:
    whole = program(s3, tmp_path)
    with whole.begun():
        tally = Uploading(s3, whole, share=0.02).publish_at_once(4, 8)
    assert tally.violations == []
    assert tally.listed > 15


@pytest.mark.parametrize(
    ("mutant", "kills"), [(Mutant.ENTRY_FIRST, 0), (Mutant.NOT_READ_BACK, 0), (Mutant.NOT_SWEPT, 1)]
)
def test_a_fault_in_the_program_is_noticed(mutant: Mutant, kills: float, s3: S3, tmp_path: Path) -> None:
    worse = program(s3, tmp_path, mutant)
    with worse.begun():
        uploading = Uploading(s3, worse, share=0 if kills else 0.15, large=kills or 0.3)
        assert uploading.publish(5 if kills else 40, kills=kills).violations


def test_a_fault_of_the_bucket_is_noticed(s3: S3, tmp_path: Path) -> None:
    worse = program(s3, tmp_path, Mutant.UNCONDITIONAL)
    with worse.begun():
        assert Uploading(s3, worse, share=0).publish_at_once(4, 15).violations
