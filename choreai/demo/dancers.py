"""Generate dance videos as input of the demo, since no video may be shipped with it.

A clip is fully determined by its style and seed. Clips of one seed show the same dancer in the same studio in every
style, so that only the dance distinguishes the styles.
"""

import csv
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av
import cv2
import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.demo.body import Body, Skeleton, pose_skeleton
from choreai.demo.choreography import Choreography
from choreai.demo.look import Look
from choreai.demo.manner import Manner
from choreai.demo.mesh import build_mesh
from choreai.demo.moves import STYLES_BY_NAME
from choreai.demo.render import render_frames
from choreai.demo.scene import Camera, Scene
from choreai.errors import StorageError
from choreai.storage.files import write_atomically

STYLES: tuple[str, ...] = tuple(STYLES_BY_NAME)

_BODY, _LOOK, _MANNER, _CAMERA, _SCENE, _DANCE = range(6)
"""Each aspect has its own random numbers, so that changing how one is drawn leaves the others unchanged."""


@dataclass(frozen=True)
class Dancer:
    """Everything random about one clip."""

    style: str
    seed: int

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {self.style!r}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")

    @property
    def name(self) -> str:
        """Name of the person, who is the same in every style."""
        return f"dancer-{self.seed:04d}"

    @property
    def video_id(self) -> str:
        return f"{self.style}-{self.seed:04d}"

    @cached_property
    def body(self) -> Body:
        return Body.draw(np.random.default_rng([self.seed, _BODY]))

    @cached_property
    def look(self) -> Look:
        return Look.draw(np.random.default_rng([self.seed, _LOOK]))

    @cached_property
    def manner(self) -> Manner:
        return Manner.draw(np.random.default_rng([self.seed, _MANNER]))

    @cached_property
    def choreography(self) -> Choreography:
        rng = np.random.default_rng([self.seed, _DANCE, STYLES.index(self.style)])
        return Choreography.draw(self.style, self.manner, rng)

    @property
    def beats_per_minute(self) -> float:
        return self.choreography.beats_per_minute

    def camera(self, size_wh: tuple[int, int]) -> Camera:
        """Return the camera for frames of this size."""
        return Camera.draw(np.random.default_rng([self.seed, _CAMERA]), size_wh, self.body.height)

    def scene(self, size_wh: tuple[int, int]) -> Scene:
        """Return the studio as seen by that camera."""
        return Scene.draw(np.random.default_rng([self.seed, _SCENE]), self.camera(size_wh), self.look)

    def skeleton(self, seconds: Float64Array) -> Skeleton:
        """Return the skeleton at the times `seconds` (F,), which must increase."""
        return pose_skeleton(self.body, self.choreography.pose(seconds, self.body))


def clip_keypoints(
    *,
    style: str,
    seed: int,
    duration_seconds: float = 5.0,
    frames_per_second: int = 16,
    size_wh: tuple[int, int] = (640, 360),
) -> FloatArray:
    """Return the ground-truth keypoints of the clip that `write_clip` would write: (F, 17, 2) pixels, COCO-17."""
    dancer = Dancer(style, seed)
    skeleton = dancer.skeleton(_frame_times(duration_seconds, frames_per_second))
    return _in_pixels(skeleton, dancer.camera(size_wh))


def write_clip(
    path: Path,
    *,
    style: str,
    seed: int,
    duration_seconds: float = 5.0,
    frames_per_second: int = 16,
    size_wh: tuple[int, int] = (640, 360),
) -> FloatArray:
    """Write a clip to `path` as H.264 mp4; return its ground-truth keypoints, (F, 17, 2) pixels in COCO-17 order.

    The file appears once it is complete. Raises ValueError for an odd size, StorageError if it cannot be written.
    """
    if size_wh[0] % 2 or size_wh[1] % 2:
        raise ValueError(f"size_wh must be even, as H.264 stores colour for 2 x 2 pixels, got {size_wh}")
    dancer = Dancer(style, seed)
    skeleton = dancer.skeleton(_frame_times(duration_seconds, frames_per_second))
    scene = dancer.scene(size_wh)
    frames = render_frames(build_mesh(dancer.body, dancer.look), skeleton, scene)
    try:
        with write_atomically(path) as temporary:
            _encode(temporary, frames, frames_per_second=frames_per_second, size_wh=size_wh)
    except (OSError, av.FFmpegError) as exc:
        raise StorageError(str(path), f"the clip cannot be written ({exc})") from exc
    return _in_pixels(skeleton, scene.camera)


