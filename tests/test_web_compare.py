"""An upload beside another one, or beside a video of the catalog, over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from catalog_tables import write_catalog_tables
from clips import numbered, write_clip
from web_server import RunningServer, running_server, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    output = tmp_path_factory.mktemp("out")
    write_catalog_tables(output)
    with running_server(tmp_path_factory.mktemp("web"), output=str(output)) as running:
        yield running


def uploaded(server: RunningServer, path: Path) -> str:
    """The id of an upload that is over."""
    headers = {"Content-Type": "video/mp4"}
    accepted = requests.post(server.url + "/v1/classify", data=path.read_bytes(), headers=headers, timeout=30)
    url = server.url + accepted.json()["url"]
    wait_until(lambda: requests.get(url, timeout=10).json()["state"] in ("done", "failed"), "the clip", seconds=60)
    return str(accepted.json()["video_id"])


@pytest.fixture(scope="module")
def takes(server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A take of five seconds, and one of four."""
    folder = tmp_path_factory.mktemp("clips")
    lengths = (50, 40)
    paths = [
        write_clip(folder / f"{n}.mp4", num_frames=n, frames_per_second=10, paint=lambda _: numbered(1))
        for n in lengths
    ]
    return uploaded(server, paths[0]), uploaded(server, paths[1])


def compare(server: RunningServer, video_id: str, **query: str) -> requests.Response:
    return requests.get(f"{server.url}/v1/videos/{video_id}/compare", params=query, timeout=30)


def test_two_takes_of_one_dance_are_together_all_the_time(server, takes) -> None:
    found = compare(server, takes[1], other=takes[0]).json()
    assert found["distance"] < 0.02
    assert found["seconds"] == found["other_seconds"]
    assert len(found["distances"]) == len(found["seconds"]) == 40
    assert (found["mirrored"], found["worst"], found["is_unlike"]) == (False, [], False)
    assert compare(server, takes[1], other=takes[0], mirrored="true").json()["mirrored"]


def test_a_take_is_compared_with_a_video_of_the_catalog(server, takes) -> None:
    found = requests.get(server.url + "/v1/search", timeout=10).json()["videos"]
    keys = {each["video_id"]: each["key"] for each in found}
    compared = compare(server, takes[0], catalog=keys["video <0>"]).json()
    assert compared["distance"] < 0.4  # the same arms, on circles of another size
    assert "not in view for long enough" in compare(server, takes[0], catalog=keys["video <1>"]).json()["detail"]
    assert compare(server, takes[0], catalog="0" * 24).status_code == 404


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ({}, 422, "give the video to compare with"),
        ({"other": "0" * 22}, 404, "no result with this id"),
        ({"other": "../../etc/passwd"}, 404, "no result with this id"),
        ({"catalog": "x"}, 422, "catalog"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(server, takes, query, status, detail) -> None:
    answer = compare(server, takes[0], **query)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


def test_an_upload_that_failed_is_not_compared(server, takes, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear reader, this is no video.")
    answer = compare(server, takes[0], other=uploaded(server, tmp_path / "letter.mp4"))
    assert (answer.status_code, answer.json()["detail"]) == (409, "an upload of the two failed")
