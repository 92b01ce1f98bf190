"""The pages that need no camera in a real browser, without Ray: signing in, and a curator's work on the catalog."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import CHROMEDRIVER, CHROMIUM, browser, look_like
from catalog_tables import RUN_ID, write_catalog_tables, write_night
from clips import write_clip
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from web_server import RunningServer, running_server

from choreai.operations.review import Candidate
from choreai.operations.review_page import review_page
from choreai.visualize.style_colors import PLACES, style_color

TOKEN = "correct horse battery staple"
AXE = os.environ.get("CHOREAI_AXE", "")
TILES = """
const cards = [...document.querySelectorAll(".tile")];
return cards.map((card) => ["strong", "b"].map((tag) => card.querySelector(tag).textContent))"""
PLAYS = """
const [video] = document.getElementsByTagName("video");
return video && video.readyState >= 2 && !video.muted"""
STYLE_COLOR = """
const [style, done] = arguments;
import("/static/colors.js").then((colors) => done(colors.styleColor(style)))"""

pytestmark = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on this machine")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    camera = tmp_path_factory.mktemp("camera") / "black.y4m"
    camera.write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(64 * 48 * 3 // 2))
    with browser(camera) as opened:
        yield opened


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    (tmp_path / "out").mkdir()
    write_catalog_tables(tmp_path / "out")
    write_night(tmp_path / "out")
    with running_server(tmp_path / "web", output=str(tmp_path / "out")) as running:
        yield running


def until(driver: webdriver.Chrome, is_so: Callable[[], object]) -> None:
    redrawn = [StaleElementReferenceException]  # between finding an element and asking it
    WebDriverWait(driver, 30, poll_frequency=0.1, ignored_exceptions=redrawn).until(lambda _: is_so())


def press(driver: webdriver.Chrome, *keys: str) -> None:
    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def do(driver: webdriver.Chrome, selector: str, what: str) -> None:
    """Click or focus the first element of a selector, both in one step: the page may be drawn anew at any time."""
    call = f"const [selector] = arguments, e = document.querySelector(selector); e?.{what}(); return Boolean(e)"
    until(driver, lambda: driver.execute_script(call, selector))


def text(driver: webdriver.Chrome, name: str) -> str:
    return driver.find_element(By.ID, name).text


def tiles(driver: webdriver.Chrome) -> list[tuple[str, str]]:
    """The style and the id of every card, all of one moment."""
    return [(style, name) for style, name in driver.execute_script(TILES)]


def open_catalog(driver: webdriver.Chrome, server: RunningServer, view: str = "") -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(f"{server.url}/catalog{view}")
    until(driver, lambda: text(driver, "count") and driver.find_elements(By.CSS_SELECTOR, ".facets fieldset"))


def search(driver: webdriver.Chrome, words: str) -> None:
    box = driver.find_element(By.NAME, "q")
    box.clear()
    box.send_keys(words, Keys.ENTER)


def test_a_page_asks_a_stranger_to_sign_in_and_then_shows_what_was_asked_for(driver, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_catalog_tables(tmp_path / "out")
    with running_server(tmp_path / "web", token=TOKEN, output=str(tmp_path / "out")) as locked:
        driver.get(f"{locked.url}/catalog?q=style+%3D+hiphop")
        until(driver, lambda: "/login?next=" in driver.current_url)
        driver.find_element(By.ID, "token").send_keys("wrong", Keys.ENTER)
        until(driver, lambda: "not the server's token" in text(driver, "problem"))
        driver.find_element(By.ID, "token").clear()
        driver.find_element(By.ID, "token").send_keys(TOKEN, Keys.ENTER)
        until(driver, lambda: driver.current_url.endswith("/catalog?q=style+%3D+hiphop"))
        until(driver, lambda: text(driver, "count") == "2 videos")
        driver.get(f"{locked.url}/login?next=/catalog")  # as a link from elsewhere ends, though the cookie is there
        until(driver, lambda: driver.current_url.endswith("/catalog"))


def test_words_find_videos_and_a_wrong_search_keeps_what_was_found(driver, server) -> None:
    open_catalog(driver, server)
    search(driver, "hiphop xyzzy")
    until(driver, lambda: len(tiles(driver)) == 2)
    assert text(driver, "meaning") == "Searched for style = hiphop. Not understood and left out: xyzzy."
    search(driver, "nonsense > 3")
    until(driver, lambda: "unknown name 'nonsense'" in text(driver, "problem"))
    assert "Below is still what was found before" in text(driver, "problem")
    assert len(tiles(driver)) == 2
    open_catalog(driver, server, "?q=xyzzy")
    until(driver, lambda: text(driver, "count") == "4 videos without it")
    assert "nothing here is called 'xyzzy'" in text(driver, "problem")


def test_counts_narrow_the_view_and_the_address_is_the_view(driver, server) -> None:
    open_catalog(driver, server, "?sort=tempo")
    until(driver, lambda: [name for _, name in tiles(driver)] == [f"video <{n}>" for n in range(4)])
    do(driver, "[data-value='style hiphop']", "click")
    until(driver, lambda: len(tiles(driver)) == 2)
    do(driver, "[data-value='score 0.9']", "click")
    until(driver, lambda: tiles(driver) == [("hiphop", "video <0>")])
    until(
        driver, lambda: not driver.find_elements(By.CSS_SELECTOR, "[data-value='style ballet']")
    )  # none of that score
    address = driver.current_url
    assert address.endswith("/catalog?sort=tempo&style=hiphop&score=0.9")
    do(driver, "#clear", "click")
    until(driver, lambda: len(tiles(driver)) == 4)
    driver.get(address)
    until(driver, lambda: tiles(driver) == [("hiphop", "video <0>")])
    driver.back()
    until(driver, lambda: len(tiles(driver)) == 4)


def test_a_curator_corrects_many_at_once_by_keys_and_takes_it_back(driver, server) -> None:
    open_catalog(driver, server)
    before = tiles(driver)
    press(driver, "j", "j", "x", "j", "x")
    until(driver, lambda: text(driver, "selected") == "2 selected")
    press(driver, "2")  # hiphop, but who says so?
    until(driver, lambda: "Your name" in text(driver, "selected"))
    driver.switch_to.active_element.send_keys("Ana")
    do(driver, ".tile a", "focus")
    press(driver, "2")
    until(driver, lambda: text(driver, "selected") == "2 videos are now hiphop.")
    until(driver, lambda: [style for style, _ in tiles(driver)] == ["hiphop"] * 4)
    press(driver, "u")
    until(driver, lambda: tiles(driver) == before)
    assert text(driver, "selected") == "The correction of 2 videos is taken back."
    do(driver, ".tile:nth-child(2) a", "focus")
    press(driver, "2")  # none selected: the one with the focus
    until(driver, lambda: text(driver, "selected") == "1 video is now hiphop.")
    until(driver, lambda: "corrected by Ana" in driver.find_elements(By.CSS_SELECTOR, ".tile")[1].text)


def test_a_card_plays_its_video_with_sound(driver, server) -> None:
    open_catalog(driver, server)
    do(driver, ".tile a", "focus")
    press(driver, " ")
    until(driver, lambda: driver.execute_script(PLAYS))
    do(driver, ".tile a", "focus")
    press(driver, " ")
    until(driver, lambda: not driver.find_elements(By.CSS_SELECTOR, ".tile video"))


def test_the_review_page_plays_a_video_in_place_of_its_stills(driver, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a <b> & 1.mp4", num_frames=40, frames_per_second=8, with_audio=True)
    videos = [
        Candidate("clip", uri, "c1", "salsa", "salsa", 0.5, 0.1, None, (("salsa", 0.5),), None, "fp1")
        for uri in (str(clip), "s3://bucket/clip.mp4")
    ]
    page = tmp_path / "review.html"
    page.write_text(review_page(videos, {"clip": "no still"}, styles=["salsa"]), encoding="utf-8")
    driver.get(f"file://{page}")
    assert len(driver.find_elements(By.CSS_SELECTOR, "button.play")) == 1  # no browser reads s3://
    press(driver, " ")
    until(driver, lambda: driver.execute_script(PLAYS))
    assert not driver.find_element(By.CSS_SELECTOR, ".still").is_displayed()
    press(driver, " ")
    until(driver, lambda: driver.find_element(By.CSS_SELECTOR, ".still").is_displayed())


def test_a_click_leads_from_the_nights_to_a_night_a_video_and_a_moment_in_it(driver, server) -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get_log("browser")  # of the tests before
    driver.get(f"{server.url}/nights")
    do(driver, ".nights tbody a", "click")
    until(driver, lambda: driver.current_url.endswith(f"/nights/{RUN_ID}"))
    do(driver, "[aria-label^='video <0> at']", "click")
    until(driver, lambda: "/catalog/" in driver.current_url)
    until(driver, lambda: text(driver, "title") == "video <0>")
    until(driver, lambda: driver.execute_script("return document.getElementById('video').currentTime") == 2.0)
    told = [entry["message"] for entry in driver.get_log("browser")]
    assert not [message for message in told if "Content Security Policy" in message]


def test_pages_and_figures_have_the_same_colour_for_a_style(driver, server) -> None:
    driver.get(f"{server.url}/login")
    for style in (*list(PLACES)[::6], "Hip-Hop", "Tanz der Vampire", "Ελληνικός χορός", "unknown", "ＷＡＬＴＺ"):
        assert driver.execute_async_script(STYLE_COLOR, style) == style_color(style), style


@pytest.mark.skipif(not AXE, reason="CHOREAI_AXE names no axe.min.js")
def test_axe_finds_nothing_serious_on_any_page_light_dark_or_on_a_phone(driver, server) -> None:
    open_catalog(driver, server)
    video = driver.find_element(By.CSS_SELECTOR, ".tile a").get_attribute("href").removeprefix(server.url)
    nights = ("/nights", f"/nights/{RUN_ID}")
    for path in ("/", "/catalog", video, "/login", "/api", "/videos/abc", "/nonsense", *nights):
        driver.get(server.url + path)
        until(driver, lambda: driver.execute_script("return document.readyState") == "complete")
        if path == "/catalog":
            until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, ".facets fieldset"))
            driver.execute_script("document.querySelector('.tile input').click()")
        driver.execute_script(Path(AXE).read_text())
        for size_wh, dark in (((1280, 1000), False), ((1280, 1000), True), ((390, 844), True)):
            look_like(driver, size_wh=size_wh, dark=dark)
            found = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
            serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
            told = [(path, dark, size_wh, each["id"], [node["html"] for node in each["nodes"]]) for each in serious]
            assert not serious, json.dumps(told, indent=1)
