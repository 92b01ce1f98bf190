"""The catalog in the web application: found by expression, shown with its pictures, corrected by people."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from catalog_tables import SIZE_WH, write_catalog_tables
from motion_tables import rows_of, write_output
from moving_skeletons import STYLES, dancer_xy
from PIL import Image
from tag_rows import tag_row, write_tags
from web_server import RunningServer, running_server

from choreai.catalog.catalog import read_catalog
from choreai.pipeline.embed import embed_missing
from choreai.search.corrections import read_corrections
from choreai.search.search import Search, find_tags
from choreai.search.tag_database import open_tag_database
from choreai.style.model import load_model
from choreai.tables.compact import compact
from choreai.web.catalog import CatalogBrowser
from choreai.web.catalog_search import Page, Query


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("out")
    write_catalog_tables(root)
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, output) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("web"), output=str(output)) as running:
        yield running


def get(server: RunningServer, path: str, **parameters: Any) -> requests.Response:
    return requests.get(f"{server.url}/v1{path}", params=parameters, timeout=10)


def key_of(server: RunningServer, video_id: str) -> str:
    return get(server, "/search", q=f'video_id = "{video_id}"').json()["videos"][0]["key"]


def test_a_search_finds_what_the_command_line_finds_best_first(server, output) -> None:
    expression = "style = hiphop and tempo > 80"
    page = get(server, "/search", q=expression).json()
    with open_tag_database(str(output)) as database:
        parts = find_tags(database, Search(expression), with_details=False)
        expected = [row["video_id"] for part in parts for row in part.to_pylist()]
    assert [video["video_id"] for video in page["videos"]] == expected == ["video <0>", "video <3>"]
    assert page["total"] == 2
    assert page["styles"] == ["ballet", "hiphop"]


def test_pages_follow_each_other_without_gap_or_double(server) -> None:
    seen = [get(server, "/search", offset=offset, limit=1).json()["videos"][0]["video_id"] for offset in range(4)]
    assert seen == [f"video <{number}>" for number in range(4)]
    assert get(server, "/search", offset=4, limit=1).json()["videos"] == []


@pytest.mark.parametrize("expression", ["style =", "nonsense > 3", "score > high", "(((", "' or 1=1"])
def test_a_wrong_expression_is_explained(server, expression) -> None:
    answer = get(server, "/search", q=expression)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.json()["detail"]) > 10


def test_a_video_comes_with_all_that_is_known_of_it(server) -> None:
    found = get(server, f"/catalog/{key_of(server, 'video <1>')}").json()
    assert (found["video_id"], found["style"], found["unknown"]) == ("video <1>", "ballet", False)
    assert found["segments"][0]["stop_seconds"] == 5.0
    assert found["reasons"][0]["sentence"] == "hands up"
    assert found["kinematics"]["beats_per_minute"] == 100.0
    assert found["kinematics"]["hands_speed_mean"] is None
    assert "uri" not in found
    assert found["input_quality"] is None


def test_its_skeletons_come_by_time(server) -> None:
    frames = get(server, f"/catalog/{key_of(server, 'video <0>')}/keypoints").json()
    assert [frame["seconds"] for frame in frames[:3]] == [0.0, 0.125, 0.25]
    assert len(frames) == 40
    expected = dancer_xy("clockwise", seed=0, num_frames=40, frames_per_second=8)[2, 9]
    assert frames[2]["people"][0]["keypoints"][27:29] == pytest.approx(expected.tolist(), abs=0.01)


def test_its_still_is_a_picture_made_once(server) -> None:
    key = key_of(server, "video <0>")
    first = get(server, f"/catalog/{key}/still.jpg")
    assert first.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(first.content)).size == SIZE_WH
    assert len(list(server.settings.stills_folder.glob(f"{key}*.jpg"))) == 1
    assert get(server, f"/catalog/{key}/still.jpg").content == first.content


def test_a_video_that_is_gone_has_no_picture_but_still_its_tag(server) -> None:
    key = key_of(server, "video <1>")
    assert get(server, f"/catalog/{key}").status_code == 200
    for name in ("still.jpg", "media"):
        answer = get(server, f"/catalog/{key}/{name}")
        assert answer.status_code == 404
        assert "gone.mp4" not in answer.text


def test_the_video_itself_is_sent_whole_or_in_the_range_asked_for(server, output) -> None:
    url = f"{server.url}/v1/catalog/{key_of(server, 'video <0>')}/media"
    data = (output / "dance & <b>.mp4").read_bytes()
    whole = requests.get(url, timeout=10)
    assert (whole.status_code, whole.content) == (200, data)
    for asked, expected in (("5-9", data[5:10]), (f"{len(data) - 3}-", data[-3:]), ("-4", data[-4:])):
        part = requests.get(url, headers={"Range": f"bytes={asked}"}, timeout=10)
        assert (part.status_code, part.content) == (206, expected)
    for asked in (f"{len(data)}-", "9-5", "-", "0-1,5-6", "x"):
        assert requests.get(url, headers={"Range": f"bytes={asked}"}, timeout=10).status_code == 416
    for headers, status in (
        ({"Range": "lines=5-9"}, 200),
        ({"Range": "bytes=5-9", "If-Range": whole.headers["ETag"]}, 206),
        ({"Range": "bytes=5-9", "If-Range": '"of another version"'}, 200),
    ):
        assert requests.get(url, headers=headers, timeout=10).status_code == status


def test_only_videos_are_sent_whatever_a_catalog_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    write_tags(str(tmp_path / "out"), [tag_row("a", uri=str(secret))])
    with running_server(tmp_path / "web", output=str(tmp_path / "out")) as server:
        answer = get(server, f"/catalog/{key_of(server, 'a')}/media")
    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize("key", ["0" * 24, "x" * 24, "0" * 23, "../../etc"])
def test_a_key_that_there_is_not_gives_nothing(server, key) -> None:
    for path in ("", "/still.jpg", "/keypoints", "/media"):
        assert get(server, f"/catalog/{key}{path}").status_code in (404, 422)


def test_a_correction_counts_at_once_here_and_in_the_search_command(server, output) -> None:
    key = key_of(server, "video <3>")
    correction = {"style": "ballet", "reviewer": "Ana", "note": "see the arms"}
    answer = requests.post(f"{server.url}/v1/catalog/{key}/corrections", json=correction, timeout=10)
    assert answer.status_code == 201
    found = get(server, f"/catalog/{key}").json()
    assert (found["style"], found["corrected_by"], found["best_style"]) == ("ballet", "Ana", "hiphop")
    with open_tag_database(str(output)) as database:
        (table,) = find_tags(database, Search('corrected and style = "ballet"'), with_details=False)
    assert table["video_id"].to_pylist() == ["video <3>"]


def test_a_misspelt_correction_is_asked_about_and_another_spelling_is_the_same_style(server) -> None:
    corrections = f"{server.url}/v1/catalog/{key_of(server, 'video <3>')}/corrections"
    asked = requests.post(corrections, json={"style": "balet", "reviewer": "Ana"}, timeout=10)
    assert asked.status_code == 409
    assert "no style 'balet' is known here; did you mean 'ballet'?" in asked.json()["detail"]
    same = requests.post(corrections, json={"style": "BALLET ", "reviewer": "Ana"}, timeout=10)
    assert (same.status_code, same.json()["style"]) == (201, "ballet")


@pytest.mark.parametrize(
    "wrong", [{}, {"style": "x"}, {"style": " ", "reviewer": "a"}, {"style": "x" * 200, "reviewer": "a"}]
)
def test_a_correction_without_a_style_or_a_name_is_refused(server, wrong) -> None:
    key = key_of(server, "video <1>")
    answer = requests.post(f"{server.url}/v1/catalog/{key}/corrections", json=wrong, timeout=10)
    assert answer.status_code == 422


def found_in(browser: CatalogBrowser) -> Page:
    page = browser.search(Query(), offset=0, limit=10)
    assert isinstance(page, Page)
    return page


def test_new_tags_are_seen_after_a_while(tmp_path: Path) -> None:
    now = 0.0
    browser = CatalogBrowser(
        str(tmp_path / "out"), tmp_path / "stills", clock=lambda: now, in_background=lambda work: work()
    )
    totals = []
    for number in range(3):
        totals.append(found_in(browser).total)
        write_tags(str(tmp_path / "out"), [tag_row(str(number))], part_id=str(number))
        now += 100
    assert totals == [0, 1, 2]


def test_nobody_waits_while_the_tables_are_read_again_and_no_correction_is_lost_meanwhile(tmp_path: Path) -> None:
    root, now = str(tmp_path / "out"), 0.0
    waiting: list[Callable[[], None]] = []
    write_tags(root, [tag_row("0")], part_id="0")
    browser = CatalogBrowser(root, tmp_path / "stills", clock=lambda: now, in_background=waiting.append)
    (old,) = found_in(browser).videos
    write_tags(root, [tag_row("1")], part_id="1")
    now = 100.0
    assert found_in(browser).total == found_in(browser).total == 1
    (read_again,) = waiting
    browser.correct([old["key"]], style="salsa", reviewer="Ana", note="")
    read_again()
    assert {video["video_id"]: video["style"] for video in found_in(browser).videos} == {"0": "salsa", "1": "hiphop"}


def test_a_video_is_found_though_its_part_was_compacted_since(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    for number in range(3):
        write_tags(root, [tag_row(str(number))], part_id=str(number))
    browser = CatalogBrowser(root, tmp_path / "stills")
    keys = [video["key"] for video in found_in(browser).videos]
    assert any(done.num_rows_moved for done in compact(root))
    for key in keys:
        video = browser.video(key)
        assert video is not None
        assert video["style"] == "hiphop"


def test_a_server_without_tables_says_so(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        answer = get(server, "/search")
    assert answer.status_code == 404
    assert "--output" in answer.json()["detail"]


def test_counts_are_of_what_is_found_each_without_its_own_filter(server) -> None:
    facets = get(server, "/facets", style="ballet", q="score > 0.65").json()
    assert {each["value"]: each["count"] for each in facets["style"]} == {"hiphop": 1, "ballet": 1, "unknown": 1}
    assert [each["value"] for each in facets["bins"]["score"] if each["count"]] == ["0.8"]
    tempos = {each["value"]: (each["to"], each["count"]) for each in facets["bins"]["tempo"]}
    assert tempos["100"] == (110, 1)
    assert sum(count for _, count in tempos.values()) == 1
    assert facets["day"] == [{"value": "2026-11-01", "count": 1}]
    assert {"score", "tempo", "hands_up_share", "corrected_at"} <= set(facets["names"])


def test_filters_narrow_the_search_and_anything_sorts_it(server) -> None:
    def names(**view: Any) -> list[str]:
        return [video["video_id"] for video in get(server, "/search", **view).json()["videos"]]

    assert names(sort="tempo", style=["hiphop", "ballet"]) == ["video <0>", "video <1>", "video <3>"]
    assert names(sort="-tempo", score=["0.8", "0.9"]) == ["video <1>", "video <0>"]
    assert names(day="2026-11-01", reviewed="no", tempo="90") == ["video <0>"]
    assert names(sort="-hands_up_share")[0] == "video <0>"  # unknown of all: by name


@pytest.mark.parametrize("view", [{"score": "0.83"}, {"reviewed": "perhaps"}, {"sort": "nonsense"}, {"sort": "-"}])
def test_a_filter_or_an_order_that_there_is_not_is_refused(server, view) -> None:
    assert get(server, "/search", **view).status_code == get(server, "/facets", **view).status_code == 400


def test_many_are_corrected_at_once_exported_and_taken_back(tmp_path: Path) -> None:
    write_catalog_tables(tmp_path)
    with running_server(tmp_path / "web", output=str(tmp_path)) as server:
        api = f"{server.url}/v1"
        keys = [video["key"] for video in get(server, "/search").json()["videos"]]
        correction = {"keys": keys[:2], "style": "hiphop", "reviewer": "Ana", "note": "at once"}
        stored = requests.post(f"{api}/corrections", json=correction, timeout=10)
        assert (stored.status_code, stored.json()["count"]) == (201, 2)
        reviewers = [video["corrected_by"] for video in get(server, "/search").json()["videos"]]
        assert reviewers == ["Ana", "Ana", None, None]
        lines = get(server, "/search.csv", style="hiphop", sort="video_id").text.splitlines()
        assert lines[0].startswith("video_id,uri,style,")
        assert [line.split(",")[0] for line in lines[1:]] == ["video <0>", "video <1>", "video <3>"]
        chosen = requests.post(f"{api}/selection.csv", json={"keys": keys[1:3]}, timeout=10)
        assert chosen.headers["Content-Type"].startswith("text/csv")
        assert [line.split(",")[0] for line in chosen.text.splitlines()[1:]] == ["video <1>", "video <2>"]
        (name,) = [path.stem.removeprefix("part-") for path in (tmp_path / "corrections").glob("*.parquet")]
        assert name == stored.json()["undo"]
    with running_server(tmp_path / "web", output=str(tmp_path)) as server:  # started again
        api = f"{server.url}/v1"
        undone = requests.post(f"{api}/corrections/undo", json={"undo": name, "reviewer": "Bo"}, timeout=10)
        assert undone.json()["count"] == 2
        assert requests.post(f"{api}/corrections/undo", json={"undo": name}, timeout=10).status_code == 404
        styles = [video["style"] for video in get(server, "/search").json()["videos"]]
        assert styles == ["hiphop", "ballet", "unknown", "hiphop"]
        assert len(read_corrections(str(tmp_path))) == 0
        again = requests.post(f"{api}/corrections/undo", json={"undo": undone.json()["undo"]}, timeout=10)
        assert again.json()["count"] == 2  # the undoing is undone
        assert [video["corrected_by"] for video in get(server, "/search").json()["videos"]].count("Ana") == 2
    assert [row["reviewer"] for row in read_corrections(str(tmp_path)).to_pylist()] == ["Ana", "Ana"]


@pytest.mark.parametrize("name", ["../tags", "0" * 16, "part", ""])
def test_what_is_no_correction_cannot_be_taken_back(server: RunningServer, name: str) -> None:
    assert requests.post(f"{server.url}/v1/corrections/undo", json={"undo": name}, timeout=10).status_code == 404


def test_what_is_found_is_exported_as_parquet_and_as_a_catalog_with_reviewers_labels_only(
    server: RunningServer, output: Path, tmp_path: Path
) -> None:
    found = get(server, "/search.parquet", q="score > 0.65", sort="video_id").content
    table = pq.read_table(io.BytesIO(found))
    assert table["video_id"].to_pylist() == [f"video <{number}>" for number in range(3)]
    assert b"choreai" in table.schema.metadata[b"choreai.about"]
    key = key_of(server, "video <2>")
    correction = {"style": "ballet", "reviewer": "Ana", "note": "not dance at first sight"}
    assert requests.post(f"{server.url}/v1/catalog/{key}/corrections", json=correction, timeout=10).status_code == 201
    (tmp_path / "catalog.csv").write_bytes(get(server, "/search.catalog.csv", sort="video_id").content)
    rows = read_catalog(str(tmp_path / "catalog.csv")).table.to_pylist()
    assert [row["label"] for row in rows][:3] == [None, None, "ballet"]  # what a model says is no label
    assert rows[0]["uri"] == str(output / "dance & <b>.mp4")
    assert get(server, "/search.xml").status_code == 422


def test_there_is_a_portrait_of_each_of_the_people(server: RunningServer) -> None:
    key = key_of(server, "video <0>")
    (person,) = get(server, f"/catalog/{key}/people").json()["people"]
    portrait = get(server, f"/catalog/{key}/people/{person['track_id']}.jpg")
    assert Image.open(io.BytesIO(portrait.content)).size[1] == 240
    assert get(server, f"/catalog/{key}/people/7.jpg").status_code == 404
    assert get(server, f"/catalog/{key_of(server, 'video <1>')}/people/0.jpg").status_code == 404
    assert get(server, f"/catalog/{key_of(server, 'video <1>')}/keypoints").json() == []


def test_without_embeddings_it_is_said_what_makes_them(server: RunningServer) -> None:
    found = get(server, f"/catalog/{key_of(server, 'video <0>')}/similar").json()
    assert found["videos"] == []
    assert "run `choreai similar`" in found["why_none"]


def test_videos_that_move_alike_come_with_their_moments(tmp_path: Path) -> None:
    names = [f"{style}-{seed}" for style in STYLES for seed in range(2)]
    version = write_output(tmp_path, {name: rows_of(name) for name in names})
    folder = str(tmp_path / "models" / version)
    embed_missing(str(tmp_path), model_uri=folder, model=load_model(folder))
    write_tags(str(tmp_path), [tag_row(name, name.split("-")[0], model=version) for name in names[:-1]])
    browser = CatalogBrowser(str(tmp_path), tmp_path / "stills")
    page = found_in(browser)
    found = browser.similar(page.videos[0]["key"], count=10)
    assert found is not None
    assert (found["video_id"], found["num_videos"], found["model_version"]) == (page.videos[0]["video_id"], 5, version)
    assert len(found["videos"]) == 4  # one is not tagged yet
    first = found["videos"][0]
    assert first["style"] == page.videos[0]["style"]
    assert first["similarity"] == max(each["similarity"] for each in found["videos"])
    assert first["stop_seconds"] > first["start_seconds"] >= 0
    assert browser.similar("0" * 24, count=10) is None
