"""The web application: every route, around the stages that do the work."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Protocol

from fastapi import Body, FastAPI, Request, Response, WebSocket
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from choreai import __version__
from choreai.web.auth import COOKIE, Guard, client_of, knows_token, session_of
from choreai.web.catalog_routes import CatalogStages, catalog_routes
from choreai.web.errors import WebProblem, add_problem_handlers
from choreai.web.limits import RequestRate, Slots
from choreai.web.live import LiveStages, LiveViewer, hang_up
from choreai.web.metrics import REGISTRY, REQUESTS
from choreai.web.pages import page_routes
from choreai.web.settings import WebSettings
from choreai.web.upload_routes import Classifier, ClipStages, classify_routes

logger = logging.getLogger(__name__)
DESCRIPTION = """Style tags for dance: live, for uploads, and for a catalog of tagged videos.

Errors are problem documents (RFC 9457, `application/problem+json`). The live WebSocket is `/v1/live`: each binary
message is eight bytes of clock (float64, little-endian, milliseconds) and a JPEG; answers are JSON texts with a `type`
of `welcome`, `pose`, `busy`, `style` or `problem`. Beyond this machine every request brings the server's token, as
`Authorization: Bearer TOKEN`."""
READY_SECONDS = 5.0


class WebStages(LiveStages, ClipStages, CatalogStages, Protocol):
    """All the work behind the application, wherever it runs."""

    async def describe(self) -> dict[str, Any]: ...


def make_app(settings: WebSettings, stages: WebStages, *, token: str | None) -> ASGIApp:
    """The application behind its guard. Without `token` it answers to names of this machine only."""
    classifier = Classifier(settings, stages)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(classifier.sweep_now_and_then())
        yield
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await classifier.stop()

    app = FastAPI(
        title="choreai",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # both load their scripts from elsewhere; /api shows the same
        redoc_url=None,
        lifespan=lifespan,
    )
    add_problem_handlers(app)
    _add_live(app, settings, stages)
    _add_service(app, stages, token=token)
    app.include_router(classify_routes(classifier))
    app.include_router(catalog_routes(stages))
    app.include_router(page_routes())
    return Guard(_Counted(app), token=token, rate=RequestRate(settings.requests_per_second))


def _add_live(app: FastAPI, settings: WebSettings, stages: WebStages) -> None:
    slots = Slots(total=settings.max_viewers, per_client=settings.max_viewers_per_client, what="live viewers")

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        try:
            with slots.held(client_of(socket.scope)):
                model = await stages.describe()
                await socket.send_json(
                    {"type": "welcome", "frames_per_second": settings.live_frames_per_second, **model}
                )
                await LiveViewer(socket, stages, frames_per_second=settings.live_frames_per_second).run()
        except WebProblem as problem:
            await hang_up(socket, problem)
        except Exception:
            # The one broad net of this endpoint: its viewer is told, and no other is touched.
            logger.exception("a live viewer failed")
            await hang_up(socket, WebProblem(500, "an error of the server's own; its log says more"))


def _add_service(app: FastAPI, stages: WebStages, *, token: str | None) -> None:
    @app.get("/health", tags=["service"])
    async def health() -> dict[str, str]:
        """The server answers."""
        return {"status": "ok"}

    @app.get("/ready", tags=["service"])
    async def ready() -> dict[str, str]:
        """What does the work answers too."""
        try:
            await asyncio.wait_for(stages.describe(), READY_SECONDS)
        except TimeoutError as exc:
            raise WebProblem(503, "the server is starting or overloaded", retry_after_seconds=5) from exc
        return {"status": "ready"}

    @app.get("/metrics", tags=["service"])
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    @app.post("/v1/session", tags=["service"], status_code=204)
    async def session(
        request: Request, response: Response, given: Annotated[str, Body(alias="token", embed=True, max_length=500)]
    ) -> None:
        """A cookie for a browser that gives the token."""
        if token is not None:
            if not knows_token(Headers({"authorization": f"Bearer {given}"}), token):
                raise WebProblem(401, "this is not the server's token")
            secure = request.url.scheme == "https"
            response.set_cookie(COOKIE, session_of(token), httponly=True, samesite="strict", secure=secure)


class _Counted:
    """Counts what leaves, by status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                REQUESTS.labels(str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted)
