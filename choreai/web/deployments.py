"""The heavy work of the web application as Ray Serve deployments, one for each role, and the handles to them.

Poses scale with viewers; a viewer's pictures go to one replica by consistent hashing, because an estimator looks
for people where they were in the picture before. The style network judges the viewers of a moment in one batch.
Each stage imports what it needs itself: torch alone is 200 MB in a process.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import serve
from ray.serve import RunTarget
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from choreai.errors import ConfigError, MediaError
from choreai.motion.sequence import KeypointSequence
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.estimator import PoseEstimator
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.web.catalog_routes import CatalogMethod
from choreai.web.errors import WebProblem
from choreai.web.pose_sessions import LivePoses, PoseSessions
from choreai.web.settings import WebSettings

if TYPE_CHECKING:
    from choreai.style.model import StyleModel

ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
MAX_SESSIONS = 8
"""Of a pose replica: about 100 MB each with MediaPipe."""
MAX_BATCH = 16
GIVES_MEMORY_BACK = {
    "env_vars": {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "65536"}
}
"""For glibc: four MediaPipe graphs opened and closed four times leave 0.2 GB in a process, and 0.6 GB without this."""
STUCK_SECONDS = 60.0
"""A clip that overruns its time by so much hangs in a library: the replica is replaced."""


class PoseStage:
    """Estimates the poses of viewers' pictures, one picture at a time."""

    def __init__(self, settings: WebSettings) -> None:
        self._sessions = PoseSessions(_estimators(settings.pose), max_sessions=MAX_SESSIONS)
        # One thread: an estimator uses about a core, and MediaPipe's graphs belong to the thread that made them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pose")
        self._thread.submit(self._sessions.warm_up).result()

    async def estimate(self, session_id: str, picture: bytes, pts_seconds: float) -> LivePoses:
        return await self._run(lambda: self._sessions.estimate(session_id, picture, pts_seconds=pts_seconds))

    async def end(self, session_id: str) -> None:
        await self._run(lambda: self._sessions.end(session_id))

    async def _run(self, work: Any) -> Any:  # whatever the work gives
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _estimators(settings: PoseSettings) -> Callable[[], PoseEstimator]:
    """What gives each viewer an estimator: one of their own, if it remembers where people were."""
    if settings.estimator == "mediapipe":
        return lambda: build_estimator(settings, read_file=objects.read_object)
    shared = build_estimator(settings, read_file=objects.read_object)
    return lambda: shared


class StyleStage:
    """Judges the last seconds of several viewers at once."""

    def __init__(self, settings: WebSettings) -> None:
        self._model = _load_model(settings)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.02)
    async def judge(self, rows: list[KeypointSequence]) -> list[dict[str, Any] | None]:
        from choreai.web.judging import judge_all

        return await asyncio.to_thread(judge_all, rows, self._model)

    async def describe(self) -> dict[str, Any]:
        """Version and styles of the model."""
        if self._model is None:
            return {"model_version": None, "styles": []}
        return {"model_version": self._model.model_version, "styles": list(self._model.config.labels)}


class ClipStage:
    """Processes uploads, one at a time; replaced by Ray Serve if one hangs."""

    def __init__(self, settings: WebSettings) -> None:
        from choreai.web.upload_worker import ClipLimits, ClipWorker

        self._clips_folder, self._work_seconds = settings.clips_folder, settings.work_seconds
        estimator = build_estimator(settings.pose, read_file=objects.read_object, num_threads=2)
        self._worker = ClipWorker(
            estimator,
            _load_model(settings),
            frames_per_second=settings.pose.frames_per_second,
            pose_fingerprint=pose_fingerprint(settings.pose, estimator),
            limits=ClipLimits(
                max_seconds=settings.max_upload_seconds,
                max_pixels=settings.max_upload_pixels,
                work_seconds=settings.work_seconds,
            ),
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clip")
        self._started_at: float | None = None

    async def process(self, video_id: str, name: str) -> None:
        self._started_at = time.monotonic()
        try:
            folder = Path(self._clips_folder, video_id)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.process, folder, name)
        finally:
            self._started_at = None

    def check_health(self) -> None:
        """Raises RuntimeError, which Ray Serve asks for, when a clip overruns its time by far."""
        if self._started_at and time.monotonic() - self._started_at > self._work_seconds + STUCK_SECONDS:
            raise RuntimeError("a clip hangs")


