"""A made-up old checkout. What touches the CSV says so at the end of its line, and nothing else does.

`TOUCHES: reads, writes?` is a certain read and a likely write on that line.
"""

import re

MARK = re.compile(r"TOUCHES: (?P<what>[a-z?, ]+)")

FILES: dict[str, str] = {}

FILES["utils/__init__.py"] = ""

FILES["utils/csv_manager.py"] = '''
"""The old module itself: replaced, not changed."""
import pandas as pd

OUTPUT_CSV = "outputs/output.csv"


class CSVManager:
    def read(self):
        return pd.read_csv(OUTPUT_CSV)


def safe_csv_read(path):
    return pd.read_csv(path)


def get_standard_csv_path():
    return OUTPUT_CSV
'''

FILES["utils/relative.py"] = """
from .csv_manager import safe_csv_read  # TOUCHES: imports
from . import csv_manager  # TOUCHES: imports
from .other_manager import write_csv_manager


def load(path):
    return safe_csv_read(path) if path else csv_manager.load_output_csv(path)
"""

FILES["utils/other_manager.py"] = '''
"""Talks of csv_manager and of outputs/output.csv, and touches neither."""


def write_csv_manager(text):
    # pd.read_csv("outputs/output.csv") was here
    return f"see outputs/output.csv: {text}"
'''

FILES["utils/paths.py"] = """
from pathlib import Path
import os

BASE_DIR = Path(__file__).resolve().parent.parent
OUTPUT_DIR = BASE_DIR / "outputs"
OUTPUT_CSV = OUTPUT_DIR / "output.csv"
BACKUP_CSV = OUTPUT_DIR / "backup" / "output.csv"
HERE_CSV = Path(__file__).parent / "output.csv"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEGACY_CSV = os.path.join(ROOT, "outputs", "output.csv")
PATHS = {"csv": str(OUTPUT_CSV), "links": str(OUTPUT_DIR / "links.csv")}


def standard():
    return OUTPUT_CSV


def other():
    return BACKUP_CSV
"""

FILES["scripts/imports.py"] = """
from utils.csv_manager import CSVManager, safe_csv_read as read  # TOUCHES: imports
import utils.csv_manager as manager  # TOUCHES: imports
import utils.csv_manager  # TOUCHES: imports
from utils import csv_manager  # TOUCHES: imports
from utils import csv_manager as cm, paths  # TOUCHES: imports
from utils.csv_manager import (  # TOUCHES: imports
    load_output_csv,  # the loader
    DownloadResult,
)
from utils.csv_manager import *  # TOUCHES: imports
from utils.csv_manager import sanitise_everything  # TOUCHES: imports
import importlib
import csv_manager_extra
from vendor.csv_manager import Manager
from utils.other_manager import write_csv_manager

module = importlib.import_module("utils.csv_manager")  # TOUCHES: imports
other = importlib.import_module("vendor.csv_manager")


def later():
    from utils.csv_manager import RowContext  # TOUCHES: imports
    return RowContext


def dynamic():
    return __import__("utils.csv_manager")  # TOUCHES: imports


print("from utils.csv_manager import CSVManager", utils.csv_manager.CSVManager)
"""

FILES["scripts/path_trick.py"] = """
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "utils"))
try:
    import csv_manager  # TOUCHES: imports
except ImportError:
    from csv_manager import safe_csv_write  # TOUCHES: imports
import os, csv_manager as cm  # TOUCHES: imports
"""

