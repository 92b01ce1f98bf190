"""Access control and security headers: one ASGI middleware around the whole application.

Without a token only this machine may use the server, and only under a loopback host name (otherwise a web site could
point its own name here: DNS rebinding). With one, requests carry the token as a bearer header or, from pages, a cookie
derived from it.
"""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from choreai.web.errors import WebProblem
from choreai.web.headers import SECURITY_HEADERS
from choreai.web.limits import UPLOAD_PATH, RequestRate
from choreai.web.pages import problem_page
from choreai.web.settings import is_loopback

COOKIE = "choreai_session"
POLICY_VIOLATION = 1008

_OPEN_PATHS = ("/static/", "/health", "/ready", "/login", "/v1/session", "/videos/", "/v1/videos/", "/favicon.ico")
"""Paths that need no token: no data is behind them, except for results of uploads, whose unguessable 128-bit id in the
link grants access to that one result until it expires."""

MAX_BODY_BYTES = 64 * 2**10
"""Of every request but an upload: JSON of this size takes next to nothing to parse."""


class AuthMiddleware:
    """The application, behind checks of host name, request rate, origin and token, in that order."""

    def __init__(self, app: ASGIApp, *, token: str | None, rate: RequestRate) -> None:
        self._app, self._token, self._rate = app, token, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        guarded = send if scope["type"] == "websocket" else _with_headers(send, scope["path"])
        problem = self._refusal(scope)
        if problem is None:
            await self._app(scope, receive, guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": problem.detail})
        else:
            await respond(scope, problem)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> WebProblem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._token is None and not is_loopback(urlsplit(f"//{host}").hostname or "" if _is_host(host) else ""):
            return WebProblem(421, "without a token this server answers only under a name of its own machine")
        if not self._rate.take(client_of(scope)):
            return WebProblem(429, "too many requests from your address; wait a moment", retry_after_seconds=5)
        if (problem := _body_problem(scope, headers)) is not None:
            return problem
        if not _same_origin(scope, headers, host):
            return WebProblem(403, "pages of other sites may not use this server")
        is_open = scope["type"] == "http" and scope["path"].startswith(_OPEN_PATHS)
        if self._token is not None and not is_open and not knows_token(headers, self._token):
            return WebProblem(401, "send the server's token as `Authorization: Bearer ...`, or sign in at /login")
        return None


def client_of(scope: Scope) -> str:
    """Return the address of the peer, by which clients are told apart."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def session_of(token: str) -> str:
    """Return the session cookie's value: derived from the token, which browsers do not store."""
    return hmac.new(token.encode(), b"choreai session", hashlib.sha256).hexdigest()


def knows_token(headers: Headers, token: str) -> bool:
    """Return whether a request carries the token or the cookie derived from it."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(given.strip().encode("latin-1"), token):  # the bytes as they came
        return True
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and hmac.compare_digest(cookie.value.encode(), session_of(token).encode())


def is_token(given: bytes, token: str) -> bool:
    """Return whether `given` is the token in UTF-8, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given, token.encode())


def is_secure(scope: Scope) -> bool:
    """Return whether the browser speaks TLS: with us, or with a proxy in front of us."""
    headers = Headers(scope=scope)
    forwarded = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    return (
        scope.get("scheme") in ("https", "wss") or forwarded == "https" or headers.get("origin", "")[:8] == "https://"
    )


def respond(scope: Scope, problem: WebProblem) -> Response:
    """Return a problem document; to a person who opens a page, a page that says the same, or the one to sign in on."""
    if not _opens_page(scope):
        return problem.response()
    if problem.status == 401:
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(f"/login?next={quote(scope['path'] + (query and f'?{query}'), safe='/')}", 303)
    return problem_page(problem)


def _opens_page(scope: Scope) -> bool:
    """Return whether a browser opens an address of the pages, rather than a program one of the API."""
    is_page = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and not _is_of_api(scope["path"])
    return is_page and "text/html" in Headers(scope=scope).get("accept", "").lower()


def _is_of_api(path: str) -> bool:
    return path.startswith(("/v1/", "/static/")) or path in ("/health", "/ready", "/metrics")


def _is_host(host: str) -> bool:
    """Return whether the host can be parsed; urlsplit raises for brackets without an address in them."""
    try:
        urlsplit(f"//{host}")
    except ValueError:
        return False
    return True


def _body_problem(scope: Scope, headers: Headers) -> WebProblem | None:
    """Return what is wrong with the length that a request's body is to have, before any of it is read."""
    if "transfer-encoding" in headers:
        return WebProblem(411, "Content-Length is missing; send the body's size in bytes, not in chunks")
    length = headers.get("content-length", "0")
    if scope["type"] == "http" and scope["path"] == UPLOAD_PATH and scope["method"] == "POST":
        return None  # it has limits of its own
    if not length.isascii() or not length.isdigit() or len(length) > 15 or int(length) > MAX_BODY_BYTES:
        return WebProblem(413, f"the request's body is larger than {MAX_BODY_BYTES // 2**10} KiB, which is the limit")
    return None


def _same_origin(scope: Scope, headers: Headers, host: str) -> bool:
    """Return False if a page of another site sends a request that may change something."""
    origin = headers.get("origin")
    if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
        return True
    if origin is None:  # no browser, or an old one that at least says where the request comes from
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _with_headers(send: Send, path: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            if "cache-control" not in headers:
                headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"
        await send(message)

    return send_with_headers
