"""Near-duplicates: copies of a performance are found however they were changed, other performances are not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from keypoint_sequences import sequence_from
from moving_skeletons import FINGERPRINT, dancer_xy, keypoint_rows, write_keypoints

from choreai.cli.main import main
from choreai.motion.crowd_match import CrowdMatcher, repetition
from choreai.motion.crowd_signature import crowd_signature
from choreai.motion.sequence import KeypointSequence
from choreai.motion.signature import MAX_SAMPLES, SignatureMatch, SignatureMatcher, match_signatures, motion_signature
from choreai.motion.skeleton import MIRROR
from choreai.pipeline.duplicates import (
    MIN_AGREEMENT,
    MIN_CORRELATION,
    VideoSignature,
    copies_among,
    describe_match,
    group_duplicates,
    whole_copies,
)

WIDTH = 640


def performance(seed: int, *, seconds: float = 10.0, frames_per_second: float = 15.0) -> np.ndarray:
    """(N, 17, 2) pixels of somebody whose limbs move at random, smoothly."""
    rng = np.random.default_rng(seed)
    num = round(seconds * frames_per_second)
    noise = rng.standard_normal((num + 30, 17, 2)).cumsum(axis=0)
    means = [np.stack([noise[i : i + num] for i in range(15 - reach, 15 + reach)]).mean(axis=0) for reach in (3, 15)]
    slow = (means[0] - means[1]) / (means[0] - means[1]).std(axis=0)
    return dancer_xy("clockwise", seed=0, num_frames=1) + 20 * slow


def sequence(xy: np.ndarray, *, speed: float = 1.0, noise_seed: int = 0, scores: np.ndarray | float = 0.9):
    """What an estimator sees of it, a pixel or two off."""
    noisy = xy + np.random.default_rng([99, noise_seed]).normal(0, 1.5, xy.shape)
    return sequence_from(np.arange(len(xy)) / 15 / speed, noisy, scores=scores)


def copies_of(xy: np.ndarray) -> dict[str, KeypointSequence]:
    mirrored = xy[:, list(MIRROR)] * (-1, 1) + (WIDTH, 0)
    seen = np.where(xy[..., 1] < np.quantile(xy[..., 1], 0.8), 0.9, 0.05)  # the feet are cut off
    return {
        "mirrored": sequence(mirrored, noise_seed=1),
        "cropped": sequence(xy, noise_seed=2, scores=seen),
        "faster": sequence(xy, speed=1.1, noise_seed=3),
        "again": sequence(xy, noise_seed=4),
        "cut": sequence(xy[30:], noise_seed=5),
        "smaller": sequence(0.5 * xy + 40, noise_seed=6),
    }


def match_of(one: KeypointSequence, other: KeypointSequence) -> SignatureMatch:
    return match_signatures(motion_signature(one), motion_signature(other))


@pytest.mark.parametrize("name", ["mirrored", "cropped", "faster", "again", "cut", "smaller"])
def test_a_copy_fits_and_it_is_told_what_was_done_to_it(name: str) -> None:
    xy = performance(1)
    match = match_of(sequence(xy), copies_of(xy)[name])
    assert match.correlation > 0.9
    assert match.mirrored == (name == "mirrored")
    assert match.speed == pytest.approx(1.1 if name == "faster" else 1.0, abs=0.025)
    assert match.offset_seconds == pytest.approx(-2.0 if name == "cut" else 0.0, abs=0.25)


def test_other_performances_do_not_fit() -> None:
    matcher = SignatureMatcher(motion_signature(sequence(performance(1))))
    others = [matcher.match(motion_signature(sequence(performance(seed)))).correlation for seed in range(2, 12)]
    assert max(others) < MIN_CORRELATION - 0.1


def test_a_stretch_cut_out_of_a_long_video_is_found_in_it() -> None:
    xy = performance(3, seconds=50.0)
    match = match_of(sequence(xy[300:480]), sequence(xy, noise_seed=1))
    assert match.correlation > 0.9
    assert match.offset_seconds == pytest.approx(20, abs=0.5)
    other_way = match_of(sequence(xy, noise_seed=1), sequence(xy[300:480]))
    assert other_way.offset_seconds == pytest.approx(-20, abs=0.5)


def test_of_a_video_of_more_than_a_minute_the_liveliest_minute_is_compared() -> None:
    xy = performance(3, seconds=100.0)
    xy[:600] = xy[600]
    signature = motion_signature(sequence(xy))
    assert len(signature.poses) == MAX_SAMPLES
    assert signature.start_seconds > 35


def test_somebody_seen_for_too_short_a_time_fits_nobody() -> None:
    xy = performance(1)
    assert match_of(sequence(xy), sequence(xy[:45])).correlation == -1
    assert len(motion_signature(KeypointSequence.empty()).poses) == 0


def test_groups_hold_all_copies_and_nobody_else() -> None:
    sequences = {f"clip_{seed}": sequence(performance(seed)) for seed in range(1, 14)}
    sequences |= {f"clip_2 {name}": copy for name, copy in copies_of(performance(2)).items()}
    sequences["clip_7 mirrored"] = copies_of(performance(7))["mirrored"]
    groups = group_duplicates({name: VideoSignature.of(rows) for name, rows in sequences.items()})
    assert [set(group.video_ids) for group in groups] == [
        {"clip_2", *(f"clip_2 {name}" for name in copies_of(performance(2)))},
        {"clip_7", "clip_7 mirrored"},
    ]


def crowd(seed: int, *, speed: float = 1.0, mirrored: bool = False, shown: int = 0) -> KeypointSequence:
    """Six people beside each other, of whom an estimator sees two at a time, others every two seconds.

    The larger one is another in each copy, as `shown` says; only somebody smaller is seen in both.
    """
    sizes = (1.5, 1.5, 1.5, 1.5, 1, 1)
    people = np.stack([sizes[i] * performance(100 * seed + i) + (150 * i, 30 * (i % 2)) for i in range(6)])
    frames, who, tracks = (np.repeat(np.arange(150), 2), np.empty(300, np.int64), np.empty(300, np.int32))
    part = frames // 30
    is_first = np.arange(300) % 2 == 0
    who[:] = np.where(is_first, 2 * shown + part % 2, 4 + part % 2)
    tracks[:] = 2 * part + is_first
    xy = people[who, frames] + np.random.default_rng([7, shown]).normal(0, 1.5, (300, 17, 2))
    if mirrored:
        xy = xy[:, list(MIRROR)] * (-1, 1) + (1000, 0)
    found = sequence_from(frames / 15 / speed, xy, track_id=tracks)
    return replace(found, frame_index=np.round(found.pts_seconds * 15 * speed).astype(np.int32))


@pytest.mark.parametrize(("speed", "mirrored"), [(1.0, False), (1.0, True), (1.1, False), (1.05, True)])
def test_a_copy_of_a_crowd_is_found_where_the_estimator_takes_other_people(speed: float, mirrored: bool) -> None:
    one, other = VideoSignature.of(crowd(1)), VideoSignature.of(crowd(1, speed=speed, mirrored=mirrored, shown=1))
    assert match_signatures(one.dancer, other.dancer).correlation < MIN_CORRELATION
    match = one.match(other)
    assert match.correlation >= MIN_AGREEMENT
    assert match.mirrored == mirrored
    assert match.speed == pytest.approx(speed, abs=0.02)
    assert match.offset_seconds == pytest.approx(0, abs=0.3)
    (group,) = group_duplicates({"a": one, "b": other, "c": VideoSignature.of(crowd(2))})
    assert group.video_ids == ("a", "b")


def test_other_crowds_do_not_fit() -> None:
    matcher = CrowdMatcher(crowd_signature(crowd(1)))
    assert (
        max(matcher.match(crowd_signature(crowd(seed)).own).correlation for seed in range(2, 8)) < MIN_AGREEMENT - 0.1
    )


def test_steps_that_repeat_tell_no_performance() -> None:
    turning = {f"{seed}": dancer_xy("clockwise", seed=seed, num_frames=100) for seed in range(6)}
    crowds = {name: crowd_signature(sequence_from(np.arange(100) / 10, xy)) for name, xy in turning.items()}
    assert repetition(crowd_signature(sequence(performance(1)))) < 0.3
    assert whole_copies(crowds) == []


def test_what_was_done_is_said_in_words() -> None:
    assert describe_match(SignatureMatch(0.9, mirrored=True, speed=1.1041, offset_seconds=-2.0)) == (
        "mirrored, 1.10 x, begins 2.0 s later"
    )
    assert describe_match(SignatureMatch(0.9, mirrored=False, speed=1.0, offset_seconds=0.1)) == "same"


def test_the_command_lists_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = {f"clip_{seed}": performance(seed, frames_per_second=10) for seed in range(3)}
    clips["again"] = clips["clip_1"] + 2
    write_keypoints(tmp_path, {"k": [keypoint_rows(name, "c", xy.astype(np.float32)) for name, xy in clips.items()]})
    assert main(["similar", "--duplicates", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "4 videos; near-duplicates of others: 1, in groups: 1" in said
    assert main(["similar", "--duplicates", "--output", str(tmp_path), "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert (group["first"], group["others"][0]["video_id"]) == ("again", "clip_1")


def test_of_the_videos_of_a_training_the_copies_are_named(tmp_path: Path) -> None:
    clips = {f"clip_{seed}": performance(seed, frames_per_second=10) for seed in range(3)}
    clips |= {"again": clips["clip_1"] + 2, "unlabelled": clips["clip_2"] + 2}
    write_keypoints(tmp_path, {"k": [keypoint_rows(name, "c", xy.astype(np.float32)) for name, xy in clips.items()]})
    labelled = [name for name in clips if name != "unlabelled"]
    assert copies_among(str(tmp_path), FINGERPRINT, labelled, by_movement=True) == [("again", "clip_1")]


def test_without_keypoints_there_is_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", "--duplicates", "--output", str(tmp_path)]) == 2
    assert "which keypoints? There are none" in capsys.readouterr().err
    write_keypoints(tmp_path, {"k": [keypoint_rows("a", "c", performance(1).astype(np.float32))]})
    assert main(["similar", "--duplicates", "--output", str(tmp_path)]) == 0
    assert "near-duplicates of others: 0" in capsys.readouterr().out
