"""`/v1/classify` and `/v1/videos`: receive an upload, process it, and serve its result by id."""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from choreai.errors import MediaError
from choreai.web.auth import client_of
from choreai.web.errors import WebProblem, problems
from choreai.web.limits import Slots
from choreai.web.media import file_responses, send_object
from choreai.web.metrics import UPLOADS
from choreai.web.settings import WebSettings
from choreai.web.upload_files import RESULT_NAMES
from choreai.web.uploads import UploadFolder, UploadStatus, clean_name

logger = logging.getLogger(__name__)
SWEEP_SECONDS = 300.0
FAIR_SECONDS = 120.0
"""How long an upload keeps its place while it comes; then, where no other place is free, it makes room for the next.

At the slowest rate that is allowed a large one takes half an hour, and a few who are slow on purpose kept all places.
"""
_BYTES = {"schema": {"type": "string", "format": "binary"}}
RAW_VIDEO = {
    "requestBody": {"required": True, "content": dict.fromkeys(("video/*", "application/octet-stream"), _BYTES)}
}


class UploadBackend(Protocol):
    """The uploads' part of the backend."""

    async def process_upload(self, video_id: str, name: str) -> None: ...


class Accepted(BaseModel):
    """Where to find the result of an upload."""

    video_id: str
    url: str
    page: str


class Arrival:
    """An upload that is coming."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.patience = asyncio.timeout(None)
        self.is_over = asyncio.Event()

    @property
    def makes_room(self) -> bool:
        return self.patience.when() is not None

    def make_room(self) -> None:
        """End it, soon; `is_over` says when."""
        self.patience.reschedule(asyncio.get_running_loop().time())


class UploadService:
    """Receives uploads and has the backend process them."""

    def __init__(self, settings: WebSettings, backend: UploadBackend) -> None:
        self.folder = UploadFolder(settings)
        self._backend = backend
        self._slots = Slots(
            total=settings.max_uploads, per_client=settings.max_uploads_per_client, what="uploads in progress"
        )
        self._working: dict[str, asyncio.Task[None]] = {}
        self._arrivals: list[Arrival] = []  # the oldest first

    async def take(self, request: Request, name: str) -> str:
        """Receive an upload, start processing it and return its id."""
        client = client_of(request.scope)
        await self._take_place(client)
        try:
            video_id = await self._receive(request, name)
        except BaseException:
            self._slots.give_back(client)
            raise
        self._working[video_id] = asyncio.create_task(self._work(video_id, clean_name(name), client))
        return video_id

    async def _take_place(self, client: str) -> None:
        """Take a place: if none is free, that of the upload that has been coming for longest, and for too long."""
        try:
            self._slots.take(client)
        except WebProblem as problem:
            oldest = next((each for each in self._arrivals if not each.makes_room), None)
            if problem.status != 503 or oldest is None or time.monotonic() - oldest.begun < FAIR_SECONDS:
                raise
            oldest.make_room()
            await oldest.is_over.wait()
            self._slots.take(client)

    async def _receive(self, request: Request, name: str) -> str:
        arrival = Arrival()
        self._arrivals.append(arrival)
        try:
            async with arrival.patience:
                return await self.folder.receive(request, name)
        except TimeoutError as exc:
            taken = f"the server is full, and this upload had taken more than {FAIR_SECONDS / 60:g} minutes"
            raise WebProblem(503, f"{taken}; try again later, or with a smaller file", retry_after_seconds=60) from exc
        finally:
            self._arrivals.remove(arrival)
            arrival.is_over.set()

    async def _work(self, video_id: str, name: str, client: str) -> None:
        failed: str | None = "the server stopped before this was done"
        try:
            await self._backend.process_upload(video_id, name)
            failed = None
        except MediaError as exc:
            failed = exc.reason
        except WebProblem as exc:
            failed = exc.detail
        except Exception:
            # Whatever a library does on an untrusted file ends here, as a failed upload.
            logger.exception("upload %s failed", video_id)
            failed = "internal error; see the server's log"
        finally:
            self._slots.give_back(client)
            self._working.pop(video_id, None)
            self.folder.finish(video_id, failed=failed)
            UPLOADS.labels("failed" if failed else "done").inc()

    async def sweep_periodically(self) -> None:
        """Delete expired results every `SWEEP_SECONDS`, until cancelled."""
        while True:
            await asyncio.to_thread(self.folder.sweep, working=frozenset(self._working))
            await asyncio.sleep(SWEEP_SECONDS)

    async def stop(self) -> None:
        """Cancel the uploads in progress."""
        for task in list(self._working.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def upload_routes(uploads: UploadService) -> APIRouter:
    """Return the routes of uploads and their results."""
    routes = APIRouter(prefix="/v1", tags=["uploads"], responses=problems(422))

    @routes.post("/classify", status_code=202, openapi_extra=RAW_VIDEO, responses=problems(408, 415, 503))
    async def classify(
        request: Request, response: Response, name: Annotated[str, Query(max_length=500)] = "video"
    ) -> Accepted:
        """Upload one video as the raw body. It is processed in the background; poll `url` for the result. The video
        itself is deleted as soon as processing ends."""
        try:
            video_id = await uploads.take(request, name)
        except ClientDisconnect as exc:
            UPLOADS.labels("broken off").inc()
            raise WebProblem(400, "the upload was interrupted") from exc
        response.headers["Location"] = f"/v1/videos/{video_id}"
        return Accepted(video_id=video_id, url=f"/v1/videos/{video_id}", page=f"/videos/{video_id}")

    @routes.get("/videos/{video_id}", responses=problems(404))
    async def video(video_id: str) -> UploadStatus:
        """Return an upload's progress and, once `state` is "done", its tag. Knowing the id grants access."""
        return await asyncio.to_thread(uploads.folder.status, video_id)

    files = file_responses(*RESULT_NAMES.values(), parts=True)

    @routes.get("/videos/{video_id}/{name}", response_class=Response, responses=files | problems(404))
    async def result(request: Request, video_id: str, name: str) -> Response:
        """Return a file of a finished upload: tag.json, keypoints.parquet, annotated.mp4, sheet.png (stills),
        movement.png or movement.svg (speed, height, tempo and style over time)."""
        path = await asyncio.to_thread(uploads.folder.result_file, video_id, name)
        return await send_object(str(path), request.headers, media_type=RESULT_NAMES[name])

    return routes
