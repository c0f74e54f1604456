"""What a frame has changed, told by the frame it was made from."""

import math
from datetime import datetime
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ingestion_pipeline.domain.errors import InputRefusedError
from ingestion_pipeline.legacy.frames import (
    FEW,
    Cells,
    Difference,
    Seen,
    frame_of,
    known_after,
    rows_of,
    text,
)
from ingestion_pipeline.legacy.frames import difference as difference_of_cells

BEFORE = frame_of(
    [{"row_id": str(key), "name": f"name {key}", "email": "", "type": "INTJ"} for key in range(5)],
    ["row_id", "name", "email", "type"],
)


def difference(before: pd.DataFrame, after: pd.DataFrame) -> Difference:
    return difference_of_cells(Cells.of(before), Cells.of(after))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *((missing, "") for missing in (None, math.nan, pd.NA, pd.NaT, np.nan, "")),
        *((same, same) for same in ("nan", "None", " a ", "NA", "\n")),
        *((True, "True"), (7, "7"), (1.5, "1.5"), (np.int64(3), "3"), (np.bool_(False), "False")),
        ({"b": "1", "a": "2"}, '{"a": "2", "b": "1"}'),
        ({}, "{}"),
        (datetime(2024, 1, 2, 3, 4, 5), "2024-01-02 03:04:05"),  # noqa: DTZ001 - as the columns hold it
        ([1], "[1]"),
        (np.array([1, 2]), "[1 2]"),
    ],
)
def test_text_of_a_cell(cell: object, expected: str) -> None:
    assert text(cell) == expected


def test_frame_has_text_and_what_is_missing() -> None:
    frame = frame_of([{"row_id": "NA", "name": ""}, {"row_id": "nan"}], ["row_id", "name"])

    assert frame["row_id"].tolist() == ["NA", "nan"]
    assert frame["name"].isna().all()
    assert list(rows_of(frame)) == [{"row_id": "NA", "name": ""}, {"row_id": "nan", "name": ""}]


def test_same_is_no_difference() -> None:
    for same in (BEFORE, BEFORE.copy(deep=True), BEFORE.astype(object), BEFORE.iloc[::-1]):
        found = difference(BEFORE, same)
        assert (found.changed, found.new, found.gone) == ({}, {}, [])


def test_changed_new_and_gone() -> None:
    after = BEFORE.copy()
    after.loc[1, "name"] = "other"
    after.loc[2, "type"] = None
    new = pd.DataFrame([{"row_id": "9", "name": "new", "email": "e", "type": ""}])
    after = pd.concat([new, after.drop(index=4)], ignore_index=True)

    found = difference(BEFORE, after)

    assert found.changed == {"1": {"name": "other"}, "2": {"type": ""}}
    assert found.new == {"9": {"name": "new", "email": "e", "type": ""}}
    assert (found.gone, found.emptied) == (["4"], {"2"})


def test_numbers_stand_for_their_text() -> None:
    after = BEFORE.assign(
        row_id=[0, 1, 2, 3, 4], name=pd.Series([True, None, 1.5, "name 3", "name 4"], dtype=object)
    )

    found = difference(BEFORE, after)

    assert found.changed == {"0": {"name": "True"}, "1": {"name": ""}, "2": {"name": "1.5"}}


def test_columns_of_one_only_are_not_compared() -> None:
    after = BEFORE.drop(columns="type").assign(link="x")

    assert difference(BEFORE, after).changed == {}


def test_repeated_rows() -> None:
    again = pd.concat([BEFORE, BEFORE.iloc[[2]]])
    assert difference(BEFORE, again).changed == {}

    with pytest.raises(InputRefusedError, match="differ") as refused:
        difference(BEFORE, pd.concat([BEFORE, BEFORE.iloc[[2]].assign(name="x")]))
    assert refused.value.place.row_id == "2"
    with pytest.raises(InputRefusedError, match="no row_id"):
        difference(BEFORE, BEFORE.assign(row_id=pd.Series(["0", None, "2", "3", "4"], dtype=object)))


@pytest.mark.parametrize("names", [["row_id"], ["row_id", "name"]])
def test_empty_frames(names: list[str]) -> None:
    empty = frame_of([], names)

    assert list(difference(empty, BEFORE).new) == ["0", "1", "2", "3", "4"]
    assert difference(BEFORE, empty).gone == ["0", "1", "2", "3", "4"]
    assert difference(empty, empty).new == {}


def test_frame_is_compared_with_the_one_it_was_made_from() -> None:
    seen = Seen()
    assert seen.closest(BEFORE, Cells.of(BEFORE)) is None
    mine = BEFORE.copy(deep=True)
    seen.remember(mine, Cells.of(mine).kept())
    seen.remember(BEFORE, Cells.of(BEFORE.assign(name="by others")))
    mine.loc[0, "type"] = "ENTP"

    closest = seen.closest(mine.copy(), Cells.of(mine))

    assert closest is not None
    assert difference_of_cells(closest, Cells.of(mine)).changed == {"0": {"type": "ENTP"}}


def test_what_is_remembered_does_not_change_with_the_frame() -> None:
    seen, mine = Seen(), BEFORE.copy(deep=True)
    seen.remember(mine, Cells.of(mine).kept())
    mine.loc[0, "name"] = "changed in place"
    mine["type"] = "ENTP"

    closest = seen.closest(mine.copy(), Cells.of(mine))

    assert closest is not None
    found = difference_of_cells(closest, Cells.of(mine))
    assert found.changed["0"] == {"name": "changed in place", "type": "ENTP"}


