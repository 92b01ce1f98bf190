"""The web application on a real port, for tests, with its backend in this process instead of on Ray Serve.

Everything else is the real thing: the HTTP server, access control, every route, the estimator sessions, the tagging of
skeletons, the upload worker and the catalog.
"""

import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arms_model import arms_model
from moving_skeletons import dancer_xy
from websockets.sync.client import ClientConnection, connect

from choreai.motion.sequence import KeypointSequence
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.style.model import StyleModel
from choreai.video.frame import Frame
from choreai.web.app import make_app
from choreai.web.catalog import CatalogBrowser
from choreai.web.catalog_threads import CatalogThreads
from choreai.web.errors import WebProblem
from choreai.web.pose_sessions import LivePoses, PoseSessions
from choreai.web.server import make_server
from choreai.web.settings import WebSettings
from choreai.web.tag_json import named_tag_json, tags_json
from choreai.web.upload_worker import UploadLimits, UploadWorker


class DancerEstimator:
    """Sees one dancer of a style of `moving_skeletons`, a pose further with every frame; nobody in a black picture."""

    batch_size = 1

    def __init__(self, style: str = "clockwise", *, seconds: float = 0.0) -> None:
        self._poses = dancer_xy(style, seed=1, num_frames=600)
        self._seconds, self._next = seconds, 0

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"estimator": "dancer"}

    def start_video(self) -> None:
        self._next = 0

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        return [self._estimate(frame) for frame in frames]

    def _estimate(self, frame: Frame) -> Poses:
        time.sleep(self._seconds)
        if not frame.image.any():
            return Poses.empty()
        xy = self._poses[self._next % len(self._poses)][None]
        self._next += 1
        box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
        return Poses(box, np.ones(1, np.float32), xy, np.full((1, 17), 0.9, np.float32))


class LocalBackend:
    """The backend, in threads of this process."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        build_estimator: Callable[[], PoseEstimator] = DancerEstimator,
        model: StyleModel | None = None,
        frames_per_second: float = 10.0,
    ) -> None:
        self.sessions = PoseSessions(build_estimator, max_sessions=8)
        self._pose_thread, self._upload_thread = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._model = arms_model() if model is None else model
        self._uploads_folder = settings.uploads_folder
        limits = UploadLimits(
            max_seconds=settings.max_upload_seconds,
            max_pixels=settings.max_upload_pixels,
            work_seconds=settings.work_seconds,
        )
        self._worker = UploadWorker(
            build_estimator(),
            self._model,
            frames_per_second=frames_per_second,
            pose_fingerprint="test",
            limits=limits,
        )
        browser = CatalogBrowser(settings.output, settings.stills_folder) if settings.output else None
        self._catalog = None if browser is None else CatalogThreads(browser)

    async def estimate(self, session_id: str, picture: bytes, *, pts_seconds: float) -> LivePoses:
        return await self._run(lambda: self.sessions.estimate(session_id, picture, pts_seconds=pts_seconds))

    async def end(self, session_id: str) -> None:
        await self._run(lambda: self.sessions.end(session_id))

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pose_thread, work)

    async def judge(self, rows: KeypointSequence) -> dict[str, Any] | None:
        return (await asyncio.to_thread(tags_json, [rows], self._model))[0]

    async def judge_named(self, rows: KeypointSequence, named: list[int] | None) -> dict[str, Any] | None:
        return await asyncio.to_thread(named_tag_json, rows, self._model, named)

    async def describe(self) -> dict[str, Any]:
        return {"model_version": "arms", "styles": list(self._model.config.labels)}

    async def process_upload(self, video_id: str, name: str) -> None:
        folder = self._uploads_folder / video_id
        await asyncio.get_running_loop().run_in_executor(self._upload_thread, self._worker.process, folder, name)

    async def catalog(self, method: str, *arguments: Any, **options: Any) -> Any:
        if self._catalog is None:
            raise WebProblem(404, "this server shows no catalog; start it with --output")
        return await self._catalog.ask(method, *arguments, **options)


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    port: int
    settings: WebSettings
    backend: LocalBackend

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def live_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/live"

    def upload_files(self) -> list[str]:
        """Return the path of every file of every upload, relative to the folder of uploads.

        The server may remove an upload meanwhile: `os.walk` skips a folder that is gone, `Path.rglob` raises.
        """
        root = self.settings.uploads_folder
        found = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
        return sorted(os.path.relpath(path, root) for path in found)


@contextmanager
def running_server(
    folder: Path,
    *,
    token: str | None = None,
    build_estimator: Callable[[], PoseEstimator] = DancerEstimator,
    model: StyleModel | None = None,
    frames_per_second: float = 10.0,
    **settings: Any,
) -> Iterator[RunningServer]:
    """Run a server during the block; uploads are sampled at `frames_per_second`, `settings` go to `WebSettings`."""
    chosen = WebSettings(data_folder=str(folder), **{"requests_per_second": 1000.0, **settings})
    backend = LocalBackend(chosen, build_estimator=build_estimator, model=model, frames_per_second=frames_per_second)
    server = make_server(make_app(chosen, backend, token=token))
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([door],), name="web-server")
    thread.start()
    try:
        wait_until(lambda: server.started, "the server to start")
        yield RunningServer(door.getsockname()[1], chosen, backend)
    finally:
        server.should_exit = True
        thread.join()


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Return once `is_so()`; fail the test if it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)


@contextmanager
def connect_live(server: RunningServer) -> Iterator[ClientConnection]:
    """Connect a viewer and receive the welcome message."""
    with connect(server.live_url, compression=None) as viewer:
        assert receive(viewer)["type"] == "welcome"
        yield viewer


def receive(viewer: ClientConnection, *, type_: str | None = None) -> dict[str, Any]:
    """Return the next message, of type `type_` if given."""
    while True:
        message = json.loads(viewer.recv(timeout=30))
        if type_ is None or message["type"] == type_:
            return message


def timed(picture: bytes, *, seconds: float) -> bytes:
    """Return a message as viewers send it: timestamp and picture."""
    return struct.pack("<d", 1000 * seconds) + picture
