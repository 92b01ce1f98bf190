"""Every attack of `page_attacks` is refused, while another user is served; against the real server's parts."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import page_attacks
import pytest
import requests
from clips import Image, write_clip
from page_attacks import Page, quick_attacks
from web_server import RunningServer, running_server, wait_until

from choreai.errors import ConfigError
from choreai.web import serve, uploads
from choreai.web import server as web_server

IN_ONE_PROCESS = 5.0
"""Seconds a user may wait where attackers, user and server share one interpreter; `choreai serve` is held to 0.3."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    settings: dict[str, Any] = {"max_uploads": 50, "max_uploads_per_client": 50, "max_upload_pixels": 640 * 480}
    with running_server(tmp_path_factory.mktemp("web"), **settings) as running:
        yield running


@pytest.mark.parametrize("name", quick_attacks())
def test_an_attack_is_refused(server: RunningServer, name: str) -> None:
    quick_attacks()[name](Page("127.0.0.1", server.port, max_user_seconds=IN_ONE_PROCESS))


def test_a_body_that_never_comes_is_not_waited_for(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "BODY_SECONDS", 1.0)
    page_attacks.body_that_never_comes(Page("127.0.0.1", server.port), within=4)


def test_an_upload_that_trickles_is_refused_soon(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "GRACE_SECONDS", 1.0)
    page_attacks.trickled_upload(Page("127.0.0.1", server.port), within=10)


def test_many_connections_of_one_address_leave_room_for_its_own_next_one(server: RunningServer) -> None:
    page = Page("127.0.0.1", server.port)
    held = [page.open() for _ in range(2 * web_server.MAX_CONNECTIONS_PER_ADDRESS)]
    try:
        answer = page.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.split(b" ")[1] == b"200"
    finally:
        for client in held:
            client.close()


def _same(picture: Image, _: int) -> Image:
    return picture


@pytest.mark.parametrize(("size_wh", "words"), [((800, 608), "800 x 608 is too large"), ((2560, 1920), "above 307200")])
def test_a_clip_that_grows_after_its_first_frame_is_refused(server, tmp_path, size_wh, words) -> None:
    parts = []
    for number, each in enumerate(((320, 240), size_wh)):
        picture = np.full((each[1], each[0], 3), 128, np.uint8)
        path = tmp_path / f"{number}.ts"
        write_clip(path, num_frames=40, frames_per_second=10, size_wh=each, paint=partial(_same, picture))
        parts.append(path.read_bytes())
    answer = requests.post(
        f"{server.url}/v1/classify", data=b"".join(parts), headers={"Content-Type": "video/mp2t"}, timeout=30
    )
    assert answer.status_code == 202
    states: list[dict[str, Any]] = []

    def is_done() -> bool:
        states.append(requests.get(server.url + answer.json()["url"], timeout=10).json())
        return states[-1]["state"] in ("done", "failed")

    wait_until(is_done, "the upload to end")
    assert states[-1]["state"] == "failed"
    assert words in states[-1]["detail"]


def test_a_token_of_another_alphabet_lets_its_owner_in(tmp_path) -> None:
    token = "пароль-парольный"
    with running_server(tmp_path, token=token) as running:
        page = Page("127.0.0.1", running.port)
        signed = requests.post(f"{page.url}/v1/session", json={"token": token}, timeout=10)
        assert signed.status_code == 204
        assert requests.get(f"{page.url}/", cookies=signed.cookies, timeout=10).status_code == 200
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer "
        assert page.send(head + token.encode() + b"\r\n\r\n").split(b" ")[1] == b"200"
        page_attacks.odd_tokens(Page("127.0.0.1", running.port, token=token))


@pytest.mark.parametrize("headers", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://dance.example"}])
def test_the_cookie_is_secure_where_tls_ends_before_us(tmp_path, headers: dict[str, str]) -> None:
    token = "x" * 20
    with running_server(tmp_path, token=token) as running:
        sent = {"Host": "dance.example", **headers}
        signed = requests.post(f"{running.url}/v1/session", json={"token": token}, headers=sent, timeout=10)
        plain = requests.post(f"{running.url}/v1/session", json={"token": token}, timeout=10)
    cookie = signed.headers["Set-Cookie"].lower()
    assert all(word in cookie for word in ("secure", "httponly", "samesite=strict"))
    assert "secure" not in plain.headers["Set-Cookie"].lower()


@pytest.mark.parametrize("token", ["x" * 20 + "\n", "x" * 20 + "\r\n", " " + "x" * 20, "x" * 10 + "\t" + "x" * 10])
def test_a_token_that_no_header_can_carry_is_told_at_the_start(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serve.TOKEN_VARIABLE, token)
    with pytest.raises(ConfigError, match="which no header can carry"):
        serve._token("0.0.0.0")
