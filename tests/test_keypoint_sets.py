"""All keypoints of networks that find more than COCO's 17: in the tables, in sequences and on pictures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from choreai.arrays import FloatArray
from choreai.errors import DamagedPartError, TableError
from choreai.formats.convert import convert
from choreai.formats.settings import ConvertSettings
from choreai.motion.keypoint_sets import COCO, HALPE_26, KEYPOINT_SETS, keypoint_set
from choreai.motion.sequence import FramePeople, KeypointSequence
from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES, MIRROR
from choreai.tables import schemas
from choreai.tables.keypoints import read_contents, read_videos, sequence_of
from choreai.tables.pose_parts import PosePartWriter, VideoRows
from choreai.tables.removal import remove_in_place
from choreai.visualize.draw import draw_people, track_color

SHARED = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "keypoint_topology.json"
ARTEFACTS = {133: {(82, 83)}, 136: {(85, 86)}}
"""Lines that AlphaPose draws from the outer lips to the inner ones: its numbering, not a face's."""


@pytest.mark.parametrize("num_keypoints", [17, 26, 68, 133, 136])
def test_a_set_begins_with_coco_and_names_lines_and_pairs_are_of_its_keypoints(num_keypoints: int) -> None:
    known = KEYPOINT_SETS[num_keypoints]
    assert len(set(known.keypoints)) == len(known) == num_keypoints
    assert known.keypoints[:17] == KEYPOINT_NAMES
    assert known.skeleton[: len(EDGES)] == EDGES
    assert known.mirror[:17] == MIRROR
    assert {k for line in known.skeleton for k in line} == set(range(num_keypoints))  # each is on a line


@pytest.mark.parametrize("num_keypoints", [26, 68, 133, 136])
def test_the_mirror_image_of_a_left_keypoint_is_the_right_one_of_that_name(num_keypoints: int) -> None:
    known = KEYPOINT_SETS[num_keypoints]
    for name, mirror in zip(known.keypoints, known.mirror, strict=True):
        if name.startswith("left_"):
            assert known.keypoints[mirror] == name.replace("left_", "right_")
    ends = {frozenset(line) for line in known.skeleton}
    assert {frozenset(known.mirror[k] for k in line) for line in ends} == ends


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is absent")
@pytest.mark.parametrize("num_keypoints", [26, 68, 133, 136])
def test_the_skeleton_has_every_line_that_alphapose_draws(num_keypoints: int) -> None:
    drawn = json.loads(SHARED.read_text())["skeleton_edges"][f"kp_num == {num_keypoints}"]
    theirs = {tuple(sorted(line)) for line in drawn} - ARTEFACTS.get(num_keypoints, set())
    ours = {tuple(sorted(line)) for line in KEYPOINT_SETS[num_keypoints].skeleton}
    assert theirs <= ours
    torso, rings = {(5, 6), (5, 11), (6, 12), (11, 12)}, 4 if num_keypoints > 68 else 0
    assert torso <= ours - theirs
    assert len(ours - theirs) == 4 + rings  # eyes and lips are closed


def test_a_set_that_nobody_named_has_coco_s_lines_and_numbers_for_names() -> None:
    unknown = keypoint_set(20)
    assert unknown.keypoints[16:] == ("right_ankle", "keypoint_17", "keypoint_18", "keypoint_19")
    assert unknown.skeleton == COCO.skeleton
    with pytest.raises(ValueError, match="begins with COCO's 17"):
        keypoint_set(16)


# ---------------------------------------------------------------- tables


def people_of(frame_index: int, num_keypoints: int, *, num_people: int = 2) -> FramePeople:
    rng = np.random.default_rng(frame_index)
    xy = rng.normal(100, 30, (num_people, num_keypoints, 2)).astype(np.float32)
    scores = rng.random((num_people, num_keypoints)).astype(np.float32)
    others = (xy[:, 17:], scores[:, 17:]) if num_keypoints > 17 else (None, None)
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (num_people, 1)), np.full(num_people, 0.9, np.float32)
    ids = np.arange(num_people, dtype=np.int32)
    return FramePeople(frame_index, frame_index / 8, ids, xy[:, :17], scores[:, :17], None, *boxes, *others)


