"""gc: pose fingerprints and model versions that nothing wants any more."""

import argparse

from choreai.cli.parser import CommandParser

GC = """\
Say how much each pose fingerprint and model has in an output, and which of them
nothing wants: neither a model, nor a run, nor you. With --yes those are deleted.

  choreai gc --output out
  choreai gc --output out --keep lstm-0123456789ab --yes

Kept are the newest model, what the newest run of each job used, runs that have
not ended, and the poses of all these. Runs, corrections and exports stay. Poses
that are deleted are estimated again if a job asks for them: that takes as long
as the first time."""


def gc_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=GC)
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--keep", metavar="NAME", nargs="+", default=[], help="fingerprints and models to keep too")
    parser.add_argument("--newest", type=int, metavar="N", default=1,
                        help="how many of the newest models and runs to keep (default: 1)")  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="do it; without, nothing is deleted")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """List the versions, delete those that are not wanted if that is asked, and return the exit code."""
    from choreai.cli.console import print_json, print_table
    from choreai.operations.garbage import delete_versions, find_versions
    from choreai.storage.uris import resolve_uri

    output = resolve_uri(arguments.output, against=".")
    versions = find_versions(output, keep=arguments.keep, newest=arguments.newest)
    unwanted = [each for each in versions if not each.why]
    num_deleted = delete_versions(output, unwanted) if arguments.yes else 0
    if arguments.json:
        print_json({"versions": versions, "num_deleted": num_deleted, "is_done": arguments.yes})
        return 0
    rows = [
        (each.name, each.kind, size_text(each.num_bytes), f"{each.num_objects:,}", each.why or "not wanted")
        for each in versions
    ]
    if rows:
        print_table("versions", rows, header=("version", "of", "size", "objects", "why"))
    num_bytes = size_text(sum(each.num_bytes for each in unwanted))
    if not unwanted:
        print("nothing to delete: all of it is wanted")
    elif arguments.yes:
        print(f"deleted {len(unwanted)} versions: {num_deleted:,} objects, {num_bytes}")
    else:
        print(f"dry run: nothing was deleted; --yes deletes {len(unwanted)} versions, {num_bytes}")
    return 0


def size_text(num_bytes: int) -> str:
    """Return a size as people read it, in powers of 1024."""
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
