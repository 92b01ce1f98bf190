"""A local HTTP server that behaves as badly as told, and catalogues of small files that it serves."""

import hashlib
import io
import random
import re
import time
import zipfile
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from local_server import LocalServer


@dataclass
class Fault:
    """What befalls one request."""

    status: int = 200
    """An error to answer with, instead of the file."""
    redirect_to: str = ""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    ignores_range: bool = False
    says_nothing_of_size: bool = False
    body: bytes | None = None
    """Other bytes than the file's."""
    seconds_per_chunk: float = 0.0


@dataclass
class WeightsServer:
    """Files by path, and the faults that the next requests meet, one each."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: "deque[Fault]" = field(default_factory=deque)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of each request."""

    def __post_init__(self) -> None:
        self._server = LocalServer(self._answer)
        self.address = self._server.address

    def stop(self) -> None:
        self._server.stop()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        span = request.headers.get("Range")
        self.requests.append((request.path, span))
        request.close_connection = True  # a file cut short ends the connection
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.redirect_to:
            request.send_response(302)
            request.send_header("Location", fault.redirect_to)
            request.send_header("Content-Length", "0")
            return request.end_headers()
        body = fault.body if fault.body is not None else self.files.get(request.path)
        if body is None or fault.status != 200:
            return request.send_error(fault.status if fault.status != 200 else 404)
        start = int(re.fullmatch(r"bytes=(\d+)-", span)[1]) if span and not fault.ignores_range else 0  # type: ignore[index]
        if start and start >= len(body):
            return request.send_error(416)
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if not fault.says_nothing_of_size:
            request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        for first in range(start, fault.cut_after if fault.cut_after is not None else len(body), 1 << 14):
            last = min(first + (1 << 14), fault.cut_after if fault.cut_after is not None else len(body))
            try:
                request.wfile.write(body[first:last])
            except OSError:  # the client has gone
                return None
            time.sleep(fault.seconds_per_chunk)
        return None


def made_bytes(num_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(num_bytes)


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(name, data)
    return file.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry_settings(name: str, url: str, data: bytes, **more: Any) -> dict[str, Any]:
    """The keys of one [[weights]] table whose file has these bytes."""
    return {
        "name": name,
        "kind": "detector",
        "url": url,
        "sha256": sha256(data),
        "num_bytes": len(data),
        "vouchers": 2,
        "licence": "MIT",
        "data": "made",
        "accuracy": "50.0 box AP",
        "measured_on": "made pictures",
        "input_hw": [32, 32],
        "preprocessing": "as it is",
        **more,
    }


def write_catalogue(path: Path, *entries: dict[str, Any], sets: dict[str, list[str]] | None = None) -> Path:
    lines = ["[sets]", *(f"{name} = {_toml(members)}" for name, members in (sets or {}).items())]
    lines += ["[data.made]", 'name = "made"', 'terms = "Nobody minds."']
    for entry in entries:
        lines += ["[[weights]]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
