"""The generated dancers: what the demo's videos must be for the rest to learn from them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from choreai.demo import dancers
from choreai.demo.body import Body, pose_skeleton, rotation
from choreai.demo.dancers import STYLES, Dancer, clip_keypoints, write_catalog, write_clip
from choreai.demo.look import HAIR_STYLES, SKIN_TONES, SLEEVES, TROUSERS
from choreai.demo.manner import SPEEDS, Manner
from choreai.demo.mesh import build_mesh
from choreai.demo.moves import COMMON_MOVES, STYLES_BY_NAME
from choreai.demo.render import render_frames
from choreai.errors import StorageError
from choreai.motion.skeleton import KEYPOINT_NAMES, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from choreai.video.frame import Frame

TINY_SECONDS, TINY_WH = 0.5, (160, 90)
"""Eight small frames."""
SAMPLED_SECONDS = 2.5
"""Of each clip that MediaPipe looks at: enough for two moves."""
SAMPLING = 2
"""Every second frame of 16 a second is what the project samples."""

# --- motion ---


def positions(style: str, seed: int, seconds: float = 5.0) -> dict[str, np.ndarray]:
    """(F, 3) world metres by keypoint name."""
    skeleton = Dancer(style, seed).skeleton(np.arange(round(16 * seconds)) / 16)
    return dict(zip(KEYPOINT_NAMES, skeleton.keypoints_xyz.swapaxes(0, 1), strict=True))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bones_keep_their_length(style: str, seed: int) -> None:
    body, at = Dancer(style, seed).body, positions(style, seed)
    lengths = {
        "shoulder-elbow": body.upper_arm,
        "elbow-wrist": body.forearm,
        "hip-knee": body.thigh,
        "knee-ankle": body.shank,
    }
    for side in ("left", "right"):
        for bone, length in lengths.items():
            start, stop = (at[f"{side}_{part}"] for part in bone.split("-"))
            np.testing.assert_allclose(
                np.linalg.norm(stop - start, axis=1), length, rtol=1e-6, err_msg=f"{side} {bone}"
            )


@pytest.mark.parametrize("style", STYLES)
def test_feet_stay_above_the_floor_and_one_is_on_it_unless_the_dancer_jumps(style: str) -> None:
    floating = []
    for seed in range(8):
        dancer, at = Dancer(style, seed), positions(style, seed)
        lowest = np.minimum(at["left_ankle"][:, 1], at["right_ankle"][:, 1]) / dancer.body.height
        assert lowest.min() > 0.030, f"{dancer.video_id}: an ankle {lowest.min():.3f} heights over the floor"
        floating.append((lowest > 0.10).mean())
    assert np.mean(floating) < 0.10, f"no foot near the floor in {np.mean(floating):.0%} of the frames"


@pytest.mark.parametrize("style", STYLES)
def test_no_keypoint_jumps_between_frames(style: str) -> None:
    for seed in range(8):
        at = positions(style, seed)
        fastest = {name: np.linalg.norm(np.diff(xyz, axis=0), axis=1).max() * 16 for name, xyz in at.items()}
        name = max(fastest, key=fastest.__getitem__)
        assert fastest[name] < 12, f"{style} {seed}: {name} at {fastest[name]:.1f} m/s"


def test_a_dancer_facing_the_camera_has_the_left_side_at_the_right_of_the_picture() -> None:
    xy = clip_keypoints(style="classical", seed=1).mean(axis=0)
    assert xy[LEFT_SHOULDER, 0] > xy[RIGHT_SHOULDER, 0]
    assert xy[LEFT_HIP, 0] > xy[RIGHT_HIP, 0]
    assert xy[LEFT_SHOULDER, 1] < xy[LEFT_HIP, 1], "y points down"


def test_rotations_are_rotations() -> None:
    matrices = rotation(np.random.default_rng(0).uniform(-3, 3, (20, 3)))
    np.testing.assert_allclose(matrices @ matrices.swapaxes(1, 2), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    np.testing.assert_allclose(rotation([0.5, 0, 0]) @ [0, 0, 1], [np.sin(0.5), 0, np.cos(0.5)], atol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_every_move_can_be_danced_by_anybody(style: str) -> None:
    beat = np.arange(0, 8, 0.125)
    for seed in range(4):
        manner, body = Manner.draw(np.random.default_rng(seed)), Body.draw(np.random.default_rng(seed))
        for move in STYLES_BY_NAME[style].moves + COMMON_MOVES:
            skeleton = pose_skeleton(body, move(manner, beat, beat))
            assert np.isfinite(skeleton.keypoints_xyz).all(), move.__name__
            travelled = np.ptp(skeleton.keypoints_xyz, axis=0).max()
            assert 0.02 < travelled < 2.5, f"{move.__name__}: the widest movement is {travelled:.2f} m"


# --- what must not give a style away ---


def test_stance_body_clothes_and_studio_do_not_depend_on_the_style() -> None:
    first, *others = (Dancer(style, 5) for style in STYLES)
    for other in others:
        assert other.body == first.body
        assert other.look == first.look
        assert other.manner.liveliness == first.manner.liveliness
        assert other.name == first.name
        np.testing.assert_array_equal(other.scene(TINY_WH).background, first.scene(TINY_WH).background)


def test_tempo_is_drawn_alike_for_all_styles() -> None:
    tempi = {style: [Dancer(style, seed).beats_per_minute for seed in range(100)] for style in STYLES}
    means = {style: np.mean(values) for style, values in tempi.items()}
    assert max(means.values()) - min(means.values()) < 4, means
    assert min(map(min, tempi.values())) < 92
    assert max(map(max, tempi.values())) > 112


def test_about_fifteen_percent_of_the_moves_are_common_to_all_styles() -> None:
    moves = [move for style in STYLES for seed in range(200) for move in Dancer(style, seed).choreography.moves]
    share = np.mean([move in COMMON_MOVES for move in moves])
    assert 0.12 < share < 0.18


def test_mean_hand_position_and_speed_are_the_same_in_all_styles() -> None:
    """Differences between the styles' means, in standard deviations over dancers."""
    features = {style: np.array([hand_habits(style, seed) for seed in range(40)]) for style in STYLES}
    spread = np.mean([values.std(axis=0) for values in features.values()], axis=0)
    means = np.array([values.mean(axis=0) for values in features.values()])
    assert (np.ptp(means, axis=0) / spread).max() < 0.75, dict(zip(STYLES, means.round(3).tolist(), strict=True))


