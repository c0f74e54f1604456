"""Everything that touches the CSV is found in an old checkout, and nothing else."""

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
