"""What made a set of keypoints, as far as their files tell: a model fits keypoints of one origin only."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from choreai.fingerprint import fingerprint
from choreai.motion.keypoint_sets import COCO
from choreai.motion.sequence import KEYPOINTS_VERSION

MAX_FLAGS = 3
"""Distinct values: no more are no scores, but say whether a keypoint is there, as COCO's annotations do."""
UNKNOWN = "unknown"
_MADE_BY = {
    "alphapose-json": "alphapose",
    "openpose": "openpose",
    "mmpose-json": "mmpose",
    "ultralytics-labels": "ultralytics",
    "ultralytics-results": "ultralytics",
    "mediapipe-csv": "mediapipe",
    "kinovea-csv": "kinovea",
}
"""By format. Others may hold anybody's keypoints."""


@dataclass(frozen=True)
class Origin:
    """What made keypoints, and the fingerprint under which their tables are stored."""

    made_by: str
    """The estimator; empty where only the fingerprint of an extraction is known."""
    has_scores: bool
    pose_fingerprint: str
    has_3d: bool = False
    skeleton: str = COCO.name
    """The keypoint set."""

    @classmethod
    def of_files(cls, made_by: str, *, has_scores: bool, has_3d: bool = False, skeleton: str = COCO.name) -> "Origin":
        """Return the origin of other programs' files. Frame rates are no part of it: windows are cut by time."""
        settings = {
            "estimator": "keypoints",
            "made_by": made_by,
            "has_scores": has_scores,
            "has_3d": has_3d,
            "skeleton": skeleton,
            "schema_version": KEYPOINTS_VERSION,
        }
        return cls(made_by, has_scores, fingerprint(settings), has_3d, skeleton)

    def to_json(self) -> dict[str, str]:
        """Return what a model says of the keypoints of its training."""
        scores, depth = ("yes" if found else "no" for found in (self.has_scores, self.has_3d))
        return {"made_by": self.made_by, "skeleton": self.skeleton, "scores": scores, "3d": depth}

    def __str__(self) -> str:
        return describe_origin(self.to_json(), self.pose_fingerprint)


def describe_origin(told: Mapping[str, str], pose_fingerprint: str) -> str:
    """Return in a few words what `to_json` told; without anything told, the fingerprint alone."""
    made_by, scores = told.get("made_by"), told.get("scores")
    if not made_by:
        return f"poses {pose_fingerprint}"
    who = "an unknown estimator" if made_by == UNKNOWN else made_by
    skeleton = told.get("skeleton", COCO.name)
    which = "" if skeleton == COCO.name else f" ({skeleton})"
    depth = " and in 3D" if told.get("3d") == "yes" else ""
    with_scores = "without scores" if scores == "no" else "with scores"
    return f"keypoints by {who}{which}, {with_scores}{depth} (poses {pose_fingerprint})"


def made_by_default(source_format: str) -> str:
    """Return the estimator that files of this format come from, or UNKNOWN."""
    return _MADE_BY.get(source_format, UNKNOWN)


def has_scores(table: pa.Table) -> bool:
    """Return whether the keypoints of a table have scores, and not only a flag that they are there."""
    scores = pc.list_flatten(table["keypoint_scores"])
    return int(pc.count_distinct(scores).as_py()) > MAX_FLAGS


def has_3d(table: pa.Table) -> bool:
    """Return whether any row of a table has its keypoints in space too."""
    column = table["keypoints_xyz"]
    return bool(column.null_count < len(column))
