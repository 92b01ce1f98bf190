"""Send a stored file to a browser, whole or the requested byte range, wherever it is stored."""

import hashlib
import mimetypes
import re
from collections.abc import AsyncIterator
from typing import Any, BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from choreai.errors import ObjectMissingError, ObjectUnusableError
from choreai.storage import objects
from choreai.storage.objects import ObjectInfo
from choreai.web.errors import WebProblem, problems

CHUNK_BYTES = 256 * 2**10
_RANGE = re.compile(r"(\d{0,20})-(\d{0,20})")


def file_responses(*media_types: str, parts: bool = False) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of a file of these types: `responses` of a route, with `parts` by range."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    whole: dict[int | str, dict[str, Any]] = {200: {"description": "The file", "content": content}}
    part: dict[int | str, dict[str, Any]] = {206: {"description": "A range of the file", "content": content}}
    return whole | part | problems(416) if parts else whole


async def send_video(uri: str, headers: Headers) -> Response:
    """Return the video at `uri`, or the bytes that the request's headers ask for. Raises WebProblem if it cannot."""
    media_type = mimetypes.guess_type(uri)[0] or ""
    if not media_type.startswith("video/"):
        raise WebProblem(404, "the video file is not one that browsers can play")
    return await send_object(uri, headers, media_type=media_type)


async def send_object(uri: str, headers: Headers, *, media_type: str) -> Response:
    """Return the object at `uri`, or the bytes that the request's headers ask for. Raises WebProblem if it cannot."""
    try:
        info = await run_in_threadpool(objects.stat_object, uri)
        if info is None:
            raise WebProblem(404, "the file is gone")
        start, stop = _parse_range(asked := _asked_range(headers, info), info.size)
        file = await run_in_threadpool(objects.open_object, uri)
    except (ObjectMissingError, ObjectUnusableError) as exc:  # deleted, archived, not ours to read
        raise WebProblem(404, "the file cannot be read") from exc
    sent = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start), "ETag": _etag(info)}
    if asked is not None:
        sent["Content-Range"] = f"bytes {start}-{stop - 1}/{info.size}"
    status = 200 if asked is None else 206
    return StreamingResponse(_chunks(file, start, stop), status, sent, media_type)


def _asked_range(headers: Headers, info: ObjectInfo) -> str | None:
    """Return the range in bytes that is asked for, if any: of this version of the object, where one is named."""
    unit, _, asked = headers.get("range", "").strip().partition("=")
    if unit.lower() != "bytes" or headers.get("if-range", _etag(info)) != _etag(info):
        return None
    return asked


def _etag(info: ObjectInfo) -> str:
    return f'"{hashlib.sha256(info.content_id.encode()).hexdigest()[:16]}"'


def _parse_range(asked: str | None, size: int) -> tuple[int, int]:
    """Return [start, stop) of the requested range. Raises WebProblem if it lies outside of `size` bytes."""
    if asked is None:
        return 0, size
    match = _RANGE.fullmatch(asked)
    first, last = match.groups() if match else ("", "")
    if not (first or last):
        raise WebProblem(416, "this range cannot be parsed; request a single one, such as bytes=0-1023")
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    if start >= stop:
        raise WebProblem(416, f"this range is empty; the file has {size} bytes")
    return start, stop


async def _chunks(file: BinaryIO, start: int, stop: int) -> AsyncIterator[bytes]:
    try:
        await run_in_threadpool(file.seek, start)
        while start < stop:
            chunk = await run_in_threadpool(file.read, min(CHUNK_BYTES, stop - start))
            if not chunk:
                return
            start += len(chunk)
            yield chunk
    finally:
        file.close()  # here and now: a request that was broken off awaits nothing any more
