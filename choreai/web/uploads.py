"""The folder of uploads: receives them within limits, and serves their results until they expire."""

import asyncio
import json
import logging
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from choreai.web.errors import WebProblem
from choreai.web.settings import WebSettings
from choreai.web.upload_files import RESULT_NAMES, STATUS_NAME, UPLOAD_NAME, write_status

logger = logging.getLogger(__name__)

MEDIA_TYPES = ("video/", "application/octet-stream", "application/mp4", "application/ogg", "application/mxf")
CHUNK_SECONDS = 20.0
"""The longest pause between two chunks of an upload."""
MIN_BYTES_PER_SECOND = 120_000
"""After `GRACE_SECONDS` an upload must have come at this rate on the whole at any time: a megabit per second."""
GRACE_SECONDS = 20.0
MAX_NAME = 80
_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True)
class UploadStatus:
    """The progress of an upload."""

    video_id: str
    state: str
    """"waiting", "working", "done" or "failed"."""
    name: str
    """The uploaded file's own name."""
    progress: float
    """From 0 to 1."""
    detail: str | None
    """The reason, if it failed."""
    expires_at: float
    """Seconds since 1970."""
    result: dict[str, Any] | None
    """The contents of `tag.json`: while the video is still drawn too, once the tag is known."""


class UploadFolder:
    """The folder of uploads and results."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._root = settings.uploads_folder
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def folder(self, video_id: str) -> Path:
        """Return the folder of an upload. Raises WebProblem if there is no such upload."""
        if _ID.fullmatch(video_id) is None or not (self._root / video_id / STATUS_NAME).is_file():
            raise WebProblem(404, "there is no result with this id; results are kept for a limited time only")
        return self._root / video_id

    def status(self, video_id: str) -> UploadStatus:
        """Return the progress of an upload. Raises WebProblem if there is no such upload."""
        folder = self.folder(video_id)
        try:
            status = json.loads((folder / STATUS_NAME).read_text())
            result = _tag(folder) if status["state"] in ("working", "done") else None
            expires_at = (folder / STATUS_NAME).stat().st_mtime + self._settings.keep_hours * 3600
        except FileNotFoundError as exc:  # swept away meanwhile
            raise WebProblem(404, "this result has expired") from exc
        return UploadStatus(video_id=video_id, expires_at=expires_at, result=result, **status)

    def result_file(self, video_id: str, name: str) -> Path:
        """Return the path of one of `RESULT_NAMES`. Raises WebProblem if it does not exist."""
        path = self.folder(video_id) / name
        if name not in RESULT_NAMES or not path.is_file():
            raise WebProblem(404, "this result has no such file")
        return path

    async def receive(self, request: Request, name: str) -> str:
        """Write the request's body to disk and return the new upload's id.

        Raises WebProblem if it exceeds a limit, and ClientDisconnect; neither leaves anything on disk.
        """
        _check_media_type(request)
        _check_length(request, limit=self._settings.max_upload_bytes)
        video_id = secrets.token_urlsafe(16)
        folder = self._root / video_id
        folder.mkdir(mode=0o700)
        try:
            await self._write(request, folder / UPLOAD_NAME)
            write_status(folder, state="waiting", name=clean_name(name))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return video_id

    async def _write(self, request: Request, path: Path) -> None:
        begun = time.monotonic()
        num_bytes = 0
        with path.open("xb") as file:
            async for chunk in _with_timeout(request.stream()):
                num_bytes += len(chunk)
                if num_bytes > self._settings.max_upload_bytes:
                    raise _size_error(self._settings.max_upload_bytes)
                if num_bytes < MIN_BYTES_PER_SECOND * (time.monotonic() - begun - GRACE_SECONDS):
                    raise WebProblem(408, "the upload was too slow")
                await run_in_threadpool(file.write, chunk)
        if not num_bytes:
            raise WebProblem(400, "the upload is empty; send the video's bytes as the body")

    def finish(self, video_id: str, *, failed: str | None) -> None:
        """Record that processing has ended, and delete the uploaded video; `failed` is the reason if it failed."""
        folder = self._root / video_id
        (folder / UPLOAD_NAME).unlink(missing_ok=True)
        for leftover in [*folder.glob("rows-*.arrow"), *folder.glob(".choreai-*.tmp")]:
            leftover.unlink(missing_ok=True)
        name = json.loads((folder / STATUS_NAME).read_text())["name"]
        if failed is None:
            write_status(folder, state="done", name=name, progress=1.0)
        else:
            for result in RESULT_NAMES:
                (folder / result).unlink(missing_ok=True)
            write_status(folder, state="failed", name=name, detail=failed)

    def sweep(self, *, working: frozenset[str] = frozenset()) -> int:
        """Delete results that are expired, too many, or left unfinished by a killed server; return how many."""
        found = sorted(((_age(folder), folder) for folder in self._root.iterdir()), reverse=True)
        too_many = len(found) - self._settings.max_results
        gone = 0
        for number, (age, folder) in enumerate(found):
            if folder.name in working:
                continue
            # Every chunk touches the file, and at most `CHUNK_SECONDS` pass between two chunks.
            unfinished = (folder / UPLOAD_NAME).exists() or not (folder / STATUS_NAME).exists()
            if age > self._settings.keep_hours * 3600 or number < too_many or (unfinished and age > 2 * CHUNK_SECONDS):
                shutil.rmtree(folder, ignore_errors=True)
                gone += 1
        return gone


def clean_name(name: str) -> str:
    """Return a file name that is safe to show: no path, no control characters, at most `MAX_NAME` characters."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip()
    return printable[:MAX_NAME] or "video"


def _tag(folder: Path) -> dict[str, Any] | None:
    """Return the contents of `tag.json`; None where there is none yet."""
    path = folder / "tag.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


async def _with_timeout(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same chunks. Raises WebProblem if one takes too long, ClientDisconnect if they end early."""
    while True:
        try:
            yield await asyncio.wait_for(anext(chunks), CHUNK_SECONDS)
        except StopAsyncIteration:
            return
        except TimeoutError as exc:
            raise WebProblem(408, f"no data arrived for {CHUNK_SECONDS:g} seconds") from exc


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type.startswith(MEDIA_TYPES):
        raise WebProblem(415, "send the video as the request body, with its type, such as Content-Type: video/mp4")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise WebProblem(415, "send the video uncompressed; Content-Encoding is not supported")


def _check_length(request: Request, *, limit: int) -> None:
    try:
        length = int(request.headers["content-length"])
    except (KeyError, ValueError) as exc:
        raise WebProblem(411, "Content-Length is missing; send the upload's size in bytes") from exc
    if length > limit:
        raise _size_error(limit)


def _size_error(limit: int) -> WebProblem:
    return WebProblem(413, f"the upload is larger than {limit // 2**20} MiB, which is the limit")


def _age(folder: Path) -> float:
    """Return the seconds since anything in the folder changed."""
    times = [folder.stat().st_mtime, *(path.stat().st_mtime for path in folder.iterdir())] if folder.is_dir() else [0.0]
    return time.time() - max(times)


__all__ = ["MEDIA_TYPES", "ClientDisconnect", "UploadFolder", "UploadStatus", "clean_name"]
