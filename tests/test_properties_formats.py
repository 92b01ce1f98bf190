"""Properties of the keypoint formats: from one to another and back, nothing is lost that both can hold."""

import tempfile
import warnings

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from choreai.formats.alphapose_json import HAS_PERSON_SCORES, read_alphapose_json, write_alphapose_json
from choreai.formats.keypoint_text import LINES_PER_SEQUENCE, read_keypoint_text, write_keypoint_text
from choreai.formats.rows import ConvertedRows, keypoints_of

FRAMES_PER_SECOND = 8.0


def keypoint_table(places: list[tuple[str, int, int]], seed: int) -> pa.Table:
    """A table with random keypoints for each (video_id, track_id, frame_index)."""
    rng = np.random.default_rng(seed)
    video_ids = sorted({video_id for video_id, _, _ in places})
    corners = rng.integers(-2_000, 2_000, (len(places), 2))
    sizes = rng.integers(0, 4_000, (len(places), 2))
    return ConvertedRows(
        video_ids=video_ids,
        content_ids=[f"bytes of {name}" for name in video_ids],
        video=np.array([video_ids.index(video_id) for video_id, _, _ in places], np.int64),
        track_id=np.array([track_id for _, track_id, _ in places], np.int64),
        frame_index=np.array([frame_index for _, _, frame_index in places], np.int64),
        box_xyxy=np.concatenate([corners, corners + sizes], axis=1).astype(np.float32) / 16,
        box_score=rng.random(len(places)).astype(np.float32),
        keypoints=rng.normal(scale=500, size=(len(places), 17, 3)).astype(np.float32),
    ).to_table(frames_per_second=FRAMES_PER_SECOND)


def without(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns(list(names))


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 10_000)), max_size=30), st.integers(0, 99))
def test_a_video_written_as_alphapose_json_is_read_back_to_the_bit(people: set[tuple[int, int]], seed: int) -> None:
    table = keypoint_table([("v", track_id, frame) for track_id, frame in sorted(people)], seed)
    table = table.replace_schema_metadata(table.schema.metadata | HAS_PERSON_SCORES)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        write_alphapose_json(table, f"{folder}/results.json")
        found = read_alphapose_json(f"{folder}/results.json", video_id="v", frames_per_second=FRAMES_PER_SECOND)
    assert without(found, "content_id").equals(without(table, "content_id"))


@settings(max_examples=20)
@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), st.integers(1, 250), min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_whole_sequences_written_as_text_are_read_back_to_the_bit(
    lengths: dict[tuple[str, int], int], seed: int
) -> None:
    lengths[("a", 0)] = LINES_PER_SEQUENCE  # a file without any sequence is refused
    places = [(video, track, frame) for (video, track), num in lengths.items() for frame in range(num)]
    table = keypoint_table(places, seed)
    labels = {"a": "house", "b": "krump", "c": "house"}
    with tempfile.TemporaryDirectory() as folder:
        uris = f"{folder}/X.txt", f"{folder}/Y.txt"
        dropped = write_keypoint_text(table, *uris, labels=labels, class_names=["house", "krump"])
        found = read_keypoint_text(*uris, frames_per_second=FRAMES_PER_SECOND, class_names=["house", "krump"])
    starts = np.cumsum([0, *(num for _, num in sorted(lengths.items()))])
    kept = [
        np.arange(start, start + num // LINES_PER_SEQUENCE * LINES_PER_SEQUENCE)
        for start, (_, num) in zip(starts, sorted(lengths.items()), strict=False)
    ]
    np.testing.assert_array_equal(
        keypoints_of(found.keypoints), keypoints_of(table.take(pa.array(np.concatenate(kept))))
    )
    assert {(d.video_id, d.track_id): d.num_rows for d in dropped} == {
        key: num % LINES_PER_SEQUENCE for key, num in lengths.items() if num % LINES_PER_SEQUENCE
    }
    expected = [labels[video] for (video, _), num in sorted(lengths.items()) for _ in range(num // LINES_PER_SEQUENCE)]
    assert found.labels["label"].to_pylist() == expected


@given(st.permutations(range(12)))
def test_a_table_is_the_same_in_whatever_order_its_rows_came(order: list[int]) -> None:
    places = [("a" if n < 6 else "b", n % 2, n) for n in range(12)]
    table = keypoint_table(places, seed=0)
    values = [table.slice(n, 1) for n in range(12)]
    shuffled = pa.concat_tables([values[n] for n in order])
    ids = {"a": 0, "b": 1}
    again = ConvertedRows(
        video_ids=["a", "b"],
        content_ids=["bytes of a", "bytes of b"],
        video=np.array([ids[name] for name in shuffled["video_id"].to_pylist()], np.int64),
        track_id=shuffled["track_id"].to_numpy().astype(np.int64),
        frame_index=shuffled["frame_index"].to_numpy().astype(np.int64),
        box_xyxy=np.array(shuffled["box_xyxy"].to_pylist(), np.float32),
        box_score=shuffled["box_score"].to_numpy(),
        keypoints=keypoints_of(shuffled),
    ).to_table(frames_per_second=FRAMES_PER_SECOND)
    assert again.equals(table)
