"""Conversion between keypoint formats, as `choreai convert` does it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keypoint_files import random_samples, random_table, write_text_files

from choreai.errors import ConfigError, StorageError, TableError
from choreai.formats.alphapose_json import write_alphapose_json
from choreai.formats.convert import Conversion, ConvertSettings, convert, format_of
from choreai.formats.keypoint_text import DroppedRows
from choreai.tables.schemas import KEYPOINTS, check_schema, from_list_column, list_column


@pytest.fixture
def samples() -> np.ndarray[Any, Any]:
    return random_samples()


def test_alphapose_json_to_parquet_and_back(tmp_path: Path) -> None:
    first, part, last = (str(tmp_path / name) for name in ("a.json", "a.parquet", "b.json"))
    write_alphapose_json(random_table(), first)
    settings = ConvertSettings(video_id="dance", frames_per_second=30)
    assert convert(first, part, settings) == Conversion(num_videos=1, num_rows=60)
    check_schema(pq.read_schema(part), KEYPOINTS, uri=part)
    assert convert(part, last, ConvertSettings()) == Conversion(num_videos=1, num_rows=60)
    assert Path(last).read_bytes() == Path(first).read_bytes()


def table_of_a_detector() -> pa.Table:
    """Two people in each of 30 frames, with scores as detectors and pose networks give them."""
    table, rng = random_table(), np.random.default_rng(1)
    scores = [pa.array(rng.uniform(0.5, 1, 60), pa.float32()), list_column(rng.random((60, 17), np.float32))]
    for name, column in zip(("box_score", "keypoint_scores"), scores, strict=True):
        table = table.set_column(table.schema.get_field_index(name), KEYPOINTS.field(name), column)
    return table


def test_a_detector_s_scores_are_written_as_alphapose_s(tmp_path: Path) -> None:
    """It was the score of the box, 0.9958, where AlphaPose has 3.0232."""
    table, part, target = table_of_a_detector(), tmp_path / "a.parquet", tmp_path / "a.json"
    pq.write_table(table, part)
    convert(str(part), str(target), ConvertSettings())
    keypoint_scores = from_list_column(table["keypoint_scores"])
    expected = keypoint_scores.mean(axis=1) + table["box_score"].to_numpy() + 1.25 * keypoint_scores.max(axis=1)
    people = json.loads(target.read_text())
    np.testing.assert_allclose(sorted(p["score"] for p in people), np.sort(expected), rtol=1e-6)
    assert all(first["score"] >= second["score"] for first, second in zip(people[::2], people[1::2], strict=True))


def test_alphapose_s_scores_are_not_added_up_twice(tmp_path: Path) -> None:
    """Also where parts were merged, and nothing is left that says whose scores they are."""
    pq.write_table(table_of_a_detector(), tmp_path / "a.parquet")
    convert(str(tmp_path / "a.parquet"), str(tmp_path / "a.json"), ConvertSettings())
    settings = ConvertSettings(video_id="dance", frames_per_second=30)
    convert(str(tmp_path / "a.json"), str(tmp_path / "parts" / "part-1.parquet"), settings)
    convert(str(tmp_path / "parts"), str(tmp_path / "b.json"), ConvertSettings())
    pq.write_table(pq.read_table(tmp_path / "parts").cast(KEYPOINTS), tmp_path / "merged.parquet")
    convert(str(tmp_path / "merged.parquet"), str(tmp_path / "c.json"), ConvertSettings())
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text() == (tmp_path / "c.json").read_text()


def test_a_converted_part_is_read_by_pyarrow_alone(tmp_path: Path) -> None:
    """3D is missing in every row: Arrow 25 writes nulls of a fixed-size list but cannot read them back."""
    source, part = str(tmp_path / "a.json"), str(tmp_path / "a.parquet")
    write_alphapose_json(random_table(), source)
    convert(source, part, ConvertSettings(video_id="dance", frames_per_second=30))
    assert pq.read_table(part).drop_columns("content_id") == random_table().drop_columns("content_id")


def test_keypoint_text_to_parquet_and_back(tmp_path: Path, samples: np.ndarray[Any, Any]) -> None:
    x, y = write_text_files(tmp_path, samples, [2, 1, 2])
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
