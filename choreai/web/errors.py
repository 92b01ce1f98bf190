"""Errors as problem+json (RFC 9457): one format for every error, without any of the server's paths in it."""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from choreai.errors import ChoreaiError, MediaError
from choreai.web.headers import SECURITY_HEADERS

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What is wrong and what to do about it (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


class WebProblem(Exception):
    """A request that cannot be answered: the HTTP `status`, and what the client can do about it."""

    def __init__(self, status: int, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.retry_after_seconds = status, detail, retry_after_seconds

    def body(self) -> dict[str, str | int]:
        """Return the members of the problem document."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}

    def response(self) -> JSONResponse:
        """Return the problem document as a response."""
        return JSONResponse(self.body(), self.status, headers=self.headers(), media_type=MEDIA_TYPE)

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the status."""
        return {} if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}

    def as_last_answer(self) -> bytes:
        """Return the problem document as an HTTP response in full, after which the connection is closed."""
        body = json.dumps(self.body()).encode()
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"{name}: {value}\r\n" for name, value in {**headers, **SECURITY_HEADERS}.items()]
        status = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
        return "".join([status, *lines, "\r\n"]).encode() + body


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of errors of these HTTP statuses: `responses` of a route."""
    content = {MEDIA_TYPE: {"schema": _PROBLEM}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


def add_problem_handlers(app: FastAPI, respond: Callable[[Scope, WebProblem], Response]) -> None:
    """Make `app` answer every error with a problem document, or as `respond` has it for a wrong address."""

    @app.exception_handler(WebProblem)
    async def _problem(request: Request, exc: WebProblem) -> Response:
        return respond(request.scope, exc)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, exc: HTTPException) -> Response:
        detail = "there is nothing at this address" if exc.status_code == 404 else str(exc.detail)
        response = respond(request.scope, WebProblem(exc.status_code, detail))
        response.headers.update(exc.headers or {})  # a 405's Allow
        return response

    @app.exception_handler(RequestValidationError)
    async def _validation(_request: Request, exc: RequestValidationError) -> JSONResponse:
        wrong = (f"{'.'.join(str(part) for part in error['loc'][1:])}: {error['msg']}" for error in exc.errors())
        return WebProblem(422, "; ".join(wrong)).response()

    @app.exception_handler(MediaError)
    async def _media(_request: Request, exc: MediaError) -> JSONResponse:
        return WebProblem(422, exc.reason).response()

    @app.exception_handler(ChoreaiError)
    async def _choreai(_request: Request, exc: ChoreaiError) -> JSONResponse:
        # Its text contains paths in the server's storage.
        logger.error("a request failed: %s", exc)
        return WebProblem(500, "the server could not read its data; see the server's log").response()

    @app.exception_handler(Exception)
    async def _unforeseen(_request: Request, exc: Exception) -> JSONResponse:
        logger.error("a request failed", exc_info=exc)
        return WebProblem(500, "internal error; see the server's log").response()
