"""A headless Chromium with a fake camera, driven through ChromeDriver."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from choreai.video.decode import VideoReader

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip


@contextmanager
def browser(camera: Path) -> Iterator[webdriver.Chrome]:
    """A browser whose camera shows `camera`, a .y4m file, over and over."""
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*_FLAGS, f"--use-file-for-fake-video-capture={camera}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def look_like(driver: webdriver.Chrome, *, size_wh: tuple[int, int], dark: bool) -> None:
    """The window's size and the colour scheme that its user prefers."""
    width, height = size_wh
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def write_camera(path: Path, clip: Path, *, size_wh: tuple[int, int] = (640, 480), frames_per_second: int = 25) -> None:
    """A .y4m file of a clip in a camera's format, black beside it where it is narrower."""
    width, height = size_wh
    with path.open("wb") as target, clip.open("rb") as file, VideoReader(file, uri=clip.name) as reader:
        target.write(f"YUV4MPEG2 W{width} H{height} F{frames_per_second}:1 Ip A1:1 C420jpeg\n".encode())
        scale = min(width / reader.info.width, height / reader.info.height)
        fitted = round(reader.info.width * scale), round(reader.info.height * scale)
        left, top = (width - fitted[0]) // 2, (height - fitted[1]) // 2
        for frame in reader.sample(frames_per_second=frames_per_second):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[top : top + fitted[1], left : left + fitted[0]] = cv2.resize(frame.image, fitted)
            target.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