def hand_habits(style: str, seed: int) -> tuple[float, float, float]:
    """Mean height and outward place of the wrists from the shoulders, and their mean speed, in body heights."""
    at, height = positions(style, seed), Dancer(style, seed).body.height
    reach = [at[f"{side}_wrist"] - (at["left_shoulder"] + at["right_shoulder"]) / 2 for side in ("left", "right")]
    outward = (reach[0][:, 0] - reach[1][:, 0]).mean() / 2
    speed = np.mean([np.linalg.norm(np.diff(hand[:, :2], axis=0), axis=1).mean() * 16 for hand in reach])
    return np.mean(reach, axis=(0, 1))[1] / height, outward / height, float(speed) / height


def test_a_dancer_is_as_lively_as_the_manner_says() -> None:
    for style in STYLES:
        for seed in range(10):
            *_, speed = hand_habits(style, seed)
            wanted = Dancer(style, seed).manner.liveliness["arms"]
            assert speed == pytest.approx(wanted, rel=0.15), f"{style} {seed}"
            assert SPEEDS["arms"][0] <= wanted <= SPEEDS["arms"][1]


# --- pictures ---


def test_the_mesh_is_closed_around_every_dancer() -> None:
    """Seen from the camera, no background shows through the middle of a limb, trunk or head."""
    for seed in range(6):
        dancer = Dancer("afrobeat", seed)
        skeleton, scene = dancer.skeleton(np.arange(3) / 16), dancer.scene((640, 360))
        xy = scene.camera.view(skeleton.keypoints_xyz)[..., :2]
        for image, points in zip(render_frames(build_mesh(dancer.body, dancer.look), skeleton, scene), xy, strict=True):
            changed = np.abs(image.astype(int) - scene.background).sum(axis=2) > 20
            middles = [(points[a] + points[b]) / 2 for a, b in [(5, 12), (6, 11), (5, 7), (7, 9), (11, 13), (13, 15)]]
            for x, y in [*points[:1], *middles]:
                assert changed[round(y), round(x)], f"{dancer.video_id}: a hole at {x:.0f}, {y:.0f}"


