"""Who dances, in the web application: everybody is listed and can be pointed at, and whoever is named is kept."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from browser import CHROMEDRIVER, CHROMIUM, browser, look_like
from moving_skeletons import FINGERPRINT
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tag_rows import tag_row, write_tags
from test_web_browser import AXE, _is_accessible, _no_complaints, screenshot
from two_dancers import write_duo
from web_server import RunningServer, running_server

from choreai.search.dancer_reviews import read_dancer_reviews
from choreai.style.tagging import DANCER_UNCERTAIN

SPANS = [
    {"start_seconds": 3.0 * n, "stop_seconds": 3.0 * n + 3, "track_id": n, "style": "house", "score": 0.9}
    for n in (0, 1)
]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    root = tmp_path / "out"
    root.mkdir()
    write_duo(root)
    uri = str(root / "duo.mp4")
    tag = tag_row(
        "duo",
        "house",
        0.9,
        uri=uri,
        content_id="c",
        pose_fingerprint=FINGERPRINT,
        reason=DANCER_UNCERTAIN,
        model="arms",
    )
    write_tags(str(root), [{**tag, "segments": SPANS}])
    return root


@pytest.fixture
def server(tmp_path: Path, output: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "web", output=str(output)) as running:
        yield running


@pytest.fixture
def url(server: RunningServer) -> str:
    (video,) = requests.get(f"{server.url}/v1/search", timeout=10).json()["videos"]
    return f"{server.url}/v1/catalog/{video['key']}"


def get(url: str) -> Any:
    return requests.get(url, timeout=10).json()


def name(url: str, *track_ids: int, reviewer: str = "Kim") -> requests.Response:
    return requests.post(f"{url}/dancers", json={"track_ids": track_ids, "reviewer": reviewer}, timeout=10)


def who_dances(url: str) -> set[int]:
    frames = get(f"{url}/keypoints")
    return {person["track_id"] for frame in frames for person in frame["people"] if person["dances"]}


def test_everybody_is_listed_with_what_tells_them_apart(url) -> None:
    found = get(f"{url}/people")
    assert {person["track_id"] for person in found["people"]} == {0, 1}
    assert found["named"] is None
    for person in found["people"]:
        assert person["seconds"] == pytest.approx(6, abs=0.1)
        assert 0.4 < person["height_share"] < 0.9


def test_whoever_is_named_dances_at_once_on_the_page_and_is_kept_for_the_next_tagging(url, output) -> None:
    for track_ids in ([1], [0], [0, 1]):
        assert name(url, *track_ids).status_code == 201
        assert who_dances(url) == set(track_ids)
        assert get(f"{url}/people")["named"] == track_ids
        named = read_dancer_reviews(str(output)).get("duo", "c")
        assert named is not None
        assert (named.track_ids, named.pose_fingerprint, named.reviewer) == (track_ids, FINGERPRINT, "Kim")
    video = get(url)
    assert (video["dancers_by"], video["corrected_by"], video["style"]) == ("Kim", None, "house")
    assert video["dancers_at"] > video["tagged_at"]
    assert name(url).status_code == 201
    assert get(f"{url}/people")["named"] is None
    assert get(url)["dancers_by"] is None


def test_what_the_next_tagging_will_say_is_said_at_once_where_the_model_is_the_same(url, output) -> None:
    for track_id, style in ((0, "clockwise"), (1, "counter")):
        name(url, track_id)
        tag = get(f"{url}/named-tag")["tag"]
        assert tag["best_style"] == style
    assert get(url)["style"] == "house"  # until then


def test_another_models_tag_is_not_foretold(tmp_path: Path, output) -> None:
    write_tags(str(output), [tag_row("duo", content_id="c", pose_fingerprint=FINGERPRINT, night=5, model="another")])
    with running_server(tmp_path / "web", output=str(output)) as server:
        (video,) = requests.get(f"{server.url}/v1/search", timeout=10).json()["videos"]
        assert get(f"{server.url}/v1/catalog/{video['key']}/named-tag") == {"tag": None}


def test_its_still_is_drawn_anew_for_another_dancer(url, server) -> None:
    pictures = []
    for track_ids in ([0], [1]):
        name(url, *track_ids)
        pictures.append(requests.get(f"{url}/still.jpg", timeout=10).content)
        assert requests.get(f"{url}/still.jpg", timeout=10).content == pictures[-1]
    assert pictures[0] != pictures[1]
    assert len(list(server.settings.stills_folder.glob("*.jpg"))) == 2


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"track_ids": [7], "reviewer": "Kim"}, "nobody in this video has the id 7"),
        ({"track_ids": [0], "reviewer": " "}, "a reviewer is needed"),
        ({"track_ids": [-1], "reviewer": "Kim"}, "track_ids"),
        ({"track_ids": "all", "reviewer": "Kim"}, "track_ids"),
        ({"track_ids": [0]}, "reviewer"),
        ({"reviewer": "Kim"}, "track_ids"),
        ({"track_ids": list(range(51)), "reviewer": "Kim"}, "track_ids"),
    ],
)
def test_a_naming_that_cannot_be_meant_is_refused_and_nothing_is_kept(url, output, wrong, problem) -> None:
    answer = requests.post(f"{url}/dancers", json=wrong, timeout=10)
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]
    assert not read_dancer_reviews(str(output))


def test_a_page_of_another_site_names_nobody(url, output) -> None:
    answer = requests.post(
        f"{url}/dancers",
        json={"track_ids": [0], "reviewer": "x"},
        headers={"Origin": "https://evil.example"},
        timeout=10,
    )
    assert answer.status_code == 403
    assert not read_dancer_reviews(str(output))


@pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on this machine")
def test_a_curator_points_at_the_dancer(url, output, tmp_path: Path) -> None:
    with browser(tmp_path / "no-camera.y4m") as driver:
        look_like(driver, size_wh=(1280, 1100), dark=False)
        driver.get(url.replace("/v1/", "/"))
        _wait_for(driver, lambda _: driver.find_element(By.ID, "who").is_displayed())
        assert "Several people, dancer uncertain." in driver.find_element(By.ID, "tag").text
        save = driver.find_element(By.ID, "these-dance")
        assert not save.is_enabled()
        _wait_for(driver, lambda _: driver.execute_script("return document.getElementById('video').readyState") >= 2)
        driver.find_element(By.ID, "point").click()
        boxes = _wait_for(driver, lambda _: driver.find_elements(By.CSS_SELECTOR, "#pointing button"))
        lefts = {box.text: box.rect["x"] for box in boxes}
        assert lefts["0"] < lefts["1"]
        next(box for box in boxes if box.text == "1").click()
        assert [
            e.is_selected() for e in driver.find_elements(By.CSS_SELECTOR, "#people input") if _value(e) == "1"
        ] == [True]
        if AXE:
            _is_accessible(driver)
        screenshot(driver, "who-dances-light")
        save.click()  # without a name the browser asks for one
        assert not read_dancer_reviews(str(output))
        driver.find_element(By.CSS_SELECTOR, "#name-dancers [name=reviewer]").send_keys("Kim")
        save.click()
        state = driver.find_element(By.ID, "who-state")
        _wait_for(driver, lambda _: "Named by Kim" in state.text)
        assert "the next run of choreai tag makes it anew" in state.text
        _wait_for(driver, lambda _: "It will be counter" in state.text)
        named = read_dancer_reviews(str(output)).get("duo", "c")
        assert named is not None
        assert named.track_ids == [1]
        _wait_for(driver, lambda _: _sides(driver) == (False, True))
        look_like(driver, size_wh=(390, 900), dark=True)
        screenshot(driver, "who-dances-phone-dark")
        if AXE:
            _is_accessible(driver)
        driver.find_element(By.ID, "choose-again").click()
        _wait_for(driver, lambda _: "Named" not in state.text)
        _no_complaints(driver)


def _wait_for(driver: webdriver.Chrome, is_so: Any) -> Any:
    return WebDriverWait(driver, 30, poll_frequency=0.2).until(is_so)


def _value(element: Any) -> str:
    return str(element.get_attribute("value"))


def _sides(driver: webdriver.Chrome) -> tuple[bool, bool]:
    """Whether anything in colour is drawn over the left and over the right half of the picture."""
    time.sleep(0.2)
    colours = driver.execute_script(
        """const c = document.getElementById("overlay");
        return [0, c.width / 2].map((x) => {
          const d = c.getContext("2d").getImageData(x, 0, c.width / 2, c.height).data;
          let n = 0;
          for (let i = 0; i < d.length; i += 4) {
            const rgb = d.slice(i, i + 3);
            n += d[i + 3] > 200 && Math.max(...rgb) - Math.min(...rgb) > 90;
          }
          return n; })"""
    )
    left, right = np.array(colours) > 100
    return bool(left), bool(right)