class CatalogStage:
    """Answers what the catalog pages ask; decoding stills is most of its work."""

    def __init__(self, settings: WebSettings) -> None:
        from choreai.web.catalog import CatalogBrowser

        self._browser = CatalogBrowser(settings.output, settings.stills_folder)

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:  # as the browser's method gives it
        return await asyncio.to_thread(getattr(self._browser, method), *arguments, **options)


def _load_model(settings: WebSettings) -> "StyleModel | None":
    if not settings.model:
        return None
    from choreai.style.model import load_model

    return load_model(settings.model)


def check_model(settings: WebSettings) -> None:
    """Nothing; the model is there and reads these keypoints. Raises WeightsError or ConfigError."""
    model = _load_model(settings)
    if model is None:
        return
    estimator = build_estimator(settings.pose, read_file=objects.read_object)
    pose_id = pose_fingerprint(settings.pose, estimator)
    if model.config.pose_fingerprint != pose_id:
        raise ConfigError(
            f"{settings.model}: this model was trained on keypoints {model.config.pose_fingerprint}, and the [pose] "
            f"settings give {pose_id}; give --config the file that the training had"
        )


@dataclass(frozen=True)
class Stages:
    """Handles to the deployments; errors of Ray become problems for whoever asked."""

    pose: DeploymentHandle
    style: DeploymentHandle
    clips: DeploymentHandle
    browser: DeploymentHandle | None
    """None without tables to show."""

    async def estimate(self, session_id: str, picture: bytes, *, pts_seconds: float) -> LivePoses:
        return await _answer(self.pose.options(session_id=session_id).estimate.remote(session_id, picture, pts_seconds))

    async def end(self, session_id: str) -> None:
        await _answer(self.pose.options(session_id=session_id).end.remote(session_id))

    async def judge(self, rows: KeypointSequence) -> dict[str, Any] | None:
        return await _answer(self.style.judge.remote(rows))

    async def describe(self) -> dict[str, Any]:
        return await _answer(self.style.describe.remote())

    async def process_clip(self, video_id: str, name: str) -> None:
        await _answer(self.clips.process.remote(video_id, name))

    async def catalog(self, method: CatalogMethod, *arguments: Any, **options: Any) -> Any:
        """What `CatalogBrowser`'s method gives."""
        if self.browser is None:
            raise WebProblem(404, "this server shows no catalog; start it with --output")
        return await _answer(self.browser.ask.remote(method, *arguments, **options))


async def _answer(response: Any) -> Any:  # a DeploymentResponse of whatever the deployment gives
    try:
        return await response
    except MediaError as exc:  # as Ray's own subclass of both, which names the server's files in its text
        raise MediaError("", exc.reason) from None
    except (BackPressureError, DeploymentUnavailableError) as exc:
        raise WebProblem(503, "the server is busy; try again in a moment", retry_after_seconds=5) from exc
    except ray.exceptions.RayActorError as exc:
        raise WebProblem(
            503, "what worked on this died, and is being replaced; try again", retry_after_seconds=5
        ) from exc


def deploy(settings: WebSettings) -> Stages:
    """The stages, running in this process's Ray."""
    pose = serve.deployment(
        ray_actor_options={"num_cpus": 0.5, "runtime_env": GIVES_MEMORY_BACK},
        max_ongoing_requests=2 * MAX_SESSIONS,
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": settings.max_pose_replicas,
            "target_ongoing_requests": 1.0,
            "upscale_delay_s": 5.0,
            "downscale_delay_s": 120.0,
        },
        request_router_config={"request_router_class": ROUTER},
    )(PoseStage)
    style = serve.deployment(ray_actor_options={"num_cpus": 0.25}, max_ongoing_requests=4 * MAX_BATCH)(StyleStage)
    # The HTTP server of this process writes uploads to disk and reads results: the clips' stage must be on this node,
    # which may be a cluster's head that lends Ray no CPU.
    here = {f"node:{ray.util.get_node_ip_address()}": 0.001}
    clips = serve.deployment(
        ray_actor_options={"num_cpus": 0, "resources": here, "runtime_env": GIVES_MEMORY_BACK},
        max_ongoing_requests=1,
        max_queued_requests=settings.max_uploads,
    )(ClipStage)
    browser = serve.deployment(ray_actor_options={"num_cpus": 0.25}, max_ongoing_requests=8)(CatalogStage)
    targets = {"pose": pose.bind(settings), "style": style.bind(settings), "clips": clips.bind(settings)}
    if settings.output:
        targets["browser"] = browser.bind(settings)
    handles = serve.run_many([RunTarget(target, name=name, route_prefix=None) for name, target in targets.items()])
    return Stages(**{"browser": None, **dict(zip(targets, handles, strict=True))})
