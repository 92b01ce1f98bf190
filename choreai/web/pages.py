"""The pages: one HTML template around the content of each, plain CSS and ES modules, all read once at start-up."""

import hashlib
import html
import json
import string
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from choreai.visualize.style_colors import PALETTE, PLACES, UNKNOWN_COLOR
from choreai.visualize.trends import STYLE as TREND_STYLE
from choreai.web.errors import WebProblem

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
NAVIGATION = {"/": "Live", "/catalog": "Catalog", "/nights": "Nights", "/api": "API"}
"""The links at the top of every page."""
REPORT_STYLE = (
    """
.report { --soft: var(--quiet); --bad: var(--alarm); --good: #18794e; --warn: #8a5200; display: block; min-width: 0; }
@media (prefers-color-scheme: dark) { .report { --good: #4cc38a; --warn: #f1a10d; } }
.report h1 { margin: 0 0 .3rem; } .report h2 { font-size: 1.1rem; color: var(--ink); margin: 2rem 0 .5rem; }
.report .soft { color: var(--soft); } .report .good { color: var(--good); } .report .warn { color: var(--warn); }
.report .bad { color: var(--bad); } .report .scroll { overflow-x: auto; }
.report table { border-collapse: collapse; min-width: 20rem; } .report caption { text-align: left; color: var(--soft); }
.report th, .report td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-variant-numeric: tabular-nums; }
.report th { font-weight: 600; white-space: nowrap; } .report td.number, .report th.number { text-align: right; }
.report td.text { overflow-wrap: anywhere; min-width: 12rem; max-width: 32rem; }
.report .nights th[scope=row] { font-weight: 400; } .report .nights td { white-space: nowrap; }
.report .nights td.text { white-space: normal; min-width: 10rem; }
.report .fact, .report .trend { border: 1px solid var(--line); }
"""
    + TREND_STYLE
)
"""What pages of `choreai report` need beside the style sheet of all pages, in the colours of that."""


@dataclass(frozen=True)
class Page:
    """A page: its content is `templates/NAME.html` and its script `static/NAME.js`."""

    name: str
    title: str
    section: str = ""
    """The link of `NAVIGATION` that it belongs to, if any."""

    @property
    def file_name(self) -> str:
        return f"{self.name}.html"


PAGES = {
    "/": Page("live", "live", "/"),
    "/login": Page("login", "sign in"),
    "/videos/{video_id}": Page("result", "result"),
    "/catalog": Page("catalog", "catalog", "/catalog"),
    "/catalog/{key}": Page("video", "video", "/catalog"),
    "/api": Page("api", "API", "/api"),
}
"""The pages by their paths."""


def page_routes() -> APIRouter:
    """Return a route for each page, and one for the files that pages load."""
    contents = dict(_read_files())
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

    for path, page in PAGES.items():
        routes.add_api_route(path, _make_handler(send, page.file_name), methods=["GET"])
    return routes


def _read_files() -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every static file and every rendered page."""
    for file in (files("choreai.web") / "static").iterdir():
        if file.name.endswith(tuple(MEDIA_TYPES)):
            yield file.name, file.read_bytes()
    yield "palette.js", _palette().encode()
    yield "report.css", REPORT_STYLE.encode()
    for page in PAGES.values():
        yield page.file_name, render_page(page).encode()


def _palette() -> str:
    """Return the table of the styles' colours as a module for the pages."""
    table = {"PALETTE": PALETTE, "PLACES": PLACES, "UNKNOWN_COLOR": UNKNOWN_COLOR}
    return "".join(f"export const {name} = {json.dumps(value)};\n" for name, value in table.items())


def render_page(page: Page) -> str:
    """Return the HTML of a page: its content in the layout that all pages share."""
    return in_layout(_template(page.file_name), title=page.title, script=f"{page.name}.js", section=page.section)


def problem_page(problem: WebProblem) -> Response:
    """Return what is wrong as a page, for a person who opened an address; programs get `WebProblem.response`."""
    words = {name: html.escape(str(text)) for name, text in problem.body().items()}
    words["detail"] = f"{words['detail'][:1].upper()}{words['detail'][1:]}."
    content = string.Template(_template("problem.html")).substitute(words)
    page = in_layout(content, title=words["title"].lower(), script="page.js", section="")
    return Response(page, problem.status, headers=problem.headers(), media_type=MEDIA_TYPES[".html"])


def in_layout(content: str, *, title: str, script: str, section: str, style: str = "") -> str:
    """Return a page: `content` in the layout that all share, with a style sheet of its own if it has one."""
    navigation = "\n".join(_link(path, text, is_current=path == section) for path, text in NAVIGATION.items())
    link = f'<link rel="stylesheet" href="/static/{style}">\n' if style else ""
    layout = string.Template(_template("layout.html"))
    return layout.substitute(title=title, script=script, navigation=navigation, content=content, style=link)


@cache
def _template(name: str) -> str:
    return (files("choreai.web") / "templates" / name).read_text(encoding="utf-8")


def _link(path: str, text: str, *, is_current: bool) -> str:
    current = ' aria-current="page"' if is_current else ""
    return f'    <a href="{path}"{current}>{text}</a>'


def _make_handler(send: Callable[[Request, str], Response], name: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return send(request, name)

    return page