FILES["scripts/literals.py"] = """
import csv
import os
import shutil
import pandas as pd
from pathlib import Path

frame = pd.read_csv("outputs/output.csv")  # TOUCHES: reads
frame = pd.read_csv(filepath_or_buffer="./outputs/output.csv", dtype=str)  # TOUCHES: reads
frame.to_csv("outputs/output.csv", index=False)  # TOUCHES: writes
frame.to_csv(path_or_buf=Path("outputs") / "output.csv")  # TOUCHES: writes
frame.to_csv("outputs/links.csv")
frame = pd.read_csv("output.csv")
frame = pd.read_csv("archive/output.csv")
frame = pd.read_csv("archive/outputs/output.csv")
frame = pd.read_csv("outputs/output.csv.bak")
frame = pd.read_csv("s3://bucket/outputs/output.csv")
with open("outputs/output.csv", newline="") as file:  # TOUCHES: reads
    rows = list(csv.DictReader(file))  # TOUCHES: reads
with open("outputs/output.csv", "a") as file, open("outputs/log.csv") as log:  # TOUCHES: writes
    writer = csv.DictWriter(file, fieldnames=[])  # TOUCHES: writes
    reader = csv.reader(log)
for row in csv.reader(open(os.path.join("outputs", "output.csv"))):  # TOUCHES: reads
    print("outputs/output.csv", row)
text = Path("outputs", "output.csv").read_text()  # TOUCHES: reads
Path("outputs/output.csv").write_text(text.replace("outputs/output.csv", "x"))  # TOUCHES: writes
data = Path("outputs").joinpath("output.csv").read_bytes()  # TOUCHES: reads
Path("outputs/output.csv").write_bytes(data)  # TOUCHES: writes
with Path("outputs/output.csv").open("r+") as file:  # TOUCHES: writes
    csv.writer(file)  # TOUCHES: writes
os.replace("outputs/output.tmp", "outputs/output.csv")  # TOUCHES: writes
os.rename("outputs/output.csv", "outputs/old.csv")  # TOUCHES: removes
os.remove("outputs/output.csv")  # TOUCHES: removes
os.unlink(path="outputs/output.csv")  # TOUCHES: removes
Path("outputs/output.csv").unlink()  # TOUCHES: removes
Path("outputs/output.csv").rename("outputs/old.csv")  # TOUCHES: removes
Path("outputs/new.csv").replace("outputs/output.csv")  # TOUCHES: writes
shutil.copy("outputs/output.csv", "backups/output.csv")  # TOUCHES: reads
shutil.copy2("backups/output.csv", "outputs/output.csv")  # TOUCHES: writes
shutil.copyfile("backups/a.csv", "backups/b.csv")
shutil.move("outputs/output.csv", "backups/")  # TOUCHES: removes
shutil.copy("backups/output.csv", "outputs")  # TOUCHES: writes?
os.link("backups/output.csv", "outputs/output.csv")  # TOUCHES: writes
os.symlink("backups/output.csv", dst="outputs/output.csv")  # TOUCHES: writes
os.symlink("outputs/output.csv", "linked.csv")
Path("outputs/output.csv").symlink_to("backups/output.csv")  # TOUCHES: writes
getattr(frame, "to_csv")("outputs/output.csv")  # TOUCHES: writes
getattr(frame, "to_csv")("outputs/links.csv")
getattr(frame, "describe")("outputs/output.csv")
pd.DataFrame.to_csv(frame, "outputs/output.csv")  # TOUCHES: writes
pd.DataFrame.to_csv(frame, path_or_buf="outputs/output.csv")  # TOUCHES: writes
pd.DataFrame.to_csv(frame, "outputs/links.csv")
Path.unlink("outputs/output.csv")  # TOUCHES: removes
Path.write_text(Path("outputs/output.csv"), "x")  # TOUCHES: writes
Path.write_text(Path("outputs/links.csv"), "outputs/output.csv")
"""

