"""Runs of both commands on tiny poses, with a model that needs no training."""

from pathlib import Path

from arms_tagging import ArmsTagWorker
from tiny_poses import TinyWorker

from choreai.cli import extract as extract_command
from choreai.cli import tag as tag_command
from choreai.cli.flags import extract_parser, tag_parser
from choreai.storage import objects


def extract(catalog: Path | str, output: Path | str, *flags: str) -> int:
    arguments = [str(catalog), "--output", str(output), "--num-workers", "1", *flags]
    return extract_command.run(extract_parser(None).parse_args(arguments), worker=TinyWorker)


def tag(catalog: Path | str, output: Path | str, *flags: str, model: str = "m") -> int:
    arguments = [str(catalog), "--output", str(output), "--num-workers", "1", "--model", model, *flags]
    parsed = tag_parser(None).parse_args(arguments)
    return tag_command.run(parsed, pose_worker=TinyWorker, tag_worker=ArmsTagWorker)


def everything(output: str) -> list[tuple[str, str]]:
    return sorted((info.uri, info.content_id) for info in objects.list_objects(output))
