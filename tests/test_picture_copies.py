"""Copies are told by their pictures, and people who do the same steps are not taken for copies."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from choreai.arrays import ImageArray
from choreai.pipeline.picture_copies import MIN_MOVING, PictureCopies
from choreai.tables import schemas
from choreai.tables.pictures import PictureRows, read_pictures
from choreai.tables.pose_parts import PosePartWriter, VideoRows
from choreai.video.frame import Frame
from choreai.video.picture_match import MovingPictures, PictureMatch, PictureMatcher
from choreai.video.picture_signature import SECONDS_BETWEEN, PictureSampler, PictureSignature

HEIGHT, WIDTH = 90, 160
FRAMES_PER_SECOND = 15.0


def scene(*, place: int, steps: int, num_frames: int = 150, first: int = 0) -> Iterator[ImageArray]:
    """Yield pictures of two people before a wall: `place` draws the wall and the clothes, `steps` the movement."""
    rng = np.random.default_rng(place)
    wall = cv2.resize(rng.integers(60, 200, (6, 8), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    clothes = rng.integers(0, 255, 2)
    moves = np.random.default_rng(steps)
    rates, phases = moves.uniform(0.2, 1.3, (2, 2, 3)), moves.uniform(0, 6, (2, 2, 3))
    for frame in range(first, first + num_frames):
        picture = wall.copy()
        swing = np.sin(2 * np.pi * rates * frame / FRAMES_PER_SECOND + phases).sum(axis=2)
        for person, (x, y) in enumerate(swing):
            middle = (int(45 + 70 * person + 9 * x), int(50 + 6 * y))
            cv2.ellipse(picture, middle, (8, 25), float(6 * x), 0, 360, (int(clothes[person]),), cv2.FILLED)
        yield np.repeat(picture[:, :, None], 3, axis=2)


def signature_of(images: Iterator[ImageArray], *, frames_per_second: float = FRAMES_PER_SECOND) -> PictureSignature:
    sampler = PictureSampler()
    for index, image in enumerate(images):
        sampler.add(image, pts_seconds=index / frames_per_second)
    return sampler.signature()


def match(one: PictureSignature, other: PictureSignature) -> PictureMatch:
    return PictureMatcher(MovingPictures(one)).match(MovingPictures(other))


def mirrored() -> PictureSignature:
    return signature_of(np.ascontiguousarray(image[:, ::-1]) for image in scene(place=1, steps=1))


def cropped() -> PictureSignature:
    return signature_of(image[12 : 12 + 72, 5 : 5 + 128] for image in scene(place=1, steps=1))


def faster() -> PictureSignature:
    return signature_of(scene(place=1, steps=1), frames_per_second=1.1 * FRAMES_PER_SECOND)


def compressed() -> PictureSignature:
    def squeeze(image: ImageArray) -> ImageArray:
        encoded = cv2.imencode(".jpg", cv2.resize(image, (96, 54)), [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)

    return signature_of(squeeze(image) for image in scene(place=1, steps=1))


def excerpt() -> PictureSignature:
    return signature_of(scene(place=1, steps=1, first=30, num_frames=90))


COPIES = {
    "mirrored": (mirrored, True, 1.0, 0.0),
    "cropped": (cropped, False, 1.0, 0.0),
    "faster": (faster, False, 1.1, 0.0),
    "compressed": (compressed, False, 1.0, 0.0),
    "excerpt": (excerpt, False, 1.0, -2.0),
}


@pytest.fixture(scope="module")
def original() -> PictureSignature:
    return signature_of(scene(place=1, steps=1))


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_found_and_it_is_told_what_was_done_to_it(name: str, original: PictureSignature) -> None:
    copy, is_mirrored, speed, offset_seconds = COPIES[name]
    found = match(original, copy())
    assert found.moving > MIN_MOVING
    assert found.mirrored == is_mirrored
    assert found.speed == pytest.approx(speed, abs=0.05)
    assert found.offset_seconds == pytest.approx(offset_seconds, abs=0.3)


def test_other_steps_before_the_same_wall_are_no_copy(original: PictureSignature) -> None:
    assert match(original, signature_of(scene(place=1, steps=2))).moving < MIN_MOVING


def test_the_same_steps_in_another_place_are_no_copy(original: PictureSignature) -> None:
    copies = PictureCopies({"a": original, "b": signature_of(scene(place=5, steps=1)), "c": mirrored()})
    assert copies.tell("a", "b")
    assert copies.describe("a", "b") is None
    assert copies.describe("a", "c") is not None
    assert [pair for pairs in copies.pairs() for pair in pairs] in ([("a", "c")], [("c", "a")])


def test_of_videos_without_pictures_nothing_is_said(original: PictureSignature) -> None:
    still = signature_of(image for image in [next(scene(place=1, steps=1))] * 150)
    copies = PictureCopies(
        {"a": original, "still": still, "short": signature_of(scene(place=1, steps=1, num_frames=1))}
    )
    assert copies.names == ("a",)
    assert not copies.tell("a", "still")
    assert not copies.tell("a", "unknown")
    assert list(PictureCopies({}).pairs()) == []


def test_pictures_are_taken_a_few_times_a_second(original: PictureSignature) -> None:
    assert original.luma.shape == (50, 9, 16)
    assert np.diff(original.pts_seconds) == pytest.approx(SECONDS_BETWEEN, abs=1e-6)


def test_a_shard_has_a_pictures_part(tmp_path: Path, original: PictureSignature) -> None:
    with PosePartWriter(str(tmp_path), shard_id="s", pose_fingerprint="p", trace={}) as writer:
        rows = VideoRows(writer.scratch, video_id="a", content_id="c")
        for index, image in enumerate(scene(place=1, steps=1)):
            rows.pictures.add(Frame(image, index, index / FRAMES_PER_SECOND))
        record: dict[str, object] = {
            name: 0 for name in schemas.VIDEOS.names if name.startswith("num_") or name == "process_seconds"
        }
        record |= {"uri": "/v", "content_id": "c", "status": "ok", "attempts": 1, "run_id": "r"}
        writer.add_video(record | {"video_id": "a"}, rows)
        writer.add_video(record | {"video_id": "quarantined"}, None)
        assert PictureRows(video_id="b", content_id="c").rows == ()
        writer.commit()
    found = read_pictures(str(tmp_path), "p")
    assert list(found) == ["a"]
    assert np.array_equal(found["a"].luma, original.luma)
    assert read_pictures(str(tmp_path), "p", ["b"]) == read_pictures(str(tmp_path), "other") == {}
