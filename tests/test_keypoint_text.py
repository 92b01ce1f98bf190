"""The keypoint text format: a line of 51 numbers per sample, a class per 100 lines."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from keypoint_files import random_samples, random_table, write_text_files

from choreai.errors import TableError
from choreai.formats.keypoint_text import DroppedRows, read_keypoint_text, write_keypoint_text
from choreai.formats.rows import keypoints_of
from choreai.tables.schemas import KEYPOINTS, check_schema, from_list_column


@pytest.fixture
def samples() -> np.ndarray[Any, Any]:
    return random_samples()


def test_every_hundred_lines_are_one_video(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_text_files(tmp_path, samples, [2, 1, 3])
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
    x, y = write_text_files(tmp_path, samples, [2, 1, 2])
    read = read_keypoint_text(x, y, frames_per_second=8, class_names=["afro", "ballet"])
    assert read.labels["label"].to_pylist() == ["ballet", "afro", "ballet"]


def test_the_content_id_is_the_sequence_s_own(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_text_files(tmp_path, samples, [1, 1, 1])
    ids = read_keypoint_text(x, y, frames_per_second=8).keypoints["content_id"].to_pylist()[::100]
    assert len(set(ids)) == 3
    x, y = write_text_files(tmp_path, samples[100:200], [1])
    assert read_keypoint_text(x, y, frames_per_second=8).keypoints["content_id"].to_pylist()[0] == ids[1]


def test_the_box_is_drawn_around_the_keypoints_that_were_seen(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    keypoints = samples[:100].reshape(100, 17, 3)
    keypoints[:, :, 2] = 0.5
    keypoints[0, 3] = 0  # a keypoint not found is (0, 0, 0)
    keypoints[1, :, 2] = 0  # nothing was seen
    x, y = write_text_files(tmp_path, samples[:100], [1])
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
    x, y = write_text_files(tmp_path, samples, [1, 1, 1])
    spoil(x, 142, new)
    with pytest.raises(TableError, match=message) as failure:
        read_keypoint_text(x, y, frames_per_second=8)
    assert "X.txt" in str(failure.value)


@pytest.mark.parametrize("num_lines", [0, 1, 99, 250])
def test_lines_that_do_not_fill_sequences_are_refused(
    tmp_path: Path, samples: np.ndarray[Any, Any], num_lines: int
) -> None:
    x, y = write_text_files(tmp_path, samples[:num_lines], [1] * (num_lines // 100))
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
    x, y = write_text_files(tmp_path, samples, labels)
    with pytest.raises(TableError, match=message):
        read_keypoint_text(x, y, frames_per_second=8, class_names=["afro", "ballet"])


def test_spaces_line_ends_and_blank_lines_do_not_matter(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_text_files(tmp_path, samples, [1, 2, 1])
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
