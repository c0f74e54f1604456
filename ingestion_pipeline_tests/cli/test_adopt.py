"""`ingest adopt`: what it says of a checkout, its patch for the imports, and checkouts made to break it."""

import ast
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion_pipeline.domain.adoption import LEGACY
from ingestion_pipeline_tests.cli.conftest import Call
from ingestion_pipeline_tests.domain.adoption.old_checkout import FILES, planted

Tree = dict[str, bytes]

NOBODY = 65534


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The made-up checkout on disk."""
    return laid({file: text.encode() for file, text in FILES.items()}, tmp_path / "old")


def laid(files: Tree, folder: Path) -> Path:
    for file, data in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def tree(folder: Path) -> Tree:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def committed(folder: Path) -> None:
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "old"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.autocrlf=false"]
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


# what it says


def test_every_access_says_what_becomes_of_it(old: Path, call: Call) -> None:
    answer = call("adopt", str(old), "--json")

    assert answer.code == 1
    found = answer.json
    assert found["root"] == str(old)
    assert found["csv"] == "outputs/output.csv"
    marked = {
        (one["file"], one["line"], one["what"] + ("?" if one["certainty"] == "likely" else ""))
        for one in found["accesses"]
    }
    assert marked == planted()
    assert found["replaced"] == ["utils/csv_manager.py"]
    assert sum(found["counts"].values()) == len(found["accesses"])
    for one in found["accesses"]:
        assert list(one["phases"]) == ["original", "dual_write", "database_primary", "database_native"]
        assert one["how"]
        assert one["change"]
    write = next(one for one in found["accesses"] if one["effect"] == "writes")
    assert write["phases"]["dual_write"].startswith("goes past the journal")
    assert write["phases"]["database_native"] == "lost to the database"


def test_people_are_told_file_by_file_with_counts_at_the_end(old: Path, call: Call) -> None:
    answer = call("adopt", str(old))

    assert answer.code == 1
    assert "scripts/literals.py" in answer.out
    assert "What becomes of it" in answer.out
    assert "imports can be changed" in answer.out
    assert "utils/csv_manager.py is the old module itself" in answer.out
    assert "scripts/innocent.py" not in answer.out


def test_nothing_is_changed_unless_that_is_asked_for(old: Path, call: Call) -> None:
    before = tree(old)

    call("adopt", str(old))
    call("adopt", str(old), "--diff")

    assert tree(old) == before


def test_a_checkout_that_touches_nothing_is_done(tmp_path: Path, call: Call) -> None:
    laid({"a.py": b"from ingestion_pipeline.legacy import safe_csv_read\nsafe_csv_read()\n"}, tmp_path)

    answer = call("adopt", str(tmp_path))

    assert answer.code == 0
    assert "nothing touches the CSV" in answer.out


def test_one_file_is_enough(old: Path, call: Call) -> None:
    answer = call("adopt", str(old / "scripts" / "crlf.py"), "--json")

    assert {(one["file"], one["line"]) for one in answer.json["accesses"]} == {
        ("scripts/crlf.py", 1),
        ("scripts/crlf.py", 3),
    }


def test_the_csv_is_the_configurations_or_the_one_named(tmp_path: Path, call: Call) -> None:
    laid(
        {
            "a.py": b"open('data/people.csv')\nopen('outputs/output.csv')\nopen('/srv/x.csv')\n",
            "config/config.yaml": b"paths: {output_csv: '${ADOPTED:-data/people.csv}'}\nretry: {times: 3}\n",
        },
        tmp_path,
    )

    def lines(*more: str) -> list[int]:
        return [one["line"] for one in call("adopt", str(tmp_path), "--json", *more).json["accesses"]]

    assert lines() == [1]
    assert lines("--csv", "outputs/output.csv") == [2]
    assert lines("--csv", "/srv/x.csv") == [3]
    assert lines("--csv", str(tmp_path / "data" / "people.csv")) == [1]


@pytest.mark.parametrize("name", ["nowhere", "empty", "notes.md", "fifo"])
def test_where_there_is_nothing_to_look_at_it_says_so(tmp_path: Path, call: Call, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.md").write_text("outputs/output.csv")
    os.mkfifo(tmp_path / "fifo")

    answer = call("adopt", str(tmp_path / name))

    assert answer.code == 2
    assert "nothing to look at" in answer.err


# the patch


def test_the_patch_is_taken_by_git_and_by_patch(old: Path, tmp_path: Path, program: Call) -> None:
    committed(old)
    diff = program("adopt", str(old), "--diff").out.encode()
    other = Path(shutil.copytree(old, tmp_path / "other"))

    subprocess.run(["git", "-C", str(old), "apply", "--check"], input=diff, check=True, capture_output=True)
    subprocess.run(["git", "-C", str(old), "apply"], input=diff, check=True, capture_output=True)
    subprocess.run(
        ["patch", "-p1", "--binary", "-d", str(other)], input=diff, check=True, capture_output=True
    )

    assert tree(old) == tree(other)
    assert (
        b"from ingestion_pipeline.legacy import safe_csv_read  # TOUCHES: imports\r\n"
        in (old / "scripts" / "crlf.py").read_bytes()
    )


def test_writing_does_what_the_patch_says_and_nothing_is_left_to_change(
    old: Path, tmp_path: Path, call: Call, program: Call
) -> None:
    other = Path(shutil.copytree(old, tmp_path / "other"))
    diff = program("adopt", str(other), "--diff").out.encode()
    subprocess.run(
        ["patch", "-p1", "--binary", "-d", str(other)], input=diff, check=True, capture_output=True
    )
    (old / "scripts" / "crlf.py").chmod(0o750)

    first, second = call("adopt", str(old), "--write", "--json"), call("adopt", str(old), "--write", "--json")

    assert tree(old) == tree(other)
    assert (old / "scripts" / "crlf.py").stat().st_mode & 0o777 == 0o750
    assert (old / "scripts" / "imports.py").stat().st_mode & 0o777 != 0o600
    assert first.json["changed"]
    assert second.json["changed"] == []
    assert second.json["patched"] == 0
    assert "No import is left to change." in call("adopt", str(old)).out
    left = {
        (one["file"], one["line"], one["change"])
        for one in second.json["accesses"]
        if one["what"] == "imports"
    }
    assert {(file, line) for file, line, _ in left} == {
        ("scripts/imports.py", number)
        for number, text in enumerate((old / "scripts" / "imports.py").read_text().split("\n"), start=1)
        if text.startswith(
            ("import utils.csv_manager  ", "from utils.csv_manager import san", "    return __imp")
        )
    }
    assert any("not covered: legacy has no sanitise_everything" in change for *_, change in left)
    assert not list(old.rglob("*.tmp"))


SPELLINGS = [
    ("from utils.csv_manager import CSVManager", "from ingestion_pipeline.legacy import CSVManager"),
    (
        "from  utils.csv_manager  import  CSVManager as C",
        "from  ingestion_pipeline.legacy  import  CSVManager as C",
    ),
    ("from utils . csv_manager import CSVManager", "from ingestion_pipeline.legacy import CSVManager"),
    ("from.csv_manager import CSVManager", "from ingestion_pipeline.legacy import CSVManager"),
    (
        "from utils.csv_manager \\\n    import CSVManager",
        "from ingestion_pipeline.legacy \\\n    import CSVManager",
    ),
    (
        "if 1:\n\tfrom utils.csv_manager import (CSVManager,  # a\n\t\tRowContext)",
        "if 1:\n\tfrom ingestion_pipeline.legacy import (CSVManager,  # a\n\t\tRowContext)",
    ),
    ("import utils.csv_manager as m, os", "import ingestion_pipeline.legacy as m, os"),
    ("import csv_manager", "import ingestion_pipeline.legacy as csv_manager"),
    ("x = 1; import csv_manager as c", "x = 1; import ingestion_pipeline.legacy as c"),
    ("from utils import csv_manager", "from ingestion_pipeline import legacy as csv_manager"),
    (
        "from utils import (\n    csv_manager as c,  # x\n)",
        "from ingestion_pipeline import (\n    legacy as c,  # x\n)",
    ),
    (
        "def f():\n    from utils import a, csv_manager, b",
        "def f():\n    from ingestion_pipeline import legacy as csv_manager\n    from utils import a, b",
    ),
    (
        "from utils import a, csv_manager as c",
        "from ingestion_pipeline import legacy as c\nfrom utils import a",
    ),
    (
        "if 1: from utils import a, csv_manager",
        "if 1: from ingestion_pipeline import legacy as csv_manager; from utils import a",
    ),
    (
        "from importlib import import_module\nm = import_module('utils.csv_manager')",
        "from importlib import import_module\nm = import_module('ingestion_pipeline.legacy')",
    ),
    (
        "import importlib\nimportlib.import_module('utils.csv_manager').safe_csv_read(1)",
        "import importlib\nimportlib.import_module('ingestion_pipeline.legacy').safe_csv_read(1)",
    ),
    (
        "from utils import csv_manager as m\nif m and m is not None:\n    m.safe_csv_read(1)",
        "from ingestion_pipeline import legacy as m\nif m and m is not None:\n    m.safe_csv_read(1)",
    ),
    (
        "é = 1; from utils.csv_manager import CSVManager",
        "é = 1; from ingestion_pipeline.legacy import CSVManager",
    ),
]


@pytest.mark.parametrize(("before", "after"), SPELLINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", ["utf-8", "bom", "latin-1"])
def test_only_the_import_is_spelled_otherwise(
    tmp_path: Path, call: Call, before: str, after: str, end: str, form: str
) -> None:
    head = "# -*- coding: latin-1 -*-\n" if form == "latin-1" else ""
    encoding = "utf-8" if form == "bom" else form
    mark = b"\xef\xbb\xbf" if form == "bom" else b""

    def spelled(text: str) -> bytes:
        # No line end behind the last line.
        whole = f"{head}NAME = 'ü'\n{text}\nprint(NAME)\f\n# ü"
        return mark + whole.replace("\n", end).encode(encoding)

    laid({"utils/a.py": spelled(before)}, tmp_path)

    call("adopt", str(tmp_path), "--write")

    assert (tmp_path / "utils" / "a.py").read_bytes() == spelled(after)
    assert call("adopt", str(tmp_path)).code == 0


LEFT_ALONE = [
    "from utils.csv_manager import CSVManager, sanitise",
    "import utils.csv_manager as m\nm.sanitise()",
    "from utils import csv_manager\ncsv_manager.SECRET",
    "import utils.csv_manager\nutils.csv_manager.CSVManager()",
    "from utils import (a,  # why\n    csv_manager,  # why not\n    b)",
    "m = __import__('utils.csv_manager')",
    "import importlib\nNAME = 'utils.csv_manager'\nm = importlib.import_module(NAME)",
    "import importlib\nm = importlib.import_module('utils.csv_manager')\nm.helper()",
    "import importlib\nimportlib.import_module('utils.csv_manager').helper()",
    "import importlib\nprint(importlib.import_module('utils.csv_manager'))",
    "from utils import csv_manager\nprint(csv_manager)",
    "from utils import csv_manager\ngetattr(csv_manager, 'helper')",
    "import utils.csv_manager as m\nother = m or None",
    "from utils.csv_manager import *\nhelper()",
    "import importlib.util\ns = importlib.util.spec_from_file_location('x', 'utils/csv_manager.py')",
]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_a_line_cannot_say_is_left_to_people(tmp_path: Path, call: Call, text: str) -> None:
    laid({"a.py": text.encode()}, tmp_path)

    answer = call("adopt", str(tmp_path), "--write", "--json")

    assert (tmp_path / "a.py").read_bytes() == text.encode()
    assert answer.code == 1
    assert {one["what"] for one in answer.json["accesses"]} == {"imports"}


OLD_MODULE = """
import os
import pandas as pd
from pathlib import Path

