"""Forgetting and compacting under fire: `make chaos-forget`, or `python tests/chaos_forget.py --runs 200 --seed 1`.

Each run makes a small output, then starts `choreai forget` and `choreai compact` again and again and kills them with
SIGKILL at a random call that changes a file, or after a random time, while the tables are read all the time; then once
more each in peace. No row of another video may ever be missing or there twice, and in the end no byte may name the
forgotten one. Exit code 1 if any did.
"""

import argparse
import itertools
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgettable import EVERYTHING, VICTIM, expected_rows, files_with, make_output, rows_of

from choreai.operations.forget import forget
from choreai.tables.compact import compact

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["forgettable", "choreai.cli.main", "choreai.cli.console", "choreai.cli.checks", "choreai.operations.forget",
     "choreai.video.opencv", "markupsafe"]
)  # fmt: skip
MAX_KILLS, MAX_SECONDS = 4, 0.6
MAX_CALLS = 100
"""Forgetting makes 95 that change a file, compacting 55."""


@dataclass
class Result:
    """What one run saw."""

    problems: list[str] = field(default_factory=list)
    num_killed: int = 0
    """Processes that were killed before they had ended."""
    num_reads: int = 0


@dataclass(frozen=True)
class Death:
    """When a process is killed."""

    seconds: float = math.inf
    """After its start."""
    at_call: int = sys.maxsize
    """Before the call of this number, from 0, that changes a file: between any two of them is a point to die at."""


def run_command(words: list[str], at_call: int) -> None:
    """Run a command in a process of its own, which kills itself at a call that changes a file."""
    from choreai.cli.main import main

    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    num_calls = itertools.count()

    def dying(call: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: Any, **options: Any) -> object:
            if next(num_calls) == at_call:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return change

    for name in ("fsync", "link", "replace", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    sys.exit(main(words))


def disturbed_run(folder: Path, rng: random.Random, *, max_kills: int = MAX_KILLS, by_time: bool = True) -> Result:
    """Forget and compact, killed up to `max_kills` times, and then in peace.

    `by_time`: a third of the processes are killed after some time; the others, or else all, at a call.
    """
    root, result = str(folder / "out"), Result()
    make_output(root, folder)
    commands = {
        "forget": ["forget", VICTIM, "--output", root, "--yes", "--quiet"],
        "compact": ["compact", "--output", root],
    }
    for _ in range(rng.randint(1, max_kills)):
        is_timed = by_time and rng.random() < 1 / 3
        death = Death(seconds=rng.uniform(0, MAX_SECONDS)) if is_timed else Death(at_call=rng.randrange(MAX_CALLS))
        _run_until(root, commands[rng.choice(("forget", "compact"))], death, result)
    result.problems += [f"{left.uri} {left.what}" for left in forget(root, [VICTIM], act=True).left]
    result.problems += [f"{path} has the id" for path in files_with(folder / "out", VICTIM)]
    _read(root, result)
    compact(root)
    result.problems += [f"{path} has the id again" for path in files_with(folder / "out", VICTIM)]
    _read(root, result)
    return result


def _run_until(root: str, words: list[str], death: Death, result: Result) -> None:
    """Start a command, and read the tables until it has died or ended; then once more."""
    process = _context.Process(target=run_command, args=(words, death.at_call))
    process.start()
    started = time.monotonic()
    while process.is_alive() and (left := started + death.seconds - time.monotonic()) > 0:
        if left > 0.1:
            _read(root, result)
        process.join(min(left, 0.03))
    process.kill()
    process.join()
    result.num_killed += process.exitcode == -signal.SIGKILL
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
