"""YAML that is wrong, too large or made to be so is refused quickly and without its text."""

import time

import pytest

from ingestion_pipeline.settings.yaml_file import LARGEST_FILE
from ingestion_pipeline_tests.settings.conftest import CANARY, Load, Refuse


@pytest.mark.parametrize(
    "written",
    [
        f"*{CANARY}",
        f"!{CANARY}",
        f"!a'{CANARY}'",
        f"!!python/object/apply:os.system ['{CANARY}']",
        f"!!int {CANARY}",
        f"!!timestamp '{CANARY}'",
        f"%{CANARY}",
        f"@{CANARY}",
        f'"\\q{CANARY}',
        f"{CANARY}: {CANARY}: x",
        f"[{CANARY}",
        f"'{CANARY}",
        f"0b2 # {CANARY}\n  {CANARY}",
    ],
)
def test_what_is_not_yaml_is_told_with_its_line_and_without_its_text(refuse: Refuse, written: str) -> None:
    error = refuse(f"database:\n  port: 1\n  password: {written}\n")
    assert error.code == "config_syntax"
    assert error.place.line is not None
    assert error.place.line >= 3


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("database:\n  host: a\n  port: 1\n  host: b\n", 4, "host"),
        ("paths: {}\nretry: {}\npaths: {}\n", 3, "paths"),
        ("retry:\n  y: 1\n  'x': 1\n  x: 2\n", 4, "x"),
        ("- 1", None, None),
    ],
)
def test_a_key_given_twice_is_refused(refuse: Refuse, text: str, line: int | None, key: str | None) -> None:
    error = refuse(text)
    assert error.place.line == line
    assert error.code == ("config_syntax" if key is None else "duplicate_key")
    assert key is None or f"the key {key} is" in error.message


def test_merged_keys_are_not_given_twice(load: Load) -> None:
    settings = load("a: &a {rows: 1, percent: 2}\nb: &b {<<: *a, rows: 3}\nbrakes: {<<: *b, percent: 4}\n")
    assert (settings.brakes.rows, settings.brakes.percent) == (3, 4)


def bomb(section: str, last: str) -> str:
    levels = ["a0: &a0 {x0: 1, x1: 1}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    lists = ["b0: &b0 [1, 1]"]
    lists += [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "\n".join([*levels, *lists, f"{section}: {last}"])


@pytest.mark.parametrize(
    "text",
    [
        bomb("database", "*a11"),
        bomb("csv_columns", "{basic: *b11}"),
        bomb("retry", "*b11"),
        "paths: &a {state_dir: *a}",
        f"a: &a '{'${x:-' * 10000}'\ncsv_columns: {{basic: [{'*a, ' * 50000}]}}",
        "paths: " + "[" * 5000,
        "paths: " + "[" * 5000 + "]" * 5000,
    ],
)
def test_bombs_are_refused_quickly(refuse: Refuse, text: str) -> None:
    started = time.monotonic()
    assert refuse(text).code == "config_too_large"
    assert time.monotonic() - started < 5


def test_a_file_that_is_too_large_is_refused(load: Load, refuse: Refuse) -> None:
    assert load("#" * LARGEST_FILE).base
    assert refuse("#" * (LARGEST_FILE + 1)).code == "config_too_large"


@pytest.mark.parametrize(
    "text", ["- a\n- b\n", CANARY, "5", "a: 1\n---\nb: 2\n", b"a: \xff", b"a: 1\nb: \x07"]
)
def test_what_is_not_one_mapping_in_utf8_is_refused(refuse: Refuse, text: str | bytes) -> None:
    assert refuse(text).code == "config_syntax"


def test_bad_utf8_is_told_with_its_line(refuse: Refuse) -> None:
    assert refuse(b"a: 1\nb: 2\nc: \xff\n").place.line == 3


def test_a_long_text_full_of_openings_is_read_quickly(load: Load) -> None:
    started = time.monotonic()
    assert load(f"exports: {{prefix: '{'${a:-' * 150_000}'}}").exports.prefix.startswith("${a:-")
    assert time.monotonic() - started < 5


def test_a_byte_order_mark_is_let_be(load: Load) -> None:
    assert load(b"\xef\xbb\xbfbrakes: {rows: 7}").brakes.rows == 7
