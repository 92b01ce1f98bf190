"""What only a browser shows: where a login leads, and that a player goes on after a pause."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from browser import CHROMEDRIVER, CHROMIUM, browser
from clips import Image, write_clip
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tag_rows import tag_row, write_tags
from web_server import RunningServer, running_server

from choreai.web import readers

TOKEN = "a-token-of-23-characters"
FRAMES_PER_SECOND, SECONDS = 5, 20

pytestmark = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on this machine")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("camera") / "none.y4m") as opened:
        yield opened


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("locked"), token=TOKEN) as running:
        yield running


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("%2F%09%2Fe.example", "/"),
        ("%5C%5Ce.example", "/"),
        ("https:e.example", "/"),
        ("%2Fcatalog%3Fq=a", "/catalog?q=a"),
    ],
)
def test_a_login_leads_to_a_page_of_this_server_only(driver, locked: RunningServer, target: str, leads_to: str) -> None:
    driver.get(f"{locked.url}/static/style.css")
    driver.delete_all_cookies()
    driver.get(f"{locked.url}/login?next={target}")
    driver.find_element(By.ID, "token").send_keys(TOKEN)
    driver.find_element(By.CSS_SELECTOR, "#form button").click()
    WebDriverWait(driver, 20, poll_frequency=0.05).until(lambda _: "/login" not in driver.current_url)
    assert driver.current_url == locked.url + leads_to


def test_a_video_paused_for_so_long_that_it_was_hung_up_on_plays_on(driver, tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)

    def noise(_: int) -> Image:
        return rng.integers(0, 255, (360, 480, 3), np.uint8)

    clip = write_clip(
        tmp_path / "long.mp4", num_frames=SECONDS * FRAMES_PER_SECOND, frames_per_second=FRAMES_PER_SECOND,
        size_wh=(480, 360), paint=noise, options={"preset": "ultrafast", "qp": "2"},
    )  # fmt: skip
    assert clip.stat().st_size > 30e6, "the browser would take it whole"
    write_tags(str(tmp_path / "out"), [tag_row("v", uri=str(clip))])
    connections = _connections(monkeypatch)
    with running_server(tmp_path / "web", output=str(tmp_path / "out")) as server:
        key = requests.get(server.url + "/v1/search", timeout=10).json()["videos"][0]["key"]
        driver.get(server.url + "/login")
        driver.execute_script(
            "const video = document.createElement('video'); video.muted = true; document.body.append(video);"
            "video.src = arguments[0]; window.video = video; return video.play().then(() => video.pause())",
            f"/v1/catalog/{key}/media",
        )
        # As on one who does not read; not waited for, since Chromium decides how far it reads on in a pause.
        for connection in connections:
            connection.loop.call_soon_threadsafe(connection.transport.abort)
        driver.execute_script("video.playbackRate = 16; video.play()")
        WebDriverWait(driver, 90, poll_frequency=0.1).until(
            lambda _: driver.execute_script("return video.ended || video.error")
        )
        assert driver.execute_script("return [video.error, video.currentTime]") == [None, SECONDS]


def _connections(monkeypatch: pytest.MonkeyPatch) -> list[readers.ReaderWatch]:
    """A list that every connection to the server is added to."""
    connections: list[readers.ReaderWatch] = []
    made = readers.ReaderWatch.connection_made

    def made_and_kept(self: readers.ReaderWatch, transport: asyncio.BaseTransport) -> None:
        connections.append(self)
        made(self, transport)

    monkeypatch.setattr(readers.ReaderWatch, "connection_made", made_and_kept)
    return connections