FILES["scripts/variables.py"] = """
import os
import pandas as pd

FOLDER = "outputs"
NAME = "output"
CSV = f"{FOLDER}/{NAME}.csv"
COPY = CSV.replace("output.csv", "copy.csv")
BACKUP = CSV + ".bak"
TEMPLATE = "%s/%s.csv"
FORM = "{}/{name}.csv"

pd.read_csv(CSV)  # TOUCHES: reads
pd.read_csv(COPY)
pd.read_csv(BACKUP)
pd.read_csv(TEMPLATE % (FOLDER, NAME))  # TOUCHES: reads
pd.read_csv(TEMPLATE % (FOLDER, "links"))
pd.read_csv(FORM.format(FOLDER, name=NAME))  # TOUCHES: reads
pd.read_csv(os.sep.join(["x", "output.csv"]))
pd.read_csv("/".join([FOLDER, "output.csv"]))  # TOUCHES: reads
pd.read_csv(os.sep.join([FOLDER, "output.csv"]))  # TOUCHES: reads
pd.read_csv(FOLDER + os.sep + "output.csv")  # TOUCHES: reads
pd.read_csv(FOLDER + os.path.sep + "output.csv")  # TOUCHES: reads
pd.read_csv(FOLDER + os.extsep + "output.csv")

path = "outputs/output.csv"
open(path)  # TOUCHES: reads
path = "outputs/other.csv"
open(path)
left, right = "outputs/output.csv", "outputs/right.csv"
open(left)  # TOUCHES: reads
open(right)
if NAME:
    chosen = "outputs/output.csv"
else:
    chosen = "outputs/none.csv"
open(chosen, "w")  # TOUCHES: writes?


def shadowed(CSV):
    return open(CSV)


def local():
    CSV = "outputs/local.csv"
    return open(CSV)


def never_bound():
    while FOLDER:
        open(CSV)
        CSV = "outputs/later.csv"


def looped():
    for each in ["outputs/a.csv", "outputs/output.csv"]:
        open(each)  # TOUCHES: reads?
    return [open(CSV) for CSV in ["outputs/b.csv"]]


def outer():
    inner_csv = CSV

    def inner():
        return open(inner_csv)  # TOUCHES: reads

    return inner


def found_first(candidates):
    for each in candidates:
        if each:
            found = "outputs/output.csv"
            break
    return open(found)  # TOUCHES: reads
"""

FILES["scripts/imported.py"] = """
import pandas as pd
from utils.paths import OUTPUT_CSV, BACKUP_CSV, HERE_CSV, LEGACY_CSV, PATHS, standard, other
import utils.paths as places
from utils import paths

pd.read_csv(OUTPUT_CSV)  # TOUCHES: reads
pd.read_csv(BACKUP_CSV)
pd.read_csv(HERE_CSV)
pd.read_csv(LEGACY_CSV)  # TOUCHES: reads
pd.read_csv(PATHS["csv"])  # TOUCHES: reads
pd.read_csv(PATHS["links"])
pd.read_csv(PATHS.get("csv"))  # TOUCHES: reads
pd.read_csv(places.OUTPUT_CSV)  # TOUCHES: reads
pd.read_csv(places.OUTPUT_DIR / "other.csv")
pd.read_csv(paths.OUTPUT_DIR / "output.csv")  # TOUCHES: reads
pd.read_csv(standard())  # TOUCHES: reads
pd.read_csv(other())
pd.read_csv(OUTPUT_CSV.with_suffix(".tmp"))
pd.read_csv(OUTPUT_CSV.with_name("x.csv"))
pd.read_csv(OUTPUT_CSV.parent / OUTPUT_CSV.name)  # TOUCHES: reads
pd.DataFrame().to_csv(str(OUTPUT_CSV))  # TOUCHES: writes
"""

