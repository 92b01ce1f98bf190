"""The web application: all routes, in front of the backend that does the work."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Protocol

from fastapi import Body, FastAPI, Request, Response, WebSocket
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from choreai import __version__
from choreai.web.auth import COOKIE, AuthMiddleware, client_of, is_secure, is_token, respond, session_of
from choreai.web.catalog_routes import CatalogBackend, catalog_routes
from choreai.web.compare_routes import compare_routes
from choreai.web.errors import WebProblem, add_problem_handlers, problems
from choreai.web.limits import RequestRate, Slots
from choreai.web.live import LiveBackend, LiveViewer, hang_up
from choreai.web.metrics import REGISTRY, REQUESTS
from choreai.web.nights_routes import nights_routes
from choreai.web.pages import page_routes
from choreai.web.settings import WebSettings
from choreai.web.upload_routes import UploadBackend, UploadService, upload_routes

logger = logging.getLogger(__name__)
DESCRIPTION = """Style tags for dance: live, for uploads, and for a catalog of tagged videos.

Errors are problem documents (RFC 9457, `application/problem+json`). The live WebSocket is `/v1/live`: each binary
message is an eight-byte timestamp (float64, little-endian, milliseconds) followed by a JPEG; replies are JSON texts
whose `type` is `welcome`, `pose`, `busy`, `style` or `problem`. From another machine, every request needs the server's
token, as `Authorization: Bearer TOKEN`."""
READY_SECONDS = 5.0
ANY_REQUEST = (400, 401, 403, 411, 413, 421, 429, 500)
"""Errors that any request may be answered with: by the HTTP server, by `AuthMiddleware`, or where data is damaged."""


class WebBackend(LiveBackend, UploadBackend, CatalogBackend, Protocol):
    """All the work behind the application, wherever it runs: Ray Serve deployments, or threads in tests."""

    async def describe(self) -> dict[str, Any]: ...


def make_app(settings: WebSettings, backend: WebBackend, *, token: str | None) -> ASGIApp:
    """Return the application, wrapped in `AuthMiddleware`. Without `token` it serves this machine only."""
    uploads = UploadService(settings, backend)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(uploads.sweep_periodically())
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await uploads.stop()

    app = FastAPI(
        title="choreai",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # both load scripts from other hosts; /api shows the same
        redoc_url=None,
        responses=problems(*ANY_REQUEST),
        lifespan=lifespan,
    )
    add_problem_handlers(app, respond)
    _add_live(app, settings, backend)
    _add_service(app, backend, token=token)
    app.include_router(compare_routes(uploads.folder, backend))  # before the uploads' files, which take any name
    app.include_router(upload_routes(uploads))
    app.include_router(catalog_routes(backend))
    app.include_router(nights_routes(backend))
    app.include_router(page_routes())
    return AuthMiddleware(_RequestCounter(_HeadIsGet(app)), token=token, rate=RequestRate(settings.requests_per_second))


def _add_live(app: FastAPI, settings: WebSettings, backend: WebBackend) -> None:
    slots = Slots(total=settings.max_viewers, per_client=settings.max_viewers_per_client, what="live viewers")

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        try:
            with slots.held(client_of(socket.scope)):
                model = await backend.describe()
                await socket.send_json(
                    {"type": "welcome", "frames_per_second": settings.live_frames_per_second, **model}
                )
                await LiveViewer(socket, backend, frames_per_second=settings.live_frames_per_second).run()
        except WebProblem as problem:
            await hang_up(socket, problem)
        except Exception:
            # Catch everything: this viewer gets an error, and the others are not affected.
            logger.exception("a live viewer failed")
            await hang_up(socket, WebProblem(500, "internal error; see the server's log"))


def _add_service(app: FastAPI, backend: WebBackend, *, token: str | None) -> None:
    @app.get("/health", tags=["service"])
    async def health() -> dict[str, str]:
        """Return ok as long as the server responds."""
        return {"status": "ok"}

    @app.get("/ready", tags=["service"], responses=problems(503))
    async def ready() -> dict[str, str]:
        """Return ready once the backend responds too."""
        try:
            await asyncio.wait_for(backend.describe(), READY_SECONDS)
        except TimeoutError as exc:
            raise WebProblem(503, "the server is starting up or overloaded", retry_after_seconds=5) from exc
        return {"status": "ready"}

    @app.get("/metrics", tags=["service"], response_class=MetricsResponse)
    async def metrics() -> Response:
        """Return the metrics in Prometheus's text format."""
        return MetricsResponse(generate_latest(REGISTRY))

    @app.post("/v1/session", tags=["service"], status_code=204, responses=problems(422))
    async def session(
        request: Request, response: Response, given: Annotated[str, Body(alias="token", embed=True, max_length=500)]
    ) -> None:
        """Exchange the token for a session cookie, for browsers."""
        if token is not None:
            if not is_token(given.strip().encode("utf-8", "replace"), token):
                raise WebProblem(401, "this is not the server's token")
            secure = is_secure(request.scope)
            response.set_cookie(COOKIE, session_of(token), httponly=True, samesite="strict", secure=secure)


class MetricsResponse(Response):
    """Prometheus's text format."""

    media_type = CONTENT_TYPE_LATEST


class _RequestCounter:
    """Counts responses by status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                REQUESTS.labels(str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted)


class _HeadIsGet:
    """Answers HEAD as GET without the body, of which no more is made than its beginning."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        is_sent = False

        async def send_head(message: Message) -> None:
            nonlocal is_sent
            if message["type"] == "http.response.body" and not is_sent:
                is_sent = True  # from now on `receive` says that the client has left
                message = {"type": "http.response.body", "body": b""}
            elif message["type"] == "http.response.body":
                return
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_head)
