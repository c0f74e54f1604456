"""Weighing: counted some rows at a time, it comes to what sets of all rows come to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion_pipeline.stores.disk import row_index, weighing
from ingestion_pipeline.stores.disk.row_index import RowIndex

HASHES = st.lists(st.integers(0, 12), max_size=20)


@pytest.fixture(autouse=True, scope="module")
def _few_together() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weighing, "TOGETHER", 3)
        patch.setattr(weighing, "WINDOW", 11)
        yield


def indexed(path: Path, rows: list[int], text: str = "") -> RowIndex:
    """The index of a file of these row_ids, each row with a text."""
    path.write_text("row_id,name\n" + "".join(f"{row},{text}{row}\n" for row in rows))
    return row_index.build(path, 0)


@settings(deadline=None, max_examples=150)
@given(HASHES, HASHES, HASHES)
def test_counts_are_those_of_sets(
    tmp_path_factory: pytest.TempPathFactory, before: list[int], same: list[int], other: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    was = indexed(folder / "was.csv", before)
    after = [*dict.fromkeys(same), *(row for row in dict.fromkeys(other) if row not in same)]
    path = folder / "after.csv"
    lines = "".join(f"{row},{'' if row in same else 'x'}{row}\n" for row in after)
    path.write_text("row_id,name\n" + lines)
    now_is = row_index.build(path, 0)

    assert weighing.gone(was, now_is) == len(set(before) - set(after))
    assert weighing.changed(folder / "was.csv", was, path, now_is) == len(
        set(before) & set(other) - set(same)
    )


def test_nothing_and_everything_may_be_gone(tmp_path: Path) -> None:
    index = indexed(tmp_path / "one.csv", [1, 2, 2, 3])
    empty = replace(index, hashes=np.empty(0, dtype=np.uint64), lengths=np.empty(0, dtype=np.uint32))
    assert weighing.gone(None, index) == 0
    assert weighing.gone(index, None) == 3
    assert weighing.gone(index, empty) == 3
    assert weighing.gone(empty, index) == 0