FILES["scripts/parameters.py"] = """
import csv
import pandas as pd
from utils.paths import OUTPUT_CSV


def with_default(path="outputs/output.csv"):
    return pd.read_csv(path)  # TOUCHES: reads?


def without_default(path, other):
    pd.read_csv(other)
    return pd.read_csv(path)  # TOUCHES: reads?


def keyword(*, target=None):
    target = target or OUTPUT_CSV
    with open(target, "w") as file:  # TOUCHES: writes?
        csv.writer(file)  # TOUCHES: writes?


def never(path="outputs/links.csv"):
    return pd.read_csv(path)


def filled(path=None):
    if path is None:
        path = "outputs/output.csv"
    return pd.read_csv(path)  # TOUCHES: reads?


def in_a_test(tmp_path):
    return pd.read_csv(tmp_path / "output.csv")


def in_a_folder(folder):
    return pd.read_csv(folder / "output.csv")  # TOUCHES: reads?


def by_a_type(handle, mode="r"):
    return handle.read()


without_default(OUTPUT_CSV, "outputs/links.csv")
never("outputs/more.csv")
"""

FILES["scripts/classes.py"] = """
import pandas as pd
from dataclasses import dataclass, field
from utils.paths import OUTPUT_CSV


class Store:
    links = "outputs/links.csv"
    whole = "outputs/output.csv"

    def __init__(self, csv_path=None):
        self.csv_path = csv_path or OUTPUT_CSV
        self.other_path = "outputs/other.csv"

    def load(self):
        pd.read_csv(self.other_path)
        pd.read_csv(self.links)
        pd.read_csv(self.whole)  # TOUCHES: reads
        return pd.read_csv(self.csv_path)  # TOUCHES: reads?

    def save(self, frame):
        frame.to_csv(self.csv_path)  # TOUCHES: writes?
        frame.to_csv(self.backup)

    @property
    def backup(self):
        return self.other_path + ".bak"

    @staticmethod
    def read(path):
        return open(path)  # TOUCHES: reads?


class Child(Store):
    def again(self):
        return open(self.whole)  # TOUCHES: reads


@dataclass
class Config:
    csv: str = "outputs/output.csv"
    copy: str = field(default="outputs/output.csv")
    name: str = "x"


store = Store()
store.read("outputs/output.csv")
open(Store.whole)  # TOUCHES: reads
open(Store.links)
open(Config().csv)  # TOUCHES: reads
open(Config().copy)  # TOUCHES: reads
open(Config().name)
open(store.whole)  # TOUCHES: reads
"""

FILES["scripts/options.py"] = """
import argparse
import os
import click
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--csv-path", default="outputs/output.csv")
parser.add_argument("-l", "--links", default="outputs/links.csv")
args = parser.parse_args()
pd.read_csv(args.csv_path)  # TOUCHES: reads?
pd.read_csv(args.links)
pd.read_csv(os.environ.get("CSV", "outputs/output.csv"))  # TOUCHES: reads?
pd.read_csv(os.getenv("CSV", "outputs/links.csv"))


def main(args):
    return pd.read_csv(args.csv_path)  # TOUCHES: reads?


@click.command()
@click.option("--csv", default="outputs/output.csv")
@click.option("--links", default="outputs/links.csv")
def command(csv, links):
    pd.read_csv(links)
    pd.read_csv(csv)  # TOUCHES: reads?
"""

FILES["scripts/configured.py"] = """
import pandas as pd
import yaml
from utils.csv_manager import get_standard_csv_path  # TOUCHES: imports
from app import settings, get_config

with open("config/config.yaml") as file:
    config = yaml.safe_load(file)
pd.read_csv(config["paths"]["output_csv"])  # TOUCHES: reads
pd.read_csv(config["paths"]["links_csv"])
pd.read_csv(config.get("paths", {}).get("output_csv", "outputs/output.csv"))  # TOUCHES: reads?
pd.read_csv(get_config("paths.output_csv"))  # TOUCHES: reads
pd.read_csv(get_config("paths.links_csv"))
pd.read_csv(settings.paths.output_csv)  # TOUCHES: reads
places = config["paths"]
pd.read_csv(places["output_csv"])  # TOUCHES: reads
pd.read_csv(get_standard_csv_path())  # TOUCHES: reads
rows = load_output_csv()  # TOUCHES: reads?
"""

