"""Which paths are the CSV's, and which another file's."""

import pytest

from ingestion_pipeline.domain.adoption import Certainty, Target
from ingestion_pipeline.domain.adoption.target import ELSEWHERE, ROOT, UNKNOWN_PART, parent

OLD = Target("outputs/output.csv", "/home/x/old")
ABROAD = Target("/data/people.csv", "/home/x/old")
C, L = Certainty.CERTAIN, Certainty.LIKELY

PATHS = [
    ("outputs/output.csv", C),
    ("./outputs//x/../output.csv", C),
    ("outputs\\output.csv", C),
    (f"{ROOT}/outputs/output.csv", C),
    ("/home/x/old/outputs/output.csv", C),
    ("../outputs/output.csv", L),
    ("/srv/old/outputs/output.csv", L),
    (f"{UNKNOWN_PART}/outputs/output.csv", L),
    (f"{UNKNOWN_PART}outputs/output.csv", L),
    (f"{UNKNOWN_PART}/output.csv", L),
    (f"{UNKNOWN_PART}/old/outputs/output.csv", L),
    ("outputs/*.csv", L),
    ("", None),
    ("output.csv", None),
    ("outputs", None),
    ("archive/outputs/output.csv", None),
    ("outputs/output.csv.bak", None),
    ("/home/x/old/archive/outputs/output.csv", None),
    ("/outputs.csv", None),
    (f"{ROOT}/scripts/output.csv", None),
    (f"{UNKNOWN_PART}output.csv", None),
    (f"{UNKNOWN_PART}/archive/output.csv", None),
    (f"outputs/{UNKNOWN_PART}/output.csv", None),
    (f"outputs/{UNKNOWN_PART}.csv", None),
    (UNKNOWN_PART, None),
    (f"{ELSEWHERE}/outputs/output.csv", None),
    ("s3://bucket/outputs/output.csv", None),
    ("archive/*.csv", None),
]


@pytest.mark.parametrize(("path", "sure"), PATHS)
def test_a_path_is_the_csvs_or_not(path: str, sure: Certainty | None) -> None:
    assert OLD.match(path) is sure


def test_a_csv_outside_of_the_checkout_is_known_by_its_whole_path() -> None:
    assert ABROAD.match("/data/people.csv") is C
    assert ABROAD.match("/srv/data/people.csv") is None
    assert ABROAD.match("data/people.csv") is None
    assert ABROAD.match(f"{ROOT}/data/people.csv") is None


def test_folders_are_climbed_no_higher_than_is_known() -> None:
    assert parent("outputs/output.csv") == "outputs"
    assert parent(f"{ROOT}/a/b.py") == f"{ROOT}/a"
    assert parent(UNKNOWN_PART) == UNKNOWN_PART
    assert parent("/") == "/"