def write_catalog(
    folder: Path,
    *,
    num_per_style: int,
    first_seed: int,
    on_clip: Callable[[], None] | None = None,
    num_processes: int = 1,
    duration_seconds: float = 5.0,
    frames_per_second: int = 16,
    size_wh: tuple[int, int] = (640, 360),
) -> Path:
    """Write `num_per_style` clips of each style and their `catalog.csv` into `folder`; return the catalog's path.

    Columns: `video_id`, `uri` (relative, `videos/<video_id>.mp4`), `label` (the style) and `group` (the dancer,
    who dances every style). Clips that exist already are kept; `on_clip` is called once per clip, also for those.
    """
    dancers = [Dancer(style, seed) for seed in range(first_seed, first_seed + num_per_style) for style in STYLES]
    videos = folder / "videos"
    try:
        videos.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(str(videos), f"the folder cannot be made ({exc})") from exc
    jobs = [
        _ClipJob(videos / f"{dancer.video_id}.mp4", dancer, duration_seconds, frames_per_second, size_wh)
        for dancer in dancers
    ]
    for _ in _run_jobs(jobs, num_processes=num_processes):
        if on_clip is not None:
            on_clip()
    return _write_table(folder / "catalog.csv", dancers)


@dataclass(frozen=True)
class _ClipJob:
    """One clip to write, small enough to be sent to another process."""

    path: Path
    dancer: Dancer
    duration_seconds: float
    frames_per_second: int
    size_wh: tuple[int, int]

    def run(self) -> None:
        if self.path.exists():
            return
        write_clip(
            self.path,
            style=self.dancer.style,
            seed=self.dancer.seed,
            duration_seconds=self.duration_seconds,
            frames_per_second=self.frames_per_second,
            size_wh=self.size_wh,
        )


def _run_jobs(jobs: list[_ClipJob], *, num_processes: int) -> Iterator[None]:
    """Run the jobs; yield once for each, as it completes."""
    if num_processes == 1:
        for job in jobs:
            job.run()
            yield
        return
    # Spawned, not forked: the caller may run threads (Ray, OpenCV), whose locks a fork would copy in locked state.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_processes, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,))
    try:
        for future in as_completed([pool.submit(job.run) for job in jobs]):
            future.result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def _write_table(path: Path, dancers: list[Dancer]) -> Path:
    try:
        with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["video_id", "uri", "label", "group"])
            for dancer in dancers:
                table.writerow([dancer.video_id, f"videos/{dancer.video_id}.mp4", dancer.style, dancer.name])
    except OSError as exc:
        raise StorageError(str(path), f"the catalog cannot be written ({exc})") from exc
    return path


def _frame_times(duration_seconds: float, frames_per_second: int) -> Float64Array:
    """Return the frames' times (F,) in seconds. Raises ValueError for a clip of fewer than two frames."""
    num_frames = round(duration_seconds * frames_per_second)
    if num_frames < 2:
        raise ValueError(
            f"a clip needs two frames or more, got {duration_seconds} s at {frames_per_second} frames per second"
        )
    return np.arange(num_frames) / frames_per_second


def _in_pixels(skeleton: Skeleton, camera: Camera) -> FloatArray:
    return camera.view(skeleton.keypoints_xyz)[..., :2].astype(np.float32)


def _encode(path: Path, frames: Iterable[ImageArray], *, frames_per_second: int, size_wh: tuple[int, int]) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        # One thread: the file must not depend on the machine, and the processes already share the cores.
        stream = container.add_stream("libx264", rate=frames_per_second)
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"crf": "21", "preset": "veryfast"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
