"""Drawing on frames, and writing them to files."""

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import number_of, numbered

from choreai.errors import StorageError
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.video.decode import VideoReader
from choreai.video.encode import VideoWriter, write_png
from choreai.visualize.draw import contact_sheet, draw_label, draw_people, track_color

SIZES_WH = [(320, 180), (1920, 1080)]

# Arms spread, legs apart, in shares of the height around the middle; the person's left is on our right.
STANCE = np.array(
    [
        [0, -0.40], [0.02, -0.42], [-0.02, -0.42], [0.05, -0.41], [-0.05, -0.41],
        [0.11, -0.27], [-0.11, -0.27], [0.22, -0.20], [-0.22, -0.20], [0.33, -0.13], [-0.33, -0.13],
        [0.07, 0.02], [-0.07, 0.02], [0.12, 0.22], [-0.12, 0.22], [0.16, 0.42], [-0.16, 0.42],
    ],
    np.float32,
)  # fmt: skip
LEFT_ELBOW, LEFT_WRIST = KEYPOINT_NAMES.index("left_elbow"), KEYPOINT_NAMES.index("left_wrist")
RIGHT_ELBOW, RIGHT_WRIST = KEYPOINT_NAMES.index("right_elbow"), KEYPOINT_NAMES.index("right_wrist")


def plain(size_wh: tuple[int, int], level: int = 0) -> np.ndarray:
    return np.full((size_wh[1], size_wh[0], 3), level, np.uint8)


def stance(size_wh: tuple[int, int]) -> np.ndarray:
    return STANCE * size_wh[1] + np.array([size_wh[0] / 2, size_wh[1] / 2], np.float32)


def draw_one(
    image: np.ndarray, keypoints_xy: np.ndarray, *, track_id: int = 0, scores: np.ndarray | None = None
) -> None:
    draw_people(
        image,
        keypoints_xy=keypoints_xy[None],
        keypoint_scores=np.full((1, 17), 0.9, np.float32) if scores is None else scores[None],
        track_ids=[track_id],
    )


def color_between(image: np.ndarray, keypoints_xy: np.ndarray, first: int, second: int) -> tuple[int, ...]:
    x, y = (keypoints_xy[first] + keypoints_xy[second]) / 2
    return tuple(image[round(float(y)), round(float(x))].tolist())


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_left_limbs_have_the_track_s_colour_and_right_limbs_a_paler_one(size_wh) -> None:
    image, points = plain(size_wh), stance(size_wh)
    draw_one(image, points, track_id=3)
    left = color_between(image, points, LEFT_ELBOW, LEFT_WRIST)
    right = color_between(image, points, RIGHT_ELBOW, RIGHT_WRIST)
    assert np.abs(np.subtract(left, track_color(3))).max() < 60
    assert sum(right) > sum(left) + 100


def test_tracks_have_colours_that_differ() -> None:
    colors = np.array([track_color(i) for i in range(8)], int)
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 1000 * np.eye(8)
    assert distances.min() > 60


@pytest.mark.parametrize("level", [0, 255])
def test_a_skeleton_shows_on_black_and_on_white(level) -> None:
    image = plain((320, 180), level)
    draw_one(image, stance((320, 180)))
    assert (np.abs(image.astype(int) - level).max(axis=2) > 100).sum() > 500


@pytest.mark.parametrize("missing", ["nan", "infinite", "low score", "nan score"])
def test_a_keypoint_not_seen_is_not_drawn_nor_its_edges(missing) -> None:
    image, points = plain((320, 180)), stance((320, 180))
    scores = np.full(17, 0.9, np.float32)
    where = points[LEFT_WRIST].copy()
    if missing == "nan":
        points[LEFT_WRIST] = np.nan
    elif missing == "infinite":
        points[LEFT_WRIST, 0] = np.inf
    else:
        scores[LEFT_WRIST] = 0.1 if missing == "low score" else np.nan
    draw_one(image, points, scores=scores)
    x, y = where.round().astype(int)
    assert image[y - 5 : y + 6, x - 5 : x + 6].max() == 0
    assert image.max() > 0


def test_nobody_and_nothing_seen_draw_nothing() -> None:
    image = plain((320, 180), 7)
    draw_people(
        image,
        keypoints_xy=np.zeros((0, 17, 2), np.float32),
        keypoint_scores=np.zeros((0, 17), np.float32),
        track_ids=[],
    )
    draw_one(image, np.full((17, 2), np.nan, np.float32))
    assert (image == 7).all()


