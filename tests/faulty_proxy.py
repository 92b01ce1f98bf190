"""An HTTP proxy in front of an S3 server that answers badly when told to."""

import http.client
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from local_server import LocalServer, body_of, reply

STALL_SECONDS = 65.0
"""Longer than the client's read time-out."""
_ERRORS = {
    "error 500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "error 503": (503, "ServiceUnavailable", "Service is unable to handle request."),
    "throttling": (503, "SlowDown", "Please reduce your request rate."),
}
KMS_KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
REFUSALS = {
    "revoked": (403, "AccessDenied", "Access Denied"),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "archived": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
    "wrong region": (301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using ..."),
    "region named": (301, "PermanentRedirect", "The bucket you are attempting to access must be addressed using ..."),
    "wrong clock": (403, "RequestTimeTooSkewed", "The difference between the request time and ... is too large."),
    "no such key": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "no KMS grant": (
        403,
        "AccessDenied",
        "User: arn:aws:sts::111122223333:assumed-role/night/i-1 is not authorized to perform: kms:Decrypt on resource: "
        f"{KMS_KEY} because no identity-based policy allows the kms:Decrypt action",
    ),
    "KMS key disabled": (400, "KMS.DisabledException", f"{KMS_KEY} is disabled."),
    "KMS key going": (400, "KMS.KMSInvalidStateException", f"{KMS_KEY} is pending deletion."),
    "SSE-C": (
        400,
        "InvalidRequest",
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
        "retrieve the object.",
    ),
    "requester pays": (403, "AccessDenied", "Access Denied: the bucket is a Requester Pays bucket"),
    "odd": (400, "InvalidRequest", "Something that nobody here has heard of"),
}
"""Answers that mean something, where a trouble passes: status, code and message, as S3 words them."""
REGION = "eu-west-1"
"""Of the bucket, where `PermanentRedirect` is the answer of "region named"."""
TROUBLES = (*_ERRORS, "cut connection", "slow", "stall")


class FaultyProxy:
    """Forwards to `endpoint`; `trouble(...)` makes a share of the requests fail for a while."""

    def __init__(self, endpoint: str) -> None:
        self.num_faults = 0
        self._kind: str | None = None
        self._share, self._left = 0.0, 0
        self._random = random.Random(0)
        self._lock = threading.Lock()

        self.only: str | None = None
        """Requests whose path has this in it meet the trouble; None: all."""
        self._target = urlsplit(endpoint)
        self._server = LocalServer(self._handle)
        self.endpoint = self._server.address

    @contextmanager
    def trouble(self, kind: str, *, share: float, at_most: int, seed: int) -> Iterator[None]:
        """Within, a `share` of the requests meets `kind`, `at_most` so many."""
        with self._lock:
            self._kind, self._share, self._left, self._random = kind, share, at_most, random.Random(seed)
        try:
            yield
        finally:
            with self._lock:
                self._kind = None

    def stop(self) -> None:
        self._server.stop()

    def _draw(self) -> str | None:
        with self._lock:
            if self._kind is None or not self._left or self._random.random() >= self._share:
                return None
            self._left -= 1
            self.num_faults += 1
            return self._kind

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = body_of(request)
        kind = self._draw() if self.only is None or self.only in request.path else None
        answers = {**_ERRORS, **REFUSALS}
        if kind in answers:
            status, code, message = answers[kind]
            content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            headers = [("Content-Type", "application/xml")]
            if kind == "region named":
                headers.append(("x-amz-bucket-region", REGION))
            return reply(request, status, content, headers)
        if kind == "stall":
            request.close_connection = True
            time.sleep(STALL_SECONDS)
            return None
        status, headers, content = self._forward(request, body)
        if kind == "slow":
            time.sleep(1.0)
        if kind == "no ETag":
            headers = [(name, value) for name, value in headers if name.lower() != "etag"]
        if kind == "year 33658":
            headers = [(n, "Sat, 27 Sep 33658 01:46:40 GMT" if n.lower() == "last-modified" else v) for n, v in headers]
            content = re.sub(rb"<LastModified>[^<]*", b"<LastModified>33658-09-27T01:46:40.000Z", content)
            if request.command != "HEAD":
                headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        if kind == "cut connection":  # the store has done what was asked; who asked hears half of it, or nothing
            request.close_connection = True
            if len(content) < 2:
                return None
            request.send_response(status)
            for name, value in headers:
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content[: len(content) // 2])
            return None
        return reply(request, status, content, headers)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            hop = {"connection", "transfer-encoding", "keep-alive", "server", "date"}
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in hop]
            return answer.status, headers, answer.read()
        finally:
            connection.close()
