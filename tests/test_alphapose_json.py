"""AlphaPose's JSON: read into keypoint tables, and written as AlphaPose writes it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from keypoint_files import person, random_table, write_json

from choreai.errors import ChoreaiWarning, StorageError, TableError
from choreai.formats import json_stream
from choreai.formats.alphapose_json import read_alphapose_json, write_alphapose_json
from choreai.formats.rows import keypoints_of
from choreai.tables.schemas import KEYPOINTS, check_schema, from_list_column, list_column

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "golden" / "results_coco.json"


def read_people(path: Path, people: object, *, frames_per_second: float = 10.0) -> pa.Table:
    uri = write_json(path / "alphapose-results.json", people)
    table = read_alphapose_json(uri, video_id="dance", frames_per_second=frames_per_second)
    check_schema(table.schema, KEYPOINTS, uri=uri)
    return table


def test_a_person_s_numbers_arrive_in_their_columns(tmp_path: Path) -> None:
    table = read_people(tmp_path, [person("12.jpg", x=100, idx=3)], frames_per_second=8)
    (row,) = table.to_pylist()
    assert row["video_id"] == "dance"
    assert row["frame_index"] == 12
    assert row["pts_seconds"] == 1.5
    assert row["track_id"] == 3
    assert row["box_xyxy"] == [100, 40, 130, 100]
    assert row["box_score"] == 2.5
    assert row["keypoints_xy"][:4] == [100, 50, 101, 52]
    assert row["keypoint_scores"][16] == pytest.approx(0.66)
    assert row["keypoints_xyz"] is None
    digest = hashlib.sha256((tmp_path / "alphapose-results.json").read_bytes()).hexdigest()
    assert row["content_id"] == f"sha256-{digest}"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0.jpg", "2.jpg", "10.jpg"], [0, 2, 10]),
        ([0, 2, 10], [0, 2, 10]),
        ([139, "7.png", "000012.jpg"], [139, 7, 12]),
        (["frame_000012.png", "frame_000004.png"], [12, 4]),
        (["img2-a.jpg", "img10-a.jpg"], [2, 10]),
        (["b10.jpg", "a2.jpg", "b9.jpg"], [2, 0, 1]),
        (["12.jpg", "12.png", "3.jpg"], [1, 2, 0]),
        (["end.jpg", "1.jpg", "10.jpg", "9.jpg"], [3, 0, 2, 1]),
        (["1_720p.jpg", "3_720p.jpg", "2_720p.jpg"], [0, 2, 1]),
        (["1699999999999.jpg", "1700000000000.jpg"], [0, 1]),
        (["clip.jpg"], [0]),
    ],
)
def test_frame_numbers_follow_the_image_names(tmp_path: Path, names: list[object], expected: list[int]) -> None:
    people = [person(name, x=i) for i, name in enumerate(names)]
    table = read_people(tmp_path, people)
    order = np.argsort(expected, kind="stable")
    assert table["frame_index"].to_pylist() == sorted(expected)
    assert from_list_column(table["box_xyxy"])[:, 0].tolist() == order.tolist()


@pytest.mark.parametrize(
    "form", [lambda i: i, float, lambda i: [float(i)], lambda i: [[float(i)], [9.0]], lambda i: [i, 9]]
)
def test_every_form_of_idx_is_a_track_id(tmp_path: Path, form: Any) -> None:
    people = [person(f"{i}.jpg", idx=form(4), x=i) for i in range(2)] + [person("1.jpg", idx=form(7), x=5)]
    table = read_people(tmp_path, people)
    assert table["track_id"].to_pylist() == [4, 4, 7]
    assert table["frame_index"].to_pylist() == [0, 1, 1]


@pytest.mark.parametrize("idx", [0, [0.0], [[0.0], [0.0]], [0, 0], None, [], -1, ...])
def test_without_a_usable_idx_the_place_in_the_frame_is_the_track_and_a_warning_says_so(
    tmp_path: Path, idx: object
) -> None:
    people = [person(f"{i}.jpg", idx=idx, x=x) for i in range(3) for x in (700, 20)]
    with pytest.warns(ChoreaiWarning, match="--pose_track"):
        table = read_people(tmp_path, people)
    assert table["track_id"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert table["frame_index"].to_pylist() == [0, 1, 2, 0, 1, 2]
    assert from_list_column(table["box_xyxy"])[:, 0].tolist() == [700] * 3 + [20] * 3


def test_a_lone_dancer_without_idx_is_one_track_and_no_warning(tmp_path: Path) -> None:
    table = read_people(tmp_path, [person(f"{i}.jpg", idx=None) for i in range(3)])
    assert table["track_id"].to_pylist() == [0, 0, 0]


def test_one_missing_idx_makes_the_rest_unusable(tmp_path: Path) -> None:
    people = [person("0.jpg", idx=4), person("0.jpg", idx=None), person("1.jpg", idx=4)]
    with pytest.warns(ChoreaiWarning, match="idx"):
        assert read_people(tmp_path, people)["track_id"].to_pylist() == [0, 0, 1]


@pytest.mark.parametrize("box", [None, ...])
def test_a_missing_box_is_drawn_around_the_keypoints(tmp_path: Path, box: object) -> None:
    table = read_people(tmp_path, [person(x=100, box=box)])
    assert table["box_xyxy"].to_pylist() == [[100, 50, 116, 82]]


@pytest.mark.parametrize("num_keypoints", [26, 68, 133, 136])
def test_larger_keypoint_sets_are_kept_whole_there_and_back(tmp_path: Path, num_keypoints: int) -> None:
    people = [person(f"{index}.jpg", x=index / 4, num_keypoints=num_keypoints) for index in range(3)]
    larger = read_people(tmp_path, people)
    coco = larger.select(KEYPOINTS.names).drop_columns("content_id")
    assert coco == read_people(tmp_path, [person(f"{i}.jpg", x=i / 4) for i in range(3)]).drop_columns("content_id")
    write_alphapose_json(larger, str(tmp_path / "again.json"))
    again = json.loads((tmp_path / "again.json").read_text())
    assert [found["keypoints"] for found in again] == [np.float32(p["keypoints"]).tolist() for p in people]
    assert [found["score"] for found in again] == [2.5] * 3


def test_of_people_with_different_keypoint_sets_coco_s_are_kept_and_it_is_said(tmp_path: Path) -> None:
    with pytest.warns(ChoreaiWarning, match="people with 17 or 26 keypoints; the first 17"):
        table = read_people(tmp_path, [person("0.jpg"), person("1.jpg", num_keypoints=26)])
    assert table.column_names == KEYPOINTS.names


def test_the_score_of_a_table_with_all_keypoints_counts_all_of_them(tmp_path: Path) -> None:
    table = read_people(tmp_path, [person(num_keypoints=26, score=0.9)])
    write_alphapose_json(table.replace_schema_metadata(None), str(tmp_path / "again.json"))  # a detector's 0.9
    (found,) = json.loads((tmp_path / "again.json").read_text())
    scores = np.array(found["keypoints"], np.float32).reshape(26, 3)[:, 2]
    assert found["score"] == pytest.approx(scores.mean() + 0.9 + 1.25 * scores.max())


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([person(num_keypoints=18)], r"person 1 has 54 keypoint numbers.*17, 26, 68, 133 or 136"),
        ([person(), person(num_keypoints=21)], "person 2 has 63"),
        ([person(keypoints=[1.0] * 50)], "50 keypoint numbers"),
        ([person(keypoints=...)], "keypoints: expected numbers, got None"),
        ([person(keypoints=["1.0"] * 51)], "keypoints: expected numbers"),
        ([person(keypoints=[[1.0, 2.0, 0.5]] * 17)], "keypoints: expected numbers"),
        ([person(keypoints=[float("nan")] * 51)], "keypoints: NaN"),
        ([person(keypoints=[1e39] * 51)], "beyond float32"),
        ([person(score=None)], "person 1: score"),
        ([person(score=...)], "person 1: score"),
        ([person(box=[1, 2, 3])], r"box is \[1, 2, 3\]"),
        ([person(box=[1, 2, -3, 4])], "box is"),
        ([person(idx="7")], "idx is '7'"),
        ([person(idx=1.5)], "idx is 1.5"),
        ([person(idx=float("nan"))], "idx is nan"),
        ([person(idx=True)], "idx is True"),
        ([person(idx=2**40)], "32 bits"),
        ([person(image_id=None)], "image_id is None"),
        ([person(image_id=...)], "image_id is None"),
        ([person(image_id=1.5)], "image_id is 1.5"),
        ([[1, 2, 3]], r"person 1 is \[1, 2, 3\], not an object"),
        ({"version": "AlphaPose v0.3", "bodies": []}, "--format coco"),
        ("a string", "begins with '\"'"),
    ],
)
def test_what_is_not_alphapose_s_is_refused_by_name_and_person(tmp_path: Path, people: object, message: str) -> None:
    with pytest.raises(TableError, match=message) as failure:
        read_people(tmp_path, people)
    assert "alphapose-results.json" in str(failure.value)
    assert len(str(failure.value)) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with ''"),
        ("[", "person 1 is not valid JSON"),
        ("[" + json.dumps(person())[:200], "person 1 is not valid JSON"),
        ("[" + json.dumps(person()), "after person 1 comes ''"),
        ("[" + json.dumps(person()) + ",", "person 2 is not valid JSON"),
        ("[" + json.dumps(person()) + " " + json.dumps(person()) + "]", "after person 1 comes '{'"),
        ("[" + json.dumps(person()) + "] []", "something follows"),
        ("[" + "[" * 100_000, "person 1 is not valid JSON"),
        ("[" + "9" * 5000 + "]", "person 1 is not valid JSON"),
        ("[\xff]", "not UTF-8"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TableError, match=message):
        read_alphapose_json(str(path), video_id="dance", frames_per_second=30)


def test_a_file_is_read_the_same_in_pieces_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [person(f"{i}.jpg", idx=i, x=i / 3) for i in range(5)]
    path = tmp_path / "results.json"
    path.write_text("\ufeff" + json.dumps(people, indent=1), encoding="utf-8")
    whole = read_alphapose_json(str(path), video_id="dance", frames_per_second=30)
    for size in (1, 7, 1000):
        monkeypatch.setattr(json_stream, "CHUNK_BYTES", size)
        assert read_alphapose_json(str(path), video_id="dance", frames_per_second=30) == whole


def test_a_file_without_people_is_an_empty_table(tmp_path: Path) -> None:
    table = read_people(tmp_path, [])
    assert len(table) == 0
    write_alphapose_json(table, str(tmp_path / "again.json"))
    assert json.loads((tmp_path / "again.json").read_text()) == []


def test_a_missing_file_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing here"):
        read_alphapose_json(str(tmp_path / "none.json"), video_id="dance", frames_per_second=30)


def test_a_table_written_and_read_back_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    table = random_table()
    uri = str(tmp_path / "results.json")
    write_alphapose_json(table, uri)
    again = read_alphapose_json(uri, video_id="dance", frames_per_second=30.0)
    assert again.drop_columns("content_id") == table.drop_columns("content_id")


def test_written_json_is_as_alphapose_writes_it(tmp_path: Path) -> None:
    table = random_table(num_frames=4)
    write_alphapose_json(table, str(tmp_path / "results.json"))
    people = json.loads((tmp_path / "results.json").read_text())
    assert [set(p) for p in people] == [{"image_id", "category_id", "keypoints", "score", "box", "idx"}] * 8
    assert [p["image_id"] for p in people] == [
        "0.jpg",
        "0.jpg",
        "3.jpg",
        "3.jpg",
        "6.jpg",
        "6.jpg",
        "9.jpg",
        "9.jpg",
    ]
    assert all(first["score"] >= second["score"] for first, second in zip(people[::2], people[1::2], strict=True))
    assert {type(p["idx"]) for p in people} == {int}
    assert {p["category_id"] for p in people} == {1}
    assert {len(p["keypoints"]) for p in people} == {51}


def test_two_videos_do_not_fit_one_alphapose_file(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"one video, the table 2 \(a, b"):
        write_alphapose_json(random_table(videos=["a", "b"]), str(tmp_path / "results.json"))
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        write_alphapose_json(random_table(), str(path))
    assert path.read_text() == "mine"


@pytest.mark.shared
def test_alphapose_s_own_file_is_read_and_written_back(tmp_path: Path) -> None:
    if not GOLDEN.is_file():
        pytest.skip(f"needs {GOLDEN}, which does not travel with the project")
    original = json.loads(GOLDEN.read_text())
    with pytest.warns(ChoreaiWarning, match="--pose_track"):
        table = read_alphapose_json(str(GOLDEN), video_id="golden", frames_per_second=30)
    assert table["frame_index"].to_pylist() == [1] * len(original)
    for row, theirs in zip(table.to_pylist(), original, strict=True):
        x, y, width, height = theirs["box"]
        np.testing.assert_allclose(row["box_xyxy"], [x, y, x + width, y + height], rtol=1e-6)
    flat = keypoints_of(table).reshape(len(table), -1)
    np.testing.assert_allclose(flat, [theirs["keypoints"] for theirs in original], rtol=1e-6)
    write_alphapose_json(table, str(tmp_path / "back.json"))
    back = json.loads((tmp_path / "back.json").read_text())
    for ours, theirs in zip(back, sorted(original, key=lambda p: -p["score"]), strict=True):
        np.testing.assert_allclose(ours["keypoints"], theirs["keypoints"], rtol=1e-6)
        np.testing.assert_allclose(ours["box"], theirs["box"], rtol=1e-5)


def test_a_missing_keypoint_is_zero_as_alphapose_has_it_and_never_nan(tmp_path: Path) -> None:
    table = random_table(num_frames=2)
    xy = np.array(table["keypoints_xy"].to_pylist(), np.float32)
    xy[0, 6] = np.nan
    place = table.column_names.index("keypoints_xy")
    table = table.set_column(place, table.schema.field(place), list_column(xy))
    uri = str(tmp_path / "results.json")
    write_alphapose_json(table, uri)
    assert "NaN" not in Path(uri).read_text()
    again = read_alphapose_json(uri, video_id="dance", frames_per_second=30.0)
    assert again["keypoints_xy"][0].as_py()[6:8] == [0, 0]
    assert again["keypoint_scores"][0].as_py()[3] == 0


def test_a_box_that_is_no_box_is_refused_with_its_frame(tmp_path: Path) -> None:
    table = random_table(num_frames=2)
    boxes = np.array(table["box_xyxy"].to_pylist(), np.float32)
    boxes[-1, 0] = np.inf
    place = table.column_names.index("box_xyxy")
    table = table.set_column(place, table.schema.field(place), list_column(boxes))
    with pytest.raises(TableError, match=r"frame 3\.jpg is NaN or infinite, which JSON cannot hold"):
        write_alphapose_json(table, str(tmp_path / "results.json"))
