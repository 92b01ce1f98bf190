"""The heavy work of the web application as Ray Serve deployments, one for each role, and the handles to them.

Pose replicas scale with the number of viewers. A viewer's pictures always go to the same replica (consistent hashing),
because an estimator searches for people where they were in the previous picture. The style network classifies all
viewers in one batch. Each deployment imports what it needs itself: torch alone takes 200 MB in a process.
"""

import asyncio
import threading
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
from choreai.pose.choice import settle
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
"""Per pose replica; about 100 MB each with MediaPipe."""
MAX_BATCH = 16
MAX_CATALOG_REQUESTS = 100
"""Most of them wait for a picture, in few threads: a search must not wait behind those."""
GIVES_MEMORY_BACK = {
    "env_vars": {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "65536"}
}
"""Settings for glibc's allocator: opening and closing four MediaPipe graphs four times leaves 0.2 GB in a process, and
0.6 GB without them."""
STUCK_SECONDS = 60.0
"""An upload that exceeds its deadline by this much is stuck inside a library: its replica is replaced."""


class PoseDeployment:
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

    async def _run(self, work: Any) -> Any:  # whatever the work returns
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _estimators(settings: PoseSettings) -> Callable[[], PoseEstimator]:
    """Return an estimator factory: one per viewer if it looks back at the picture before, else a shared estimator."""
    settings = settle(settings, read_file=objects.read_object)
    if settings.estimator != "alphapose":
        return lambda: build_estimator(settings, read_file=objects.read_object)
    shared = build_estimator(settings, read_file=objects.read_object)
    return lambda: shared


class StyleDeployment:
    """Classifies the last seconds of several viewers in one batch."""

    def __init__(self, settings: WebSettings) -> None:
        self._model = _load_model(settings)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.02)
    async def judge(self, rows: list[KeypointSequence]) -> list[dict[str, Any] | None]:
        from choreai.web.tag_json import tags_json

        return await asyncio.to_thread(tags_json, rows, self._model)

    async def judge_named(self, rows: KeypointSequence, named: list[int] | None) -> dict[str, Any] | None:
        """Return the tag of one video, of the people whom a reviewer named."""
        from choreai.web.tag_json import named_tag_json

        return await asyncio.to_thread(named_tag_json, rows, self._model, named)

    async def describe(self) -> dict[str, Any]:
        """Return the model's version and styles."""
        if self._model is None:
            return {"model_version": None, "styles": []}
        return {"model_version": self._model.model_version, "styles": list(self._model.config.labels)}


class UploadDeployment:
    """Processes uploads, one at a time; Ray Serve replaces it if one gets stuck."""

    def __init__(self, settings: WebSettings) -> None:
        from choreai.web.upload_worker import UploadLimits, UploadWorker

        self._uploads_folder, self._work_seconds = settings.uploads_folder, settings.work_seconds
        estimator = build_estimator(settings.pose, read_file=objects.read_object, num_threads=2)
        self._worker = UploadWorker(
            estimator,
            _load_model(settings),
            frames_per_second=settings.pose.frames_per_second,
            split_shots=settings.pose.split_shots,
            pose_fingerprint=pose_fingerprint(settings.pose, estimator),
            limits=UploadLimits(
                max_seconds=settings.max_upload_seconds,
                max_pixels=settings.max_upload_pixels,
                work_seconds=settings.work_seconds,
            ),
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upload")
        self._thread.submit(self._worker.warm_up)  # not waited for: most likely nobody uploads just yet
        self._started_at: float | None = None

    async def process(self, video_id: str, name: str) -> None:
        self._started_at = time.monotonic()
        try:
            folder = Path(self._uploads_folder, video_id)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._worker.process, folder, name)
        finally:
            self._started_at = None

    def check_health(self) -> None:
        """Raise RuntimeError if an upload is stuck; Ray Serve calls this and replaces the replica."""
        if self._started_at and time.monotonic() - self._started_at > self._work_seconds + STUCK_SECONDS:
            raise RuntimeError("an upload is stuck")


class CatalogDeployment:
    """Answers the catalog pages' queries; most of its work is decoding stills."""

    def __init__(self, settings: WebSettings) -> None:
        from choreai.web.catalog import CatalogBrowser
        from choreai.web.catalog_search import Query
        from choreai.web.catalog_threads import CatalogThreads

        browser = CatalogBrowser(settings.output, settings.stills_folder)
        self._threads = CatalogThreads(browser)
        # The tables are read while nobody waits for them yet; whoever comes meanwhile waits no longer than without.
        threading.Thread(target=browser.facets, args=[Query()], name="first-read", daemon=True).start()

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:  # whatever the method returns
        return await self._threads.ask(method, *arguments, **options)


