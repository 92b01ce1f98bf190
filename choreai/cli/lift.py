"""lift: keypoint tables -> people in 3D."""

import argparse
import logging
from pathlib import Path

from choreai.cli.console import print_json, print_table
from choreai.errors import ConfigError
from choreai.lift.weights import load_lifter
from choreai.pipeline.lift import lift_fingerprint, lift_missing, only_poses
from choreai.storage.uris import resolve_uri
from choreai.tables.compact import list_versions
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)
MAX_HEIGHT = 3.0
_MEANING = {
    "ok": "with poses in 3D",
    "nobody": "nobody in view",
    "too_short": "nobody for more than half a second in one piece",
    "not_seen": "never enough of a body at once",
    "quarantined": "could not be worked with",
}


def run(arguments: argparse.Namespace) -> int:
    """Lift what is new, print what became of it, and return the exit code: 1 if some could not be finished."""
    output = resolve_uri(arguments.output, against=".")
    if arguments.height is not None and not 0.3 <= arguments.height <= MAX_HEIGHT:
        raise ConfigError(f"--height must be a person's in metres, 0.3 to {MAX_HEIGHT:g}, got {arguments.height:g}")
    lifter = load_lifter(Path(arguments.lifter) if arguments.lifter else None)
    pose_id = _poses(output, arguments.poses)
    done = lift_missing(output, pose_id, lifter, weights=arguments.lifter, height=arguments.height)
    version = lift_fingerprint(pose_id, lifter.version, arguments.height)
    if arguments.json:
        print_json({"poses3d": version, "pose_fingerprint": pose_id, "lifter_version": lifter.version,
                    "statuses": dict(done.statuses), "num_poses": done.num_rows, "num_failed": done.num_failed,
                    "problems": done.problems})  # fmt: skip
    else:
        _print(output, version, done)
    if done.num_failed:
        logger.error("%d videos could not be finished; run it again to try them again", done.num_failed)
    return int(done.num_failed > 0 or done.statuses["quarantined"] > 0)


def _poses(output: str, named: str | None) -> str:
    if named is None:
        return only_poses(output)
    versions = list_versions(output, "keypoints")
    if named not in versions:
        raise ConfigError(f"--poses {named}: no such keypoint tables under {output}; there are {', '.join(versions)}")
    return named


def _print(output: str, version: str, done: RunManifest) -> None:
    rows = [(_MEANING[status], str(done.statuses[status])) for status in _MEANING if done.statuses[status]]
    if rows:
        print_table("lifted now", rows, header=("videos", "number"))
        print(f"{done.num_rows} poses in {output}/poses3d/{version}, what they show in movement3d/{version}")
    elif not done.num_failed:
        print(f"nothing new to lift; the poses are in {output}/poses3d/{version}")
    for video_id, reason in done.problems[:10]:
        print(f"{video_id}: {reason}")
