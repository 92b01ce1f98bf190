"""Tags of videos, dancers and moments, and the tables the tag worker leaves."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import cv2
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from arms_model import WINDOWS, ArmsModel, arms_model, rows_of
from moving_skeletons import FINGERPRINT, STYLES, dancer_xy, keypoint_rows, write_keypoints
from tag_rows import tag_row, write_lines, write_tags

from choreai.catalog.catalog import Video, read_catalog
from choreai.catalog.shards import TagShard
from choreai.cli.tag import print_summary
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig
from choreai.demo.dancers import write_clip
from choreai.errors import TableError
from choreai.motion.kinematics import FEATURES
from choreai.motion.reasons import StyleReference
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import cut_windows
from choreai.storage import objects
from choreai.style.dancers import measure_dancers
from choreai.style.examples import Inputs
from choreai.style.explain.annotated_video import annotate
from choreai.style.explain.reasons import reasons_png, why_text
from choreai.style.novelty import Novelty
from choreai.style.tagging import TaggedVideo, VideoTag, mean_kinematics, tag_sequence
from choreai.tables import schemas
from choreai.tables.keypoints import sequence_of
from choreai.tables.parts import list_parts, part_uri, read_part, read_table, write_part
from choreai.tables.posed_video import PosedVideo
from choreai.tables.runs import RunManifest
from choreai.tables.schemas import UNKNOWN
from choreai.visualize.timeline import style_color


def still_xy(num_frames: int = 60) -> np.ndarray:
    """Someone whose arms hang: what the model has no opinion of."""
    return np.repeat(dancer_xy("clockwise", seed=1)[:1], num_frames, axis=0)


def tag_of(rows: KeypointSequence, model: ArmsModel | None = None) -> VideoTag:
    model = arms_model() if model is None else model
    tag = tag_sequence(rows, model).tag
    assert tag is not None
    return tag


@pytest.mark.parametrize("style", STYLES)
def test_a_video_is_tagged_with_its_style_and_a_calibrated_score(style: str) -> None:
    rows = rows_of(dancer_xy(style, seed=3))
    for temperature in (1.0, 3.0):
        model = arms_model(temperature=temperature, unknown_below=0.0)
        tag = tag_of(rows, model)
        log_scores = model.window_log_scores(Inputs.from_windows(cut_windows(rows, WINDOWS))).mean(axis=0)
        expected = np.exp(log_scores / temperature) / np.exp(log_scores / temperature).sum()
        np.testing.assert_allclose(list(tag.distribution.values()), expected, rtol=1e-5)
        assert list(tag.distribution) == list(STYLES)
        assert (tag.prediction.style, tag.prediction.best_style, tag.prediction.doubt) == (style, style, None)
        assert tag.prediction.score == pytest.approx(expected.max())


def test_a_score_below_the_threshold_is_unknown_and_says_so() -> None:
    tag = tag_of(rows_of(still_xy()))
    assert tag.prediction.style == UNKNOWN
    assert tag.prediction.best_style in STYLES
    assert tag.prediction.doubt == f"score {tag.prediction.score:.2f} below 0.60"
    assert {moment.prediction.style for moment in (*tag.tracks, *tag.segments)} == {UNKNOWN}
    assert {window.prediction.style for window in tag.windows} <= set(STYLES)


def novelty_around(kinematic_features: np.ndarray, *, limit: float) -> dict[str, object]:
    """Distance from these mean kinematics, every feature in units of a tenth of its size."""
    middle = np.nan_to_num(np.nanmean(kinematic_features, axis=0))
    size = len(middle)
    return Novelty(
        centers=tuple(middle.tolist()),
        weights=tuple((1 / (0.1 * np.abs(middle) + 0.1)).tolist()),
        is_log=(False,) * size,
        missing_costs=(0.0,) * size,
        mean=(0.0,) * size,
        precision=tuple(map(tuple, np.eye(size).tolist())),
        limit=limit,
    ).to_dict()


def test_what_moves_unlike_the_training_videos_is_unknown_however_sure_the_scores() -> None:
    usual, odd = rows_of(dancer_xy("counter", seed=3)), rows_of(dancer_xy("counter", seed=3) * np.float32((1, 0.3)))
    model = arms_model(novelty=novelty_around(cut_windows(usual, WINDOWS).kinematic_features, limit=1.0))
    assert tag_of(usual, model).prediction.style == "counter"
    tag = tag_of(odd, model)
    assert tag.prediction.score > 0.9
    assert (tag.prediction.style, tag.prediction.doubt) == (UNKNOWN, "moves unlike anything in training")


def test_each_dancer_has_a_tag_of_their_own() -> None:
    tag = tag_of(rows_of(dancer_xy("clockwise", seed=1), dancer_xy("counter", seed=2) + 200))
    assert [(track.track_id, track.prediction.style) for track in tag.tracks] == [(0, "clockwise"), (1, "counter")]
    assert {segment.track_id: segment.prediction.style for segment in tag.segments} == {0: "clockwise", 1: "counter"}
    assert tag.prediction.score < 0.9  # of both together


def test_a_change_of_style_makes_two_segments_that_meet() -> None:
    parts = [dancer_xy(style, seed=4, num_frames=120) for style in ("clockwise", "seesaw")]
    parts[1] += parts[0][0, 0] - parts[1][0, 0]
    tag = tag_of(rows_of(np.concatenate(parts)))
    first, second = tag.segments
    assert [s.prediction.style for s in tag.segments] == ["clockwise", "seesaw"]
    assert (first.start_seconds, second.stop_seconds) == (0.0, pytest.approx(24.0, abs=WINDOWS.stride_seconds))
    assert first.stop_seconds == second.start_seconds == pytest.approx(12.0, abs=WINDOWS.stride_seconds)
    assert min(s.prediction.score for s in tag.segments) > 0.8


def test_neighbouring_segments_that_are_both_unknown_become_one() -> None:
    parts = [dancer_xy(style, seed=4, num_frames=120) for style in ("clockwise", "seesaw")]
    parts[1] += parts[0][0, 0] - parts[1][0, 0]
    (segment,) = tag_of(rows_of(np.concatenate(parts)), arms_model(unknown_below=1.0)).segments
    assert segment.prediction.style == UNKNOWN
    assert (segment.start_seconds, round(segment.stop_seconds)) == (0.0, 24)


def test_segments_are_no_bridge_over_a_dancer_s_absence() -> None:
    before, after = dancer_xy("counter", seed=1, num_frames=50), dancer_xy("counter", seed=1, num_frames=50)
    rows = rows_of(np.concatenate([before, after]))
    rows.pts_seconds[50:] += 20
    spans = [(s.start_seconds, s.stop_seconds) for s in tag_of(rows).segments]
    assert spans == [(0.0, pytest.approx(5.0)), (pytest.approx(25.0), pytest.approx(30.0))]


def test_a_video_with_nobody_for_long_enough_has_no_tag() -> None:
    rows = rows_of(dancer_xy("counter", seed=1, num_frames=10))
    tagged = tag_sequence(rows, arms_model())
    assert (tagged.tag, tagged.text) == (None, "nobody in view for 1.5 s on end")


# ---- dancers ----


def test_the_main_dancer_is_large_long_in_view_and_moving_whatever_the_track_number() -> None:
    dancer = dancer_xy("clockwise", seed=1)
    cases = {
        "size": (dancer * 0.4, dancer),
        "presence": (dancer[:20], dancer),
        "motion": (still_xy(), dancer),
    }
    for what, tracks in cases.items():
        for order in (1, -1):
            dancers = measure_dancers(rows_of(*tracks[::order]))
            main = [d.track_id for d in dancers if d.is_main]
            assert main == [1 if order == 1 else 0], what
    assert measure_dancers(rows_of(dancer[:0])) == ()


def test_the_kinematics_of_a_tag_are_the_main_dancer_s() -> None:
    rows = rows_of(still_xy(), dancer_xy("clockwise", seed=1))
    still, moving = measure_dancers(rows)
    tag = tag_of(rows)
    assert asdict(tag.kinematics) == pytest.approx(asdict(moving.kinematics), nan_ok=True)
    assert tag.kinematics.hands_speed_mean > 5 * still.kinematics.hands_speed_mean


# ---- why ----


def references(**offsets: float) -> dict[str, StyleReference]:
    """What the styles measure: this dancer's features, those of the hands' speed further on by style."""
    rows = rows_of(dancer_xy("clockwise", seed=3))
    own = mean_kinematics(cut_windows(rows, WINDOWS).kinematic_features)
    known = {name: value for name in FEATURES if np.isfinite(value := getattr(own, name))}
    return {
        style: StyleReference(
            median={n: v + (offset if n == "hands_speed_mean" else 0) for n, v in known.items()},
            spread={n: 0.2 for n in known},
            num_videos=9,
        )
        for style, offset in offsets.items()
    }


def test_a_tag_says_why_in_words_and_figures() -> None:
    model = arms_model(references=references(clockwise=0.0, counter=-1.0, seesaw=-1.0))
    tag = tag_of(rows_of(dancer_xy("clockwise", seed=3)), model)
    assert [reason.sentence for reason in tag.reasons] == ["hands are busy and fast"]
    head, reason, when = why_text(tag).splitlines()
    assert head.startswith("clockwise, ")
    value = tag.reasons[0].value
    assert reason == (
        f"  hands are busy and fast (hands speed {value:.2f} torsos/s; clockwise {value:.2f} torsos/s, "
        f"others {value - 1:.2f} torsos/s)"
    )
    assert when.startswith("  clearest from ")


def test_without_references_or_differences_there_are_no_reasons() -> None:
    rows = rows_of(dancer_xy("clockwise", seed=3))
    for known in ({}, references(clockwise=0.0), references(clockwise=0.0, counter=0.0)):
        tag = tag_of(rows, arms_model(references=known))
        assert tag.reasons == ()
        assert "nothing that can be measured" in why_text(tag)
    with pytest.raises(ValueError, match="no reasons to draw"):
        reasons_png(tag.reasons, style="clockwise")


def test_the_picture_of_the_reasons_follows_the_numbers() -> None:
    model = arms_model(references=references(clockwise=0.0, counter=-1.0, seesaw=-1.0))
    tag = tag_of(rows_of(dancer_xy("clockwise", seed=3)), model)
    other = tag_of(rows_of(dancer_xy("clockwise", seed=5)), model)
    pictures = [reasons_png(t.reasons, style="clockwise") for t in (tag, other)]
    assert pictures[0] != pictures[1]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)


def test_an_annotated_video_names_each_dancer_and_has_a_bar_of_their_styles(tmp_path: Path) -> None:
    clip = tmp_path / "duo.mp4"
    write_clip(clip, style="hiphop", seed=5, duration_seconds=1.0, frames_per_second=8, size_wh=(320, 180))
    rows = rows_of(dancer_xy("clockwise", seed=1) / 2, dancer_xy("counter", seed=2) / 2)
    tagged = tag_sequence(rows, arms_model())
    drawn = annotate(PosedVideo("duo", str(clip), rows), tagged, folder=tmp_path)
    plain = annotate(PosedVideo("plain", str(clip), rows), TaggedVideo((), None, tagged.text), folder=tmp_path)
    pictures = []
    for path in (drawn.video, plain.video):
        video = cv2.VideoCapture(str(path))
        pictures.append(video.read()[1][:, :, ::-1])
    with_bar, without = pictures
    assert without.shape == (180, 320, 3)
    assert with_bar.shape[0] > 200
    bar = with_bar[180:].reshape(-1, 3).astype(int)
    for style in ("clockwise", "counter"):
        assert (np.abs(bar - style_color(STYLES.index(style))).max(axis=1) < 25).mean() > 0.2
    changed = np.abs(with_bar[:180].astype(int) - without).max(axis=2) > 60
    assert 100 < changed.sum() < 5000  # a name at each dancer's head


# ---- the tag worker's tables ----


def two_people(video_id: str, first: np.ndarray, second: np.ndarray) -> pa.Table:
    rows = [keypoint_rows(video_id, "c", xy) for xy in (first, second)]
    second_track = pa.array(np.ones(len(second), np.int32))
    place = schemas.KEYPOINTS.get_field_index("track_id")
    return pa.concat_tables([rows[0], rows[1].set_column(place, schemas.KEYPOINTS.field("track_id"), second_track)])


@pytest.fixture
def store(tmp_path: Path) -> str:
    """One keypoints part: two dancers, one who stands, one who is gone at once."""
    videos = [
        two_people("duo", dancer_xy("clockwise", seed=1), dancer_xy("counter", seed=2)),
        keypoint_rows("short", "c", dancer_xy("counter", seed=1, num_frames=8)),
        keypoint_rows("still", "c", still_xy()),
    ]
    write_keypoints(tmp_path, {"k": videos})
    return str(tmp_path)


def shard_of(*video_ids: str, name: str = "shard") -> TagShard:
    return TagShard(name, "k", tuple(Video(v, f"{v}.mp4", "c") for v in video_ids))


def worker(store: str, model: ArmsModel) -> TagWorker:
    class ArmsTagWorker(TagWorker):
        @staticmethod
        def load_model(uri: str) -> ArmsModel:
            return model

    made = ArmsTagWorker(store, model_uri="any", pose_fingerprint=FINGERPRINT, run_id="run")
    made.setup()
    return made


def test_the_tags_table_holds_everything_and_every_row_can_be_traced(store: str) -> None:
    model = arms_model(references=references(clockwise=0.0, counter=-1.0, seesaw=-1.0))
    report = worker(store, model).process(shard_of("duo", "nobody", "short", "still"))
    assert report.statuses == {"unknown": 2, "nothing to judge": 2}
    (uri,) = list_parts(store, "tags", model.model_version)
    duo, nobody, short, still = read_part(uri, schemas.TAGS).to_pylist()
    assert (duo["style"], duo["unknown"], duo["best_style"]) == (
        UNKNOWN,
        True,
        max(duo["tracks"], key=lambda t: t["score"])["style"],
    )
    assert [(t["track_id"], t["style"], t["unknown"]) for t in duo["tracks"]] == [
        (0, "clockwise", False),
        (1, "counter", False),
    ]
    assert duo["reason"] == f"score {duo['score']:.2f} below 0.60"
    assert sum(entry["score"] for entry in duo["distribution"]) == pytest.approx(1)
    assert {s["track_id"] for s in duo["segments"]} == {w["track_id"] for w in duo["windows"]} == {0, 1}
    assert duo["kinematics"]["hands_speed_mean"] > 0
    assert still["unknown"]
    assert [row["reason"] for row in (nobody, short)] == ["nobody in view", "nobody in view for 1.5 seconds on end"]
    for row in (nobody, short):
        assert (row["style"], row["best_style"], row["score"], row["unknown"], row["kinematics"]) == (
            None, None, None, False, None,
        )  # fmt: skip
    for row in (duo, nobody, short, still):
        assert (row["pose_fingerprint"], row["model_version"], row["run_id"]) == (
            FINGERPRINT, model.model_version, "run",
        )  # fmt: skip


def test_kinematics_are_left_once_for_the_whole_part_whichever_videos_and_models_are_tagged(store) -> None:
    worker(store, arms_model()).process(shard_of("still"))
    (uri,) = list_parts(store, "kinematics", FINGERPRINT)
    written = objects.read_object(uri)
    table = read_part(uri, schemas.KINEMATICS)
    assert table.select(["video_id", "track_id", "is_main"]).to_pylist() == [
        {"video_id": "duo", "track_id": 0, "is_main": False},
        {"video_id": "duo", "track_id": 1, "is_main": True},
        {"video_id": "short", "track_id": 0, "is_main": True},
        {"video_id": "still", "track_id": 0, "is_main": True},
    ]
    other = arms_model(unknown_below=0.2)
    worker(store, other).process(shard_of("duo", "short", name="another"))
    assert list(list_parts(store, "kinematics", FINGERPRINT)) == [uri]
    assert objects.read_object(uri) == written


def test_anybody_reads_the_tables_with_no_code_of_ours(store: str) -> None:
    model = arms_model()
    worker(store, model).process(shard_of("duo", "still"))
    frame = pd.read_parquet(next(iter(list_parts(store, "kinematics", FINGERPRINT))))
    assert set(FEATURES) < set(frame.columns)
    assert frame.groupby("video_id")["is_main"].sum().tolist() == [1, 1, 1]
    query = f"""
        select t.video_id, k.hands_speed_mean, t.kinematics.hands_speed_mean, len(t.segments)
        from '{store}/tags/*/*.parquet' t join '{store}/kinematics/*/*.parquet' k using (video_id, content_id)
        where k.is_main order by t.video_id
    """
    rows = duckdb.sql(query).fetchall()
    assert [row[0] for row in rows] == ["duo", "still"]
    for _, measured, repeated, num_segments in rows:
        assert measured == repeated
        assert num_segments >= 1


def test_tags_of_the_first_schema_are_refused_by_their_version(store: str, tmp_path: Path) -> None:
    old = schemas.TAGS.with_metadata({**schemas.TAGS.metadata, b"choreai.schema_version": b"1"})
    uri = part_uri(store, "tags", "lstm-old", "x")
    write_part(uri, old.empty_table(), tmp_path / "scratch")
    with pytest.raises(TableError, match="tags schema version '1', but this release reads version 2"):
        read_table(store, "tags", "lstm-old", schemas.TAGS, columns=["style"])


def test_a_worker_that_died_before_its_tags_were_put_is_made_good(store: str) -> None:
    class FailingModel(ArmsModel):
        def window_log_scores(self, inputs: Inputs) -> np.ndarray:
            raise RuntimeError("killed")

    model = arms_model()
    with pytest.raises(RuntimeError, match="killed"):
        worker(store, FailingModel(model.networks, model.config)).process(shard_of("duo"))
    ready = worker(store, model)
    assert list(list_parts(store, "tags", model.model_version)) == []
    assert ready.process(shard_of("duo")).written
    assert not ready.process(shard_of("duo")).written
    assert len(list(list_parts(store, "kinematics", FINGERPRINT))) == 1


def test_the_summary_counts_styles_and_shares_of_this_catalog_with_unknown_last(tmp_path: Path, capsys) -> None:
    rows = [
        tag_row("a", "popping", 0.8),
        tag_row("b", "waacking", 0.9),
        tag_row("c", "popping", 0.7),
        tag_row("d", UNKNOWN, 0.4),
        tag_row("e", None, None),
        tag_row("of another catalog", "locking", 0.9),
    ]
    write_tags(str(tmp_path), rows)
    lines = ["video_id,uri,content_id", *(f"{name},{name}.mp4,c1" for name in "abcde")]
    catalog = read_catalog(write_lines(tmp_path / "catalog.csv", *lines))
    config = TagConfig(catalog="-", output=str(tmp_path))
    statuses = Counter({"tagged": 3, "unknown": 1, "nothing to judge": 1})
    done = RunManifest("tag_catalog", "run", {}, "fp1", model_version="lstm-a", statuses=statuses)
    print_summary(config, catalog, RunManifest("extract_poses", "run", {}, "fp1"), done)
    table = capsys.readouterr().out.split("styles in this catalog")[1]
    cells = [line.strip("│ ").replace("│", " ").split() for line in table.splitlines() if "%" in line]
    assert cells == [["popping", "2", "50%", "0.75"], ["waacking", "1", "25%", "0.90"], ["unknown", "1", "25%", "0.40"]]


# ---- keypoints in space ----


def test_coordinates_in_space_come_back_nan_where_a_row_has_none(tmp_path: Path) -> None:
    table = keypoint_rows("v", "c", dancer_xy("counter", seed=1, num_frames=4))
    place = schemas.KEYPOINTS.get_field_index("keypoints_xyz")

    def with_xyz(values: list[list[float] | None]) -> KeypointSequence:
        return sequence_of(
            table.set_column(place, schemas.KEYPOINTS.field(place), pa.array(values, pa.list_(pa.float32())))
        )

    assert with_xyz([None] * 4).keypoints_xyz is None
    numbers = np.arange(51.0).tolist()
    xyz = with_xyz([None, numbers, None, numbers]).keypoints_xyz
    assert xyz is not None
    np.testing.assert_array_equal(xyz[[1, 3]].reshape(2, 51), [numbers, numbers])
    assert np.isnan(xyz[[0, 2]]).all()
    with pytest.raises(TableError, match=r"51 numbers or be null, got \[50\]"):
        with_xyz([numbers[:50]] * 4)
