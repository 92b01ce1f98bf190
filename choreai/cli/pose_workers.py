"""Who estimates the poses of `choreai pose`: this process, or one worker for each of several GPUs.

Frames are shared in blocks as large as a batch, which go round the workers. Every worker reads the input itself, so no
frame travels; poses do, and are merged in the order of frames. Batches begin at the same frames as in one process,
so the poses are the same too.
"""

import argparse
import heapq
import logging
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter

import numpy as np
import torch

from choreai.cli.pose_alphapose import check_detector
from choreai.cli.pose_inputs import PoseInput, Share, open_input
from choreai.cluster.pool import WorkerResources
from choreai.cluster.session import connect, disconnect, gpu_ids, is_connected
from choreai.cluster.streams import open_streams
from choreai.pose.build_topdown import build_topdown, frame_batch
from choreai.pose.estimator import Poses
from choreai.pose.pipeline import estimate
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.video.frame import Frame

logger = logging.getLogger(__name__)
_NO_PICTURE = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class PosedFrame:
    """The people of a frame, without its image."""

    frame_index: int
    pts_seconds: float
    poses: Poses


@dataclass(frozen=True)
class EndOfShare:
    """How a worker did with its share of the input, and what it has noticed about it."""

    gpu: str
    num_frames: int
    unreadable: tuple[int, ...]
    remarks: tuple[str, ...]


def num_usable_gpus(gpus: tuple[int, ...]) -> int:
    """Return how many of the GPUs that were named are there, as far as this process sees."""
    return min(len(gpus), torch.cuda.device_count()) if gpus else 0


def pose_here(
    source: PoseInput, settings: PoseSettings, *, num_threads: int, detector: str | None = None
) -> Generator[tuple[Frame, Poses], None, None]:
    """Load the networks, and return a generator of every frame of `source` with its people, in this process.

    Raises ConfigError for a YOLOX of another size than `detector`, what --detector named.
    """
    estimator = build_topdown(
        settings, read_file=objects.read_object, num_threads=num_threads, detector=source.detector
    )
    check_detector(detector, found=str(estimator.settings()["detector"]))
    return estimate(source.frames, estimator, in_blocks=True)


def pose_on_gpus(
    source: PoseInput, arguments: argparse.Namespace, settings: PoseSettings, *, num_gpus: int, with_pictures: bool
) -> Generator[tuple[Frame, Poses], None, None]:
    """Yield every frame of `source`, which `arguments` name, with its people, estimated by a worker on each GPU.

    The frames have images if `with_pictures` is set: only then this process reads the input too.
    """
    was_connected = is_connected()
    connect("local", num_gpus=num_gpus)  # as torch has counted them
    open_share = partial(pose_share, arguments, settings, num_gpus)
    resources = WorkerResources(num_cpus=0, num_gpus=1)  # cores are shared out by number of threads
    ends: list[EndOfShare] = []
    try:
        with open_streams(open_share, num_workers=num_gpus, resources=resources) as streams:
            posed = heapq.merge(*(_frames(stream, ends) for stream in streams), key=attrgetter("frame_index"))
            if with_pictures:
                yield from ((frame, found.poses) for frame, found in zip(source.frames, posed, strict=True))
            else:
                yield from ((Frame(_NO_PICTURE, each.frame_index, each.pts_seconds), each.poses) for each in posed)
    finally:
        if not was_connected:
            disconnect()
    logger.info("%s", ", ".join(f"GPU {end.gpu}: {end.num_frames} frames" for end in ends))
    source.note_unreadable(sorted(index for end in ends for index in end.unreadable))
    source.remarks = lambda: ends[0].remarks


def _frames(stream: "Iterator[list[PosedFrame] | EndOfShare]", ends: list[EndOfShare]) -> Iterator[PosedFrame]:
    for item in stream:
        if isinstance(item, EndOfShare):
            ends.append(item)
        else:
            yield from item


def pose_share(
    arguments: argparse.Namespace, settings: PoseSettings, num_shares: int, number: int
) -> "Iterator[list[PosedFrame] | EndOfShare]":
    """Yield the frames of one share of the input block by block, and last how that went. Runs in a worker."""
    num_threads = max(1, len(os.sched_getaffinity(0)) // num_shares)
    share = Share(number, num_shares, frame_batch(settings))
    with open_input(arguments, num_threads=num_threads, share=share) as source:
        num_frames = 0
        with closing(pose_here(source, settings, num_threads=num_threads, detector=arguments.detector)) as posed:
            for _, block in groupby(posed, key=lambda item: share.block_of(item[0].frame_index)):
                found = [PosedFrame(frame.frame_index, frame.pts_seconds, poses) for frame, poses in block]
                num_frames += len(found)
                yield found
        yield EndOfShare(", ".join(gpu_ids()), num_frames, tuple(source.unreadable_indices), tuple(source.remarks()))
