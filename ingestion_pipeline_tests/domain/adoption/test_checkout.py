"""Everything that touches the CSV is found in an old checkout, and nothing else."""

import pytest

from ingestion_pipeline.domain.adoption import Access, Certainty, Checkout, Findings, Target
from ingestion_pipeline_tests.domain.adoption.old_checkout import FILES, planted

ROOT = "/home/somebody/old"


def examined(files: dict[str, str], csv: str = "outputs/output.csv") -> Findings:
    known = {file: text.encode() for file, text in files.items()}
    return Checkout(known, Target(csv, ROOT)).examine()


def told(access: Access) -> tuple[str, int, str]:
    return access.file, access.line, access.what + ("?" if access.certainty is Certainty.LIKELY else "")


def test_what_is_planted_is_found_and_nothing_else() -> None:
    found = {told(access) for access in examined(FILES).accesses}

    assert found - planted() == set(), "reported, and not there"
    assert planted() - found == set(), "there, and not reported"
    assert len(planted()) > 100


COMMANDS = [
    ("curl -sSo outputs/output.csv URL", {"writes"}),
    ("curl --output=outputs/output.csv URL", {"writes"}),
    ("curl -T outputs/output.csv URL", {"reads"}),
    ("wget -qO outputs/output.csv URL", {"writes"}),
    ("tar xzf b.tgz outputs/output.csv", {"writes"}),
    ("tar -C . --extract -f b.tgz outputs/output.csv", {"writes"}),
    ("tar czf b.tgz outputs/output.csv", {"reads"}),
    ("mlr -I --csv sort -f a outputs/output.csv", {"writes"}),
    ("mlr --icsv sort -f a outputs/output.csv", {"reads"}),
    ("sort -u outputs/output.csv -o outputs/output.csv", {"reads", "writes"}),
    ("sort outputs/output.csv -o sorted.csv", {"reads"}),
    ("git mv outputs/output.csv old.csv", {"removes"}),
]


@pytest.mark.parametrize(("command", "effects"), COMMANDS)
def test_a_command_reads_or_writes(command: str, effects: set[str]) -> None:
    found = examined({"a.sh": command}).accesses

    assert {access.effect for access in found} == effects
    assert {access.certainty for access in found} == {Certainty.CERTAIN}