def write_table(root: Path, num_keypoints: int, *, shard_id: str = "s", num_frames: int = 4, people: int = 2) -> Path:
    with PosePartWriter(str(root), shard_id=shard_id, pose_fingerprint="fp", trace={}) as writer:
        rows = VideoRows(writer.scratch, video_id="v", content_id="c")
        for index in range(num_frames):
            rows.add_people(people_of(index, num_keypoints, num_people=people))
        writer.add_video({"video_id": "v"}, rows)
        writer._videos.clear()  # its row of the videos table is of no interest here
        writer.commit()
    return root / "keypoints" / "fp" / f"part-{shard_id}.parquet"


@pytest.mark.parametrize("num_keypoints", [26, 68, 133, 136])
def test_a_table_holds_all_keypoints_and_says_of_which_set(tmp_path: Path, num_keypoints: int) -> None:
    part = write_table(tmp_path, num_keypoints)
    table = pq.read_table(part)
    schemas.check_schema(table.schema, schemas.KEYPOINTS, uri="part")
    assert table.column_names == [*schemas.KEYPOINTS.names, "other_keypoints_xy", "other_keypoint_scores"]
    described = json.loads(table.schema.metadata[b"choreai.keypoint_set"])
    known = KEYPOINT_SETS[num_keypoints]
    assert described["name"] == known.name
    assert described["keypoints"] == list(known.keypoints)
    assert described["skeleton"] == [list(line) for line in known.skeleton]
    assert described["mirror_pairs"] == [list(pair) for pair in known.mirror_pairs]
    ((_, rows),) = read_videos(str(part), {"v": "c"}, with_others=True)
    expected = KeypointSequence.from_frames(people_of(index, num_keypoints) for index in range(4))
    np.testing.assert_array_equal(rows.all_keypoints_xy, expected.all_keypoints_xy)
    np.testing.assert_array_equal(rows.all_keypoint_scores, expected.all_keypoint_scores)
    assert rows.keypoint_set == known


def test_a_table_of_coco_s_keypoints_is_what_it_was(tmp_path: Path) -> None:
    assert pq.read_schema(write_table(tmp_path, 17)).remove_metadata() == schemas.KEYPOINTS.remove_metadata()
    nobody = write_table(tmp_path, 26, shard_id="nobody", people=0)
    assert pq.read_schema(nobody).names == schemas.KEYPOINTS.names


def test_keypoints_beside_coco_s_are_read_only_for_who_asks(tmp_path: Path) -> None:
    part = str(write_table(tmp_path, 26))
    ((_, rows),) = read_videos(part, {"v": "c"})
    assert rows.other_keypoints_xy is None
    assert rows.keypoint_set == COCO
    ((_, _, contents),) = read_contents(part)
    assert contents.other_keypoints_xy is None


def test_a_long_video_keeps_all_keypoints_through_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreai.tables.pose_parts.CHUNK_ROWS", 4)
    ((_, rows),) = read_videos(str(write_table(tmp_path, 26, num_frames=7)), {"v": "c"}, with_others=True)
    expected = KeypointSequence.from_frames(people_of(index, 26) for index in range(7))
    np.testing.assert_array_equal(rows.all_keypoints_xy, expected.all_keypoints_xy)


def test_tables_of_before_and_of_now_are_read_together(tmp_path: Path) -> None:
    before = pq.read_table(write_table(tmp_path, 17, shard_id="before", num_frames=2))
    now = pq.read_table(write_table(tmp_path, 26, shard_id="now"))
    mixed = pa.concat_tables([before, now.filter(now["frame_index"].to_numpy() >= 2)], promote_options="default")
    rows = sequence_of(mixed)
    assert rows.keypoint_set == HALPE_26
    is_before = rows.frame_index < 2
    assert rows.other_keypoints_xy is not None
    assert np.isnan(rows.other_keypoints_xy[is_before]).all()
    assert np.isfinite(rows.other_keypoints_xy[~is_before]).all()
    assert rows.other_keypoint_scores is not None
    assert (rows.other_keypoint_scores[is_before] == 0).all()


