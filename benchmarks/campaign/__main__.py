"""Run every part of the campaign, or those that are named, and print what came of them."""

import argparse
import json
import subprocess
import sys

from benchmarks.campaign.record import RESULTS

PARTS = (
    "kill",
    "powercut",
    "disk",
    "commits",
    "journal",
    "writers",
    "switches",
    "uploads",
    "model",
    "buckets",
)


def main() -> int:
    """Run the parts one after another; gives 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small counts, for a look")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    failed = False
    for part in options.parts or PARTS:
        words = [sys.executable, "-m", f"benchmarks.campaign.{part}", *["--quick"] * options.quick]
        failed |= subprocess.run(words, check=False).returncode != 0  # noqa: S603 - our own programs
    _print_kept()
    return int(failed)


def _print_kept() -> None:
    print(f"\n{'promise':8} {'part':9} {'violations':>10} {'void':>5} {'seconds':>8}  date")
    for part in PARTS:
        file = RESULTS / f"{part}.json"
        if file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            kept["void"] = "yes" if kept["void"] else "no"
            print(
                "{promise:8} {part:9} {violations:>10} {void:>5} {seconds:>8}  {date}".format(
                    part=part, **kept
                )
            )


if __name__ == "__main__":
    sys.exit(main())
