"""Dancers named by reviewers: found again in other tables, tagged, trained on, and asked for where nobody is sure."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from arms_model import ArmsModel, arms_model
from hypothesis import given
from hypothesis import strategies as st
from moving_skeletons import FINGERPRINT
from tag_rows import write_lines
from test_prominence import Person, sequence_of
from test_style_examples import WINDOWS
from two_dancers import SIZE_WH, STYLES, two_people, write_two_people

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog, Video
from choreai.catalog.shards import TagShard, plan_tag_shards
from choreai.cluster.tag_worker import TagWorker
from choreai.errors import ConfigError, TableError
from choreai.motion.named_dancers import NamedDancers, PersonBox, boxes_of, find_people
from choreai.motion.people import describe_people
from choreai.motion.prominence import choose_dancers
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import cut_windows
from choreai.pipeline.tag import newest_tags, plan_named_shards, untagged_videos
from choreai.search.corrections import correct_labels, import_corrections, read_corrections
from choreai.search.dancer_reviews import find_named, read_dancer_reviews, store_dancers
from choreai.search.dancer_text import format_dancers, parse_dancers
from choreai.search.search import Search, find_tags
from choreai.search.tag_database import open_tag_database
from choreai.style.examples import read_windows
from choreai.style.tagging import tag_sequence
from choreai.tables import schemas
from choreai.tables.compact import compact
from choreai.tables.parts import read_table

MODEL = arms_model(unknown_below=0.2)


def boxes(sequence: KeypointSequence, *track_ids: int) -> tuple[PersonBox, ...]:
    return boxes_of(sequence, track_ids, size_wh=SIZE_WH)


@pytest.mark.parametrize(("ids", "found"), [((0, 1), 1), ((5, 2), 2), ((3, 9), 9)])
@pytest.mark.parametrize("margin", [0, 25])
def test_a_person_is_found_again_under_another_id_at_another_rate_in_larger_boxes(ids, found, margin) -> None:
    named = boxes(two_people(), 1)
    other = two_people(ids=ids, frames_per_second=15, margin=margin)
    assert find_people(other, named, size_wh=SIZE_WH) == [found]
    assert find_people(other, boxes(two_people(), 0, 1), size_wh=SIZE_WH) == sorted(ids)


def test_a_person_whom_other_tables_have_in_pieces_is_found_in_each() -> None:
    named = boxes(two_people(), 0)
    whole = two_people()
    late = (whole.track_id == 0) & (whole.pts_seconds >= 3)
    pieces = two_people()
    track_id = np.where(late, 7, pieces.track_id).astype(np.int32)
    order = np.argsort(track_id, kind="stable")
    pieces = KeypointSequence(
        pieces.frame_index[order], pieces.pts_seconds[order], track_id[order], pieces.keypoints_xy[order],
        pieces.keypoint_scores[order],
    )  # fmt: skip
    assert find_people(pieces, named, size_wh=SIZE_WH) == [0, 7]


def test_nobody_is_found_where_nobody_stands_and_somebody_passed_by_is_not_taken() -> None:
    sequence = two_people()
    elsewhere = [PersonBox(0, second, 0.45, 0.0, 0.05, 0.2) for second in range(6)]
    assert find_people(sequence, elsewhere, size_wh=SIZE_WH) == []
    assert find_people(KeypointSequence.empty(), boxes(sequence, 0), size_wh=SIZE_WH) == []
    once_at_the_other = [*boxes(sequence, 0)[:5], *boxes(sequence, 1)[5:6]]
    assert find_people(sequence, once_at_the_other, size_wh=SIZE_WH) == [0]


def test_boxes_are_one_a_second_and_bounded() -> None:
    assert [box.seconds for box in boxes(two_people(), 1)] == pytest.approx([0, 1, 2, 3, 4, 5, 5.9], abs=0.11)
    assert len(boxes(two_people(seconds=200.0), 0)) == 60


def test_only_those_who_are_named_give_windows_however_prominent_the_others_are() -> None:
    sequence = two_people()
    for track_id in (0, 1):
        windows = cut_windows(sequence, WINDOWS, named=[track_id])
        assert set(windows.track_id) == {track_id}
        assert windows.dancer_confidence == 1
        assert choose_dancers(sequence, [track_id]).is_main.sum() == len(sequence) // 2
    assert set(cut_windows(sequence, WINDOWS, named=[0, 1]).track_id) == {0, 1}
    assert len(cut_windows(sequence, WINDOWS, named=[5])) == 0


def test_of_several_who_are_named_the_one_who_moves_dances_and_all_who_move_alike_do() -> None:
    dancer, onlooker, other = Person(0), Person(200, speed=0.05, box_score=0.1), Person(400, size=150, speed=2.0)
    sequence = sequence_of(dancer, onlooker, other)
    assert set(sequence.track_id[choose_dancers(sequence).is_main]) == {2}
    assert set(sequence.track_id[choose_dancers(sequence, [0, 1]).is_main]) == {0}
    assert set(sequence.track_id[choose_dancers(sequence, [1]).is_main]) == {1}
    alike = sequence_of(dancer, Person(200), other)
    assert set(sequence.track_id[choose_dancers(alike, [0, 1]).is_main]) == {0, 1}
    assert not choose_dancers(sequence, []).is_main.any()


@pytest.mark.parametrize(("track_id", "style"), [(0, "clockwise"), (1, "counter")])
def test_the_tag_is_of_the_person_who_was_named(track_id, style) -> None:
    tagged = tag_sequence(two_people(), MODEL, named=[track_id])
    assert tagged.tag is not None
    assert tagged.tag.prediction.best_style == style
    assert tagged.tag.reason is None
    assert [dancer.track_id for dancer in tagged.dancers if dancer.is_main] == [track_id]


def test_people_are_listed_with_what_tells_them_apart() -> None:
    people = describe_people(two_people(), [1])
    assert [person.track_id for person in people] == [1, 0]
    assert [person.dancing_share for person in people] == [1, 0]
    assert max(person.prominence for person in people) == 1
    assert people[0].seconds == pytest.approx(6, abs=0.1)
    assert people[0].height_pixels > 150
    assert describe_people(KeypointSequence.empty()) == []


@pytest.fixture
def root(tmp_path: Path) -> str:
    """An output with the poses of one video of two people."""
    write_two_people(tmp_path, two_people())
    return str(tmp_path)


def name(root: str, *track_ids: int, **others: Any) -> NamedDancers:
    details: dict[str, Any] = {"video_id": "duo", "content_id": "c", "reviewer": "Kim", "size_wh": SIZE_WH}
    return store_dancers(root, two_people(), track_ids, pose_fingerprint=FINGERPRINT, **{**details, **others})


def test_a_review_of_dancers_is_read_back_and_the_last_one_counts(root: str) -> None:
    name(root, 0)
    last = name(root, 1)
    reviews = read_dancer_reviews(root, pose_fingerprint=FINGERPRINT)
    found = reviews.get("duo", "c")
    assert found is not None
    assert (found.track_ids, found.reviewer, found.reviewed_at, found.size_wh) == (
        [1],
        "Kim",
        last.reviewed_at,
        SIZE_WH,
    )
    assert reviews.get("duo", "other bytes") is None
    assert reviews.get("another", "c") is None
    assert len(found.boxes) == 7


def test_an_id_that_the_video_does_not_have_is_refused_with_those_it_has(root: str) -> None:
    with pytest.raises(ConfigError, match="nobody has the id 4; the people of this video are 0, 1"):
        name(root, 4)
    assert not read_dancer_reviews(root)


def test_reviews_of_dancers_and_of_styles_stand_side_by_side(root: str, tmp_path: Path) -> None:
    lines = ["video_id,style,reviewer,reviewed_at", "duo,ballet,Ana,2026-11-02"]
    styles = write_lines(tmp_path / "styles.csv", *lines)
    before = import_corrections(root, styles)
    name(root, 1)
    assert not import_corrections(root, styles).is_new
    assert import_corrections(root, styles).uri == before.uri
    (video,) = correct_labels([Video("duo", "duo.mp4", "c")], read_corrections(root)).videos
    assert video.label == "ballet"
    found = read_dancer_reviews(root).get("duo", "c")
    assert found is not None
    assert found.track_ids == [1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_dancers_travel_in_a_file_of_reviews(tmp_path: Path, kind) -> None:
    text = format_dancers(boxes(two_people(), 1))
    header = "video_id,style,reviewer,reviewed_at,dancers,pose_fingerprint"
    lines = [
        f'duo,,Kim,2026-11-02,"{text}",{FINGERPRINT}',
        "duo,ballet,Kim,2026-11-03,,",
        "other,,Kim,2026-11-03,auto,",
    ]
    write_lines(tmp_path / "r.csv", header, *lines)
    source, out = str(tmp_path / "r.csv"), str(tmp_path / "out")
    if kind == "parquet":
        import pyarrow.parquet as pq

        import_corrections(str(tmp_path / "first"), source)
        source = str(tmp_path / "r.parquet")
        pq.write_table(read_corrections(str(tmp_path / "first")), source)
    import_corrections(out, source)
    reviews = read_dancer_reviews(out)
    found, other = reviews.get("duo", "any"), reviews.get("other", "any")
    assert found is not None
    assert other is not None
    assert (found.track_ids, found.pose_fingerprint) == ([1], FINGERPRINT)
    assert find_people(two_people(ids=(4, 3)), found.boxes, size_wh=SIZE_WH) == [3]
    assert other.boxes == ()
    assert read_corrections(out)["style"].to_pylist().count(None) == 2


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 10**6), *[st.integers(1, 10_000)] * 4)))
def test_dancers_written_as_text_are_read_back(numbers) -> None:
    written = [PersonBox(i, s / 100, *(part / 10_000 for part in (a, b, w, h))) for i, s, a, b, w, h in numbers]
    assert parse_dancers(format_dancers(written), "here") == [vars(box) for box in written]


@pytest.mark.parametrize(
    "text", ["3", "3@1", "3@1:0,0,1", "3@1:0,0,0,0.2", "a@1:0,0,1,1", "-1@1:0,0,1,1", "3@1:0,0,nan,1", "1@0:0,0,1,1 x"]
)
def test_what_is_no_box_of_a_person_is_refused_with_the_way_to_write_it(text) -> None:
    with pytest.raises(TableError, match=r"r\.csv, line 2: dancers .*write ID@SECONDS"):
        parse_dancers(text, "r.csv, line 2")


def test_a_review_needs_a_style_or_dancers(tmp_path: Path) -> None:
    lines = ["video_id,style,reviewer,reviewed_at,dancers", "duo,,Kim,2026-11-02,"]
    with pytest.raises(TableError, match="style missing or empty; a review needs one, or dancers"):
        import_corrections(str(tmp_path), write_lines(tmp_path / "r.csv", *lines))


def catalog() -> Catalog:
    rows = [{"video_id": "duo", "uri": "duo.mp4", "content_id": "c"}]
    return Catalog("catalog.csv", pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))


def untagged(root: str, model: ArmsModel = MODEL, fingerprint: str = FINGERPRINT) -> pa.Table:
    return untagged_videos(catalog(), output=root, pose_id=fingerprint, model_version=model.model_version)


def tag_night(root: str, fingerprint: str = FINGERPRINT) -> int:
    """Tag what `choreai tag` would tag, in this process; return the number of videos."""

    class ArmsTagWorker(TagWorker):
        @staticmethod
        def load_model(uri: str) -> ArmsModel:
            return MODEL

    worker = ArmsTagWorker(root, model_uri="any", pose_fingerprint=fingerprint, run_id="run")
    worker.setup()
    ids = {"model_version": MODEL.model_version, "pose_fingerprint": fingerprint}
    due = untagged(root, fingerprint=fingerprint)
    others, named = plan_named_shards(due, read_dancer_reviews(root, pose_fingerprint=fingerprint), **ids)
    shards: list[TagShard] = [*plan_tag_shards(others, **ids), *named]
    for shard in shards:
        assert worker.process(shard).written
    return due.num_rows


def newest(root: str) -> dict[str, Any]:
    columns = ["video_id", "content_id", "best_style", "reason", "tagged_at", "pose_fingerprint"]
    (row,) = newest_tags(read_table(root, "tags", MODEL.model_version, schemas.TAGS, columns=columns)).to_pylist()
    return dict(row)


def test_each_naming_has_the_video_tagged_once_more(root: str) -> None:
    assert tag_night(root) == 1
    assert tag_night(root) == 0
    for track_id, style in ((0, "clockwise"), (1, "counter"), (0, "clockwise")):
        name(root, track_id)
        assert tag_night(root) == 1
        assert tag_night(root) == 0
        assert (newest(root)["best_style"], newest(root)["reason"]) == (style, None)
    name(root)  # leaves it to choreai again
    assert tag_night(root) == 1
    assert tag_night(root) == 0


def test_compaction_does_not_make_a_named_video_due_again(root: str) -> None:
    tag_night(root)
    name(root, 1)
    assert tag_night(root) == 1
    assert any(done.num_rows_moved for done in compact(root))
    assert tag_night(root) == 0
    assert newest(root)["best_style"] == "counter"


def test_a_video_named_before_its_first_tag_is_tagged_once(root: str) -> None:
    name(root, 1)
    assert tag_night(root) == 1
    assert newest(root)["best_style"] == "counter"
    assert tag_night(root) == 0


def test_a_naming_outlives_new_poses_with_other_ids(root: str) -> None:
    name(root, 1)
    write_two_people(Path(root), two_people(ids=(8, 3), frames_per_second=15), fingerprint="new")
    assert tag_night(root, "new") == 1
    assert (newest(root)["best_style"], newest(root)["reason"]) == ("counter", None)


def test_where_the_named_person_is_not_found_again_the_tag_says_so(root: str) -> None:
    name(root, 1)
    nobody_there = two_people(ids=(0, 1))
    left = nobody_there.track(0)
    write_two_people(Path(root), left, fingerprint="new")
    assert tag_night(root, "new") == 1
    assert newest(root)["reason"] == "the dancer named by Kim was not found again"
    assert newest(root)["best_style"] == "clockwise"


def test_boxes_without_the_size_of_the_picture_find_nobody() -> None:
    named = NamedDancers(boxes(two_people(), 1), "old", "Kim", datetime.now(UTC))
    found = find_named(named, two_people(), pose_fingerprint="new")
    assert found.track_ids is None
    assert found.remark is not None


def test_training_takes_the_rows_of_the_named_person(root: str) -> None:
    name(root, 1)
    reviews = read_dancer_reviews(root, pose_fingerprint=FINGERPRINT)
    named = reviews.get("duo", "c")
    assert named is not None
    videos = [Video("duo", "duo.mp4", "c", label="counter")]
    found = read_windows(root, FINGERPRINT, videos, WINDOWS, named={"duo": named})
    assert set(found.windows["duo"].track_id) == {1}
    assert found.num_named_not_found == 0
    elsewhere = NamedDancers((PersonBox(0, 1, 0.45, 0, 0.05, 0.1),), "old", "Kim", datetime.now(UTC), SIZE_WH)
    lost = read_windows(root, FINGERPRINT, videos, WINDOWS, named={"duo": elsewhere})
    assert lost.num_named_not_found == 1
    assert len(lost.windows["duo"])


def test_a_review_of_dancers_only_leaves_the_style_to_the_model(root: str) -> None:
    tag_night(root)
    name(root, 1)
    with open_tag_database(root) as database:
        (table,) = find_tags(database, Search(""), with_details=False)
        (row,) = database.rows("SELECT dancers_by, corrected_by FROM found")
    assert table["style"].to_pylist()[0] in STYLES
    assert table["corrected_by"].to_pylist() == [None]
    assert row == {"dancers_by": "Kim", "corrected_by": None}
