"""show: videos with their skeletons and style drawn on them, each as an mp4 and a contact sheet.

Poses come from the keypoint tables if a job has extracted them, otherwise they are estimated now by the same code.
"""

import argparse
import logging
import os
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from choreai.api.poses import estimate_with
from choreai.catalog.catalog import read_catalog
from choreai.cli.console import print_json
from choreai.cli.show_people import chosen_dancers, print_people, size_of_keypoints
from choreai.cli.show_space import draw_from_side
from choreai.cli.sources import find_sources
from choreai.config import load_pose_settings
from choreai.errors import ConfigError, MediaError
from choreai.pose.build import build_estimator, follow_poses, pose_fingerprint
from choreai.pose.choice import candidates, settle
from choreai.pose.estimator import PoseEstimator
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.style.explain.annotated_video import annotate, unused_name
from choreai.style.explain.movement_figure import draw_movement, save_figure
from choreai.style.explain.reasons import reasons_png, why_text
from choreai.style.model import StyleModel, load_model, newest_model
from choreai.style.tagging import tag_row, tag_sequence, with_remark
from choreai.tables.compact import list_versions
from choreai.tables.posed_video import PosedVideo, find_in_tables

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Draw the videos, and return the exit code: 1 if one of several could not be used."""
    pose = load_pose_settings(arguments.config)
    model_uri = arguments.model or (newest_model(arguments.output) if arguments.output else None)
    model = load_model(model_uri) if model_uri else None
    if model:
        pose = follow_poses(pose, model.config.pose_fingerprint, read_file=objects.read_object)
    finder = _Finder(pose, arguments.output)
    drawn: list[dict[str, Any]] = []
    with scratch_folder() as scratch:
        videos = _videos(arguments, str(scratch))
        for video in videos:
            try:
                # With --json only the JSON is the result; what is told beside it goes where messages go.
                with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
                    drawn.append(_draw(finder.find(video), model, arguments))
            except MediaError as exc:
                if len(videos) == 1:
                    raise
                logger.error("%s", exc)
    if arguments.json:
        print_json(drawn)
    return 0 if len(drawn) == len(videos) else 1


def _videos(arguments: argparse.Namespace, scratch: str) -> list[str]:
    """Return the path, URI or id of each video, those in folders included."""
    words = find_sources(arguments.video, folder=scratch, allow_private=arguments.allow_private_addresses)
    videos = [uri for word in words for uri in (_in_folder(word) if _is_folder(word) else [word])]
    if arguments.person is not None and len(videos) > 1:
        raise ConfigError(f"--person names somebody in one video; {len(videos)} are given")
    return videos


def _is_folder(word: str) -> bool:
    return objects.is_folder(word) if word.startswith("s3://") else os.path.isdir(word)


def _in_folder(folder: str) -> list[str]:
    uris: list[str] = read_catalog(folder).table["uri"].to_pylist()
    return uris


def _draw(found: PosedVideo, model: StyleModel | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw one video, print what was written where, and return it for JSON."""
    dancers = chosen_dancers(found, arguments)
    tagged = with_remark(tag_sequence(found.rows, model, named=dancers.track_ids), dancers.remark)
    folder = Path(arguments.to)
    source = replace(found, name=unused_name(found, folder))
    annotated = annotate(source, tagged, folder=folder, mute=arguments.mute) if found.has_video else None
    print(f"{found.name}: {tagged.text}")
    print_people(found, dancers, annotated.size_wh if annotated else size_of_keypoints(found.rows))
    for sentence in found.input_quality:
        print(f"input: {sentence}")
    if annotated is None:
        print(f"no annotated video: the tables were made of the keypoints in {found.uri}")
    else:
        print(f"video: {annotated.video}")
        if annotated.sound_problem:
            print(f"without its sound: {annotated.sound_problem}")
        print(f"contact sheet: {annotated.sheet}")
    written = {
        "video_id": found.name,
        "uri": found.uri,
        "text": tagged.text,
        "tag": None if tagged.tag is None else tag_row(tagged.tag),
        "video": annotated.video if annotated else None,
        "sheet": annotated.sheet if annotated else None,
    }
    figure = draw_movement(source.rows, tagged)
    if figure is not None:
        for suffix in ("png", "svg"):
            save_figure(figure, folder / f"{source.name}.movement.{suffix}")
        print(f"movement over time: {folder / source.name}.movement.png, .svg")
        written["movement"] = folder / f"{source.name}.movement.png"
    if arguments.view is not None:
        written["view"] = draw_from_side(
            source.rows, arguments.view, name=source.name, folder=folder, named=dancers.track_ids
        )
    if arguments.why and tagged.tag is not None:
        print(why_text(tagged.tag))
        if tagged.tag.reasons:
            picture = folder / f"{source.name}.why.png"
            picture.write_bytes(reasons_png(tagged.tag.reasons, style=tagged.tag.prediction.best_style))
            print(f"reasons: {picture}")
            written["reasons"] = picture
    return written


class _Finder:
    """The poses of videos: those in the tables under an output, the others estimated now."""

    def __init__(self, settings: PoseSettings, output: str | None) -> None:
        self._wanted, self._output = settings, output

    def find(self, video: str) -> PosedVideo:
        """Return the poses of a path, URI or id.

        Raises ConfigError for one that is nowhere, MediaError for one that is quarantined, and where poses must be
        estimated or told apart ConfigError and WeightsError for networks that cannot be had.
        """
        quarantined: MediaError | None = None
        for pose_id in self._versions:
            try:
                known = find_in_tables(video, str(self._output), pose_id)
            except MediaError as exc:
                quarantined = quarantined or exc
                continue
            if known:
                return known
        if quarantined is not None:
            raise quarantined
        if objects.stat_object(video) is None:
            where = f" and no video of that id or URI in the tables under {self._output}" if self._output else ""
            raise ConfigError(
                f"{video}: no such file or object{where}; give a path, an s3:// URI, or --output and an id"
            )
        logger.info("estimating the poses of %s now", video)
        settings, estimator = self._estimator
        poses = estimate_with(estimator, video, settings=settings)
        return PosedVideo(poses.name, video, poses.sequence, input_quality=poses.input_quality)

    @cached_property
    def _versions(self) -> list[str]:
        """The poses in the tables: first those that these settings make, last those of other settings, and those that
        no estimator made here but somebody gave."""
        versions = list_versions(self._output, "videos") if self._output else []
        if len(versions) < 2:
            return versions
        able = candidates(self._wanted, read_file=objects.read_object)
        own = [pose_fingerprint(*self._estimator), *(_fingerprint(each) for each in able[1:])]
        return sorted(versions, key=lambda each: own.index(each) if each in own else len(own))

    @cached_property
    def _estimator(self) -> tuple[PoseSettings, PoseEstimator]:
        settings = settle(self._wanted, read_file=objects.read_object)
        return settings, build_estimator(settings, read_file=objects.read_object, num_threads=2)


def _fingerprint(settings: PoseSettings) -> str | None:
    """None where this estimator cannot run here."""
    try:
        return pose_fingerprint(settings, build_estimator(settings, read_file=objects.read_object))
    except ConfigError:
        return None
