"""choreai: objective style tags for catalogs of dance videos, as distributed Ray jobs and as plain functions.

    import choreai

    poses = choreai.estimate_poses("dance.mp4")
    print(choreai.measure(poses))
    print(choreai.describe("dance.mp4"))
    print(choreai.tag("dance.mp4", model="out/models/lstm-0123456789ab"))

Importing the package imports neither Ray nor torch: each name loads what it needs when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from choreai.api.description import Description, describe
    from choreai.api.measurements import Measurements, measure
    from choreai.api.poses import VideoPoses, estimate_poses, read_keypoints
    from choreai.api.tags import Tag, load_model, tag, tag_keypoints
    from choreai.motion.sequence import KeypointSequence
    from choreai.pose.settings import PoseSettings

__version__ = "0.1.0"
__all__ = [
    "Description",
    "KeypointSequence",
    "Measurements",
    "PoseSettings",
    "Tag",
    "VideoPoses",
    "describe",
    "estimate_poses",
    "load_model",
    "measure",
    "read_keypoints",
    "tag",
    "tag_keypoints",
]

_HOME = {
    "Description": "choreai.api.description",
    "KeypointSequence": "choreai.motion.sequence",
    "Measurements": "choreai.api.measurements",
    "PoseSettings": "choreai.pose.settings",
    "Tag": "choreai.api.tags",
    "VideoPoses": "choreai.api.poses",
    "describe": "choreai.api.description",
    "estimate_poses": "choreai.api.poses",
    "load_model": "choreai.api.tags",
    "measure": "choreai.api.measurements",
    "read_keypoints": "choreai.api.poses",
    "tag": "choreai.api.tags",
    "tag_keypoints": "choreai.api.tags",
}


def __getattr__(name: str) -> Any:  # whatever the name is
    if name not in _HOME:
        raise AttributeError(f"module 'choreai' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
