"""pose: one video or a set of images through AlphaPose's networks, with AlphaPose's flags and result files."""

import argparse
import logging
import os
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import cv2
import numpy as np

from choreai.arrays import ImageArray
from choreai.cli.pose_alphapose import WITHOUT_EFFECT, find_detector
from choreai.cli.pose_inputs import PoseInput, open_input
from choreai.cli.pose_outputs import ResultFiles
from choreai.cli.pose_workers import num_usable_gpus, pose_here, pose_on_gpus
from choreai.errors import ConfigError, StorageError
from choreai.pose.choice import settle
from choreai.pose.estimator import Poses
from choreai.pose.pipeline import TrackedPoses, track
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.video.encode import VideoWriter
from choreai.video.frame import Frame
from choreai.video.pictures import fit_into
from choreai.visualize.draw import draw_boxes, draw_people

logger = logging.getLogger(__name__)
LOG_EVERY_SECONDS = 15.0


def run_pose(arguments: argparse.Namespace, *, num_gpus: int | None = None) -> int:
    """Estimate the poses of one input, write its files, and return the exit code: 1 if an image is unreadable.

    `num_gpus` of Ray's do the work, by default as many as the flags name and torch sees; fewer than two, this process.
    """
    settings = settle(pose_settings(arguments), read_file=objects.read_object)
    num_gpus = num_usable_gpus(arguments.gpus) if num_gpus is None else num_gpus
    _say_what_changes_nothing(arguments, num_gpus)
    num_threads = len(os.sched_getaffinity(0))
    outdir = Path(arguments.outdir)
    started = time.monotonic()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(arguments, num_threads=num_threads))
        if arguments.eval:
            if arguments.format != "coco":
                raise ConfigError(f"--eval is for --format coco; {arguments.format} names images")
            source.number_images()
        scratch = stack.enter_context(scratch_folder())
        files = stack.enter_context(ResultFiles(outdir, scratch, source=source, result_format=arguments.format))
        pictures = stack.enter_context(_Pictures(outdir, source, arguments))
        is_tracked = source.is_video or arguments.pose_track
        if settings.reid_checkpoint and not is_tracked:
            raise ConfigError("--reid-checkpoint is for tracking; for images give --pose_track too, or leave it out")
        if num_gpus > 1:
            posed = pose_on_gpus(source, arguments, settings, num_gpus=num_gpus, with_pictures=pictures.are_wanted)
        else:
            posed = pose_here(source, settings, num_threads=num_threads, detector=arguments.detector)
        with closing(posed), closing(_track(posed, is_tracked=is_tracked)) as tracked:
            for frame, people in _log_progress(tracked):
                files.add(people)
                pictures.add(frame, people)
        for sentence in source.remarks():
            logger.warning("%s: %s", arguments.video, sentence)
    _print_summary(files, source, outdir, seconds=time.monotonic() - started)
    return 1 if source.unreadable else 0


def pose_settings(arguments: argparse.Namespace) -> PoseSettings:
    """Return the settings that the flags mean. Raises ConfigError for those that do not go together."""
    detector = arguments.detector
    checkpoint = arguments.detector_checkpoint
    if not checkpoint and not arguments.detfile:
        checkpoint = find_detector(detector or "", config=arguments.cfg)
    is_darknet = checkpoint.lower().endswith(".weights")
    if detector and checkpoint and (detector == "yolo") != is_darknet:
        raise ConfigError(
            f"--detector {detector} does not match {checkpoint}: yolo is YOLOv3-SPP, a .weights file; leave "
            "--detector out"
        )
    if not checkpoint and not arguments.detfile:
        raise ConfigError(
            "--detector-checkpoint is missing: the person detector's weights (yolov3-spp.weights, a YOLOX checkpoint, "
            "or YOLOX as .onnx; `choreai weights list` has some), which is not below --cfg's folder either, where "
            "AlphaPose keeps it; or give boxes with --detfile"
        )
    try:
        return PoseSettings(
            estimator="alphapose",
            checkpoint=arguments.checkpoint,
            config=arguments.cfg,
            preprocessing=arguments.preprocessing,
            detector_checkpoint=checkpoint,
            reid_checkpoint=arguments.reid_checkpoint,
            min_box_score=arguments.min_box_score,
            min_box_area=arguments.min_box_area,
            flip=arguments.flip,
            precision=arguments.precision,
            compile=arguments.compile,
            detect_batch=arguments.detbatch,
            pose_batch=arguments.posebatch,
            device="auto" if arguments.gpus else "cpu",
        )
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc


