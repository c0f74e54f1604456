"""The dialect: the header's bytes, and that nothing of it is lost in JSON."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.domain.columns import COLUMNS
from ingestion_pipeline.domain.dialect import Dialect, LineEnd, Quoting

DIALECTS = st.builds(
    Dialect,
    columns=st.lists(st.sampled_from([column.name for column in COLUMNS]), unique=True).map(tuple),
    line_end=st.sampled_from(LineEnd),
    quoting=st.sampled_from(Quoting),
    header_quoting=st.sampled_from([Quoting.MINIMAL, Quoting.ALL]),
    bom=st.booleans(),
    final_newline=st.booleans(),
)


@pytest.mark.parametrize(
    ("spelled", "header"),
    [
        ({}, b"row_id,name\n"),
        ({"line_end": LineEnd.CRLF}, b"row_id,name\r\n"),
        ({"bom": True}, b"\xef\xbb\xbfrow_id,name\n"),
        ({"header_quoting": Quoting.ALL}, b'"row_id","name"\n'),
        ({"quoting": Quoting.ALL}, b"row_id,name\n"),
        ({"bom": True, "header_quoting": Quoting.ALL}, b'\xef\xbb\xbf"row_id","name"\n'),
        ({"final_newline": False}, b"row_id,name\n"),
    ],
)
def test_the_header_is_spelled(spelled: dict[str, Any], header: bytes) -> None:
    assert Dialect(("row_id", "name"), **spelled).header() == header


@settings(deadline=None, max_examples=100)
@given(DIALECTS)
def test_a_dialect_comes_back_from_json(dialect: Dialect) -> None:
    assert Dialect.from_json(json.loads(json.dumps(dialect.as_json()))) == dialect


def test_json_holds_plain_words() -> None:
    assert Dialect(("row_id",), LineEnd.CRLF, Quoting.NONEMPTY).as_json() == {
        "columns": ["row_id"],
        "line_end": "\r\n",
        "quoting": "nonempty",
        "header_quoting": "minimal",
        "bom": False,
        "final_newline": True,
    }


def test_an_unknown_quoting_is_not_a_dialect() -> None:
    with pytest.raises(ValueError, match="some"):
        Dialect.from_json(Dialect(("row_id",)).as_json() | {"quoting": "some"})
