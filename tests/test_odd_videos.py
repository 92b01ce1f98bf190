"""Every odd video of the corpus is read whole and in order, and what is odd about it is said."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import number_of, numbered
from odd_videos import ODD_VIDEOS, OddVideo

from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.video.quality import InputQuality


def read(path: Path) -> tuple[list[Frame], InputQuality, VideoReader]:
    with path.open("rb") as file, VideoReader(file, uri=path.name) as reader:
        return list(reader.frames()), reader.quality, reader


@pytest.mark.parametrize("odd", ODD_VIDEOS, ids=lambda odd: odd.name)
def test_an_odd_video_is_read_whole_and_what_is_odd_is_said(odd: OddVideo, tmp_path: Path) -> None:
    frames, quality, reader = read(odd.write(tmp_path / odd.name))
    assert {frame.image.shape[1::-1] for frame in frames} == {odd.size_wh} == {(reader.info.width, reader.info.height)}
    if odd.numbers:
        assert [number_of(frame.image) for frame in frames] == list(odd.numbers)
    if odd.last_seconds is not None:
        assert frames[-1].pts_seconds == pytest.approx(odd.last_seconds, abs=2e-3)
    assert quality.remarks == odd.remarks
    assert all(later.pts_seconds > frame.pts_seconds for frame, later in pairwise(frames))


def find(name: str) -> OddVideo:
    return next(odd for odd in ODD_VIDEOS if odd.name == name)


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.avi", "cut_with_sound.mkv"])
def test_a_cut_video_tells_the_seconds_expected_and_read(name: str, tmp_path: Path) -> None:
    frames, quality, _ = read(find(name).write(tmp_path / name))
    assert quality.expected_seconds == pytest.approx(2.0, abs=0.1)
    assert quality.read_seconds == pytest.approx(len(frames) / 30, abs=0.1)
    assert quality.read_seconds < 1.6
    assert quality.sentences[0] == f"cut short: {quality.read_seconds:.1f} of 2.0 s could be read"


@pytest.mark.parametrize("name", ["interlaced.mpg", "interlaced.ts", "bottom_first.mkv"])
def test_interlaced_pictures_show_one_moment(name: str, tmp_path: Path) -> None:
    frames, quality, _ = read(find(name).write(tmp_path / name))
    assert quality.interlaced_share == 1
    lower = np.stack([frame.image[60:90] for frame in frames[1:-1]]).astype(int)
    combing = np.abs(2 * lower[:, 1:-1] - lower[:, :-2] - lower[:, 2:]).mean()
    assert combing < 4  # 20 and more in the frames as they are stored


def test_a_picture_that_changes_its_shape_is_not_squeezed(tmp_path: Path) -> None:
    frames, quality, _ = read(find("larger.ts").write(tmp_path / "larger.ts"))
    fitted = frames[-2].image  # 160 x 90 into 64 x 48: 64 x 36, six black rows above and below
    assert quality.num_sizes == 2
    assert fitted[:5].max() < 20 > fitted[-5:].max()
    expected = numbered(10, size_wh=(64, 36))
    assert np.abs(fitted[6:42].astype(int) - expected).mean() < 12


def test_high_dynamic_range_is_shown_as_bright_as_it_was(tmp_path: Path) -> None:
    frames, quality, _ = read(find("hdr10.mp4").write(tmp_path / "hdr10.mp4"))
    assert quality.dynamic_range == "pq"
    # The grey of 96 is a PQ signal of 0.376: 28 cd/m2, a seventh of white.
    grey = frames[0].image[-8:, 8:-8].astype(float).mean()
    assert grey == pytest.approx(255 * 1.055 * (28 / 203) ** (1 / 2.4) - 0.055 * 255, abs=8)