FILES["scripts/programs.py"] = """
import os
import shlex
import subprocess

CSV = "outputs/output.csv"
subprocess.run(["cp", CSV, "backup.csv"], check=True)  # TOUCHES: shell
subprocess.run(["cp", "a.csv", "b.csv"], check=True)
subprocess.run(f"sort {CSV} > sorted.csv", shell=True)  # TOUCHES: shell
subprocess.check_output("wc -l outputs/output.csv | cut -f1", shell=True)  # TOUCHES: shell
os.system("sed -i s/a/b/ outputs/output.csv")  # TOUCHES: shell
os.system("echo outputs/output.csv")
os.system("mv outputs/output.csv.new outputs/output.csv")  # TOUCHES: shell
os.popen("cat outputs/links.csv")
subprocess.Popen(["bash", "-c", "tail -1 outputs/output.csv"])  # TOUCHES: shell
subprocess.run(["python", "scripts/report.py", "--csv", CSV])  # TOUCHES: shell?
subprocess.run(["python", "-c", "print(open('outputs/output.csv').read())"])  # TOUCHES: shell
subprocess.run("cp x outputs/output.csv".split())  # TOUCHES: shell
subprocess.run("cp x outputs/links.csv".split(), check=True)
subprocess.run(["cp", "x", "output.csv"], cwd="outputs")  # TOUCHES: shell
subprocess.run("cp x output.csv", shell=True, cwd=os.path.join("outputs", ""))  # TOUCHES: shell
subprocess.run(["cp", "x", "outputs/output.csv"], cwd="work")
subprocess.run(["cp", "x", "output.csv"])
print("cp outputs/output.csv backup.csv")


def maybe(path="outputs/output.csv"):
    subprocess.run(["cp", path, "backup.csv"])  # TOUCHES: shell?
    subprocess.run(f"cp {path} backup.csv", shell=True)  # TOUCHES: shell?


command = ["cp", "-p"]
command.append(CSV)
command.extend(["backup.csv"])
subprocess.run(command)  # TOUCHES: shell
subprocess.run(shlex.split(f"mv new.csv {CSV}"))  # TOUCHES: shell
"""

FILES["scripts/elsewhere.py"] = """
import os
import sys

open("output.csv", "w")
os.chdir(sys.argv[1])
open("output.csv", "w")
os.chdir("outputs")
open("output.csv", "w")  # TOUCHES: writes?
open("links.csv", "w")
open("/srv/output.csv", "w")
os.chdir("..")
open("outputs/output.csv", "w")  # TOUCHES: writes
"""

FILES["scripts/handed.py"] = """
import functools
import tempfile
import pandas as pd
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from glob import glob
from pathlib import Path

load = functools.partial(pd.read_csv, "outputs/output.csv")  # TOUCHES: reads
with ThreadPoolExecutor() as pool:
    pool.submit(pd.read_csv, "outputs/links.csv")
    pool.submit(pd.read_csv, "outputs/output.csv")  # TOUCHES: reads
with ExitStack() as stack:
    file = stack.enter_context(open("outputs/output.csv"))  # TOUCHES: reads
for each in glob("outputs/*.csv"):
    pd.read_csv(each)  # TOUCHES: reads?
for each in Path("archive").glob("*.csv"):
    pd.read_csv(each)
with tempfile.TemporaryDirectory() as folder:
    pd.read_csv(Path(folder) / "x.csv")
pd.read_csv(Path(tempfile.mkdtemp()) / "output.csv")
writer = lambda frame: frame.to_csv("outputs/output.csv")  # TOUCHES: writes
"""

FILES["scripts/waiting.py"] = """
import asyncio
import aiofiles


async def load():
    async with aiofiles.open("outputs/output.csv") as file:  # TOUCHES: reads
        return await file.read()


async def match(command):
    match command:
        case "load":
            return open("outputs/output.csv")  # TOUCHES: reads
        case path:
            return open(path)
"""

