"""A dancer's session in a real browser: a real clip as camera, a take recorded, replayed, tagged, and compared."""

import base64
import io
import json
import os
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import CHROMEDRIVER, CHROMIUM, browser, look_like, write_camera
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from web_server import RunningServer, running_server

from choreai.arrays import ImageArray
from choreai.motion.windows import WindowSettings
from choreai.pose.build import build_estimator
from choreai.pose.choice import settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.style.model import StyleModel, StyleModelConfig
from choreai.style.networks import build_network
from choreai.video.decode import VideoReader

CLIP = Path(__file__).parents[2] / "shared" / "data" / "streetdance" / "clips" / "3001_180_10.mp4"
STYLES = ("breaking", "popping", "shuffle")
AXE = os.environ.get("CHOREAI_AXE", "")
SCREENSHOTS = os.environ.get("CHOREAI_SCREENSHOTS", "")
"""A folder for screenshots, for people to look at."""
MAX_SCRIPT_BYTES = 150_000
MAX_SHIFT = 0.1
"""Of the layout, what counts as good (web.dev/cls)."""

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on this machine"
)
needs_clip = pytest.mark.skipif(not CLIP.exists(), reason="../shared/data/streetdance is not there")


def test_all_scripts_together_are_light() -> None:
    static = files("choreai.web") / "static"
    assert sum(len(file.read_bytes()) for file in static.iterdir() if file.name.endswith(".js")) < MAX_SCRIPT_BYTES


