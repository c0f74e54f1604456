"""What the docs say of the code is what the code says."""

import os
import re
from pathlib import Path

from ingestion_pipeline.domain.columns import COLUMNS, Mode

PROJECT = Path(__file__).parent.parent
CONTRACT = PROJECT / "docs" / "contract.md"
MARKED = re.compile(r"(?<=<!-- columns -->\n).*(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    lines = ["| column | modes | table | type | codec | holds |", "|---|---|---|---|---|---|"]
    for column in COLUMNS:
        modes = " ".join(mode.name[0] for mode in Mode if mode in column.modes)
        cells = (f"`{column.name}`", modes, column.table, column.sql_type, column.codec, column.about)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_contracts_table_is_the_declaration() -> None:
    text = CONTRACT.read_text()
    if os.environ.get("KEEP_SNAPSHOT"):
        CONTRACT.write_text(MARKED.sub(lambda _: table(), text))
        text = CONTRACT.read_text()

    found = MARKED.search(text)

    assert found is not None
    assert found[0] == table(), "if meant, run again with KEEP_SNAPSHOT=1"


def test_links_lead_somewhere() -> None:
    for page in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_lock_file_is_hashed_and_names_no_host() -> None:
    lock = (PROJECT / "requirements.lock").read_text()

    assert "://" not in lock
    assert "index" not in lock
    pins = re.findall(r"^\S+==\S+ .*\\$", lock, re.MULTILINE)
    assert len(pins) > 50
    assert len(pins) == len(re.findall(r"^[a-z0-9].*", lock, re.MULTILINE))
