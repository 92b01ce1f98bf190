"""The live WebSocket: pictures in, skeletons and styles out, without a queue.

A viewer's picture is a binary message: an eight-byte timestamp (the viewer's clock in milliseconds, little-endian
float64) followed by a JPEG. Replies are JSON texts with a `type`: `welcome` once; `pose` for every processed picture,
or `busy` if it cannot be processed at the moment; `style` about once a second; `problem` before the server closes the
connection. One picture is processed while at most one waits; a newer one replaces the waiting one. A page that sends
its next picture after the reply to the last never has one dropped.
"""

import asyncio
import math
import secrets
import struct
import time
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from choreai.arrays import Int32Array
from choreai.errors import MediaError
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.estimator import Poses
from choreai.web.errors import WebProblem
from choreai.web.limits import RequestRate
from choreai.web.metrics import LIVE_SECONDS, PICTURES, VIEWERS
from choreai.web.pose_sessions import LivePoses
from choreai.web.viewer import Viewer

CLOCK = struct.Struct("<d")
MAX_PICTURE_BYTES = 512 * 2**10
MAX_MESSAGES_PER_SECOND = 60.0
SILENT_SECONDS = 30.0
"""A viewer who sends nothing for this long is disconnected."""
BUSY_SECONDS, BUSY_PAUSE_SECONDS = 20.0, 0.25
"""How long to wait for a replica that is being replaced, and the pause between attempts."""
JUDGE_EVERY_SECONDS = 1.0
MIN_JUDGED_SECONDS = 2.0

TRY_LATER, WRONG_DATA = 1013, 1007


class LiveBackend(Protocol):
    """The live page's part of the backend."""

    async def estimate(self, session_id: str, picture: bytes, *, pts_seconds: float) -> LivePoses: ...

    async def judge(self, rows: KeypointSequence) -> dict[str, Any] | None: ...

    async def end(self, session_id: str) -> None: ...


