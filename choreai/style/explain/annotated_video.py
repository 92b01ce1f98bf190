"""One video with its skeletons and styles drawn on it, as an mp4 and a contact sheet."""

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.fingerprint import fingerprint
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.style.tagging import TaggedSpan, TaggedVideo, VideoTag
from choreai.tables.posed_video import PosedVideo
from choreai.tables.schemas import UNKNOWN
from choreai.video.decode import VideoInfo, VideoReader
from choreai.video.encode import VideoWriter, read_comment, write_png
from choreai.video.frame import Frame
from choreai.visualize.draw import contact_sheet, draw_label, draw_people, track_color
from choreai.visualize.timeline import Bar, Timeline, style_color
from choreai.visualize.trails import TRAIL_SECONDS, draw_trails

logger = logging.getLogger(__name__)

SHEET_STILLS = 12
MAX_GAP_SECONDS = 0.5
"""Skeletons are interpolated between samples, but not across a longer absence."""
TRAIL_KEYPOINTS = [9, 10, 15, 16]
"""Wrists and ankles."""
NUM_TRAIL_POINTS = 13
MIN_TRAIL_SCORE = 0.3


@dataclass(frozen=True)
class Annotated:
    """The files that `annotate` wrote."""

    video: Path
    sheet: Path
    tag: str
    """The text written on them: style and score, or why there is none."""


class _Skeletons:
    """Where everybody is at any time: tracks interpolated between their samples."""

    def __init__(self, sequence: KeypointSequence) -> None:
        self._tracks = dict(sequence.tracks())

    def at(self, seconds: float) -> tuple[FloatArray, FloatArray, list[int]]:
        """Return keypoints_xy (P, 17, 2), keypoint_scores (P, 17) and track ids of the people in view at `seconds`."""
        found = {track_id: _interpolate(track, seconds) for track_id, track in self._tracks.items()}
        people = {track_id: pose for track_id, pose in found.items() if pose is not None}
        return (
            np.array([xy for xy, _ in people.values()], np.float32).reshape(-1, NUM_KEYPOINTS, 2),
            np.array([scores for _, scores in people.values()], np.float32).reshape(-1, NUM_KEYPOINTS),
            list(people),
        )

    def trails(self, seconds: float, track_id: int) -> list[FloatArray]:
        """Return where a track's hands and feet were up to `seconds`, each (N, 2) pixels, NaN where unseen."""
        past = np.full((NUM_TRAIL_POINTS, len(TRAIL_KEYPOINTS), 2), np.nan, np.float32)
        for step, moment in enumerate(np.linspace(seconds - TRAIL_SECONDS, seconds, NUM_TRAIL_POINTS)):
            if found := _interpolate(self._tracks[track_id], float(moment)):
                xy, scores = found[0][TRAIL_KEYPOINTS], found[1][TRAIL_KEYPOINTS]
                past[step] = np.where(scores[:, None] >= MIN_TRAIL_SCORE, xy, np.nan)
        return list(past.transpose(1, 0, 2))


def _interpolate(track: KeypointSequence, seconds: float) -> tuple[FloatArray, FloatArray] | None:
    """Return one track's keypoints and scores at `seconds`, None where it is out of view."""
    pts_seconds, xy, scores = track.pts_seconds, track.keypoints_xy, track.keypoint_scores
    after = int(np.searchsorted(pts_seconds, seconds))
    if after < len(pts_seconds) and pts_seconds[after] - seconds < 1e-3:
        return xy[after], scores[after]
    if after == 0:
        return None
    before_seconds = float(pts_seconds[after - 1])
    if after == len(pts_seconds) or pts_seconds[after] - before_seconds > MAX_GAP_SECONDS:
        step = float(np.median(np.diff(pts_seconds))) if len(pts_seconds) > 1 else 0.0
        return (xy[after - 1], scores[after - 1]) if seconds - before_seconds < step else None
    share = (seconds - before_seconds) / (float(pts_seconds[after]) - before_seconds)
    return (
        (1 - share) * xy[after - 1] + share * xy[after],
        np.minimum(scores[after - 1], scores[after]),
    )


def unused_name(video: PosedVideo, folder: Path) -> str:
    """Return a name for the video's pictures in `folder`: its own, or with a number behind it where the pictures of
    another video have that name."""
    for number in itertools.count(1):
        name = video.name if number == 1 else f"{video.name}-{number}"
        path = folder / f"{name}.annotated.mp4"
        if not path.exists() or read_comment(path) == _origin(video):
            return name
    raise AssertionError("numbers do not end")


