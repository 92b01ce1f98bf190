"""Runs of both commands on tiny poses, with a model that needs no training."""

from dataclasses import replace
from pathlib import Path

from arms_model import arms_model
from tiny_poses import FINGERPRINT, TinyWorker

from choreai.cli import extract as extract_command
from choreai.cli import tag as tag_command
from choreai.cli.flags import extract_parser, tag_parser
from choreai.cluster.tag_worker import TagWorker
from choreai.storage import objects
from choreai.style.model import StyleModel


def arms_named(uri: str) -> StyleModel:
    """A model for tiny poses; each name gives another version."""
    model = arms_model(temperature=float(len(Path(uri).name)))
    return replace(model, config=replace(model.config, pose_fingerprint=FINGERPRINT))


class ArmsTagWorker(TagWorker):
    @staticmethod
    def load_model(uri: str) -> StyleModel:
        return arms_named(uri)


def extract(catalog: Path | str, output: Path | str, *flags: str) -> int:
    arguments = [str(catalog), "--output", str(output), "--num-workers", "1", *flags]
    return extract_command.run(extract_parser(None).parse_args(arguments), worker=TinyWorker)


def tag(catalog: Path | str, output: Path | str, *flags: str, model: str = "m") -> int:
    arguments = [str(catalog), "--output", str(output), "--num-workers", "1", "--model", model, *flags]
    parsed = tag_parser(None).parse_args(arguments)
    return tag_command.run(parsed, pose_worker=TinyWorker, tag_worker=ArmsTagWorker)


def everything(output: str) -> list[tuple[str, str]]:
    return sorted((info.uri, info.content_id) for info in objects.list_objects(output))
