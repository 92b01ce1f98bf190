"""describe: what videos show, measured now, without a style model."""

import argparse
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from choreai.api.description import Description, describe_with
from choreai.catalog.several import read_catalogs
from choreai.cli.console import print_json, print_table
from choreai.cli.sources import find_sources
from choreai.config import load_pose_settings
from choreai.errors import MediaError, ObjectMissingError, ObjectUnusableError
from choreai.pipeline.clusters import group_movements
from choreai.pipeline.progress import progress
from choreai.pose.build import build_estimator
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder

logger = logging.getLogger(__name__)

HEADER = ("video", "seconds", "shots", "people", "tempo", "speed", "hands up")


def run(arguments: argparse.Namespace) -> int:
    """Describe the videos, and return the exit code: 1 if one of several could not be used, 2 if none could."""
    return describe(
        arguments.videos,
        pose=load_pose_settings(arguments.config),
        allow_private=arguments.allow_private_addresses,
        as_json=arguments.json,
    )


def describe(words: Sequence[str], *, pose: PoseSettings, allow_private: bool, as_json: bool) -> int:
    """Print what the videos show, and return the exit code."""
    settings = replace(pose, split_shots=True)
    found: list[tuple[str, Description]] = []
    with scratch_folder() as scratch:
        videos = read_catalogs(find_sources(words, folder=str(scratch), allow_private=allow_private)).table
        estimator = build_estimator(settings, read_file=objects.read_object, num_threads=2)
        with progress("measuring", len(videos)) as steps:
            for video_id, uri in zip(videos["video_id"].to_pylist(), videos["uri"].to_pylist(), strict=True):
                try:
                    found.append((video_id, describe_with(estimator, uri, settings=settings)))
                except (MediaError, ObjectMissingError, ObjectUnusableError) as exc:
                    logger.error("%s", exc)
                steps.advance()
    if as_json:
        print_json([_record(*each) for each in found])
    elif len(found) == 1:
        _print_one(*found[0])
    elif found:
        print_table("videos", [_row(*each) for each in found], header=HEADER)
        print("tempo in beats per minute, of the main person; speed in torso lengths a second; shares of the time")
        _print_groups(found)
    return 0 if len(found) == len(videos) else 1 if found else 2


def _print_groups(found: Sequence[tuple[str, Description]]) -> None:
    """Print which of the videos move alike, where there are enough to say so."""
    movements = {video_id: each.main.kinematics for video_id, each in found if each.main is not None}
    rows = [(each.medoid, str(len(each.video_ids)), each.words) for each in group_movements(movements)]
    if rows:
        print_table("groups that move alike", rows, header=("most typical", "videos", "how"))


def _print_one(video_id: str, description: Description) -> None:
    print(f"{video_id}: {description.headline}")
    for line in description.lines():
        print(f"  {line}")


def _row(video_id: str, description: Description) -> tuple[str, ...]:
    tempo, main = description.beats_per_minute, description.main
    movement = None if main is None else main.kinematics
    return (
        video_id,
        "" if description.seconds is None else f"{description.seconds:.1f}",
        str(description.num_shots),
        str(description.num_people),
        "" if tempo is None else f"{tempo:.0f}",
        "" if movement is None else _number(movement.body_speed_mean, ".2f"),
        "" if movement is None else _number(movement.hands_up_share, ".0%"),
    )


def _number(value: float, form: str) -> str:
    return "" if math.isnan(value) else format(value, form)


def _record(video_id: str, description: Description) -> dict[str, Any]:
    """Return the description for a program, with every kinematic feature of every person."""
    return {
        "video_id": video_id,
        "uri": description.poses.uri,
        "seconds": description.seconds,
        "num_shots": description.num_shots,
        "num_people_at_once": description.num_people,
        "beats_per_minute": description.beats_per_minute,
        "pose_fingerprint": description.poses.pose_fingerprint,
        "music": None if description.sound is None else description.sound.record(),
        "tracks": [asdict(dancer) for dancer in description.measurements.dancers],
    }