def _origin(video: PosedVideo) -> str:
    """Return what the annotated video says of its source: a hash, since people pass such videos on."""
    return f"choreai {fingerprint({'uri': objects.resolve_uri(video.uri, against='.')})}"


def annotate(video: PosedVideo, tagged: TaggedVideo, *, folder: Path) -> Annotated:
    """Write the annotated video and contact sheet of one video to `folder`.

    The tag is written on both; where there is one, the video also shows each dancer's and a bar of who shows which
    style when.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = Annotated(folder / f"{video.name}.annotated.mp4", folder / f"{video.name}.sheet.png", tagged.text)
    stills: list[ImageArray] = []
    captions: list[str] = []
    with objects.open_object(video.uri) as file, VideoReader(file, uri=video.uri, num_threads=2) as reader:
        drawing = _Drawing(video.rows, tagged, reader.info)
        still_times = iter(_still_times(video.rows, reader.info.duration_seconds))
        next_still = next(still_times, None)
        with VideoWriter(target.video, comment=_origin(video)) as writer:
            for frame in reader.frames():
                image = drawing.draw(frame)
                writer.write(drawing.with_timeline(image, frame), pts_seconds=frame.pts_seconds)
                if next_still is not None and frame.pts_seconds >= next_still:
                    stills.append(image)
                    captions.append(f"{frame.pts_seconds:.1f} s")
                    next_still = next((t for t in still_times if t > frame.pts_seconds), None)
    write_png(target.sheet, contact_sheet(stills, columns=4, captions=captions))
    return target


class _Drawing:
    """Draws the skeletons and tags of one video on its frames."""

    def __init__(self, sequence: KeypointSequence, tagged: TaggedVideo, info: VideoInfo) -> None:
        self._text = tagged.text
        self._skeletons = _Skeletons(sequence)
        self._segments = tagged.tag.segments if tagged.tag is not None else ()
        self._timeline = _timeline(tagged.tag, info) if tagged.tag is not None else None

    def draw(self, frame: Frame) -> ImageArray:
        """Return a new image: skeletons, the video's tag, and each dancer's where there are several."""
        image = frame.image.copy()
        xy, scores, track_ids = self._skeletons.at(frame.pts_seconds)
        for track_id in track_ids:
            draw_trails(image, self._skeletons.trails(frame.pts_seconds, track_id), color=track_color(track_id))
        draw_people(image, keypoints_xy=xy, keypoint_scores=scores, track_ids=track_ids)
        if len({segment.track_id for segment in self._segments}) > 1:
            for segment in self._segments:
                shown = segment.start_seconds <= frame.pts_seconds < segment.stop_seconds
                if shown and segment.track_id in track_ids:
                    left, top = xy[track_ids.index(segment.track_id)].min(axis=0).tolist()
                    draw_label(image, segment.prediction.style, xy=(left, top - image.shape[0] / 15))
        draw_label(image, self._text)
        return image

    def with_timeline(self, image: ImageArray, frame: Frame) -> ImageArray:
        """Return `image` with the bar of who shows which style when under it, where there is a tag."""
        return image if self._timeline is None else self._timeline.under(image, seconds=frame.pts_seconds)


def _timeline(tag: VideoTag, info: VideoInfo) -> Timeline:
    stop = max(segment.stop_seconds for segment in tag.segments)
    return Timeline(
        [_bar(segment, list(tag.distribution)) for segment in tag.segments],
        width=info.width,
        text_height=max(11, round(min(info.width, info.height) / 30)),
        duration_seconds=max(stop, info.duration_seconds or 0.0),
    )


def _bar(segment: TaggedSpan, styles: list[str]) -> Bar:
    prediction = segment.prediction
    is_known = prediction.doubt is None
    return Bar(
        segment.start_seconds,
        segment.stop_seconds,
        segment.track_id,
        f"{prediction.style} {prediction.score:.2f}" if is_known else UNKNOWN,
        style_color(styles.index(prediction.best_style) if is_known else None),
    )


def _still_times(rows: KeypointSequence, duration_seconds: float | None) -> Float64Array:
    """Return times evenly over the time in which somebody is in view; over the whole video if nobody is."""
    if len(rows):
        start, stop = float(rows.pts_seconds.min()), float(rows.pts_seconds.max())
    else:
        start, stop = 0.0, duration_seconds or 0.0
    return np.linspace(start, stop, SHEET_STILLS, endpoint=False)