def test_a_dancer_fills_40_percent_of_the_height_or_more_and_stays_in_the_frame() -> None:
    for style in STYLES:
        for seed in range(12):
            xy = clip_keypoints(style=style, seed=seed)
            tallest = np.median(np.ptp(xy[..., 1], axis=1)) / 360
            assert tallest > 0.38, f"{style} {seed}: nose to ankle {tallest:.2f} of the frame"
            outside = ((xy < 0) | (xy > (639, 359))).any(axis=2).mean()
            assert outside < 0.01, f"{style} {seed}: {outside:.1%} of the keypoints outside the frame"


# --- files ---


def test_a_clip_is_h264_of_the_size_and_length_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    truth = write_clip(path, style="hiphop", seed=3, duration_seconds=TINY_SECONDS, size_wh=TINY_WH)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 16
    assert {(frame.width, frame.height) for frame in frames} == {TINY_WH}
    assert truth.shape == (len(frames), 17, 2) == (8, 17, 2)
    assert truth.dtype == np.float32


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    def clip(name: str, seed: int) -> tuple[bytes, bytes]:
        path = tmp_path / name
        truth = write_clip(path, style="afrobeat", seed=seed, duration_seconds=TINY_SECONDS, size_wh=TINY_WH)
        return path.read_bytes(), truth.tobytes()

    first, again, other = clip("a.mp4", 7), clip("b.mp4", 7), clip("c.mp4", 8)
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_truth_without_rendering_is_the_truth_of_the_clip(tmp_path: Path) -> None:
    written = write_clip(tmp_path / "a.mp4", style="classical", seed=2, duration_seconds=TINY_SECONDS, size_wh=TINY_WH)
    computed = clip_keypoints(style="classical", seed=2, duration_seconds=TINY_SECONDS, size_wh=TINY_WH)
    np.testing.assert_array_equal(written, computed)


def test_truth_scales_with_the_frame() -> None:
    """Pixel centres are at integers, so it is (x + 0.5) that doubles."""
    small = clip_keypoints(style="classical", seed=2, duration_seconds=TINY_SECONDS, size_wh=TINY_WH)
    large = clip_keypoints(style="classical", seed=2, duration_seconds=TINY_SECONDS, size_wh=(320, 180))
    np.testing.assert_allclose(large + 0.5, 2 * (small + 0.5), rtol=1e-4)


