"""The pages in Firefox: none complains, a curator corrects, and a dancer records a take and compares it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from catalog_tables import write_catalog_tables, write_night
from clips import numbered, write_clip
from firefox import FIREFOX, Firefox, firefox
from web_server import RunningServer, running_server

pytestmark = pytest.mark.skipif(not FIREFOX, reason="no firefox on this machine")
SET_UP = """
const { countdown, seconds, skeleton } = document.getElementById("take").elements;
[countdown.value, seconds.value, skeleton.checked] = ["0", "10", true];"""
REPLAY = """
const video = document.getElementById("replay");
return !video.hidden && video.currentTime > 0.2 && [video.duration, video.mozHasAudio]"""
"""Not how long it is: on a loaded machine Firefox's encoder leaves much of a take out; in Chromium the film is read."""
TILES = "return [...document.querySelectorAll('.tile strong')].map((style) => style.textContent)"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    output = tmp_path_factory.mktemp("out")
    write_catalog_tables(output)
    write_night(output)
    with running_server(tmp_path_factory.mktemp("web"), output=str(output)) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with firefox(tmp_path_factory.mktemp("firefox")) as opened:
        yield opened


def text(name: str) -> str:
    return f"document.getElementById('{name}').textContent"


def test_no_page_complains(browser, server) -> None:
    key = requests.get(server.url + "/v1/search", timeout=10).json()["videos"][0]["key"]
    for path, is_there in {
        "/": "document.querySelector('#gauges dt')",
        "/catalog": "document.querySelector('.tile img')?.naturalWidth && document.querySelector('.facets fieldset')",
        f"/catalog/{key}": "!document.getElementById('shown').hidden",
        "/nights": "document.querySelector('.nights tbody a')",
        "/api": "document.querySelector('#paths').children.length",
        "/login": "document.getElementById('token')",
    }.items():
        browser.get(server.url + path)
        browser.until(f"return {is_there}", path)
    assert browser.complaints == []


def test_a_curator_corrects_by_keys(browser, server) -> None:
    browser.get(server.url + "/catalog?q=hiphop")
    browser.until(f"return ({TILES.removeprefix('return ')}).length === 2", "the cards")
    browser.run("document.querySelector('#selection [name=reviewer]').value = 'Ana'")
    browser.press("j", "x", "1")
    browser.until(f"return {text('selected')} === '1 video is now ballet.'", "the correction")
    browser.press("u")
    browser.until(f"return {text('selected')} === 'The correction of 1 video is taken back.'", "the undoing")


def test_a_dancer_records_a_take_and_compares_it(browser, server, tmp_path: Path) -> None:
    browser.get(server.url)
    browser.run("document.getElementById('camera').click()")
    browser.until(f"return {text('verdict')} === 'clockwise'", "the style")
    browser.run(SET_UP)
    browser.press("r")
    browser.until(f"return {text('recording')} === '0:02'", "two seconds")
    browser.press("r")
    browser.until(REPLAY, "the replay")
    duration, has_sound = browser.run(REPLAY)
    assert 0.2 < duration < 5
    assert has_sound

    clip = write_clip(tmp_path / "r.mp4", num_frames=40, frames_per_second=10, paint=lambda _: numbered(1))
    browser.run(
        "[...document.querySelectorAll('#takes button')].find((b) => b.textContent === 'Tag this take').click()"
    )
    browser.until("return document.querySelector('#takes a')", "the answer")
    browser.get(browser.run("return document.querySelector('#takes a').href"))
    browser.until("return document.querySelector('#player button')?.checkVisibility()", "the result")
    browser.choose_file("#beside-file", clip)
    browser.until("return document.getElementById('curve').checkVisibility()", "the comparison")
    assert browser.run(f"return {text('beside-state')}").startswith("On the whole 0.")
    assert browser.complaints == []