def test_what_is_remembered_does_not_change_with_the_arrays_of_the_frame() -> None:
    mine = BEFORE.copy(deep=True)
    kept = Cells.of(mine).kept()
    mine["name"].array[0] = "through the array"

    assert difference_of_cells(kept, Cells.of(mine)).changed == {"0": {"name": "through the array"}}


def test_frame_in_another_order_is_known_by_its_row_ids() -> None:
    def read(kind: str) -> pd.DataFrame:
        rows = [{"row_id": f"row {key}", "name": f"name {key}", "type": f"{kind} {key}"} for key in range(5)]
        return frame_of(rows, ["row_id", "name", "type"])

    seen, mine, newer = Seen(), read("old"), read("new")
    for frame in (mine, newer):
        seen.remember(frame, Cells.of(frame).kept())

    sorted_ = mine.iloc[[3, 0, 4, 1]].assign(name="x", type=newer["type"])
    closest = seen.closest(sorted_, Cells.of(sorted_))

    assert closest is not None
    assert closest.columns["type"][0] == "old 0"


def test_frame_itself_is_known_whatever_became_of_it() -> None:
    seen, mine = Seen(), BEFORE.copy(deep=True)
    for frame in (mine, BEFORE):
        seen.remember(frame, Cells.of(frame).kept())
    kept = seen.closest(mine, Cells.of(mine))
    mine["row_id"] = range(5)
    mine["name"] = "x"

    assert seen.closest(mine, Cells.of(mine)) is kept


@pytest.mark.parametrize("missing", [None, pd.NA, ""])
def test_texts_of_other_objects(missing: object) -> None:
    again = [[f"name {key}"[:] + "", missing, "IN" + "TJ"] for key in range(5)]
    after = BEFORE.assign(**dict(zip(("name", "email", "type"), zip(*again, strict=True), strict=True)))
    after.loc[2, "email"] = "new"

    assert difference(BEFORE, after).changed == {"2": {"email": "new"}}
    assert difference(after, BEFORE).changed == {"2": {"email": ""}}


@pytest.mark.parametrize("columns", [["row_id", "name", "name"], [("row_id", "a"), ("name", "b")]])
def test_columns_that_have_not_one_name_each(columns: list[Any]) -> None:
    frame = pd.DataFrame([["1"] * len(columns)])
    frame.columns = pd.MultiIndex.from_tuples(columns) if isinstance(columns[0], tuple) else pd.Index(columns)

    with pytest.raises(InputRefusedError, match="one name each"):
        Cells.of(frame)


def test_columns_of_another_are_found_by_row_id() -> None:
    other = BEFORE.iloc[::-1].assign(link=[f"link {key}" for key in "43210"])

    joined = Cells.of(BEFORE.drop(columns="type").iloc[:3]).with_columns_of(Cells.of(other))

    assert joined.columns["link"].tolist() == ["link 0", "link 1", "link 2"]
    assert joined.columns["type"].tolist() == ["INTJ"] * 3


def test_what_is_kept_follows_the_frames_that_are_saved() -> None:
    """A script's records, changed between one save and the next; most columns hold nothing at first."""
    draw = Random(5)  # noqa: S311 - made-up data
    records: list[dict[str, object]] = [
        {"row_id": str(key), "name": "n", "email": np.nan} for key in range(9)
    ]
    before = Cells.of(pd.DataFrame(records)).kept()
    for number in range(60):
        was = [dict(one) for one in records]
        match number % 6:
            case 0:
                records[0]["email"] = np.nan
            case 4:
                records.insert(draw.randrange(9), {"row_id": f"new {number}", "name": "", "email": np.nan})
            case 5:
                del records[draw.randrange(len(records))]
            case _:
                records[0 if number % 2 else draw.randrange(len(records))]["email"] = f"text {number}"
        frame = pd.DataFrame(records)
        after = Cells.of(frame)

        found = difference_of_cells(before, after)
        before = known_after(before, found, ())

        assert _applied(was, found) == {row["row_id"]: row for row in rows_of(frame)}
        frame["name"].array[:] = "changed by its owner"
        for name in ("row_id", "name", "email"):
            assert list(map(text, before.columns[name])) == [text(one[name]) for one in records]


def _applied(rows: list[dict[str, object]], found: Difference) -> dict[str, dict[str, str]]:
    """Rows by row_id, with what was found applied to them."""
    texts = {str(row["row_id"]): {name: text(cell) for name, cell in row.items()} for row in rows}
    texts |= {row_id: {"row_id": row_id, **cells} for row_id, cells in found.new.items()}
    return {
        row_id: row | found.changed.get(row_id, {})
        for row_id, row in texts.items()
        if row_id not in found.gone
    }


@pytest.mark.parametrize("count", [FEW, FEW + 1])
@pytest.mark.parametrize(("one", "other"), [(float, int), (bool, int), (str, float)])
def test_what_is_equal_and_has_other_text_is_a_change(count: int, one: Any, other: Any) -> None:
    frame = pd.DataFrame({"row_id": [str(key) for key in range(count)], "link": [1] * count})
    before, after = (frame.astype({"link": kind}) for kind in (one, other))

    found = difference(before, after)

    assert found.changed == {str(key): {"link": str(other(1))} for key in range(count)}
