"""What a process knows of a table that it read or saved, and must never take for a change of its own."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from ingestion_pipeline.app import Pipeline
from ingestion_pipeline.legacy import CSVManager

Read = Callable[[pd.DataFrame], pd.DataFrame]


def save(made: "pd.DataFrame | list[dict[Any, Any]]") -> bool:
    return CSVManager().safe_csv_write(made if isinstance(made, pd.DataFrame) else pd.DataFrame(made))


def there(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    return {row["row_id"]: row for row in pipeline.rows()}


@pytest.mark.parametrize("number", [0, 2, 3])
def test_row_that_is_repeated_in_a_frame_goes_with_it_only(opened: Pipeline, number: int) -> None:
    made = CSVManager().read().to_dict("records")
    made.append(dict(made[number]))
    assert save(made)
    made[1] |= {"link": "x"}

    assert save(pd.DataFrame(made).drop_duplicates())
    assert save([*made, {**made[1], "row_id": "5", "name": "New"}])

    assert there(opened).keys() == set("54321")
    assert there(opened)["3"]["link"] == "x"


def test_row_that_is_repeated_otherwise_is_refused(opened: Pipeline) -> None:
    made = CSVManager().read().to_dict("records")
    made.append(dict(made[0]))
    assert save(made)
    made[-1]["link"] = "x"

    assert not save(made)

    assert there(opened)["4"]["link"] == ""


def test_column_that_was_left_out_once_is_still_known(opened: Pipeline) -> None:
    made = CSVManager().read().to_dict("records")
    assert save(made)
    assert save(pd.DataFrame(made).drop(columns="document_text"))
    opened.write("3", {"document_text": "by another"})
    made[0]["link"] = "x"

    assert save(made)

    assert there(opened)["3"]["document_text"] == "by another"
    assert there(opened)["4"]["link"] == "x"


def test_part_of_a_frame_that_is_saved_leaves_the_frame_known(opened: Pipeline) -> None:
    frame = CSVManager().read()
    part = frame[["row_id", "name"]].copy()
    part.loc[0, "name"] = "of the part"
    assert save(part)
    opened.write("3", {"document_text": "by another"})
    frame.loc[1, "link"] = "x"

    assert save(frame)

    assert there(opened)["3"] | {"document_text": "by another", "link": "x"} == there(opened)["3"]
    assert there(opened)["4"]["name"] == "of the part"


def test_frame_is_known_after_another_made_of_it_was_saved(opened: Pipeline) -> None:
    frame = CSVManager().read()
    assert save(frame.fillna(""))
    opened.write("3", {"document_text": "by another"})
    for _ in range(4):
        CSVManager().read()
    frame.loc[2, "link"] = "x"

    assert save(frame.fillna(""))

    assert there(opened)["3"]["document_text"] == "by another"
    assert there(opened)["2"]["link"] == "x"


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize(
    "made_of",
    [
        pytest.param(lambda frame: frame, id="as read"),
        pytest.param(lambda frame: frame.astype(object), id="objects"),
        pytest.param(lambda frame: frame.sort_values("row_id").reset_index(drop=True), id="sorted"),
        pytest.param(lambda frame: frame.assign(row_id=frame["row_id"].astype(int)), id="numbers"),
        pytest.param(
            lambda frame: frame.assign(last_download_attempt=[None, None, None, "no"]), id="refused"
        ),
    ],
)
def test_what_is_changed_during_a_save_is_saved_next(
    opened: Pipeline, monkeypatch: pytest.MonkeyPatch, made_of: Read, row: int
) -> None:
    write_each = Pipeline.write_each
    frame = made_of(CSVManager().read())
    frame.loc[0, "link"] = "first"

    def meanwhile(self: Pipeline, *given: Any) -> Any:
        frame.loc[row, "link"] = "second"
        return write_each(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "write_each", meanwhile)
        save(frame)
    save(frame)

    assert there(opened)[str(frame.loc[row, "row_id"])]["link"] == "second"


def test_map_whose_keys_are_no_text_is_refused(opened: Pipeline) -> None:
    made = CSVManager().read().to_dict("records")
    made[0]["file_uuids"] = {1: "x"}
    made[1]["link"] = "x"

    assert not save(made)

    assert there(opened)["3"]["link"] == "x"
    assert not CSVManager().update_row_by_id("4", {"file_uuids": {1: "x"}})