@pytest.fixture(scope="module")
def server(real_poses: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """With real poses, and a model that nobody has trained: it always says something, and always the same."""
    settings = settle(PoseSettings(estimator="mediapipe"), read_file=objects.read_object)
    torch.manual_seed(3)
    network = build_network("report", num_labels=len(STYLES), hidden_size=16, dropout=0.0)
    config = StyleModelConfig(
        labels=STYLES, pose_fingerprint="x", windows=WindowSettings(), network="report", hidden_size=16, num_members=1
    )
    with running_server(
        tmp_path_factory.mktemp("web"),
        build_estimator=lambda: build_estimator(settings, read_file=objects.read_object),
        model=StyleModel((network,), config),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    camera = tmp_path_factory.mktemp("camera") / "dance.y4m"
    write_camera(camera, CLIP)
    with browser(camera) as opened:
        yield opened


def until(driver: webdriver.Chrome, is_so: Callable[[], object], *, seconds: float = 40) -> None:
    redrawn = [StaleElementReferenceException]  # between finding an element and asking it
    WebDriverWait(driver, seconds, poll_frequency=0.05, ignored_exceptions=redrawn).until(lambda _: is_so())


def press(driver: webdriver.Chrome, key: str) -> None:
    ActionChains(driver).send_keys(key).perform()


def text(driver: webdriver.Chrome, name: str) -> str:
    return driver.find_element(By.ID, name).text


def is_shown(driver: webdriver.Chrome, name: str) -> bool:
    return driver.find_element(By.ID, name).is_displayed()


def is_filled(driver: webdriver.Chrome) -> bool:
    return bool(driver.execute_script("return document.fullscreenElement?.id === 'stage'"))


def look(driver: webdriver.Chrome, name: str) -> None:
    """Nothing serious for axe, on a phone in dark and in light; and pictures for people where a folder is named."""
    for way, size_wh, dark in (("phone", (390, 844), True), ("light", (1280, 1000), False)):
        look_like(driver, size_wh=size_wh, dark=dark)
        if SCREENSHOTS:
            driver.save_screenshot(str(Path(SCREENSHOTS) / f"{name}-{way}.png"))
        if AXE:
            driver.execute_script(Path(AXE).read_text())
            found = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
            serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
            assert not serious, json.dumps([(way, e["id"], [n["html"] for n in e["nodes"]]) for e in serious], indent=1)


def shift_of(driver: webdriver.Chrome) -> float:
    """How much the layout has jumped without anybody's doing."""
    return float(driver.execute_async_script(SHIFT))


SHIFT = """
const done = arguments[0];
let sum = 0;
const watch = (list) => { for (const each of list.getEntries()) if (!each.hadRecentInput) sum += each.value; };
new PerformanceObserver(watch).observe({ type: "layout-shift", buffered: true });
setTimeout(() => done(sum), 100)"""
SET_UP = """
const { countdown, seconds, skeleton } = document.getElementById("take").elements;
[countdown.value, seconds.value, skeleton.checked] = ["3", "10", true]"""
REPLAY = """
const video = document.getElementById("replay");
return video.webkitDecodedFrameCount > 10 && video.webkitAudioDecodedByteCount > 1000 && !video.muted"""
KEEP_FILMS = """
const make = URL.createObjectURL;
URL.createObjectURL = (film) => { window.film = film; return make.call(URL, film); };"""
FILM = """
const done = arguments[0], reader = new FileReader();
reader.onload = () => done(reader.result.split(",")[1]);
reader.readAsDataURL(window.film);"""
TIMES = "return ['mine', 'reference'].map((id) => document.getElementById(id).currentTime)"


@needs_browser
@needs_clip
@pytest.mark.shared
def test_a_dancer_records_a_take_sees_it_at_once_and_beside_a_reference(driver, server, tmp_path: Path) -> None:
    driver.set_script_timeout(20)
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(server.url)
    driver.find_element(By.ID, "camera").click()
    until(driver, lambda: text(driver, "verdict") in STYLES)
    driver.execute_script(SET_UP + ";" + KEEP_FILMS)
    press(driver, "f")
    until(driver, lambda: is_filled(driver))
    assert text(driver, "headline").startswith(text(driver, "verdict"))  # in large letters, over the skeleton
    assert driver.execute_script("return parseFloat(getComputedStyle(headline).fontSize) / innerHeight") > 0.1

    press(driver, "r")
    until(driver, lambda: text(driver, "countdown") == "2")
    until(driver, lambda: text(driver, "recording") == "0:03")
    press(driver, "r")
    until(driver, lambda: is_shown(driver, "replay"))
    until(driver, lambda: driver.execute_script(REPLAY))  # pictures and sound
    assert 2.5 < driver.execute_script("return document.getElementById('replay').duration") < 6
    film = base64.b64decode(driver.execute_async_script(FILM))
    with VideoReader(io.BytesIO(film), uri="take") as reader:
        assert reader.info.has_audio
        pictures = [frame.image for frame in reader.sample(frames_per_second=2)]
    assert len(pictures) >= 5
    assert min(np.abs(a.astype(int) - b).mean() for a, b in pairwise(pictures)) > 0.5
    assert max(map(num_bright, pictures)) > 200  # the skeleton; the clip itself is pale
    press(driver, "f")
    until(driver, lambda: not is_filled(driver))
    look(driver, "take")
    assert shift_of(driver) < MAX_SHIFT

    driver.find_element(By.XPATH, "//button[text()='Tag this take']").click()
    until(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#takes a"))
    answer = driver.find_element(By.CSS_SELECTOR, "#takes b").text
    driver.get(driver.find_element(By.CSS_SELECTOR, "#takes a").get_attribute("href"))
    until(driver, lambda: is_shown(driver, "player"))
    assert answer.split(",")[0] == driver.find_element(By.CSS_SELECTOR, ".verdict").text
    assert shift_of(driver) < MAX_SHIFT

    until(driver, lambda: driver.execute_script("return document.getElementById('video').readyState >= 2"))
    found = driver.execute_async_script(PLAYER)
    assert found == [0.25, True, True, "matrix(-1, 0, 0, 1, 0, 0)", "Stop the loop"]
    driver.execute_script(KEEP_FILMS + "; document.querySelector('#downloads button').click()")  # a clip to share
    until(driver, lambda: driver.execute_script("return window.film?.size > 1000"))

    reference_path = tmp_path / "reference.mp4"
    reference_path.write_bytes(film)  # the same dance; the clip itself may have begun anew within the take
    driver.find_element(By.ID, "beside-file").send_keys(str(reference_path))
    until(driver, lambda: is_shown(driver, "beside-shown"))
    assert text(driver, "beside-state").startswith("On the whole 0.")
    assert "different dances" not in text(driver, "beside-state")
    assert "with=" in driver.current_url
    driver.execute_script("mine.muted = true; mine.currentTime = 1; mine.play()")
    until(driver, lambda: driver.execute_script(TIMES)[0] > 1.5)
    pairs = json.loads(driver.execute_async_script(COMPARED))
    mine, reference = driver.execute_script(TIMES)
    assert reference == pytest.approx(np.interp(mine, pairs["seconds"], pairs["other_seconds"]), abs=0.35)
    driver.execute_script("mine.pause()")
    look(driver, "beside")
    assert not [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


COMPARED = """
const [done] = arguments, other = new URLSearchParams(location.search).get("with");
fetch(`/v1${location.pathname}/compare?other=${other}`).then((answer) => answer.text()).then(done)"""


def num_bright(picture: ImageArray) -> int:
    """How many pixels have a bright colour, such as tracks have."""
    return int((np.ptp(picture.astype(int), axis=2) > 130).sum())


PLAYER = """
const video = document.getElementById("video");
const [play, speed, loop, mirror] = ["[title=Play]", "select", "button:nth-of-type(2)", "button:nth-of-type(3)"]
  .map((selector) => document.querySelector(`#player ${selector}`));
const done = arguments[0];
video.muted = true;
speed.value = "0.25";
speed.dispatchEvent(new Event("change"));
mirror.click();
video.currentTime = 0.5;
video.addEventListener("seeked", () => {
  loop.click();
  video.currentTime = 1;
  video.addEventListener("seeked", () => { loop.click(); play.click(); }, { once: true });
}, { once: true });
let returns = 0, before = 0;
video.addEventListener("timeupdate", () => {
  if (video.currentTime < before - 0.05) returns += 1;
  before = video.currentTime;
  if (returns === 2) {
    video.pause();
    const { transform } = getComputedStyle(video);
    done([video.playbackRate, video.preservesPitch, before >= 0.4, transform, loop.textContent]);
  }
})"""
