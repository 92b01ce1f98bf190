"""The pages in a real browser, served by `choreai serve` on Ray Serve: a dance clip as camera, an upload, a catalog.

axe-core finds what a screen reader's user would stumble over, here and on all pages in `test_web_pages.py`. It is not a
part of this project: CHOREAI_AXE names the axe.min.js to use (`npm install axe-core` brings one).
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests
import torch
from browser import CHROMEDRIVER, CHROMIUM, browser, look_like, write_camera
from catalog_tables import write_catalog_tables
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait
from web_server import wait_until

from choreai.motion.windows import WindowSettings
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.choice import settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.style.model import StyleModel, StyleModelConfig, save_model
from choreai.style.networks import build_network

CLIP = Path(__file__).parents[2] / "shared" / "data" / "videos" / "choreai_afro8.mp4"
AXE = os.environ.get("CHOREAI_AXE", "")
CHOREAI = (sys.executable, "-c", "from choreai.cli.main import run; run()")
STYLES = ("afro", "ballet", "salsa")
SCREENSHOTS = os.environ.get("CHOREAI_SCREENSHOTS", "")
"""A folder for screenshots, for people to look at."""

pytestmark = [
    pytest.mark.ray,
    pytest.mark.shared,
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on this machine"),
    pytest.mark.skipif(not CLIP.exists(), reason="../shared/data/videos is not there"),
]


@dataclass(frozen=True)
class Site:
    """A running `choreai serve`."""

    url: str
    data: Path
    pid: int


@pytest.fixture(scope="module")
def model_uri(real_poses: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of real networks that nobody has trained: it always says something, and always the same."""
    settings = settle(PoseSettings(estimator="auto"), read_file=objects.read_object)
    estimator = build_estimator(settings, read_file=objects.read_object)
    torch.manual_seed(3)
    networks = [build_network("report", num_labels=len(STYLES), hidden_size=16, dropout=0.0) for _ in range(2)]
    config = StyleModelConfig(
        labels=STYLES,
        pose_fingerprint=pose_fingerprint(settings, estimator),
        windows=WindowSettings(),
        network="report",
        hidden_size=16,
        num_members=2,
    )
    model = StyleModel(tuple(networks), config)
    uri = str(tmp_path_factory.mktemp("model") / model.model_version)
    save_model(uri, model)
    return uri


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, model_uri) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = tmp_path_factory.mktemp("out")
    write_catalog_tables(output)
    flags = {"--port": str(port), "--model": model_uri, "--data": str(data), "--output": str(output)}
    command = [*CHOREAI, "serve", *(word for flag in flags.items() for word in flag)]
    log = data.parent / "serve.log"
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as lines:
        server = subprocess.Popen(command, stdout=lines, stderr=lines, env=environment)
    try:
        site = Site(f"http://127.0.0.1:{port}", data, server.pid)
        wait_until(lambda: server.poll() is not None or _is_ready(site), f"the server; see {log}", seconds=150)
        assert server.poll() is None, log.read_text()[-3000:]
        yield site
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0, log.read_text()[-3000:]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    camera = tmp_path_factory.mktemp("camera") / "dance.y4m"
    write_camera(camera, CLIP)
    with browser(camera) as opened:
        yield opened


