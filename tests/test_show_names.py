"""The names of the pictures that `choreai show` makes."""

from dataclasses import replace
from pathlib import Path

from clips import write_clip

from choreai.motion.sequence import KeypointSequence
from choreai.style.explain.annotated_video import annotate, unused_name
from choreai.style.tagging import TaggedVideo
from choreai.tables.posed_video import PosedVideo


def test_pictures_of_another_video_of_the_same_name_are_not_overwritten(tmp_path: Path) -> None:
    videos = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        clip = write_clip(tmp_path / folder / "dance.mp4", num_frames=3)
        videos.append(PosedVideo("dance", str(clip), KeypointSequence.empty()))
    pictures = tmp_path / "pictures"
    for video, name in zip([*videos, *videos], ["dance", "dance-2"] * 2, strict=True):
        assert unused_name(video, pictures) == name
        annotate(replace(video, name=name), TaggedVideo((), None, "no style model"), folder=pictures)
    assert len(list(pictures.glob("*.mp4"))) == 2
