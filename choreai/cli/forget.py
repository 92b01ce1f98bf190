"""forget: a person's right to have everything about a video taken out, for good."""

import argparse
from typing import TYPE_CHECKING

from choreai.cli.parser import CommandParser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from choreai.operations.forget import Forgetting
    from choreai.operations.forgotten_files import Change
    from choreai.tables.forgotten import TrainedModel

FORGET = """\
Take everything about videos out of an output: their rows in every table, what
runs, models and exports say of them, training data and downloads. No job takes
them up again. Without --yes nothing is changed: it says what would be.

  choreai forget clips/anna.mp4 --output out
  choreai forget clips/anna.mp4 --output out --yes

Readers and searches may run meanwhile; jobs should not. Kill it anywhere and run
it again: it resumes. Models stay as they are, and those trained on the videos
are listed: train them again. The catalog and the video itself are yours to
delete. Exit code 1: something still names a video, and is listed."""
MAX_LISTED = 20


def forget_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=FORGET)
    parser.add_argument("video_ids", nargs="+", metavar="VIDEO_ID", help="as the videos table has it")
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--yes", action="store_true", help="do it; without, nothing is changed")
    parser.add_argument("--same-bytes", action="store_true",
                        help="other ids of the same bytes too; those bytes are refused under any id")  # fmt: skip
    parser.add_argument("--unseen", action="store_true", help="also refuse ids that were never processed here")
    parser.add_argument("--data", metavar="FOLDER", help="data folder of `choreai serve`: stills and uploads too")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Forget the videos, or say what would be done, and return the exit code."""
    from choreai.cli.console import print_json
    from choreai.operations.forget import forget
    from choreai.storage.uris import resolve_uri

    output = resolve_uri(arguments.output, against=".")
    done = forget(
        output,
        arguments.video_ids,
        act=arguments.yes,
        same_bytes=arguments.same_bytes,
        unseen=arguments.unseen,
        web_data=arguments.data,
    )
    if arguments.json:
        print_json(done)
    else:
        _print(done, output)
    return int(done.is_done and bool(done.left))


def _print(done: "Forgetting", output: str) -> None:
    from choreai.cli.console import print_table

    rows = [(f"{each.table}/{each.version}".rstrip("/"), f"{each.num_rows:,}", f"{each.num_parts:,}")
            for each in done.tables]  # fmt: skip
    if rows:
        print_table("rows taken out" if done.is_done else "rows to take out", rows, header=("table", "rows", "parts"))
    _print_changes("files changed" if done.is_done else "files to change", done.files, output)
    _print_changes("still naming a video", done.left, output)
    _print_list("models to train again", [_model_row(each) for each in done.models])
    if done.unfinished_runs:
        runs = ", ".join(done.unfinished_runs)
        print(f"not ended, by their manifests: {runs}; if one is still at work, forget again when it has ended")
    names = f"{len(done.video_ids)} video{'s' if len(done.video_ids) > 1 else ''}"
    if done.is_done:
        print(f"forgot {names}; delete them from the catalog, and the videos themselves. Tombstone: {done.tombstone}")
    else:
        print(f"dry run of {names}: nothing was changed; --yes does it")


def _model_row(model: "TrainedModel") -> tuple[str, str]:
    taught = "; a taught style names one: teach it again without, then delete this model" if model.is_taught else ""
    return model.model_version, f"{model.num_videos} of its videos{taught}"


def _print_changes(title: str, changes: "Sequence[Change]", output: str) -> None:
    _print_list(title, [(each.uri.removeprefix(f"{output}/"), each.what) for each in changes])


def _print_list(title: str, rows: list[tuple[str, str]]) -> None:
    from choreai.cli.console import print_table

    if not rows:
        return
    print_table(title, rows[:MAX_LISTED], header=("name", "why"))
    if len(rows) > MAX_LISTED:
        print(f"and {len(rows) - MAX_LISTED} more: --json lists all")
