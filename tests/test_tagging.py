"""Tags of videos, dancers and moments, and the tables the tag worker leaves."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from arms_model import WINDOWS, ArmsModel, arms_model, references, rows_of, still_xy
from moving_skeletons import STYLES, dancer_xy, keypoint_rows

from choreai.demo.dancers import write_clip
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import cut_windows
from choreai.style.dancers import measure_dancers
from choreai.style.examples import Inputs
from choreai.style.explain.annotated_video import annotate
from choreai.style.explain.reasons import reasons_png, why_text
from choreai.style.novelty import Novelty
from choreai.style.tagging import TaggedVideo, VideoTag, tag_row, tag_sequence
from choreai.tables.keypoints import sequence_of
from choreai.tables.posed_video import PosedVideo
from choreai.tables.schemas import UNKNOWN
from choreai.visualize.style_colors import style_rgb


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


def test_a_tag_that_may_be_somebody_elses_says_so_beside_its_style() -> None:
    sure = tag_of(rows_of(dancer_xy("clockwise", seed=1)))
    assert sure.reason is None
    unsure = replace(sure, dancer_confidence=0.7)
    assert unsure.reason == "several people, dancer uncertain"
    assert unsure.prediction == sure.prediction
    assert tag_row(unsure)["reason"] == unsure.reason
    assert not tag_row(unsure)["unknown"]
    assert TaggedVideo((), unsure).text.endswith("(several people, dancer uncertain)")
    both = replace(tag_of(rows_of(still_xy())), dancer_confidence=0.7)
    assert both.reason == f"{both.prediction.doubt}; several people, dancer uncertain"


def test_boxes_and_their_scores_come_out_of_the_table_in_the_rows_order() -> None:
    table = keypoint_rows("v", "c", still_xy(3))
    scores = pa.array([0.1, 0.2, 0.3], pa.float32())
    place = table.schema.get_field_index("box_score")
    shuffled = table.set_column(place, table.schema.field(place), scores).take([2, 0, 1])
    sequence = sequence_of(shuffled)
    assert sequence.box_scores is not None
    assert sequence.box_xyxy is not None
    np.testing.assert_allclose(sequence.box_scores, [0.1, 0.2, 0.3])
    assert sequence.box_xyxy.shape == (3, 4)


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
    xy = dancer_xy("counter", seed=3)
    usual, odd = rows_of(xy), rows_of(xy * np.array((1, 0.3), np.float32))
    model = arms_model(novelty=novelty_around(cut_windows(usual, WINDOWS).kinematic_features, limit=1.0))
    assert tag_of(usual, model).prediction.style == "counter"
    tag = tag_of(odd, model)
    assert tag.prediction.score > 0.9
    assert (tag.prediction.style, tag.prediction.doubt) == (UNKNOWN, "moves unlike anything in training")


def test_score_and_doubt_are_told_apart() -> None:
    xy = dancer_xy("counter", seed=3)
    usual, odd = rows_of(xy), rows_of(xy * np.array((1, 0.3), np.float32))
    limits = novelty_around(cut_windows(usual, WINDOWS).kinematic_features, limit=1.0)
    known, strange = tag_of(usual, arms_model(novelty=limits)), tag_of(odd, arms_model(novelty=limits))
    assert known.prediction.novelty == pytest.approx(0, abs=0.1)
    assert strange.prediction.novelty is not None
    assert strange.prediction.novelty > 1
    assert (known.doubts, strange.doubts) == ((), ("unlike training",))
    assert tag_row(strange)["doubts"] == "unlike training"
    assert tag_row(strange)["score"] == strange.prediction.score > 0.9  # of the best style, as ever
    assert TaggedVideo((), strange).text == (
        f"unknown (moves unlike anything in training; most like counter, score {strange.prediction.score:.2f})"
    )
    both = tag_of(odd, arms_model(novelty=limits, unknown_below=1.0))
    assert both.doubts == ("low score", "unlike training")
    assert str(both.reason).endswith(" below 1.00; moves unlike anything in training")


def test_a_dance_of_less_than_a_window_or_half_out_of_sight_says_so_beside_its_style() -> None:
    whole = rows_of(dancer_xy("clockwise", seed=1))
    first = whole.between(0.0, WINDOWS.window_seconds - 0.5)
    short = tag_of(first)
    assert short.doubts == ("short",)
    assert short.reason == f"short: {WINDOWS.window_seconds - 0.5:.1f} s of dance"
    assert tag_of(whole).doubts == ()
    scores = whole.keypoint_scores.copy()
    scores[:, 9:] = 0.0
    half = tag_of(replace(whole, keypoint_scores=scores))
    assert "half seen" in half.doubts
    assert "half seen: 53% of the body" in str(half.reason)


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
    assert first.start_seconds == 0.0
    assert second.stop_seconds == pytest.approx(24.0, abs=WINDOWS.stride_seconds)
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
    expected: list[Any] = [(0.0, pytest.approx(5.0)), (pytest.approx(25.0), pytest.approx(30.0))]
    assert spans == expected


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
        assert (np.abs(bar - style_rgb(style)).max(axis=1) < 25).mean() > 0.2
    changed = np.abs(with_bar[:180].astype(int) - without).max(axis=2) > 60
    assert 100 < changed.sum() < 5000  # a name at each dancer's head