def _is_ready(site: Site) -> bool:
    try:
        return requests.get(f"{site.url}/ready", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def element(driver: webdriver.Chrome, name: str):
    return driver.find_element(By.ID, name)


def wait_for(driver: webdriver.Chrome, is_so, *, seconds: float = 120.0):
    redrawn = [StaleElementReferenceException]  # between finding an element and asking it
    return WebDriverWait(driver, seconds, poll_frequency=0.2, ignored_exceptions=redrawn).until(is_so)


def screenshot(driver: webdriver.Chrome, name: str) -> None:
    if SCREENSHOTS:
        driver.save_screenshot(str(Path(SCREENSHOTS) / f"{name}.png"))


def test_a_dancer_before_the_camera_sees_skeleton_style_and_gauges(site, driver) -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(site.url)
    element(driver, "camera").click()
    signal_line = element(driver, "signal")
    wait_for(driver, lambda _: int(signal_line.get_attribute("data-count") or 0) >= 40)
    assert element(driver, "overlay").get_attribute("data-people") == "1"
    assert driver.execute_script(LIT_PIXELS) > 500  # of the overlay's: a skeleton is drawn there
    wait_for(driver, lambda _: element(driver, "verdict").text in STYLES)
    shares = driver.execute_script(SHARES)
    assert sum(int(share.removesuffix(" %")) for share in shares) == pytest.approx(100, abs=2)
    wait_for(driver, lambda _: driver.execute_script(NUM_MEASURED) >= 2)  # fluidity takes longer where pictures are few
    wait_for(driver, lambda _: driver.execute_script(TIMELINE_COLORS) >= 2)
    screenshot(driver, "live-light")
    look_like(driver, size_wh=(390, 844), dark=True)
    screenshot(driver, "live-phone-dark")
    median, p95 = (int(signal_line.get_attribute(f"data-{name}")) for name in ("median", "p95"))
    print(f"delay from camera frame to drawn skeleton: median {median} ms, 95th percentile {p95} ms")
    element(driver, "stop").click()
    assert element(driver, "overlay").get_attribute("data-people") == "0"
    assert not element(driver, "problem").is_displayed()
    _no_complaints(driver)


SHARES = "return [...document.querySelectorAll('#scores .number')].map((share) => share.textContent)"
"""Read at once: the page draws them anew for every answer."""
LIT_PIXELS = """
const c = document.getElementById("overlay");
return c.getContext("2d").getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v > 0).length"""
AUDIBLE = """
const video = document.getElementById("video");
return video.muted ? 0 : video.webkitAudioDecodedByteCount"""
NUM_MEASURED = "return [...document.querySelectorAll('#gauges .value')].filter((e) => e.textContent !== '–').length"
NAMES = "return [...document.querySelectorAll('.tile b')].map((name) => name.textContent)"
CLICK = "const found = document.querySelector(arguments[0]); found?.click(); return Boolean(found)"
TIMELINE_COLORS = """
const c = document.getElementById("timeline");
const data = c.getContext("2d").getImageData(c.width - 40, 0, 20, c.height).data;
const seen = new Set();
for (let i = 0; i < data.length; i += 4) seen.add(data.slice(i, i + 3).join());
return seen.size"""


def test_a_dancer_goes_on_after_the_process_that_sees_them_was_killed(site, driver) -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(site.url)
    element(driver, "camera").click()
    signal_line = element(driver, "signal")
    wait_for(driver, lambda _: int(signal_line.get_attribute("data-count") or 0) >= 5)
    replicas = [p for p in psutil.Process(site.pid).children(recursive=True) if "PoseDeployment" in p.name()]
    assert replicas
    for replica in replicas:
        replica.kill()
    before = int(signal_line.get_attribute("data-count"))
    wait_for(driver, lambda _: int(signal_line.get_attribute("data-count")) >= before + 10)
    assert not element(driver, "problem").is_displayed()
    element(driver, "stop").click()


def test_a_local_video_file_can_be_played_before_the_live_page(site, driver) -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(site.url)
    element(driver, "file").send_keys(str(CLIP))
    signal_line = element(driver, "signal")
    wait_for(driver, lambda _: int(signal_line.get_attribute("data-count") or 0) >= 10)
    assert element(driver, "overlay").get_attribute("data-people") == "1"
    wait_for(driver, lambda _: driver.execute_script(AUDIBLE) > 1000)
    element(driver, "mute").click()
    assert driver.execute_script("return document.getElementById('video').muted")
    assert element(driver, "mute").text == "Sound on"
    element(driver, "stop").click()


def test_an_uploaded_video_leads_to_its_result(site, driver) -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(site.url)
    element(driver, "upload-file").send_keys(str(CLIP))
    wait_for(driver, lambda _: "/videos/" in driver.current_url)
    wait_for(driver, lambda _: driver.find_elements(By.CSS_SELECTOR, ".verdict"))  # the answer, before the pictures
    wait_for(driver, lambda _: element(driver, "player").is_displayed(), seconds=120)
    assert element(driver, "title").text == CLIP.name
    assert driver.find_element(By.CSS_SELECTOR, ".verdict").text in STYLES
    assert driver.find_elements(By.CSS_SELECTOR, ".segments button")
    wait_for(driver, lambda _: driver.execute_script("return document.getElementById('video').readyState") >= 2)
    driver.execute_script("document.getElementById('video').play()")
    wait_for(driver, lambda _: driver.execute_script(AUDIBLE) > 1000)
    for link in driver.find_elements(By.CSS_SELECTOR, "#downloads a"):
        answer = requests.get(link.get_attribute("href"), timeout=30)
        assert answer.status_code == 200
        assert len(answer.content) > 500
    screenshot(driver, "result-light")
    if AXE:
        _is_accessible(driver)
    _no_complaints(driver)
    assert not list(site.data.rglob("upload"))


def test_a_corrupt_upload_gets_a_clear_message(site, driver, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(CLIP.read_bytes()[:50_000])
    driver.get(site.url)
    element(driver, "upload-file").send_keys(str(broken))
    problem = wait_for(driver, lambda _: "/videos/" in driver.current_url and element(driver, "problem"))
    wait_for(driver, lambda _: problem.is_displayed())
    assert "truncated" in problem.text
    not_a_video = tmp_path / "letter.mp4"
    not_a_video.write_text("Dear reader, this is no video.")
    driver.get(site.url)
    element(driver, "upload-file").send_keys(str(not_a_video))
    problem = wait_for(driver, lambda _: "/videos/" in driver.current_url and element(driver, "problem"))
    wait_for(driver, lambda _: "text" in problem.text)


def test_a_curator_finds_a_video_sees_why_and_corrects_it(site, driver) -> None:
    look_like(driver, size_wh=(1280, 1000), dark=False)
    driver.get(site.url + "/catalog")
    wait_for(driver, lambda _: driver.execute_script(NAMES) == [f"video <{i}>" for i in range(4)])
    loaded = "return document.querySelector('.tile img').naturalWidth > 0"
    wait_for(driver, lambda _: driver.execute_script(loaded))
    wait_for(driver, lambda _: driver.execute_script(CLICK, "[data-value='style ballet']"))
    wait_for(driver, lambda _: len(driver.find_elements(By.CSS_SELECTOR, ".tile")) == 1)
    assert "style=ballet" in driver.current_url
    driver.find_element(By.NAME, "q").send_keys("nonsense > 3", Keys.ENTER)
    wait_for(driver, lambda _: "nonsense" in element(driver, "problem").text)

    driver.get(site.url + "/catalog")
    wait_for(driver, lambda _: driver.execute_script(CLICK, ".tile a"))
    wait_for(driver, lambda _: element(driver, "shown").is_displayed())
    assert element(driver, "title").text == "video <0>"
    assert driver.find_element(By.CSS_SELECTOR, ".why").text == "Hands up."
    wait_for(driver, lambda _: (driver.execute_script(LIT_PIXELS) or 0) > 100)  # the skeleton, over the video itself
    driver.find_element(By.NAME, "style").send_keys("salsa")
    driver.find_element(By.CSS_SELECTOR, "#correct [name=reviewer]").send_keys("Ana")
    if AXE:
        _is_accessible(driver)
    driver.find_element(By.CSS_SELECTOR, "#correct button[type=submit]").click()
    question = wait_for(driver, expected_conditions.alert_is_present())
    assert "no style 'salsa' is known here" in question.text
    question.accept()
    wait_for(driver, lambda _: driver.find_element(By.CSS_SELECTOR, ".verdict").text == "salsa")
    assert "Corrected by Ana; the model predicted hiphop" in element(driver, "tag").text


def test_the_page_can_be_used_by_keyboard_alone(site, driver) -> None:
    driver.get(site.url)
    seen = []
    for _ in range(16):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        seen.append(driver.execute_script("return document.activeElement.id || document.activeElement.textContent"))
    assert seen[0] == "Skip to the content"
    assert {"camera", "file", "upload-file"} <= set(seen)


def _is_accessible(driver: webdriver.Chrome) -> None:
    driver.execute_script(Path(AXE).read_text())
    found = driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps([(each["id"], [n["html"] for n in each["nodes"]]) for each in serious], indent=1)


def _no_complaints(driver: webdriver.Chrome) -> None:
    """Nothing that a page did was an error or against its policy."""
    severe = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe, severe
