"""`./gw quirks`: runs the quirks' tests and says of each quirk of the book whether the gateway does what the book says.

./gw quirks [--json FILE]     {"quirks":[{"id":"Q1","test":…,"passed":true,"applies":true},…]}; exits 0 when all that apply pass
./gw quirks --break Q7        takes that behaviour away and shows which tests fail and which pass anyway; exits 0 when one fails by itself,
                              not by what was set up around it. `--break all`: each in turn
./gw quirks --table           the table of docs/quirks.md
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.quirks import Book
from tests.quirks import table
from tests.quirks.broken import BROKEN

FOLDER = Path(__file__).parent
CONFIGS = FOLDER.parents[1] / "configs"


class Outcomes:
    """A pytest plugin that keeps how the tests of each quirk went. `unfit`: could not be set up or torn down, which says nothing."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}
        self.passed: set[str] = set()
        self.failed: set[str] = set()
        self.skipped: set[str] = set()
        self.unfit: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("quirk"):
                self.tests.setdefault(mark.args[0], []).append(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped.add(report.nodeid)
        elif report.when == "call":
            (self.passed if report.passed else self.failed).add(report.nodeid)
        elif report.failed:
            self.unfit.add(report.nodeid)

    def holds(self, quirk: str) -> bool:
        """Whether every test of a quirk was run and passed; one that a missing system part skips is left out, but not all may be."""
        tests = set(self.tests.get(quirk, ()))
        return bool(tests & self.passed) and tests <= self.passed | self.skipped and not tests & self.unfit


def run(quirk: str = "", *, broken: bool = False) -> Outcomes:
    """Run the tests of one quirk, or of all, in this process."""
    outcomes = Outcomes()
    selected = sorted(str(path) for path in FOLDER.glob(f"test_q{int(quirk[1:]):02d}_*.py")) if quirk else [str(FOLDER)]
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "-n", "0", *(["--break-quirk", quirk, "--tb=line"] if broken else [])]
    stdout, sys.stdout = sys.stdout, sys.stderr  # the report is talk; the JSON is data
    try:
        pytest.main([*options, *selected], plugins=[outcomes])
    finally:
        sys.stdout = stdout
    return outcomes


def report(book: Book, outcomes: Outcomes) -> dict[str, Any]:
    return {
        "quirks": [
            {
                "id": quirk,
                "test": ", ".join(sorted({test.partition("::")[0] for test in outcomes.tests.get(quirk, [])})),
                "passed": outcomes.holds(quirk),
                "applies": entry.applies,
            }
            for quirk, entry in book.quirks.items()
        ]
    }


def shown_failing(quirk: str) -> dict[str, Any]:
    """A quirk's tests without the gateway's behaviour: which of them fail."""
    outcomes = run(quirk, broken=True)
    tests = outcomes.tests.get(quirk, [])
    told = {"failed": outcomes.failed, "passed_anyway": outcomes.passed, "unfit": outcomes.unfit}
    return {"id": quirk, "broken": True, "tests": tests, **{how: sorted(found.intersection(tests)) for how, found in told.items()}}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./gw quirks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there, too")
    parser.add_argument("--break", dest="broken", metavar="Qn", help="take the behaviour of one quirk away, or of each in turn: all")
    parser.add_argument("--table", action="store_true", help="print the table of docs/quirks.md")
    options = parser.parse_args(arguments)
    book = Book.load(CONFIGS / "quirks.yaml")
    if options.table:
        print(table.page(book, Profiles.load(CONFIGS / "profiles")))
        return 0
    if options.broken:
        return _break(book, options.broken, options.json)
    told = report(book, run())
    _tell(told, options.json)
    return 0 if all(quirk["passed"] for quirk in told["quirks"] if quirk["applies"]) else 1


def _break(book: Book, asked: str, file: Path | None) -> int:
    applying = [quirk for quirk, entry in book.quirks.items() if entry.applies]
    chosen = applying if asked == "all" else [asked]
    if unknown := [quirk for quirk in chosen if quirk not in applying or quirk not in BROKEN]:
        print(f"quirks: {', '.join(unknown)}: no behaviour to take away; there are {', '.join(BROKEN)}", file=sys.stderr)
        return 2
    told = {"quirks": [shown_failing(quirk) for quirk in chosen]}
    _tell(told, file)
    return 0 if all(quirk["failed"] and not quirk["unfit"] for quirk in told["quirks"]) else 1


def _tell(told: dict[str, Any], file: Path | None) -> None:
    text = json.dumps(told)
    if file is not None:
        file.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
