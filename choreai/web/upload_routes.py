"""`/v1/classify` and `/v1/videos`: an upload comes in, is worked on, and its result can be fetched by its id."""

import asyncio
import logging
from contextlib import suppress
from typing import Annotated, Protocol

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from choreai.errors import MediaError
from choreai.web.auth import client_of
from choreai.web.errors import WebProblem
from choreai.web.limits import Slots
from choreai.web.metrics import UPLOADS
from choreai.web.settings import WebSettings
from choreai.web.upload_files import RESULT_NAMES
from choreai.web.uploads import Clips, ClipStatus, clean_name

logger = logging.getLogger(__name__)
SWEEP_SECONDS = 300.0
RAW_VIDEO = {"requestBody": {"content": {"video/*": {"schema": {"type": "string", "format": "binary"}}}}}


class ClipStages(Protocol):
    """The work behind an upload, wherever it runs."""

    async def process_clip(self, video_id: str, name: str) -> None: ...


class Accepted(BaseModel):
    """Where the result of an upload will be."""

    video_id: str
    url: str
    page: str


class Classifier:
    """Uploads on their way from the network to a result."""

    def __init__(self, settings: WebSettings, stages: ClipStages) -> None:
        self.clips = Clips(settings)
        self._stages = stages
        self._slots = Slots(
            total=settings.max_uploads, per_client=settings.max_uploads_per_client, what="uploads at work"
        )
        self._working: dict[str, asyncio.Task[None]] = {}

    async def take(self, request: Request, name: str) -> str:
        """The id of an upload that has come in whole; work on it has begun."""
        client = client_of(request.scope)
        self._slots.take(client)
        try:
            video_id = await self.clips.receive(request, name)
        except BaseException:
            self._slots.give_back(client)
            raise
        self._working[video_id] = asyncio.create_task(self._work(video_id, clean_name(name), client))
        return video_id

    async def _work(self, video_id: str, name: str, client: str) -> None:
        failed: str | None = "the server stopped before it was done"
        try:
            await self._stages.process_clip(video_id, name)
            failed = None
        except MediaError as exc:
            failed = exc.reason
        except WebProblem as exc:
            failed = exc.detail
        except Exception:
            # Whatever a stranger's file makes a library do ends here, as a failed clip.
            logger.exception("clip %s failed", video_id)
            failed = "an error of the server's own; its log says more"
        finally:
            self._slots.give_back(client)
            self._working.pop(video_id, None)
            self.clips.finish(video_id, failed=failed)
            UPLOADS.labels("failed" if failed else "done").inc()

    async def sweep_now_and_then(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.to_thread(self.clips.sweep, working=frozenset(self._working))
            await asyncio.sleep(SWEEP_SECONDS)

    async def stop(self) -> None:
        """Nothing; what is being worked on is given up."""
        for task in list(self._working.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def classify_routes(classifier: Classifier) -> APIRouter:
    """The routes of uploads and their results."""
    routes = APIRouter(prefix="/v1", tags=["uploads"])

    @routes.post("/classify", status_code=202, openapi_extra=RAW_VIDEO)
    async def classify(
        request: Request, response: Response, name: Annotated[str, Query(max_length=500)] = "video"
    ) -> Accepted:
        """Upload one video, as the raw body. It is worked on in the background; ask for its result at `url`. The
        video itself is deleted as soon as that is done."""
        try:
            video_id = await classifier.take(request, name)
        except ClientDisconnect as exc:
            UPLOADS.labels("broken off").inc()
            raise WebProblem(400, "the upload broke off") from exc
        response.headers["Location"] = f"/v1/videos/{video_id}"
        return Accepted(video_id=video_id, url=f"/v1/videos/{video_id}", page=f"/videos/{video_id}")

    @routes.get("/videos/{video_id}")
    async def video(video_id: str) -> ClipStatus:
        """How far an upload is and, once `state` is "done", its tag. Who knows the id may look."""
        return await asyncio.to_thread(classifier.clips.status, video_id)

    @routes.get("/videos/{video_id}/{name}", response_class=FileResponse)
    async def result(video_id: str, name: str) -> FileResponse:
        """A file of a finished upload: tag.json, keypoints.parquet, annotated.mp4, sheet.png (stills), movement.png or
        movement.svg (speed, height, tempo and style over time)."""
        path = await asyncio.to_thread(classifier.clips.result_file, video_id, name)
        return FileResponse(path, media_type=RESULT_NAMES[name])

    return routes