def test_keypoints_far_outside_do_not_wrap_around() -> None:
    image, points = plain((320, 180)), stance((320, 180))
    points[LEFT_WRIST] = [1e12, points[LEFT_ELBOW, 1]]
    draw_one(image, points)
    row = image[round(float(points[LEFT_ELBOW, 1]))]
    assert row[-20:].max() > 100
    assert row[:20].max() == 0


@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_lines_thicken_with_the_image(size_wh) -> None:
    image, points = plain(size_wh), stance(size_wh)
    draw_one(image, points)
    share = (image.max(axis=2) > 60).mean()
    assert 0.008 < share < 0.06


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="keypoints_xy must be"):
        draw_one(plain((64, 48)), np.zeros((18, 2), np.float32))
    with pytest.raises(ValueError, match="image must be"):
        draw_one(np.zeros((48, 64), np.uint8), stance((64, 48)))
    with pytest.raises(ValueError, match="C order"):
        draw_label(plain((64, 48))[:, ::-1], "x")


# Labels


def luminance(color: np.ndarray) -> float:
    """WCAG 2 relative luminance of an RGB colour."""
    linear = np.where(color / 255 <= 0.03928, color / 255 / 12.92, ((color / 255 + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("background", ["black", "white", "busy"])
def test_a_label_is_readable_on_any_background(size_wh, background) -> None:
    image = plain(size_wh, 255 if background == "white" else 0)
    if background == "busy":
        image[:] = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    draw_label(image, "HHHHHHHH", xy=(0, 0))
    text_height = max(11, size_wh[1] // 30)
    plate = image[2 : text_height + 2, 2 : 4 * text_height].reshape(-1, 3)
    ink = plate[(plate == 255).all(axis=1)]
    ground = plate[plate.max(axis=1) <= 77]
    assert len(ink) > 0.02 * len(plate), "no fully white strokes"
    assert len(ground) > 0.4 * len(plate), "no plate"
    contrast = (luminance(ink[0]) + 0.05) / (max(luminance(color) for color in np.unique(ground, axis=0)) + 0.05)
    assert contrast > 7, "WCAG AAA asks for 7 to 1"


def test_a_label_stays_inside_and_touches_nothing_else() -> None:
    image = plain((320, 180), 200)
    draw_label(image, "krump 0.93", xy=(1000, 1000))
    rows, columns = np.nonzero((image != 200).any(axis=2))
    assert rows.max() == 179
    assert columns.max() == 319
    assert rows.min() > 150
    assert columns.min() > 160


@pytest.mark.parametrize("text", ["Привет", "ελληνικά", "Ünïcødé ß", "日本", "a\ud800b", "tab\there\x00", "", "\n\n"])
def test_any_text_can_be_drawn(text) -> None:
    image = plain((320, 180), 200)
    draw_label(image, text)
    assert (image != 200).any()


def test_scripts_that_opencv_cannot_write_are_drawn_as_themselves() -> None:
    drawn = []
    for text in ["Ж", "Ω", "é", "?", "□"]:
        image = plain((64, 48))
        draw_label(image, text, text_height=24)
        drawn.append(image.tobytes())
    assert len(set(drawn)) == 5


@pytest.mark.parametrize("size_wh", [(320, 180), (40, 30), (8, 6), (1, 1)])
def test_text_too_large_for_the_image_is_cut(size_wh) -> None:
    image = plain(size_wh, 200)
    draw_label(image, "much too long for this image\n" * 20, xy=(5, 5))
    assert image.shape == (size_wh[1], size_wh[0], 3)


# Sheets


def test_a_contact_sheet_places_frames_row_by_row_with_captions() -> None:
    frames = [plain((64, 48), level) for level in (50, 100, 150, 200, 250)]
    sheet = contact_sheet(frames, columns=2, cell_width=64)
    assert sheet.shape == (3 * 48, 2 * 64, 3)
    assert [int(sheet[y, x, 0]) for y in (24, 72, 120) for x in (32, 96)] == [50, 100, 150, 200, 250, 32]
    captioned = contact_sheet(frames, columns=2, cell_width=64, captions=list("abcde"))
    assert (captioned[:24] == sheet[:24]).all()
    assert (captioned[24:48, :64] != sheet[24:48, :64]).any()


def test_frames_of_other_proportions_fit_their_cell_whole() -> None:
    sheet = contact_sheet([plain((64, 48), 100), plain((48, 64), 200)], columns=2, cell_width=64)
    assert sheet.shape == (48, 128, 3)
    assert sheet[24, 96, 0] == 200
    assert sheet[24, 66, 0] == 32


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        contact_sheet([])
    with pytest.raises(ValueError, match="as many captions"):
        contact_sheet([plain((64, 48))], captions=[])


# Files


def write_all(writer: VideoWriter, images: list) -> None:
    for index, image in enumerate(images):
        writer.write(image, index / 10)


def read_back(path: Path) -> list:
    with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
        return list(reader.frames())


def test_a_written_video_reads_back_with_its_frames_times_and_colours(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 1.5, 1.54, 1.7]
    path = tmp_path / "a.mp4"
    tint = np.array([200, 60, 40], np.uint8)
    with VideoWriter(path) as writer:
        for index, seconds in enumerate(times):
            image = numbered(index, size_wh=(160, 120))
            image[60:] = tint
            writer.write(image, seconds)
    frames = read_back(path)
    assert [number_of(f.image) for f in frames] == list(range(6))
    assert [f.pts_seconds for f in frames] == pytest.approx(times, abs=1e-4)
    assert np.abs(frames[0].image[90:110, 20:140].astype(int) - tint).max() <= 6
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_written_video_plays_anywhere(tmp_path: Path) -> None:
    """H.264, 4:2:0, index before the data, tagged BT.709 limited range: what browsers and players expect."""
    path = tmp_path / "a.mp4"
    with VideoWriter(path) as writer:
        for index in range(10):
            writer.write(numbered(index), index / 10)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (stream.codec_context.name, frame.format.name) == ("h264", "yuv420p")
        assert (frame.colorspace, frame.color_range) == (1, 1)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(1.0, abs=0.07)


@pytest.mark.parametrize("size_wh", [(63, 47), (64, 47), (1, 1)])
def test_odd_sizes_are_extended_by_their_edge(tmp_path: Path, size_wh) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path) as writer:
        writer.write(plain(size_wh, 200), 0)
    (frame,) = read_back(path)
    assert frame.image.shape[:2] == (size_wh[1] + size_wh[1] % 2, size_wh[0] + size_wh[0] % 2)
    assert np.abs(frame.image.astype(int) - 200).max() < 5


def test_an_error_leaves_no_file_and_the_old_one_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="image must be"), VideoWriter(path) as writer:
        write_all(writer, [numbered(0), np.zeros((48, 64), np.uint8)])
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.mp4", b"old")]


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frame was written"):
        with VideoWriter(tmp_path / "a.mp4"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_times_that_do_not_increase_and_sizes_that_change_are_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(numbered(0), 0.5)
        with pytest.raises(ValueError, match="must increase"):
            writer.write(numbered(1), 0.5)
        with pytest.raises(ValueError, match="like the first"):
            writer.write(numbered(1, size_wh=(32, 32)), 1)
        with pytest.raises(ValueError, match="must be"):
            writer.write(np.zeros((48, 64), np.uint8), 1)
    assert len(read_back(tmp_path / "a.mp4")) == 1


def test_a_folder_that_does_not_exist_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        with VideoWriter(tmp_path / "no" / "a.mp4") as writer:
            writer.write(numbered(0), 0)
    with pytest.raises(StorageError, match="cannot be written"):
        write_png(tmp_path / "no" / "a.png", numbered(0))


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from choreai.errors import StorageError\n"
        "from choreai.video.encode import VideoWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "rng = np.random.default_rng(0)\n"
        "try:\n"
        "    with VideoWriter(Path(sys.argv[1])) as writer:\n"
        "        for i in range(60): writer.write(rng.integers(0, 256, (120, 160, 3), np.uint8), i / 30)\n"
        "except StorageError as error: print(error.uri)\n"
    )
    path = tmp_path / "a.mp4"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(path)
    assert list(tmp_path.iterdir()) == []


def test_a_png_reads_back_exactly(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    write_png(tmp_path / "a.png", image)
    assert (cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1] == image).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