def test_wrong_arguments_are_refused_with_their_value(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 'waltz'"):
        Dancer("waltz", 0)
    with pytest.raises(ValueError, match="got -1"):
        Dancer("hiphop", -1)
    with pytest.raises(ValueError, match=r"\(161, 90\)"):
        write_clip(tmp_path / "a.mp4", style="hiphop", seed=0, size_wh=(161, 90))
    with pytest.raises(ValueError, match=r"0\.05 s"):
        clip_keypoints(style="hiphop", seed=0, duration_seconds=0.05)


def test_a_clip_that_cannot_be_written_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        write_clip(
            tmp_path / "missing" / "a.mp4", style="hiphop", seed=0, duration_seconds=TINY_SECONDS, size_wh=TINY_WH
        )
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_clip_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Iterator[np.ndarray]:
        yield np.zeros((90, 160, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr(dancers, "render_frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_clip(tmp_path / "a.mp4", style="hiphop", seed=0, duration_seconds=TINY_SECONDS, size_wh=TINY_WH)
    assert list(tmp_path.iterdir()) == []


def tiny_catalog(folder: Path, num_per_style: int, *, num_processes: int = 1) -> list[dict[str, str]]:
    path = write_catalog(
        folder,
        num_per_style=num_per_style,
        first_seed=20,
        num_processes=num_processes,
        duration_seconds=TINY_SECONDS,
        size_wh=TINY_WH,
    )
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_catalog_names_every_clip_with_its_label_and_dancer(tmp_path: Path) -> None:
    rows = tiny_catalog(tmp_path, 2)
    assert sorted((row["label"], row["group"]) for row in rows) == [
        (style, f"dancer-{seed:04d}") for style in STYLES for seed in (20, 21)
    ]
    assert len({row["video_id"] for row in rows}) == 6
    for row in rows:
        assert row["uri"] == f"videos/{row['video_id']}.mp4"
        assert (tmp_path / row["uri"]).is_file()


def test_a_second_run_keeps_the_clips_and_counts_them_all(tmp_path: Path) -> None:
    rows = tiny_catalog(tmp_path, 1)
    kept, missing = tmp_path / rows[0]["uri"], tmp_path / rows[1]["uri"]
    content = missing.read_bytes()
    kept.write_bytes(b"kept")
    missing.unlink()
    num_clips = 0

    def count() -> None:
        nonlocal num_clips
        num_clips += 1

    write_catalog(
        tmp_path, num_per_style=1, first_seed=20, on_clip=count, duration_seconds=TINY_SECONDS, size_wh=TINY_WH
    )
    assert num_clips == 3
    assert kept.read_bytes() == b"kept"
    assert missing.read_bytes() == content


def test_several_processes_write_the_same_clips_as_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    rows = tiny_catalog(one, 1)
    assert tiny_catalog(two, 1, num_processes=2) == rows
    for row in rows:
        assert (one / row["uri"]).read_bytes() == (two / row["uri"]).read_bytes()


# --- what MediaPipe makes of them ---


@dataclass(frozen=True)
class Sighting:
    """How MediaPipe's keypoints of one clip compare with the truth."""

    dancer: Dancer
    detected: float
    """Share of the sampled frames in which it found somebody."""
    pck: float
    """Share of all keypoints within 0.2 torso (left shoulder to right hip) of the truth; those of nobody are wrong."""

    def __str__(self) -> str:
        look = self.dancer.look
        return (
            f"{self.dancer.video_id} (skin {look.skin_tone}, {look.hair_style} hair, sleeves {look.sleeves}, "
            f"trousers {look.trouser_length}): PCK@0.2 {self.pck:.3f}, detected {self.detected:.3f}"
        )


def covering_dancers() -> list[Dancer]:
    """Dancers that together show every skin tone in every style, every hair style, sleeve and trouser length."""
    wanted: set[tuple[str, object]] = {(style, tone) for style in STYLES for tone in range(len(SKIN_TONES))}
    wanted |= {("hair", h) for h in HAIR_STYLES} | {("sleeves", s) for s in SLEEVES} | {("legs", t) for t in TROUSERS}
    chosen: list[Dancer] = []
    for seed in range(200):
        dancer = Dancer(STYLES[seed % len(STYLES)], seed)
        look = dancer.look
        shown: set[tuple[str, object]] = {(dancer.style, look.skin_tone), ("hair", look.hair_style)}
        shown |= {("sleeves", look.sleeves), ("legs", look.trouser_length)}
        if wanted & shown:
            chosen.append(dancer)
            wanted -= shown
    assert not wanted, f"nobody among 200 dancers shows {wanted}"
    return chosen


@pytest.mark.slow
@pytest.mark.usefixtures("mediapipe")
def test_mediapipe_finds_and_follows_dancers_of_every_skin_tone_hair_and_clothing(tmp_path: Path) -> None:
    from choreai.pose.mediapipe import MediaPipeEstimator

    estimator = MediaPipeEstimator()
    sightings = []
    for dancer in covering_dancers():
        path = tmp_path / f"{dancer.video_id}.mp4"
        truth = write_clip(path, style=dancer.style, seed=dancer.seed, duration_seconds=SAMPLED_SECONDS)
        estimator.start_video()
        with av.open(str(path)) as container:
            sampled = list(container.decode(video=0))[::SAMPLING]
            images = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in sampled]
        poses = estimator.estimate([Frame(image, SAMPLING * i, i / 8) for i, image in enumerate(images)])
        right = []
        for pose, xy in zip(poses, truth[::SAMPLING], strict=True):
            torso = np.linalg.norm(xy[LEFT_SHOULDER] - xy[RIGHT_HIP])
            near = np.linalg.norm(pose.keypoints_xy[0] - xy, axis=1) <= 0.2 * torso if len(pose) else np.zeros(17, bool)
            right.append(near.mean())
        sightings.append(Sighting(dancer, float(np.mean([len(pose) > 0 for pose in poses])), float(np.mean(right))))
    estimator.close()

    worst = min(sightings, key=lambda s: s.pck)
    assert {s.dancer.style for s in sightings} == set(STYLES)
    assert np.mean([s.detected for s in sightings]) >= 0.98, (
        f"least often found: {min(sightings, key=lambda s: s.detected)}"
    )
    assert np.mean([s.pck for s in sightings]) >= 0.9, f"worst clip: {worst}"
    assert worst.pck >= 0.8, f"worst clip: {worst}"