def _load_model(settings: WebSettings) -> "StyleModel | None":
    if not settings.model:
        return None
    from choreai.style.model import load_model

    return load_model(settings.model)


def check_model(settings: WebSettings) -> None:
    """Raise WeightsError or ConfigError unless the model exists and was trained on these keypoints."""
    model = _load_model(settings)
    if model is None:
        return
    estimator = build_estimator(settings.pose, read_file=objects.read_object)
    pose_id = pose_fingerprint(settings.pose, estimator)
    if model.config.pose_fingerprint != pose_id:
        raise ConfigError(
            f"{settings.model}: this model was trained on keypoints {model.config.pose_fingerprint}, and the [pose] "
            f"settings produce {pose_id}; pass the training's job file with --config"
        )


@dataclass(frozen=True)
class Deployments:
    """Handles to the deployments; Ray's errors are raised as WebProblem and MediaError."""

    pose: DeploymentHandle
    style: DeploymentHandle
    clips: DeploymentHandle
    browser: DeploymentHandle | None
    """None if there are no tables to show."""

    async def estimate(self, session_id: str, picture: bytes, *, pts_seconds: float) -> LivePoses:
        return await _await_response(
            self.pose.options(session_id=session_id).estimate.remote(session_id, picture, pts_seconds)
        )

    async def end(self, session_id: str) -> None:
        await _await_response(self.pose.options(session_id=session_id).end.remote(session_id))

    async def judge(self, rows: KeypointSequence) -> dict[str, Any] | None:
        return await _await_response(self.style.judge.remote(rows))

    async def judge_named(self, rows: KeypointSequence, named: list[int] | None) -> dict[str, Any] | None:
        return await _await_response(self.style.judge_named.remote(rows, named))

    async def describe(self) -> dict[str, Any]:
        return await _await_response(self.style.describe.remote())

    async def process_upload(self, video_id: str, name: str) -> None:
        await _await_response(self.clips.process.remote(video_id, name))

    async def catalog(self, method: CatalogMethod, *arguments: Any, **options: Any) -> Any:
        """Return the result of this method of `CatalogBrowser`."""
        if self.browser is None:
            raise WebProblem(404, "this server shows no catalog; start it with --output")
        return await _await_response(self.browser.ask.remote(method, *arguments, **options))


async def _await_response(response: Any) -> Any:  # a DeploymentResponse of whatever the deployment returns
    try:
        return await response
    except MediaError as exc:  # Ray raises its own subclass, whose text contains paths on the server
        raise MediaError("", exc.reason) from None
    except (BackPressureError, DeploymentUnavailableError) as exc:
        raise WebProblem(503, "the server is busy; try again in a moment", retry_after_seconds=5) from exc
    except ray.exceptions.RayActorError as exc:
        raise WebProblem(
            503, "the process working on this died and is being replaced; try again", retry_after_seconds=5
        ) from exc


def deploy(settings: WebSettings) -> Deployments:
    """Start the deployments on this process's Ray cluster and return handles to them."""
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
    )(PoseDeployment)
    style = serve.deployment(ray_actor_options={"num_cpus": 0.25}, max_ongoing_requests=4 * MAX_BATCH)(StyleDeployment)
    # The HTTP server of this process writes uploads to disk and reads results, so they must be processed on this node,
    # which may be a cluster's head node that offers Ray no CPUs.
    here = {f"node:{ray.util.get_node_ip_address()}": 0.001}
    clips = serve.deployment(
        ray_actor_options={"num_cpus": 0, "resources": here, "runtime_env": GIVES_MEMORY_BACK},
        max_ongoing_requests=1,
        max_queued_requests=settings.max_uploads,
    )(UploadDeployment)
    browser = serve.deployment(ray_actor_options={"num_cpus": 0.25}, max_ongoing_requests=MAX_CATALOG_REQUESTS)(
        CatalogDeployment
    )
    targets = {"pose": pose.bind(settings), "style": style.bind(settings), "clips": clips.bind(settings)}
    if settings.output:
        targets["browser"] = browser.bind(settings)
    handles = serve.run_many([RunTarget(target, name=name, route_prefix=None) for name, target in targets.items()])
    return Deployments(**{"browser": None, **dict(zip(targets, handles, strict=True))})
