"""The pages and what they are made of: plain HTML, CSS and ES modules from one folder, read once."""

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from choreai.web.errors import WebProblem

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGES = {
    "/": "live.html",
    "/login": "login.html",
    "/videos/{video_id}": "result.html",
    "/catalog": "catalog.html",
    "/catalog/{key}": "video.html",
    "/api": "api.html",
}


def page_routes() -> APIRouter:
    """A route for every page, and one for the files that pages ask for."""
    contents = {
        file.name: file.read_bytes()
        for file in (files("choreai.web") / "static").iterdir()
        if file.name.endswith(tuple(MEDIA_TYPES))
    }
    etags = {name: f'"{hashlib.sha256(content).hexdigest()[:16]}"' for name, content in contents.items()}
    routes = APIRouter(include_in_schema=False)

    def send(request: Request, name: str) -> Response:
        if name not in contents:
            raise WebProblem(404, "there is nothing at this address")
        headers = {"ETag": etags[name]}
        if request.headers.get("if-none-match") == etags[name]:
            return Response(status_code=304, headers=headers)
        media_type = MEDIA_TYPES[name[name.rindex(".") :]]
        return Response(contents[name], media_type=media_type, headers=headers)

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        return send(request, name)

    @routes.get("/favicon.ico")
    async def favicon(request: Request) -> Response:
        return send(request, "icon.svg")

    for path, name in PAGES.items():
        routes.add_api_route(path, _sender(send, name), methods=["GET"])
    return routes


def _sender(send: Callable[[Request, str], Response], name: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return send(request, name)

    return page