def test_a_video_that_is_forgotten_leaves_the_others_all_their_keypoints(tmp_path: Path) -> None:
    part = write_table(tmp_path, 26)
    before = pq.read_table(part)
    names = pa.array(["v", "w"] * (len(before) // 2))
    pq.write_table(before.set_column(0, before.schema.field("video_id"), names), part)
    assert remove_in_place(str(part), {"w"})
    after = pq.read_table(part)
    assert after.schema.metadata[b"choreai.keypoint_set"] == before.schema.metadata[b"choreai.keypoint_set"]
    assert after["other_keypoints_xy"].to_pylist() == before["other_keypoints_xy"].to_pylist()[::2]


def test_rows_of_two_sets_in_one_table_are_refused(tmp_path: Path) -> None:
    tables = [pq.read_table(write_table(tmp_path, n, shard_id=str(n)), columns=None) for n in (26, 68)]
    with pytest.raises(TableError, match="the same number of numbers in every row"):
        sequence_of(pa.concat_tables([table.replace_schema_metadata(None) for table in tables]))
    half = tables[0].set_column(11, schemas.OTHER_KEYPOINTS[1], tables[0]["other_keypoints_xy"])
    pq.write_table(half, tmp_path / "part-half.parquet")
    with pytest.raises(DamagedPartError, match="18 numbers a row"):
        list(read_videos(str(tmp_path / "part-half.parquet"), {"v": "c"}, with_others=True))


def test_a_folder_of_both_kinds_of_tables_is_converted_with_all_that_each_row_has(tmp_path: Path) -> None:
    write_table(tmp_path, 17, shard_id="before", num_frames=2)
    part = write_table(tmp_path, 26, shard_id="now", num_frames=2)
    moved = pq.read_table(part)
    frames = pa.array(np.array([2, 3, 2, 3], np.int32))
    pq.write_table(moved.set_column(2, moved.schema.field("frame_index"), frames), part)
    convert(str(part.parent), str(tmp_path / "results.json"), ConvertSettings())
    people = json.loads((tmp_path / "results.json").read_text())
    assert [len(person["keypoints"]) for person in people] == [51] * 4 + [78] * 4
    single, back = str(tmp_path / "single.json"), str(tmp_path / "back.parquet")
    convert(str(part), single, ConvertSettings())
    convert(single, back, ConvertSettings(video_id="v", frames_per_second=8.0))
    again, expected = sequence_of(pq.read_table(back)), sequence_of(pq.read_table(part))
    np.testing.assert_array_equal(again.all_keypoints_xy, expected.all_keypoints_xy)
    assert json.loads(pq.read_schema(back).metadata[b"choreai.keypoint_set"])["name"] == "halpe-26"


# ---------------------------------------------------------------- sequences


def test_all_keypoints_follow_their_rows_through_a_sequence() -> None:
    rows = KeypointSequence.from_frames(people_of(index, 26) for index in range(8))
    second = rows.track(1).between(0.25, 0.5)
    whole = [np.concatenate(all_of(index), axis=1) for index in range(3)]
    np.testing.assert_array_equal(second.all_keypoints_xy[0], whole[2][1])
    doubled = rows.resampled(16.0).track(0)
    np.testing.assert_allclose(doubled.all_keypoints_xy[1], (whole[0][0] + whole[1][0]) / 2, rtol=1e-5)


def all_of(frame_index: int) -> tuple[FloatArray, FloatArray]:
    people = people_of(frame_index, 26)
    assert people.other_keypoints_xy is not None
    return people.keypoints_xy, people.other_keypoints_xy


def test_coordinates_without_scores_are_refused() -> None:
    rows = KeypointSequence.from_frames([people_of(0, 26)])
    with pytest.raises(ValueError, match="belong together"):
        replace(rows, other_keypoints_xy=None)


# ---------------------------------------------------------------- pictures


def test_toes_are_joined_to_the_heel_on_a_picture() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    xy = np.full((1, 26, 2), np.nan, np.float32)
    heel, toe = HALPE_26.keypoints.index("left_heel"), HALPE_26.keypoints.index("left_big_toe")
    xy[0, heel], xy[0, toe] = (50, 150), (90, 150)
    draw_people(image, keypoints_xy=xy, keypoint_scores=np.ones((1, 26), np.float32), track_ids=[2])
    assert np.abs(np.subtract(image[150, 70].tolist(), track_color(2))).max() < 60
    unseen = np.zeros_like(image)
    draw_people(unseen, keypoints_xy=xy, keypoint_scores=np.full((1, 26), 0.1, np.float32), track_ids=[2])
    assert unseen.max() == 0
