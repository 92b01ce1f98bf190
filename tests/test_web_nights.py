"""The nights in the web application: pages and JSON, without the server's paths, and only for who may see them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from catalog_tables import RUN_ID, write_catalog_tables, write_night
from web_server import RunningServer, running_server

from choreai.web.catalog import CatalogBrowser
from choreai.web.nights import KEEP_SECONDS

QUIET = "20261102T030000Z-bbbbbb"


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    write_catalog_tables(folder)
    write_night(folder)
    write_night(folder, QUIET, num_done_before=4)
    return folder


@pytest.fixture(scope="module")
def server(output, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("web"), output=str(output)) as running:
        yield running


def test_the_nights_are_there_as_a_page_and_as_json(server, output) -> None:
    page = requests.get(f"{server.url}/nights", timeout=30)
    assert page.status_code == 200
    assert f'href="/nights/{RUN_ID}"' in page.text
    assert 'aria-current="page">Nights' in page.text
    assert str(output) not in page.text
    found = requests.get(f"{server.url}/v1/nights", timeout=30).json()
    assert [night["run_id"] for night in found["nights"]] == [QUIET, RUN_ID]
    assert found["nights"][1]["styles"] == {"hiphop": 2, "ballet": 1, "unknown": 1}
    assert "catalog" not in found["nights"][0]


def test_a_night_leads_to_its_videos(server, output) -> None:
    page = requests.get(f"{server.url}/nights/{RUN_ID}", timeout=30)
    found = requests.get(f"{server.url}/v1/nights/{RUN_ID}", timeout=30)
    assert str(output) not in page.text + found.text
    videos = found.json()["videos"]
    assert [video["video_id"] for video in videos] == [f"video <{n}>" for n in (3, 2, 1, 0)]  # the least sure first
    assert requests.get(f"{server.url}/v1/catalog/{videos[0]['key']}", timeout=30).json()["video_id"] == "video <3>"
    assert f'href="/catalog/{videos[0]["key"]}#t=2.0"' in page.text


@pytest.mark.parametrize("path", ["/nights", f"/nights/{RUN_ID}"])
def test_no_page_needs_more_than_the_policy_of_all_pages_allows(server, path) -> None:
    answer = requests.get(server.url + path, timeout=30)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "style=" not in answer.text
    assert requests.get(f"{server.url}/static/report.css", timeout=30).headers["Content-Type"].startswith("text/css")


@pytest.mark.parametrize("run_id", ["20990101T030000Z-aaaaaa", "..%2f..", "x"])
def test_a_run_that_is_not_there_is_said(server, run_id) -> None:
    assert requests.get(f"{server.url}/v1/nights/{run_id}", timeout=30).status_code in (404, 422)
    assert requests.get(f"{server.url}/nights/{run_id}", timeout=30).status_code in (404, 422)


def test_without_runs_or_tables_the_page_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with running_server(tmp_path / "web", output=str(tmp_path / "out")) as empty:
        assert "no runs here yet" in requests.get(f"{empty.url}/nights", timeout=30).text
        assert requests.get(f"{empty.url}/v1/nights", timeout=30).json() == {"currency": None, "nights": []}
    with running_server(tmp_path / "web2") as bare:
        answer = requests.get(f"{bare.url}/nights", headers={"Accept": "text/html"}, timeout=30)
        assert answer.status_code == 404
        assert "--output" in answer.text


def test_a_stranger_sees_no_night(output, tmp_path: Path) -> None:
    with running_server(tmp_path / "web", token="correct horse", output=str(output)) as locked:
        for path in ("/nights", f"/nights/{RUN_ID}"):
            answer = requests.get(locked.url + path, headers={"Accept": "text/html"}, timeout=30, allow_redirects=False)
            assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={path}")
            assert requests.get(f"{locked.url}/v1{path}", timeout=30).status_code == 401


def test_the_nights_are_read_again_after_a_while(tmp_path: Path) -> None:
    times = [0.0]
    write_night(tmp_path)
    browser = CatalogBrowser(str(tmp_path), tmp_path / "stills", clock=lambda: times[-1])
    counts = []
    for seconds in (0.0, KEEP_SECONDS - 1, KEEP_SECONDS + 1):
        times.append(seconds)
        found = browser.nights()
        counts.append(0 if found is None else len(found.nights))
        write_night(tmp_path, QUIET)
    assert counts == [1, 1, 2]
