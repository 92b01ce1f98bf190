"""Examples: labelled windows from keypoint tables, and what of them cannot be used."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moving_skeletons import (
    FINGERPRINT,
    STYLES,
    dancer_xy,
    keypoint_rows,
    videos_of,
    windows_of,
    write_keypoints,
    write_videos,
)
from style_examples import WINDOWS, examples_of

from choreai.catalog.catalog import Video
from choreai.errors import TableError
from choreai.style.examples import Examples, read_examples, read_windows, write_examples
from choreai.style.settings import TrainSettings
from choreai.style.training.dataset import TableSource, read_dataset
from choreai.style.training.split import Folds, divide_folds, find_labels


def video(video_id: str, label: str | None, group: str | None = None) -> Video:
    return Video(video_id, f"{video_id}.mp4", "content", label=label, group=group)


def folds_of(videos: list[Video], **changes: Any) -> Folds:
    settings: dict[str, object] = {"seed": 0, "num_folds": 5, "when_one_group": "error"} | changes
    return divide_folds(videos, find_labels(videos, ()), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def videos() -> list[Video]:
    return videos_of(8)


@pytest.fixture(scope="module")
def examples(videos: list[Video]) -> Examples:
    return examples_of(videos)


def test_windows_come_from_tables_whatever_the_parts(tmp_path: Path, videos: list[Video]) -> None:
    write_videos(tmp_path, videos)
    found = read_windows(str(tmp_path), FINGERPRINT, videos, WINDOWS)
    expected = windows_of(videos, WINDOWS)
    assert list(found.windows) == list(expected)
    for name, windows in expected.items():
        np.testing.assert_array_equal(found.windows[name].steps, windows.steps)
    assert (found.num_without_keypoints, found.num_without_windows, found.num_rows_not_finite) == (0, 0, 0)


def test_only_the_wanted_contents_of_the_wanted_videos_are_read(tmp_path: Path) -> None:
    old, new = dancer_xy("clockwise", seed=1), dancer_xy("counter", seed=2)
    other = keypoint_rows("other", "c", new)
    changed = [keypoint_rows("v", "old", old), keypoint_rows("v", "new", new), other]
    write_keypoints(tmp_path, {"a": changed, "b": [keypoint_rows("v", "new", new)]})
    wanted = [replace(video("v", "x"), content_id="new"), video("absent", "x")]
    found = read_windows(str(tmp_path), FINGERPRINT, wanted, WINDOWS)
    assert list(found.windows) == ["v"]
    assert len(found.windows["v"]) == 3  # once, though two parts have it
    assert found.num_without_keypoints == 1


def test_rows_that_are_not_finite_are_counted_and_bridged(tmp_path: Path) -> None:
    xy = dancer_xy("clockwise", seed=1)
    broken = xy.copy()
    broken[20:23, 9, 0] = np.nan
    short = keypoint_rows("short", "content", xy[:6])
    write_keypoints(tmp_path, {"a": [keypoint_rows("v", "content", broken), short]})
    found = read_windows(str(tmp_path), FINGERPRINT, [video("v", "x"), video("short", "x")], WINDOWS)
    assert (found.num_rows_not_finite, found.num_without_windows) == (3, 1)
    assert np.isfinite(found.windows["v"].steps).all()


def with_column(rows: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pa.array(values.tolist(), rows.schema.field(place).type))


def test_what_cannot_be_trained_on_is_counted_and_frame_rates_may_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = [*videos_of(4), video("unseen", STYLES[0]), video("nobody", STYLES[1]), video("short", STYLES[2])]
    rows = {}
    for i, v in enumerate(videos[:12]):
        fps = (10, 30)[i % 2]  # the same four to six seconds, sampled more or less densely
        xy = dancer_xy(str(v.label), seed=i, num_frames=6 * fps, frames_per_second=fps)
        of_video = keypoint_rows(v.video_id, v.content_id, xy)
        rows[v.video_id] = with_column(of_video, "pts_seconds", np.arange(len(xy)) / fps)
    of_unseen = keypoint_rows("unseen", "content", dancer_xy(STYLES[0], seed=1))
    rows["unseen"] = with_column(of_unseen, "keypoint_scores", np.zeros((60, 17)))
    rows["short"] = keypoint_rows("short", "content", dancer_xy(STYLES[2], seed=1)[:8])
    write_keypoints(tmp_path, {"a": list(rows.values())})
    settings = TrainSettings(num_folds=2, windows=WINDOWS)
    dataset, summary = read_dataset(videos, TableSource(str(tmp_path), FINGERPRINT), settings=settings, labels=())
    assert (summary.num_videos, summary.num_without_keypoints, summary.num_without_windows) == (12, 1, 2)
    assert "1 videos without keypoints, 2 with nobody in view for long enough" in caplog.text
    assert {len(windows) for windows in dataset.windows.values()} == {3}
    assert np.isfinite(dataset.examples.inputs.steps).all()
    assert np.isfinite(dataset.examples.inputs.xyz).all()


def test_a_class_of_which_too_few_can_be_used_is_named_with_why(tmp_path: Path) -> None:
    videos = videos_of(4)
    lost = {f"{STYLES[0]}_{i}" for i in range(3)}
    write_videos(tmp_path, [v for v in videos if v.video_id not in lost])
    with pytest.raises(TableError, match=rf"too few of \{{'{STYLES[0]}': 1\}}.*dances long enough"):
        read_dataset(videos, TableSource(str(tmp_path), FINGERPRINT), settings=TrainSettings(), labels=())


def test_examples_come_back_from_storage_as_they_were(tmp_path: Path, examples: Examples) -> None:
    uri = str(tmp_path / "examples.parquet")
    write_examples(uri, examples)
    back = read_examples(uri)
    assert back.digest() == examples.digest()
    assert back.video_ids == examples.video_ids
    assert back.groups == examples.groups


def test_a_digest_changes_with_every_part_of_the_examples(examples: Examples) -> None:
    others = [
        replace(copy.copy(examples), **{name: getattr(examples, name)[::-1]})
        for name in ("label_index", "video_index", "fold", "video_ids", "groups")
    ]
    others += [
        replace(examples, inputs=replace(examples.inputs, **{name: getattr(examples.inputs, name) + 1}))
        for name in ("steps", "xyz", "kinematic_features")
    ]
    assert len({e.digest() for e in [examples, *others]}) == 9


@pytest.mark.parametrize("content", [b"", b"not parquet", None])
def test_other_files_are_no_examples(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "examples.parquet"
    if content is None:
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(TableError, match="not the examples"):
        read_examples(str(path))
