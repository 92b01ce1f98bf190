"""Keypoint tables from and to AlphaPose's JSON and the report's text, and the face for the command line."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from choreai.errors import ChoreaiWarning, ConfigError, StorageError, TableError
from choreai.formats import json_stream
from choreai.formats.alphapose_json import read_alphapose_json, write_alphapose_json
from choreai.formats.convert import Conversion, ConvertSettings, convert, format_of
from choreai.formats.keypoint_text import DroppedRows, read_keypoint_text, write_keypoint_text
from choreai.formats.rows import ConvertedRows, keypoints_of
from choreai.tables.schemas import KEYPOINTS, check_schema, from_list_column

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "golden" / "results_coco.json"


def person(image_id: object = "0.jpg", *, x: float = 100.0, num_keypoints: int = 17, **more: Any) -> dict[str, Any]:
    """One person as AlphaPose writes them; a value of `...` leaves the key out."""
    keypoints = [v for k in range(num_keypoints) for v in (x + k, 50.0 + 2 * k, 0.5 + k / 100)]
    fields = {
        "image_id": image_id,
        "category_id": 1,
        "keypoints": keypoints,
        "score": 2.5,
        "box": [x, 40.0, 30.0, 60.0],
        "idx": 0,
    }
    return {key: value for key, value in (fields | more).items() if value is not ...}


def write_json(path: Path, people: object) -> str:
    path.write_text(json.dumps(people))
    return str(path)


def read_people(path: Path, people: object, *, frames_per_second: float = 10.0) -> pa.Table:
    uri = write_json(path / "alphapose-results.json", people)
    table = read_alphapose_json(uri, video_id="dance", frames_per_second=frames_per_second)
    check_schema(table.schema, KEYPOINTS, uri=uri)
    return table


def random_table(seed: int = 0, *, videos: Sequence[str] = ("dance",), num_frames: int = 30) -> pa.Table:
    """Two people in every frame of every video, with float32 values of every size."""
    rng = np.random.default_rng(seed)
    num_rows = len(videos) * num_frames * 2
    corners = rng.normal(300, 900, (num_rows, 2)).astype(np.float32)
    return ConvertedRows(
        video_ids=list(videos),
        content_ids=[f"sha256-{video}" for video in videos],
        video=np.repeat(np.arange(len(videos)), num_frames * 2),
        track_id=np.tile([0, 1], len(videos) * num_frames),
        frame_index=np.tile(np.repeat(np.arange(num_frames) * 3, 2), len(videos)),
        box_xyxy=np.concatenate([corners, corners + rng.uniform(1, 400, (num_rows, 2))], axis=1).astype(np.float32),
        box_score=rng.uniform(0, 4, num_rows).astype(np.float32),
        keypoints=rng.normal(300, 900, (num_rows, 17, 3)).astype(np.float32),
    ).to_table(frames_per_second=30.0)


# AlphaPose's JSON


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
def test_larger_keypoint_sets_keep_their_coco_part_and_say_so(tmp_path: Path, num_keypoints: int) -> None:
    with pytest.warns(ChoreaiWarning, match=f"with {num_keypoints} keypoints; the first 17"):
        larger = read_people(tmp_path, [person(num_keypoints=num_keypoints)])
    assert larger.drop_columns("content_id") == read_people(tmp_path, [person()]).drop_columns("content_id")


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


# The report's text


def write_report(folder: Path, samples: np.ndarray[Any, Any], labels: Sequence[object]) -> tuple[str, str]:
    x, y = folder / "X.txt", folder / "Y.txt"
    x.write_text("".join(",".join(repr(float(v)) for v in row) + "\n" for row in samples))
    y.write_text("".join(f"{label}\n" for label in labels))
    return str(x), str(y)


@pytest.fixture
def samples() -> np.ndarray[Any, Any]:
    """(300, 51): three sequences."""
    return np.random.default_rng(0).uniform(0, 900, (300, 51)).astype(np.float32)


def test_every_hundred_lines_are_one_video(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_report(tmp_path, samples, [2, 1, 3])
    read = read_keypoint_text(x, y, frames_per_second=8)
    check_schema(read.keypoints.schema, KEYPOINTS, uri=x)
    np.testing.assert_array_equal(keypoints_of(read.keypoints).reshape(300, 51), samples)
    videos = ["sequence-000001", "sequence-000002", "sequence-000003"]
    assert read.keypoints["video_id"].to_pylist() == [v for v in videos for _ in range(100)]
    assert read.keypoints["frame_index"].to_pylist() == list(range(100)) * 3
    assert read.keypoints["pts_seconds"].to_pylist()[101] == 0.125
    assert set(read.keypoints["track_id"].to_pylist()) == {0}
    assert read.labels.to_pydict() == {"video_id": videos, "label": ["2", "1", "3"]}


def test_class_names_take_the_place_of_numbers(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_report(tmp_path, samples, [2, 1, 2])
    read = read_keypoint_text(x, y, frames_per_second=8, class_names=["afro", "ballet"])
    assert read.labels["label"].to_pylist() == ["ballet", "afro", "ballet"]


def test_the_content_id_is_the_sequence_s_own(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_report(tmp_path, samples, [1, 1, 1])
    ids = read_keypoint_text(x, y, frames_per_second=8).keypoints["content_id"].to_pylist()[::100]
    assert len(set(ids)) == 3
    x, y = write_report(tmp_path, samples[100:200], [1])
    assert read_keypoint_text(x, y, frames_per_second=8).keypoints["content_id"].to_pylist()[0] == ids[1]


def test_the_box_is_drawn_around_the_keypoints_that_were_seen(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    keypoints = samples[:100].reshape(100, 17, 3)
    keypoints[:, :, 2] = 0.5
    keypoints[0, 3] = 0  # a keypoint not found is (0, 0, 0)
    keypoints[1, :, 2] = 0  # nothing was seen
    x, y = write_report(tmp_path, samples[:100], [1])
    table = read_keypoint_text(x, y, frames_per_second=8).keypoints
    boxes = from_list_column(table["box_xyxy"])
    seen = np.delete(keypoints[0, :, :2], 3, axis=0)
    np.testing.assert_array_equal(boxes[0], [*seen.min(axis=0), *seen.max(axis=0)])
    assert seen.min() > 0
    np.testing.assert_array_equal(boxes[1, :2], keypoints[1, :, :2].min(axis=0))
    assert table["box_score"][1].as_py() == 0


def spoil(path: str, line: int, new: str) -> None:
    lines = Path(path).read_text().splitlines()
    lines[line - 1] = new
    Path(path).write_text("\n".join(lines) + "\n")


NUMBERS = ["1.5"] * 51


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (",".join(NUMBERS[:50]), r"line 142 has 50 comma-separated values; it needs 51"),
        (",".join([*NUMBERS, "1"]), "line 142 has 52"),
        (" ".join(NUMBERS), "line 142 has 1"),
        (",".join([*NUMBERS[:7], "x", *NUMBERS[8:]]), r"line 142, column 8: 'x' is not a number"),
        (",".join([*NUMBERS[:7], "", *NUMBERS[8:]]), r"line 142, column 8: '' is not a number"),
        (",".join(["nan", *NUMBERS[1:]]), "line 142, column 1: 'nan' is not a finite float32"),
        (",".join([*NUMBERS[:-1], "-inf"]), "line 142, column 51: '-inf' is not a finite"),
        (",".join([*NUMBERS[:-1], "1e39"]), "line 142, column 51: '1e39' is not a finite"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, samples: np.ndarray[Any, Any], new: str, message: str) -> None:
    x, y = write_report(tmp_path, samples, [1, 1, 1])
    spoil(x, 142, new)
    with pytest.raises(TableError, match=message) as failure:
        read_keypoint_text(x, y, frames_per_second=8)
    assert "X.txt" in str(failure.value)


@pytest.mark.parametrize("num_lines", [0, 1, 99, 250])
def test_lines_that_do_not_fill_sequences_are_refused(
    tmp_path: Path, samples: np.ndarray[Any, Any], num_lines: int
) -> None:
    x, y = write_report(tmp_path, samples[:num_lines], [1] * (num_lines // 100))
    with pytest.raises(TableError, match=rf"X\.txt.*{num_lines or 'Empty'}"):
        read_keypoint_text(x, y, frames_per_second=8)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2], r"Y\.txt: 2 labels, but .*X\.txt holds 3 sequences"),
        ([1, 2, 1, 2], "4 labels"),
        ([1, 0, 2], r"Y\.txt: line 2: '0' is not a label"),
        ([1, 2, "x"], "line 3: 'x' is not a label"),
        ([1, -2, 1], "line 2: '-2' is not a label"),
        ([1.0, 2, 1], "line 1: '1.0' is not a label"),
        ([1, "nan", 1], "line 2: 'nan' is not a label"),
        ([1, 3, 2], r"line 2: label 3, but there are only 2 class names \(afro, ballet\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    tmp_path: Path, samples: np.ndarray[Any, Any], labels: list[object], message: str
) -> None:
    x, y = write_report(tmp_path, samples, labels)
    with pytest.raises(TableError, match=message):
        read_keypoint_text(x, y, frames_per_second=8, class_names=["afro", "ballet"])


def test_spaces_line_ends_and_blank_lines_do_not_matter(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_report(tmp_path, samples, [1, 2, 1])
    plain = read_keypoint_text(x, y, frames_per_second=8)
    for path in (x, y):
        text = Path(path).read_text().replace(",", " , ").replace("\n", "\r\n")
        Path(path).write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    other = read_keypoint_text(x, y, frames_per_second=8)
    assert other.keypoints == plain.keypoints
    assert other.labels == plain.labels


def test_sequences_written_and_read_back_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    table = random_table(videos=["a", "b"], num_frames=250)
    x, y = str(tmp_path / "X.txt"), str(tmp_path / "Y.txt")
    dropped = write_keypoint_text(table, x, y, labels={"a": "salsa", "b": "afro"}, class_names=["afro", "salsa"])
    assert dropped == [DroppedRows(v, t, 50) for v in ("a", "b") for t in (0, 1)]
    read = read_keypoint_text(x, y, frames_per_second=10, class_names=["afro", "salsa"])
    assert read.labels["label"].to_pylist() == ["salsa"] * 4 + ["afro"] * 4
    kept = np.concatenate([np.arange(200) + 250 * i for i in range(4)])
    np.testing.assert_array_equal(keypoints_of(read.keypoints), keypoints_of(table)[kept])
    assert Path(y).read_text() == "2\n" * 4 + "1\n" * 4


def test_a_track_shorter_than_a_sequence_is_reported(tmp_path: Path) -> None:
    table = pa.concat_tables([random_table(videos=["a"], num_frames=120), random_table(videos=["b"], num_frames=60)])
    x, y = str(tmp_path / "X.txt"), str(tmp_path / "Y.txt")
    dropped = write_keypoint_text(table, x, y, labels={"a": "s", "b": "s"}, class_names=["s"])
    assert [(d.video_id, d.track_id, d.num_rows) for d in dropped] == [
        ("a", 0, 20),
        ("a", 1, 20),
        ("b", 0, 60),
        ("b", 1, 60),
    ]
    assert len(Path(x).read_text().splitlines()) == 200


@pytest.mark.parametrize(
    ("videos", "num_frames", "message"),
    [
        (["a", "c"], 100, "1 of 2 videos have no label, c among them"),
        (["a", "b"], 100, r"labels \['polka'\] are not among the class names \['salsa'\]"),
        (["a"], 99, "no track has the 100 samples"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(
    tmp_path: Path, videos: list[str], num_frames: int, message: str
) -> None:
    table = random_table(videos=videos, num_frames=num_frames)
    with pytest.raises(TableError, match=message):
        write_keypoint_text(
            table,
            str(tmp_path / "X.txt"),
            str(tmp_path / "Y.txt"),
            labels={"a": "salsa", "b": "polka"},
            class_names=["salsa"],
        )
    assert not list(tmp_path.iterdir())


def test_a_keypoint_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    table = random_table(num_frames=100)
    scores = from_list_column(table["keypoint_scores"]).copy()
    scores[42, 3] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), 17)
    table = table.set_column(table.schema.names.index("keypoint_scores"), KEYPOINTS.field("keypoint_scores"), column)
    with pytest.raises(TableError, match="video dance, frame 126"):
        write_keypoint_text(
            table, str(tmp_path / "X.txt"), str(tmp_path / "Y.txt"), labels={"dance": "s"}, class_names=["s"]
        )
    assert not list(tmp_path.iterdir())


# The face


def test_alphapose_json_to_parquet_and_back(tmp_path: Path) -> None:
    first, part, last = (str(tmp_path / name) for name in ("a.json", "a.parquet", "b.json"))
    write_alphapose_json(random_table(), first)
    settings = ConvertSettings(video_id="dance", frames_per_second=30)
    assert convert(first, part, settings) == Conversion(num_videos=1, num_rows=60)
    check_schema(pq.read_schema(part), KEYPOINTS, uri=part)
    assert convert(part, last, ConvertSettings()) == Conversion(num_videos=1, num_rows=60)
    assert Path(last).read_bytes() == Path(first).read_bytes()


def test_a_converted_part_is_read_by_pyarrow_alone(tmp_path: Path) -> None:
    """3D is missing in every row: Arrow 25 writes nulls of a fixed-size list but cannot read them back."""
    source, part = str(tmp_path / "a.json"), str(tmp_path / "a.parquet")
    write_alphapose_json(random_table(), source)
    convert(source, part, ConvertSettings(video_id="dance", frames_per_second=30))
    assert pq.read_table(part).drop_columns("content_id") == random_table().drop_columns("content_id")


def test_report_text_to_parquet_and_back(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_report(tmp_path, samples, [2, 1, 2])
    part, labels, x2, y2 = (str(tmp_path / name) for name in ("a.parquet", "labels.csv", "X2.txt", "Y2.txt"))
    names = ("salsa", "afro")
    settings = ConvertSettings(frames_per_second=8, report_labels=y, label_table=labels, class_names=names)
    assert convert(x, part, settings) == Conversion(num_videos=3, num_rows=300)
    settings = ConvertSettings(report_labels=y2, label_table=labels, class_names=names)
    assert convert(part, x2, settings) == Conversion(num_videos=3, num_rows=300, class_names=names)
    np.testing.assert_array_equal(np.loadtxt(x2, delimiter=",", dtype=np.float32), samples)
    assert Path(y2).read_text() == "2\n1\n2\n"


def test_without_class_names_the_labels_are_numbered_in_alphabetical_order(tmp_path: Path) -> None:
    part, x, y = (str(tmp_path / name) for name in ("a.parquet", "X.txt", "Y.txt"))
    pq.write_table(random_table(videos=["a", "b"], num_frames=101), part)
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("video_id,uri,label,group\na,a.mp4,waltz,1\nb,b.mp4,afro,2\nc,c.mp4,,3\nd,d.mp4,polka,4\n")
    settings = ConvertSettings(report_labels=y, label_table=str(catalog))
    done = convert(part, x, settings)
    assert done.class_names == ("afro", "waltz")
    assert done.dropped == tuple(DroppedRows(v, t, 1) for v in "ab" for t in (0, 1))
    assert Path(y).read_text() == "2\n2\n1\n1\n"


def test_a_folder_of_parts_is_read_whole_and_one_video_can_be_picked(tmp_path: Path) -> None:
    folder = tmp_path / "keypoints" / "f00d"
    folder.mkdir(parents=True)
    pq.write_table(random_table(videos=["a", "b"]), folder / "part-1.parquet")
    pq.write_table(random_table(videos=["c"]), folder / "part-2.parquet")
    assert convert(str(folder), str(tmp_path / "b.json"), ConvertSettings(video_id="b")).num_rows == 60
    with pytest.raises(TableError, match="one video, the table 3"):
        convert(str(folder), str(tmp_path / "all.json"), ConvertSettings())
    with pytest.raises(TableError, match="video_id 'z'"):
        convert(str(folder), str(tmp_path / "z.json"), ConvertSettings(video_id="z"))
    with pytest.raises(TableError, match="<fingerprint>"):
        convert(str(folder.parent), str(tmp_path / "none.json"), ConvertSettings(video_id="b"))


@pytest.mark.parametrize(
    ("source", "target", "settings", "message"),
    [
        ("a.json", "a.parquet", ConvertSettings(video_id="v"), "needs frames_per_second"),
        ("a.json", "a.parquet", ConvertSettings(), "needs frames_per_second, video_id"),
        ("a.txt", "a.parquet", ConvertSettings(frames_per_second=8), "needs report_labels"),
        ("a.parquet", "a.txt", ConvertSettings(), "needs label_table, report_labels"),
        ("a.parquet", "a.json", ConvertSettings(frames_per_second=8), "frames_per_second: not used"),
        ("a.parquet", "b.parquet", ConvertSettings(), "both parquet"),
        ("a.xml", "b.parquet", ConvertSettings(), "cannot infer the format.*parquet, alphapose-json, report-text"),
    ],
)
def test_settings_that_do_not_fit_the_formats_are_refused(
    tmp_path: Path, source: str, target: str, settings: ConvertSettings, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        convert(str(tmp_path / source), str(tmp_path / target), settings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames_per_second": 0.0}, "positive"),
        ({"frames_per_second": float("nan")}, "positive"),
        ({"class_names": ("a", "a")}, "different"),
        ({"class_names": ("a", "")}, "different"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ConvertSettings(**values)


def test_a_format_can_be_named_where_the_name_tells_none(tmp_path: Path) -> None:
    write_alphapose_json(random_table(), str(tmp_path / "results"))
    settings = ConvertSettings(video_id="dance", frames_per_second=30)
    target = str(tmp_path / "table.PARQUET")
    done = convert(str(tmp_path / "results"), target, settings, source_format="alphapose-json")
    assert done.num_rows == 60
    assert format_of(target) == "parquet"
    assert format_of(str(tmp_path)) == "parquet"


def test_a_target_that_exists_is_left_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "a.parquet", tmp_path / "a.json"
    pq.write_table(random_table(), source)
    target.write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        convert(str(source), str(target), ConvertSettings())
    assert target.read_text() == "mine"


def test_a_label_table_without_its_columns_is_a_table_error(tmp_path: Path) -> None:
    pq.write_table(random_table(num_frames=100), tmp_path / "a.parquet")
    (tmp_path / "labels.csv").write_text("video,style\ndance,salsa\n")
    settings = ConvertSettings(report_labels=str(tmp_path / "Y.txt"), label_table=str(tmp_path / "labels.csv"))
    with pytest.raises(TableError, match=r"labels\.csv: not a CSV with the columns video_id and label"):
        convert(str(tmp_path / "a.parquet"), str(tmp_path / "X.txt"), settings)


def test_conversion_works_between_objects_in_a_store(store_uri: str, tmp_path: Path) -> None:
    write_alphapose_json(random_table(), f"{store_uri}/a.json")
    settings = ConvertSettings(video_id="dance", frames_per_second=30)
    assert convert(f"{store_uri}/a.json", f"{store_uri}/kp/part-a.parquet", settings).num_rows == 60
    assert convert(f"{store_uri}/kp", f"{store_uri}/b.json", ConvertSettings()).num_rows == 60