FILES["scripts/innocent.py"] = '''
"""Reads outputs/output.csv? No: it only says so."""
import csv
import json
import pandas as pd

HELP = """
    pd.read_csv("outputs/output.csv")
    from utils.csv_manager import CSVManager
"""
LOG = "outputs/output.csv was read"
# open("outputs/output.csv").read()
pd.read_csv("outputs/people.csv")
pd.read_csv("data/output.csv")
json.dump({"csv": "outputs/output.csv"}, open("state.json", "w"))
name = "outputs/output.csv".replace(".csv", ".json")
open(name)
print(open("notes.txt").read(), LOG, HELP)
csv.reader(["outputs/output.csv"])
'''

FILES["scripts/crlf.py"] = (
    "from utils.csv_manager import safe_csv_read  # TOUCHES: imports\r\n"
    "import pandas\r\n"
    "pandas.read_csv('outputs/output.csv')  # TOUCHES: reads\r\n"
)

FILES["bin/nightly.sh"] = """#!/bin/bash
set -e
cd "$(dirname "$0")/.."
CSV=outputs/output.csv
DAY=$(date +%F)
# cp outputs/output.csv nowhere
cp "$CSV" "backups/output_$DAY.csv"  # TOUCHES: shell
cp outputs/links.csv backups/
echo "done with outputs/output.csv"
sed -i 's/a/b/' ${CSV}  # TOUCHES: shell
awk -F, '{print $1}' "$CSV" | sort > ids.txt  # TOUCHES: shell
echo "x" >> outputs/output.csv  # TOUCHES: shell
cat header.csv body.csv > "$CSV"  # TOUCHES: shell
grep x links.csv | tee -a outputs/output.csv  # TOUCHES: shell
while read -r line; do echo "$line"; done < "$CSV"  # TOUCHES: shell
if [ -f outputs/output.csv ]; then mv outputs/output.csv old.csv; fi  # TOUCHES: shell
LINES=$(wc -l < outputs/output.csv)  # TOUCHES: shell
python -c "import pandas as pd; pd.read_csv('outputs/output.csv')"  # TOUCHES: shell
python -c "print('outputs/output.csv')"
python3 - <<'PY'
import pandas as pd
frame = pd.read_csv("outputs/output.csv")  # TOUCHES: shell
frame.to_csv("outputs/links.csv")
PY
cat > notes.txt <<NOTES
cp outputs/output.csv somewhere
NOTES
psql -c "\\\\copy people from 'outputs/output.csv' csv"  # TOUCHES: shell?
python scripts/report.py --csv=outputs/output.csv  # TOUCHES: shell?
(cd outputs && rm output.csv)  # TOUCHES: shell
rm -rf archive/outputs/output.csv other.csv
rm archive/output.csv
"""

FILES["bin/folders.sh"] = """#!/bin/bash
(cd outputs; ls)
cp x outputs/output.csv  # TOUCHES: shell
HERE=$(cd outputs && pwd)
cp x outputs/output.csv  # TOUCHES: shell
cp x output.csv
(case $1 in a) cd work ;; *) ls ;; esac; cp x outputs/output.csv)  # TOUCHES: shell?
cp x outputs/output.csv  # TOUCHES: shell
cd work && start; cp x outputs/output.csv
cd -
cp x outputs/output.csv  # TOUCHES: shell
cd app && start &
cp x outputs/output.csv  # TOUCHES: shell
pushd outputs
cp x output.csv  # TOUCHES: shell
popd
cp x outputs/output.csv  # TOUCHES: shell
cd outputs || { echo "no folder"; exit 1; }
cp x output.csv  # TOUCHES: shell
cd ..
cp x outputs/output.csv  # TOUCHES: shell
{ cd outputs; ls; }
cp x output.csv  # TOUCHES: shell
cd ..
if cd outputs; then cp x output.csv; else cp x outputs/output.csv; fi  # TOUCHES: shell
cp x outputs/output.csv  # TOUCHES: shell?
cp x output.csv  # TOUCHES: shell?
"""

