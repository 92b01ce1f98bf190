"""show: one video with its skeletons and style drawn on it, as an mp4 and a contact sheet.

Poses come from the keypoint tables if a job has extracted them, otherwise they are estimated now by the same code.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from choreai.api.poses import estimate_with
from choreai.cli.show_people import chosen_dancers, print_people
from choreai.config import load_pose_settings
from choreai.errors import ConfigError
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.style.explain.annotated_video import annotate, unused_name
from choreai.style.explain.movement_figure import draw_movement, save_figure
from choreai.style.explain.reasons import reasons_png, why_text
from choreai.style.model import load_model, newest_model
from choreai.style.tagging import tag_sequence, with_remark
from choreai.tables.posed_video import PosedVideo, find_in_tables

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Draw one video, and return the exit code."""
    pose = load_pose_settings(arguments.config)
    model_uri = arguments.model or (newest_model(arguments.output) if arguments.output else None)
    model = load_model(model_uri) if model_uri else None
    found = _find(arguments.video, arguments.output, pose)
    dancers = chosen_dancers(found, arguments)
    tagged = with_remark(tag_sequence(found.rows, model, named=dancers.track_ids), dancers.remark)
    folder = Path(arguments.to)
    source = replace(found, name=unused_name(found, folder))
    annotated = annotate(source, tagged, folder=folder)
    print(f"{found.name}: {tagged.text}")
    print_people(found, dancers, annotated.size_wh)
    print(f"video: {annotated.video}")
    print(f"contact sheet: {annotated.sheet}")
    figure = draw_movement(source.rows, tagged)
    if figure is not None:
        for suffix in ("png", "svg"):
            save_figure(figure, folder / f"{source.name}.movement.{suffix}")
        print(f"movement over time: {folder / source.name}.movement.png, .svg")
    if arguments.why and tagged.tag is not None:
        print(why_text(tagged.tag))
        if tagged.tag.reasons:
            picture = folder / f"{source.name}.why.png"
            picture.write_bytes(reasons_png(tagged.tag.reasons, style=tagged.tag.prediction.best_style))
            print(f"reasons: {picture}")
    return 0


def _find(video: str, output: str | None, settings: PoseSettings) -> PosedVideo:
    """Return the video's poses, from the tables under `output` if they have it, otherwise estimated now."""
    estimator = build_estimator(settings, read_file=objects.read_object, num_threads=2)
    if output:
        pose_id = pose_fingerprint(settings, estimator)
        known = find_in_tables(video, output, pose_id)
        if known:
            return known
    if objects.stat_object(video) is None:
        where = f" and no video of that id or URI in the tables under {output}" if output else ""
        raise ConfigError(f"{video}: no such file or object{where}; give a path, an s3:// URI, or --output and an id")
    logger.info("estimating the poses of %s now", video)
    poses = estimate_with(estimator, video, settings=settings)
    return PosedVideo(poses.name, video, poses.sequence)