class LiveViewer:
    """One viewer's connection."""

    def __init__(self, socket: WebSocket, backend: LiveBackend, *, frames_per_second: float) -> None:
        self._socket, self._backend = socket, backend
        self._min_interval = 0.8 / frames_per_second  # slightly shorter, so that jitter does not drop pictures
        self._session_id = secrets.token_hex(8)
        self._viewer = Viewer()
        self._messages = RequestRate(MAX_MESSAGES_PER_SECOND)
        self._newest: bytes | None = None
        self._has_picture = asyncio.Event()
        self._num_dropped = 0
        self._clock_start: float | None = None
        self._busy_since: float | None = None
        self._judged_at = -math.inf
        self._judging: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the viewer until they leave or break a rule, in which case they get a `problem` message."""
        VIEWERS.inc()
        try:
            async with asyncio.TaskGroup() as tasks:
                worker = tasks.create_task(self._work())
                await self._receive()
                worker.cancel()
        except* WebSocketDisconnect:
            pass  # the viewer left while a message was being sent
        except* (WebProblem, MediaError) as group:
            await hang_up(self._socket, _first(group))
        finally:
            VIEWERS.dec()
            if self._judging is not None:
                self._judging.cancel()
            with suppress(WebProblem):  # a replica that has died holds no session either
                await self._backend.end(self._session_id)

    async def _receive(self) -> None:
        """Receive messages until the viewer leaves. Raises WebProblem for messages that our pages never send."""
        while True:
            try:
                message = await asyncio.wait_for(self._socket.receive(), SILENT_SECONDS)
            except TimeoutError:
                raise WebProblem(408, f"no picture arrived for {SILENT_SECONDS:g} seconds") from None
            if message["type"] == "websocket.disconnect":
                return
            picture = message.get("bytes")
            if not picture or len(picture) <= CLOCK.size:
                raise WebProblem(400, "send binary messages: an eight-byte timestamp, then a JPEG")
            if len(picture) > MAX_PICTURE_BYTES:
                raise WebProblem(413, f"the picture is too large; the limit is {MAX_PICTURE_BYTES} bytes")
            if not self._messages.take(""):
                raise WebProblem(429, f"more than {MAX_MESSAGES_PER_SECOND:g} pictures per second; send fewer")
            self._num_dropped += self._newest is not None
            self._newest = picture
            self._has_picture.set()

    async def _work(self) -> None:
        """Process the newest picture, over and over, at most at the offered rate."""
        while True:
            await self._has_picture.wait()
            self._has_picture.clear()
            message, self._newest = self._newest, None
            assert message is not None
            started = time.monotonic()
            await self._answer(message)
            LIVE_SECONDS.observe(time.monotonic() - started)
            PICTURES.inc()
            await asyncio.sleep(max(0.0, self._min_interval - (time.monotonic() - started)))

    async def _answer(self, message: bytes) -> None:
        (captured_ms,) = CLOCK.unpack_from(message)
        pts_seconds = self._to_seconds(captured_ms)
        try:
            live = await self._backend.estimate(self._session_id, message[CLOCK.size :], pts_seconds=pts_seconds)
        except WebProblem as problem:
            await self._send_busy(problem, captured_ms)
            return
        self._busy_since = None
        try:
            track_ids = self._viewer.add(live.poses, pts_seconds=pts_seconds)
        except ValueError as exc:
            raise WebProblem(400, "a picture's timestamp must be later than the previous one") from exc
        await self._socket.send_json(
            {
                "type": "pose",
                "captured_ms": captured_ms,
                "width": live.width,
                "height": live.height,
                "people": _people(live.poses, track_ids),
                "work_ms": round(1000 * live.seconds, 1),
                "frames_per_second": round(self._viewer.frames_per_second, 1),
                "dropped": self._num_dropped,
            }
        )
        self._judge_if_due()

    async def _send_busy(self, problem: WebProblem, captured_ms: float) -> None:
        """Send `busy` for this picture; raise the problem if the backend has been busy for too long."""
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        if problem.status != 503 or now - self._busy_since > BUSY_SECONDS:
            raise problem
        await self._socket.send_json({"type": "busy", "captured_ms": captured_ms, "detail": problem.detail})
        await asyncio.sleep(BUSY_PAUSE_SECONDS)

    def _to_seconds(self, captured_ms: float) -> float:
        """Return the seconds since the viewer's first picture."""
        if not math.isfinite(captured_ms) or abs(captured_ms) > 1e15:
            raise WebProblem(400, "a picture's timestamp must be a finite number of milliseconds")
        if self._clock_start is None:
            self._clock_start = captured_ms
        return (captured_ms - self._clock_start) / 1000

    def _judge_if_due(self) -> None:
        now = time.monotonic()
        idle = self._judging is None or self._judging.done()
        if idle and now - self._judged_at >= JUDGE_EVERY_SECONDS and self._viewer.seconds_seen >= MIN_JUDGED_SECONDS:
            self._judged_at = now
            self._judging = asyncio.create_task(self._judge())

    async def _judge(self) -> None:
        # The replica may be down for the moment, or the viewer gone; the next tag is due in a second anyway.
        with suppress(WebProblem, WebSocketDisconnect, RuntimeError):
            judged = await self._backend.judge(self._viewer.rows())
            if judged is not None and self._socket.application_state == WebSocketState.CONNECTED:
                await self._socket.send_json({"type": "style", **judged})


async def hang_up(socket: WebSocket, problem: WebProblem) -> None:
    """Send the problem and close the connection."""
    with suppress(WebSocketDisconnect, RuntimeError):  # the viewer may be gone already
        await socket.send_json({**problem.body(), "type": "problem"})
        code = TRY_LATER if problem.status in (429, 503) else WRONG_DATA
        await socket.close(code, problem.detail[:120])


def _first(group: BaseExceptionGroup[Exception]) -> WebProblem:
    """Return the first problem in a group, however deeply nested."""
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    if isinstance(exc, WebProblem):
        return exc
    assert isinstance(exc, MediaError)
    return WebProblem(422, exc.reason)


def _people(poses: Poses, track_ids: Int32Array) -> list[dict[str, Any]]:
    """Return everybody's keypoints as flat lists of x, y and score; a point that is not finite has score 0."""
    finite = np.isfinite(poses.keypoints_xy).all(axis=2)
    xy = np.where(finite[..., None], poses.keypoints_xy, 0).round(1)
    scores = np.where(finite, poses.keypoint_scores, 0).clip(0, 1).round(2)
    flat = np.concatenate([xy, scores[..., None]], axis=2).reshape(len(poses), 3 * NUM_KEYPOINTS)
    return [
        {"track_id": int(track_id), "keypoints": points}
        for track_id, points in zip(track_ids, flat.astype(float).round(2).tolist(), strict=True)
    ]
