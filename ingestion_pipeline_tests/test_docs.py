"""What the docs say of the code is what the code says."""

import os
import re
from pathlib import Path

from ingestion_pipeline.domain.columns import COLUMNS, Mode
from ingestion_pipeline.domain.findings import NAMES
from ingestion_pipeline.domain.signals import ABOUT
from ingestion_pipeline.settings.sections import Health

PROJECT = Path(__file__).parent.parent
WATCHING = PROJECT / "docs" / "watching.md"
SIGNALS = re.compile(r"(?<=<!-- signals -->\n).*(?=<!-- end -->)", re.DOTALL)
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


def test_the_signals_are_those_that_are_told() -> None:
    lines = ["| signal | says |", "|---|---|", *(f"| `{name}` | {about} |" for name, about in ABOUT.items())]
    wanted = "\n".join(lines) + "\n"
    text = WATCHING.read_text()
    if os.environ.get("KEEP_SNAPSHOT"):
        WATCHING.write_text(SIGNALS.sub(lambda _: wanted, text))
        text = WATCHING.read_text()

    found = SIGNALS.search(text)

    assert found is not None
    assert found[0] == wanted, "if meant, run again with KEEP_SNAPSHOT=1"


def test_the_findings_and_their_limits_are_told() -> None:
    text = WATCHING.read_text()

    assert tuple(re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\|$", text, re.MULTILINE)) == NAMES
    limits = dict(re.findall(r"\| `(\w+): ([\d.]+)` \|$", text, re.MULTILINE))
    assert {name: float(value) for name, value in limits.items()} == {
        name: value for name, value in Health().model_dump().items() if value is not None
    }


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