try:
    import fcntl
except ImportError:
    LOCKS = False
else:
    LOCKS = True
if os.name == "nt":
    END = "x"
with open(os.devnull) as nothing:
    pass

def safe_csv_read(path): ...
def sanitise(text): ...

if __name__ == "__main__":
    args = []
"""

STARS = [
    ("safe_csv_read(1)", True),
    ("import pandas as pd\nfrom pathlib import Path\npd.x(Path(1))", True),
    ("def f(os, LOCKS):\n    END = [fcntl for fcntl in os]\n    return END, LOCKS", True),
    ("try:\n    import pandas as pd\nexcept ImportError:\n    pd = None\npd.x", True),
    ("for os in []:\n    print(os)\nprint(args)", True),
    ("sanitise(1)", False),
    ("pd.x", False),
    ("class A:\n    def f(self):\n        return os.x", False),
    ("@fcntl.x\ndef f(): ...", False),
    ("print(LOCKS)", False),
    ("print(nothing)", False),
    ("END = END + 'x'", False),
    ("END += 'x'", False),
    ("if 1:\n    import os\nos.x", False),
    ("print(Path)\nfrom pathlib import Path", False),
]


@pytest.mark.parametrize(("text", "patched"), STARS)
def test_a_star_is_changed_only_where_legacy_has_all_that_is_used(
    tmp_path: Path, call: Call, text: str, *, patched: bool
) -> None:
    script = f"from utils.csv_manager import *\n{text}\n"
    laid({"utils/csv_manager.py": OLD_MODULE.encode(), "a.py": script.encode()}, tmp_path)

    (found,) = call("adopt", str(tmp_path), "--json").json["accesses"]

    assert (found["file"], found["patched"]) == ("a.py", patched)
    assert found["change"].startswith("not covered") is not patched


STARS_OF_MORE = ["from .helpers import *\n", "__all__ = ['_helper']\ndef _helper(): ...\n"]


@pytest.mark.parametrize("old", STARS_OF_MORE)
def test_a_star_may_bring_what_the_module_does_not_define_in_public(
    tmp_path: Path, call: Call, old: str
) -> None:
    script = b"from utils.csv_manager import *\nprint(_helper, __name__)\n"
    laid({"utils/csv_manager.py": old.encode(), "a.py": script}, tmp_path)

    (found,) = call("adopt", str(tmp_path), "--json").json["accesses"]

    assert found["change"] == "not covered: legacy has no _helper"


GIVEN_AWAY = [
    "import utils.csv_manager as m\nm.safe_csv_read(1)\ngetattr(m, 'safe_csv_write')(1)",
    "from utils import csv_manager as m\nm.safe_csv_read(1)\nprint(m)",
]


@pytest.mark.parametrize("text", GIVEN_AWAY)
def test_a_module_that_is_given_away_may_write(tmp_path: Path, call: Call, text: str) -> None:
    laid({"a.py": text.encode()}, tmp_path)

    (found,) = call("adopt", str(tmp_path), "--json").json["accesses"]

    assert (found["effect"], found["patched"]) == ("writes", False)
    assert "by hand" in found["change"]


def test_files_with_odd_names_are_patched_too(tmp_path: Path, program: Call) -> None:
    data = b"from utils.csv_manager import CSVManager"
    old = laid({"a b.py": data, "ü.py": data, 'q"\n.py': data}, tmp_path / "old")
    committed(old)

    diff = program("adopt", str(old), "--diff").out.encode()
    subprocess.run(["git", "-C", str(old), "apply"], input=diff, check=True, capture_output=True)

    assert set(tree(old).values()) == {b"from ingestion_pipeline.legacy import CSVManager"}


def test_changes_that_git_has_not_committed_are_told(old: Path, call: Call) -> None:
    committed(old)
    (old / "notes.md").write_text("changed")

    answer = call("adopt", str(old), "--write")

    assert "not committed" in answer.out
    assert "not committed" not in call("adopt", str(old), "--write").out


def test_every_name_that_legacy_answers_is_moved_over(tmp_path: Path, call: Call) -> None:
    laid({"a.py": f"from utils.csv_manager import {', '.join(LEGACY)}\n".encode()}, tmp_path)

    assert call("adopt", str(tmp_path), "--write").code == 0
    names = ast.parse((tmp_path / "a.py").read_text()).body[0]
    assert isinstance(names, ast.ImportFrom)
    assert names.module == "ingestion_pipeline.legacy"


# checkouts that are made to break it

HOSTILE = {
    "two.py": (b"import os\nprint 'hello'\n", 2),
    "bytes.py": (b"# ok\nx = '\xff'\n", 2),
    "nul.py": (b"x = 1\ny = '\0'\n", 2),
    "huge.py": (b"# " + b"x" * (2 * 1024 * 1024) + b"\n", 1),
    "deep.py": (b"x = " + b"(" * 5000 + b")" * 5000, 1),
    "long.py": (b"x = " + b"+".join([b"1"] * 20_000) + b"\n", 1),
    "dots.py": (b"x = a" + b".a" * 20_000 + b"\n", 1),
    "coding.py": (b"# -*- coding: no-such -*-\nx = 1\n", 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, call: Call, name: str) -> None:
    data, line = HOSTILE[name]
    laid({name: data, "good.py": b"open('outputs/output.csv')\n"}, tmp_path)

    answer = call("adopt", str(tmp_path), "--json")

    assert answer.code == 1
    assert [(one["file"], one["line"]) for one in answer.json["unreadable"]] == [(name, line)]
    assert [one["file"] for one in answer.json["accesses"]] == ["good.py"]
    assert "Cannot be read" in call("adopt", str(tmp_path)).out


GROWING = {
    "lists.py": "x = ['outputs/output.csv']\n" + "x = [x, x]\n" * 60,
    "text.py": "x = 'outputs/output.csv'\n" + "x = x + x\n" * 60,
    "choices.py": "x = 'a'\n" + "if x: x = x + 'b'\nelse: x = x + 'c'\n" * 60,
    "loops.py": "".join(f"{'  ' * depth}for x{depth} in y:\n" for depth in range(12))
    + "  " * 12
    + "open(x1)\n",
    "quotes.sh": "echo " + "'" * 5001 + "$(" * 300 + "\n",
    "steps.sh": "x=$(" * 2000 + ")" * 2000 + "\n",
    "folders.sh": "pushd x; { " * 20_000 + ")\n" * 20_000,
    "deeper.sh": "cd x\n" * 20_000,
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.timeout(20)
def test_what_grows_without_end_is_followed_no_further(tmp_path: Path, call: Call, name: str) -> None:
    laid({name: GROWING[name].encode(), "good.py": b"open('outputs/output.csv')\n"}, tmp_path)

    assert "good.py" in [one["file"] for one in call("adopt", str(tmp_path), "--json").json["accesses"]]


def test_links_are_not_followed(tmp_path: Path, call: Call) -> None:
    data = b"from utils.csv_manager import CSVManager\n"
    outside = laid({"secret.py": data, "folder/more.py": data}, tmp_path / "outside")
    old = laid({"a.py": b"x = 1\n"}, tmp_path / "old")
    (old / "link.py").symlink_to(outside / "secret.py")
    (old / "folder").symlink_to(outside / "folder")
    (old / "loop").symlink_to(old)
    (old / "gone.py").symlink_to(old / "nowhere.py")
    os.mkfifo(old / "pipe.py")

    answer = call("adopt", str(old), "--write", "--json")

    assert (answer.code, answer.json["looked_at"]) == (0, 1)
    assert set(tree(outside).values()) == {data}


def test_what_others_wrote_is_passed_over(tmp_path: Path, call: Call) -> None:
    data = b"open('outputs/output.csv')\n"
    names = [".git", ".venv", "venv", "node_modules", "__pycache__", "site-packages"]
    laid({f"x/{name}/a.py": data for name in names} | {"a.py": b"x = 1\n"}, tmp_path)

    assert call("adopt", str(tmp_path)).code == 0


@pytest.fixture
def by_nobody() -> Iterator[Path]:
    """A folder that somebody without rights looks at; root would be let in everywhere."""
    me = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        try:
            yield Path(name)
        finally:
            os.seteuid(me)


def test_a_file_or_folder_that_may_not_be_read_is_named(by_nobody: Path, call: Call) -> None:
    laid({"a.py": b"x = 1\n", "b.py": b"x = 1\n", "c/d.py": b"x = 1\n"}, by_nobody)
    # Once before, so that all that is needed is loaded.
    assert call("adopt", str(by_nobody), "--json").code == 0
    (by_nobody / "b.py").chmod(0)
    (by_nobody / "c").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)

    answer = call("adopt", str(by_nobody), "--json")

    assert answer.code == 1
    assert [one["file"] for one in answer.json["unreadable"]] == ["b.py", "c"]
