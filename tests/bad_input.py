"""Bad and odd input, case by case: `make bad-input`, or `python tests/bad_input.py [--all]`.

The cases are tests, whose names say what must hold. This runs those that are about bad input and prints a line for
each: the case, what must hold, and whether it does. `--all` adds the slow ones: a night over a bucket of 2,000 keys and
`choreai serve` under attack. Exit code 1 if any case is not ok.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
QUICK = (
    "test_odd_names.py", "test_catalog_dialects.py", "test_catalog.py", "test_hostile_catalog.py", "test_bad_input.py",
    "test_odd_settings.py", "test_damaged_tables.py", "test_store_trouble.py", "test_scratch.py", "test_uris.py",
    "test_web_attacks.py", "test_parts.py",
)  # fmt: skip
SLOW = ("test_bad_night.py", "test_serve_under_attack.py")


class Lines:
    """Prints a line for each case, as it ends."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and not report.passed):
            outcome = {"passed": "ok", "skipped": "skipped"}.get(report.outcome, "NOT OK")
            self.counts[outcome] += 1
            test, _, case = report.nodeid.rpartition("::")[2].partition("[")
            holds = test.removeprefix("test_").replace("_", " ")
            print(f"{outcome:8}{holds}{f': {case[:-1][:80]}' if case else ''}", flush=True)


def main(arguments: list[str]) -> int:
    lines = Lines()
    files = [str(FOLDER / name) for name in (*QUICK, *(SLOW if "--all" in arguments else ()))]
    options = ["-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "-p", "no:terminal"]
    pytest.main([*options, *files], plugins=[lines])
    total = lines.counts.total() - lines.counts["skipped"]
    print(f"{lines.counts['ok']} of {total} cases ok, {lines.counts['skipped']} skipped")
    return int(lines.counts["ok"] != total or not total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
