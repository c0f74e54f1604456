"""Proof: a comparison holds for exactly the data it compared."""

from dataclasses import replace
from typing import Any

import pytest

from ingestion_pipeline.domain.proof import Present, Proof, why_not

PROOF = Proof(
    epoch=2,
    csv_sha256="c" * 64,
    position="p",
    contract_version="v",
    rows=10,
    differences=0,
    pending=0,
    undecided=0,
    bytes_equal=True,
    way_back_rehearsed=False,
    run_id=None,
)
PRESENT = Present(epoch=2, csv_sha256="c" * 64, position="p", contract_version="v", pending=0, undecided=0)


def test_a_clean_proof_of_the_present_holds() -> None:
    assert list(why_not(PROOF, PRESENT)) == []


def test_without_a_proof_nothing_is_shown() -> None:
    assert list(why_not(None, PRESENT)) == ["the two sides have never been compared"]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"differences": 3}, "the last comparison found 3 differences"),
        ({"bytes_equal": False}, "PostgreSQL does not render the file's bytes"),
    ],
)
def test_what_was_found_is_a_reason(found: dict[str, Any], reason: str) -> None:
    assert list(why_not(replace(PROOF, **found), PRESENT)) == [reason]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"epoch": 3}, "the last comparison was made in epoch 2, now is 3"),
        ({"csv_sha256": "d" * 64}, "the CSV has changed since the last comparison"),
        ({"csv_sha256": None}, "the CSV has changed since the last comparison"),
        ({"position": "q"}, "PostgreSQL has changed since the last comparison"),
        ({"contract_version": "w"}, "the contract has changed since the last comparison"),
        ({"pending": 4}, "4 rows are pending"),
        ({"undecided": 5}, "5 quarantine entries are undecided"),
    ],
)
def test_what_has_changed_since_is_a_reason(changed: dict[str, Any], reason: str) -> None:
    assert list(why_not(PROOF, replace(PRESENT, **changed))) == [reason]


def test_every_reason_is_given() -> None:
    present = Present(epoch=9, csv_sha256=None, position="x", contract_version="x", pending=1, undecided=1)
    assert len(list(why_not(replace(PROOF, differences=1, bytes_equal=False), present))) == 8
