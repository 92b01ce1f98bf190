"""A tag worker whose model needs no training, for runs on tiny poses. Imports little: every worker process does."""

from dataclasses import replace
from pathlib import Path

from arms_model import arms_model
from tiny_poses import FINGERPRINT

from choreai.cluster.tag_worker import TagWorker
from choreai.style.model import StyleModel


def arms_named(uri: str) -> StyleModel:
    """A model for tiny poses; each name gives another version."""
    model = arms_model(temperature=float(len(Path(uri).name)))
    return replace(model, config=replace(model.config, pose_fingerprint=FINGERPRINT))


class ArmsTagWorker(TagWorker):
    @staticmethod
    def load_model(uri: str) -> StyleModel:
        return arms_named(uri)
