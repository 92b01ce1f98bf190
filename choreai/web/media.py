"""Send a stored video to a browser, whole or the requested byte range, wherever it is stored."""

import mimetypes
import re
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from choreai.storage import objects
from choreai.web.errors import WebProblem

CHUNK_BYTES = 256 * 2**10
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def send_object(uri: str, range_header: str | None) -> Response:
    """Return the video at `uri`, or the bytes that `range_header` requests. Raises WebProblem if that is impossible."""
    media_type = mimetypes.guess_type(uri)[0] or "application/octet-stream"
    info = await run_in_threadpool(objects.stat_object, uri)
    if info is None or not media_type.startswith("video/"):
        raise WebProblem(404, "the video file is gone, or is not a file that browsers can play")
    start, stop = _parse_range(range_header, info.size)
    file = await run_in_threadpool(objects.open_object, uri)
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    status = 200
    if range_header is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{info.size}"
        status = 206
    return StreamingResponse(_chunks(file, start, stop), status, headers, media_type)


def _parse_range(header: str | None, size: int) -> tuple[int, int]:
    """Return [start, stop) of the requested range. Raises WebProblem if it lies outside of `size` bytes."""
    if header is None:
        return 0, size
    match = _RANGE.fullmatch(header.strip())
    first, last = match.groups() if match else ("", "")
    if match is None or (not first and not last) or len(header) > 60:
        raise WebProblem(416, "this range cannot be parsed; request a single one, such as bytes=0-1023")
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    if start >= stop:
        raise WebProblem(416, "this range is empty")
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
        await run_in_threadpool(file.close)
