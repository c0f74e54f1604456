"""How long an answer takes: words and files among 100,000 people with documents, in this process."""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import ascii_lowercase
from typing import Any
from uuid import UUID

from benchmarks.shapes import COLUMNS
from ingestion_pipeline import Pipeline, open_pipeline
from ingestion_pipeline.domain.phase import Phase
from ingestion_pipeline.stores.postgres import queries

GOAL = 20.0
"""Milliseconds that 95 of 100 questions take at most."""

PLANTED = 100
"""Phrases, each in the documents of ALIKE people."""

ALIKE = 7


def people(path: Path, count: int, vocabulary: Sequence[str]) -> None:
    """A CSV of so many people with two files each and about 240 words, some with a phrase amid them."""
    draw = random.Random(7)  # noqa: S311 - made-up data
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        for number in range(count, 0, -1):
            words = draw.choices(vocabulary, k=draw.randrange(130, 350))
            if number <= PLANTED * ALIKE:
                words[len(words) // 2 : 0] = [phrase(number % PLANTED, vocabulary)]
            files = [str(UUID(int=number * 2 + which)) for which in (0, 1)]
            cells = {"row_id": str(number), "name": f"Person {number}", "email": f"p{number}@example.org"}
            cells |= {"type": "INTJ", "document_text": " ".join(words), "processed": "yes"}
            cells["file_uuids"] = _quoted({"film": files[0], "sound": files[1]})
            cells["s3_paths"] = _quoted({one: f"files/{one}.mp4" for one in files})
            file.write(",".join(cells.get(column, "") for column in COLUMNS) + "\n")


def _quoted(known: dict[str, str]) -> str:
    # As PostgreSQL writes jsonb: shorter keys first.
    return '"' + json.dumps(known).replace('"', '""') + '"'


def phrase(number: int, vocabulary: Sequence[str]) -> str:
    """A phrase of two words that many have, and one that few have."""
    return f"{vocabulary[number]} {vocabulary[-number - 1]} planted{number}"


def searches(number: int, vocabulary: Sequence[str]) -> str:
    """A question of words: a phrase, words that must all be there, either of two, one without another."""
    planted = number % PLANTED
    return (
        f'"{phrase(planted, vocabulary)}"',
        f"planted{planted} {vocabulary[planted]}",
        f"planted{planted} or planted{(planted + 1) % PLANTED}",
        f"planted{planted} -{vocabulary[planted + 1]}",
    )[number // PLANTED % 4]


@contextmanager
def fresh_site() -> Iterator[Pipeline]:
    """A site on an embedded server of its own, without a CSV yet."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config" / "config.yaml"
        config.parent.mkdir()
        (Path(folder) / "outputs").mkdir()
        config.write_text(f"migration:\n  phase: {Phase.DUAL_WRITE}\ncsv_backup:\n  enabled: false\n")
        with open_pipeline(config) as pipeline:
            try:
                yield pipeline
            finally:
                pipeline.settle()
        with open_pipeline(config) as pipeline:
            pipeline.embedded().destroy()


def milliseconds(ask: Callable[[int], int], times: int) -> list[float]:
    """How long each question took; every one finds somebody."""
    took = []
    for number in range(times):
        began = time.perf_counter()
        found = ask(number)
        took.append((time.perf_counter() - began) * 1000)
        if not found:
            raise SystemExit(f"question {number} found nobody")
    return took


def measured(count: int, times: int) -> dict[str, Any]:
    """What questions cost where PostgreSQL follows, and so the CSV is looked at too."""
    draw = random.Random(11)  # noqa: S311 - made-up data
    vocabulary = ["".join(draw.choices(ascii_lowercase, k=draw.randrange(3, 10))) for _ in range(5000)]
    with fresh_site() as pipeline:
        people(pipeline.csv.path, count, vocabulary)
        pipeline.sync()
        began = time.perf_counter()
        pipeline.asking.refresh()
        built = time.perf_counter() - began

        def search(number: int) -> int:
            return len(pipeline.search(searches(number, vocabulary)).hits)

        def find(number: int) -> int:
            return len(pipeline.find(uuid=str(UUID(int=number * 7919 % count * 2 + 2))).files)

        milliseconds(search, 20)
        milliseconds(find, 20)
        results: dict[str, Any] = {
            "search": _result(milliseconds(search, times), _uses(pipeline, "search_index_words")),
            "find": _result(milliseconds(find, times), _uses(pipeline, "file_uuid")),
        }
        results["beside"] = _beside(pipeline, built, vocabulary)
    return results


def _beside(pipeline: Pipeline, built: float, vocabulary: Sequence[str]) -> dict[str, float]:
    """What has no goal: a word that thousands have, the first question after a write, all that is shared."""

    def after_a_write(number: int) -> int:
        pipeline.write(str(number + 1), {"type": f"T{number}"})
        return 1

    writes = milliseconds(after_a_write, 5)
    both = milliseconds(lambda number: after_a_write(number + 5) and _found(pipeline), 5)
    return {
        "index_of_everybody_s": round(built, 1),
        "word_of_thousands_ms": _middle(
            milliseconds(lambda number: len(pipeline.search(vocabulary[number + 200]).hits), 5)
        ),
        "first_after_a_write_ms": round(_middle(both) - _middle(writes), 1),
        "shared_ms": _middle(milliseconds(lambda _: pipeline.find(shared=True).total + 1, 5)),
    }


def _found(pipeline: Pipeline) -> int:
    return len(pipeline.search("planted1").hits)


def _middle(took: Sequence[float]) -> float:
    return round(sorted(took)[len(took) // 2], 1)


def _uses(pipeline: Pipeline, index: str) -> bool:
    """Whether the question is answered by this index."""
    texts = queries.load("asking")
    if index == "file_uuid":
        question = texts.fill("find", condition=texts.of_uuid).as_string(None)
    else:
        question = texts.texts["search"]
    asked = {"language": "simple", "query": '"a b"', "text": "a", "limit": 20, "most": 10_000, "form": ""}
    with pipeline.pool.transaction() as cursor:
        cursor.execute(f"EXPLAIN {question}", asked)
        return any(index in line for (line,) in cursor.fetchall())


def _result(took: Sequence[float], index_used: bool) -> dict[str, Any]:  # noqa: FBT001 - a figure
    ordered = sorted(took)
    p95 = ordered[len(ordered) * 95 // 100]
    return {
        "questions": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2], 2),
        "p95_ms": round(p95, 2),
        "max_ms": round(ordered[-1], 2),
        "goal_ms": GOAL,
        "index_used": index_used,
        "kept": p95 <= GOAL and index_used,
    }


def main() -> int:
    """Measure, print, keep, and say whether the goal is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results" / "asking.json")
    options = parser.parse_args()
    results = measured(options.people, options.questions)
    for job, found in results.items():
        print(f"{job}: {found}")
    machine = {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    options.to.parent.mkdir(exist_ok=True)
    options.to.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return 0 if results["search"]["kept"] and results["find"]["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
