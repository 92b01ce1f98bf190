"""Forgetting and compacting under fire: `make chaos-forget`, or `python tests/chaos_forget.py --runs 200 --seed 1`.

Each run makes a small output, then starts `choreai forget` and `choreai compact` again and again and kills them with
SIGKILL at a random moment, while the tables are read all the time; then once more each in peace. No row of another
video may ever be missing or there twice, and in the end no byte may name the forgotten one. Exit code 1 if any did.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from forgettable import EVERYTHING, VICTIM, expected_rows, files_with, make_output, rows_of

from choreai.operations.forget import forget
from choreai.tables.compact import compact

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["forgettable", "choreai.cli.main", "choreai.cli.console", "choreai.cli.checks", "choreai.operations.forget",
     "choreai.video.opencv", "markupsafe"]
)  # fmt: skip
MAX_KILLS = 4


@dataclass
class Result:
    """What one run saw."""

    problems: list[str] = field(default_factory=list)
    num_killed: int = 0
    """Processes that were killed before they had ended."""
    num_reads: int = 0


def run_command(words: list[str]) -> None:
    """Run a command in a process of its own."""
    from choreai.cli.main import main

    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.exit(main(words))


def disturbed_run(folder: Path, rng: random.Random, *, seconds: float = 0.6, max_kills: int = MAX_KILLS) -> Result:
    """Forget and compact, killed up to `max_kills` times within `seconds` each, and then in peace."""
    root, result = str(folder / "out"), Result()
    make_output(root, folder)
    commands = {
        "forget": ["forget", VICTIM, "--output", root, "--yes", "--quiet"],
        "compact": ["compact", "--output", root],
    }
    for _ in range(rng.randint(1, max_kills)):
        _run_and_kill(root, commands[rng.choice(("forget", "forget", "compact"))], rng.uniform(0, seconds), result)
    result.problems += [f"{left.uri} {left.what}" for left in forget(root, [VICTIM], act=True).left]
    compact(root)
    for table in EVERYTHING:
        if rows_of(root, table) != expected_rows(table):
            result.problems.append(f"{table}: not each row of the others once")
    result.problems += [f"{path} has the id" for path in files_with(folder / "out", VICTIM)]
    return result


def _run_and_kill(root: str, words: list[str], seconds: float, result: Result) -> None:
    """Start a command, read the tables until `seconds` have passed, and kill it; then read once more."""
    process = _context.Process(target=run_command, args=(words,))
    process.start()
    started = time.monotonic()
    while process.is_alive() and (left := started + seconds - time.monotonic()) > 0:
        if left > 0.1:
            _read(root, result)
        else:
            process.join(left)
    result.num_killed += process.is_alive()
    process.kill()
    process.join()
    _read(root, result)


def _read(root: str, result: Result) -> None:
    for table in EVERYTHING:
        found = rows_of(root, table)
        found.pop(VICTIM, None)
        result.num_reads += 1
        if found != expected_rows(table):
            result.problems.append(f"{table}: not each row of the others once: {_differences(found, table)}")


def _differences(found: Counter[str], table: str) -> str:
    expected = expected_rows(table)
    return f"missing {dict(expected - found)}, too many {dict(found - expected)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started, num_killed, num_reads, bad = time.monotonic(), 0, 0, []
    for number in range(arguments.runs):
        folder = Path(tempfile.mkdtemp(prefix="chaos-forget-"))
        result = disturbed_run(folder, random.Random(arguments.seed + number))
        shutil.rmtree(folder)
        num_killed, num_reads = num_killed + result.num_killed, num_reads + result.num_reads
        if result.problems:
            bad.append(number)
            print(f"seed {arguments.seed + number}: {result.problems}", flush=True)
    print(f"{arguments.runs} runs, {num_killed} processes killed, {num_reads} tables read meanwhile, {len(bad)} bad; "
          f"{time.monotonic() - started:.0f} s")  # fmt: skip
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