def _say_what_changes_nothing(arguments: argparse.Namespace, num_gpus: int) -> None:
    """Log a line for each flag that has no effect, and for GPUs that are not there."""
    for flag, reason in WITHOUT_EFFECT.items():
        if getattr(arguments, flag):
            logger.warning("--%s changes nothing: %s", flag, reason)
    named = ",".join(map(str, arguments.gpus))
    if arguments.gpus and not num_gpus:
        logger.log(
            logging.INFO if arguments.gpus == (0,) else logging.WARNING,
            "--gpus %s: there is no such CUDA GPU here, so the CPU does the work",
            named,
        )
    elif num_gpus < len(arguments.gpus):
        logger.warning("--gpus %s: of these GPUs %d %s here", named, num_gpus, "is" if num_gpus == 1 else "are")


def _track(
    posed: Iterator[tuple[Frame, Poses]], *, is_tracked: bool
) -> Generator[tuple[Frame, TrackedPoses], None, None]:
    """Each frame with its people; untracked, their ids are their places in the frame, best first."""
    if is_tracked:
        yield from track(posed)
        return
    for frame, poses in posed:
        ids = np.arange(len(poses), dtype=np.int32)
        yield frame, TrackedPoses(frame.frame_index, frame.pts_seconds, poses, ids)


def _log_progress(tracked: Iterator[tuple[Frame, TrackedPoses]]) -> Iterator[tuple[Frame, TrackedPoses]]:
    started = reported = time.monotonic()
    for number, item in enumerate(tracked, start=1):
        yield item
        now = time.monotonic()
        if now - reported >= LOG_EVERY_SECONDS:
            reported = now
            logger.info("%d frames, %.1f frames/s", number, number / (now - started))


class _Pictures:
    """Draws the skeletons into a video or images, if flags ask for them."""

    def __init__(self, outdir: Path, source: PoseInput, arguments: argparse.Namespace) -> None:
        self._source = source
        self._folder = outdir / "vis" if arguments.save_img else None
        self._with_boxes = bool(arguments.showbox)
        self._size_hw: tuple[int, int] | None = None
        self._stack = ExitStack()
        self._writer: VideoWriter | None = None
        if arguments.save_video:
            outdir.mkdir(parents=True, exist_ok=True)
            self._writer = VideoWriter(outdir / f"AlphaPose_{source.name}.mp4")

    def __enter__(self) -> "_Pictures":
        if self._writer is not None:
            self._stack.enter_context(self._writer)
        return self

    def __exit__(self, *failure: object) -> bool | None:
        return self._stack.__exit__(*failure)  # type: ignore[arg-type]

    @property
    def are_wanted(self) -> bool:
        return self._writer is not None or self._folder is not None

    def add(self, frame: Frame, people: TrackedPoses) -> None:
        if not self.are_wanted:
            return
        if self._with_boxes:
            draw_boxes(frame.image, box_xyxy=people.poses.box_xyxy, track_ids=people.track_ids.tolist())
        poses = people.poses
        draw_people(
            frame.image,
            keypoints_xy=poses.keypoints_xy if poses.all_keypoints_xy is None else poses.all_keypoints_xy,
            keypoint_scores=poses.keypoint_scores if poses.all_keypoint_scores is None else poses.all_keypoint_scores,
            track_ids=people.track_ids.tolist(),
        )
        if self._writer is not None:
            self._writer.write(self._in_first_size(frame.image), frame.pts_seconds)
        if self._folder is not None:
            _write_image(self._folder / self._source.image_id(frame.frame_index), frame.image)

    def _in_first_size(self, image: ImageArray) -> ImageArray:
        """Return an image in the size of the first one, black where its shape is another: a video has one size."""
        self._size_hw = self._size_hw or (image.shape[0], image.shape[1])
        return fit_into(image, self._size_hw)


def _write_image(path: Path, image: ImageArray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_written = cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except (OSError, cv2.error) as exc:
        raise StorageError(str(path), f"the image cannot be written: {exc}") from exc
    if not is_written:
        raise StorageError(str(path), "the image cannot be written; is the disk full?")


def _print_summary(files: ResultFiles, source: PoseInput, outdir: Path, *, seconds: float) -> None:
    nobody = "" if files.num_people else " (no person was found in any of them)"
    print(
        f"{source.name}: {files.num_people} people in {files.num_frames_with_people} of {files.num_frames} "
        f"frames{nobody}, {files.num_frames / seconds:.1f} frames/s"
    )
    if source.unreadable:
        print(f"skipped, not readable as images: {', '.join(source.unreadable[:10])}")
    print(f"results: {outdir / 'alphapose-results.json'}, keypoints.parquet and frames.parquet beside it")