FILES["bin/functions.sh"] = """#!/bin/bash
work() {
  cd work
  cp x outputs/output.csv
}
cp x outputs/output.csv  # TOUCHES: shell?
"""

FILES["bin/loops.sh"] = """#!/bin/bash
for each in a b; do
  cd work
  cp x outputs/output.csv
done
cp x outputs/output.csv  # TOUCHES: shell?
"""

FILES["bin/perhaps.sh"] = """#!/bin/bash
[ -d work ] && cd work && cp x outputs/output.csv
cp x outputs/output.csv  # TOUCHES: shell?
"""

FILES["bin/cases.sh"] = """#!/bin/bash
case $1 in
  a) cd work; cp x outputs/output.csv ;;
  b) cp x outputs/output.csv ;;  # TOUCHES: shell
esac
cp x outputs/output.csv  # TOUCHES: shell?
"""

FILES["bin/more.sh"] = """#!/bin/bash
git checkout main
git add outputs/output.csv
git restore --staged outputs/output.csv
git checkout -- outputs/output.csv  # TOUCHES: shell
git restore outputs/output.csv  # TOUCHES: shell
git rm -q outputs/output.csv  # TOUCHES: shell
find outputs -name '*.csv'
find outputs -name '*.json' -delete
find outputs ! -name output.csv -delete
find . -maxdepth 1 -name '*.csv' -delete
find archive -name '*.csv' -delete
find outputs -name '*.csv' -delete  # TOUCHES: shell?
find . -type f -name '*.csv' -exec rm {} \\;  # TOUCHES: shell?
cp -t outputs output.csv  # TOUCHES: shell?
cp --target-directory=outputs links.csv
eval "cp x outputs/output.csv"  # TOUCHES: shell
wget https://example.org/outputs/output.csv
"""

FILES["Makefile"] = """
CSV := outputs/output.csv
LINKS = outputs/links.csv

report: $(CSV)
\tcat $< > report.txt  # TOUCHES: shell
\t@cp $(CSV) backup.csv  # TOUCHES: shell
\tcp $(LINKS) backup.csv
\techo $(CSV)

clean:
\trm -f ${CSV}  # TOUCHES: shell
"""

FILES["crontab"] = """
# 0 1 * * * cp outputs/output.csv nowhere
CSV=/srv/old/outputs/output.csv
0 2 * * * cd /srv/old && cp outputs/output.csv backups/  # TOUCHES: shell?
@daily gzip -c $CSV > backup.gz  # TOUCHES: shell?
*/5 * * * * cp outputs/links.csv backups/
"""

FILES[".github/workflows/nightly.yml"] = """
on:
  schedule: [{cron: "0 1 * * *"}]
env:
  CSV: outputs/output.csv
jobs:
  nightly:
    steps:
      - name: look at outputs/output.csv
        run: head -1 outputs/output.csv  # TOUCHES: shell
      - run: |
          cp links.csv backup.csv
          cp "$CSV" backup.csv  # TOUCHES: shell
          cat ${{ env.CSV }}  # TOUCHES: shell
      - uses: actions/upload-artifact@v4
        with:
          path: outputs/output.csv  # TOUCHES: shell?
"""

FILES["bin/tool"] = """#!/usr/bin/env python3
import pandas as pd
pd.read_csv("outputs/output.csv")  # TOUCHES: reads
"""

FILES["config/config.yaml"] = """
paths:
  output_csv: outputs/output.csv
"""

FILES["notes.md"] = "cp outputs/output.csv somewhere\n"


def planted() -> set[tuple[str, int, str]]:
    """File, line and what, with a `?` where it is likely."""
    found = set()
    for file, text in FILES.items():
        for number, line in enumerate(text.split("\n"), start=1):
            mark = MARK.search(line)
            for what in mark["what"].split(",") if mark else ():
                found.add((file, number, what.strip()))
    return found
