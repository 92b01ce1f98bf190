"""One video with its skeletons and styles drawn on it, as an mp4 and a contact sheet."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.catalog.pictures import open_source
from choreai.fingerprint import fingerprint
from choreai.motion.prominence import dancing_rows
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.style.tagging import TaggedSpan, TaggedVideo, VideoTag
from choreai.tables.posed_video import PosedVideo
from choreai.tables.schemas import UNKNOWN
from choreai.video.decode import VideoInfo
from choreai.video.encode import VideoWriter, read_comment, write_png
from choreai.video.frame import Frame
from choreai.video.picture_files import Pictures
from choreai.video.pictures import open_reader
from choreai.video.sound import Sound
from choreai.visualize.draw import contact_sheet, draw_label, draw_onlookers, draw_people, track_color
from choreai.visualize.style_colors import style_rgb
from choreai.visualize.timeline import Bar, Timeline
from choreai.visualize.trails import TRAIL_SECONDS, draw_trails

logger = logging.getLogger(__name__)

SHEET_STILLS = 12
MAX_GAP_SECONDS = 0.5
"""Skeletons are interpolated between samples, but not across a longer absence."""
TRAIL_KEYPOINTS = [9, 10, 15, 16]
"""Wrists and ankles."""
NUM_TRAIL_POINTS = 13
LEGEND = "in colour: who dances; grey: others"
MIN_TRAIL_SCORE = 0.3


@dataclass(frozen=True)
class Annotated:
    """The files that `annotate` wrote."""

    video: Path
    sheet: Path
    tag: str
    """The text written on them: style and score, or why there is none."""
    size_wh: tuple[int, int]
    """Pixels of the upright picture."""
    sound_problem: str = ""
    """Why the video's sound is not in it, although nobody asked for that; empty if it is, or the video has none."""


class _Skeletons:
    """Where everybody is at any time, and who dances: tracks interpolated between their samples."""

    def __init__(self, sequence: KeypointSequence, named: Sequence[int] | None) -> None:
        self._tracks = dict(sequence.tracks())
        self._num_keypoints = len(sequence.keypoint_set)
        is_dancing = dancing_rows(sequence, named)
        self._is_dancing = {track_id: is_dancing[sequence.track_id == track_id] for track_id in self._tracks}

    @property
    def several(self) -> bool:
        """Whether there is anybody besides one person."""
        return len(self._tracks) > 1

    def dances(self, track_id: int, seconds: float) -> bool:
        """Return whether a person who is in view dances at `seconds`, as at the last sample before."""
        place = int(np.searchsorted(self._tracks[track_id].pts_seconds, seconds + 1e-3)) - 1
        return bool(self._is_dancing[track_id][max(place, 0)])

    def at(self, seconds: float) -> tuple[FloatArray, FloatArray, list[int]]:
        """Return keypoints_xy (P, J, 2), keypoint_scores (P, J) and track ids of the people in view at `seconds`."""
        found = {track_id: _interpolate(track, seconds) for track_id, track in self._tracks.items()}
        people = {track_id: pose for track_id, pose in found.items() if pose is not None}
        return (
            np.array([xy for xy, _ in people.values()], np.float32).reshape(-1, self._num_keypoints, 2),
            np.array([scores for _, scores in people.values()], np.float32).reshape(-1, self._num_keypoints),
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
    pts_seconds, xy, scores = track.pts_seconds, track.all_keypoints_xy, track.all_keypoint_scores
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


def annotate(
    video: PosedVideo, tagged: TaggedVideo, *, folder: Path, mute: bool = False, num_threads: int = 1
) -> Annotated:
    """Write the annotated video and contact sheet of one video to `folder`.

    The tag is written on both; where there is one, the video also shows each dancer's and a bar of who shows which
    style when. The video keeps its sound unless `mute` is set. `num_threads` of encoding work beside the drawing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target_video, sheet = folder / f"{video.name}.annotated.mp4", folder / f"{video.name}.sheet.png"
    stills: list[ImageArray] = []
    captions: list[str] = []
    with (
        open_source(video.uri) as file,
        open_source(video.uri) as sound_file,
        open_reader(file, uri=video.uri, num_threads=2) as reader,
    ):
        drawing = _Drawing(video.rows, tagged, reader.info)
        size_wh = reader.info.width, reader.info.height
        still_times = iter(_still_times(video.rows, reader.info.duration_seconds))
        next_still = next(still_times, None)
        with VideoWriter(target_video, num_threads=num_threads, comment=_origin(video)) as writer:
            for frame in reader.frames():
                image = drawing.draw(frame)
                writer.write(drawing.with_timeline(image, frame), pts_seconds=frame.pts_seconds)
                if next_still is not None and frame.pts_seconds >= next_still:
                    stills.append(image)
                    captions.append(f"{frame.pts_seconds:.1f} s")
                    next_still = next((t for t in still_times if t > frame.pts_seconds), None)
            wants_sound = reader.info.has_audio and not mute
            is_in_time = reader.quality.num_clock_jumps == 0
            if wants_sound and is_in_time and not isinstance(sound_file, Pictures):
                writer.sound = Sound(sound_file, video.uri, reader.start_seconds)
    problem = writer.sound_problem if is_in_time else "the video's clock jumps, and it would not be in time"
    write_png(sheet, contact_sheet(stills, columns=4, captions=captions))
    return Annotated(target_video, sheet, tagged.text, size_wh, problem if wants_sound else "")


class _Drawing:
    """Draws the skeletons and tags of one video on its frames."""

    def __init__(self, sequence: KeypointSequence, tagged: TaggedVideo, info: VideoInfo) -> None:
        self._skeletons = _Skeletons(sequence, tagged.named)
        self._text = tagged.text
        self._segments = tagged.tag.segments if tagged.tag is not None else ()
        self._timeline = _timeline(tagged.tag, info) if tagged.tag is not None else None

    def draw(self, frame: Frame) -> ImageArray:
        """Return a new image: the dancers' skeletons, the others' in grey, the video's tag, and everybody's id and each
        dancer's tag where there are several people."""
        image, seconds = frame.image.copy(), frame.pts_seconds
        xy, scores, track_ids = self._skeletons.at(seconds)
        dancing = np.array([self._skeletons.dances(track_id, seconds) for track_id in track_ids], np.bool_)
        bodies_xy, body_scores = xy[:, :NUM_KEYPOINTS], scores[:, :NUM_KEYPOINTS]
        draw_onlookers(image, keypoints_xy=bodies_xy[~dancing], keypoint_scores=body_scores[~dancing])
        dancers = [track_id for track_id, is_dancer in zip(track_ids, dancing, strict=True) if is_dancer]
        for track_id in dancers:
            draw_trails(image, self._skeletons.trails(seconds, track_id), color=track_color(track_id))
        draw_people(image, keypoints_xy=xy[dancing], keypoint_scores=scores[dancing], track_ids=dancers)
        if self._skeletons.several:
            for points, track_id, is_dancer in zip(bodies_xy, track_ids, dancing, strict=True):
                self._draw_id(image, points, track_id, seconds, is_dancer=bool(is_dancer))
            draw_label(image, LEGEND, xy=(image.shape[1], image.shape[0]))
        draw_label(image, self._text)
        return image

    def _draw_id(
        self, image: ImageArray, points: FloatArray, track_id: int, seconds: float, *, is_dancer: bool
    ) -> None:
        """Write a person's id above the head, smaller for somebody who looks on, and a dancer's tag beside it."""
        seen = points[np.isfinite(points).all(axis=1)]
        if not len(seen):
            return
        text, height = str(track_id), max(11, round(min(image.shape[:2]) / (30 if is_dancer else 45)))
        if is_dancer and len({segment.track_id for segment in self._segments}) > 1:
            text = " ".join([text, *(s.prediction.style for s in self._segments if _is_at(s, track_id, seconds))])
        left, top = float(seen[:, 0].min()), float(seen[:, 1].min()) - 2 * height
        draw_label(image, text, xy=(left, top), text_height=height)

    def with_timeline(self, image: ImageArray, frame: Frame) -> ImageArray:
        """Return `image` with the bar of who shows which style when under it, where there is a tag."""
        return image if self._timeline is None else self._timeline.under(image, seconds=frame.pts_seconds)


def _is_at(segment: TaggedSpan, track_id: int, seconds: float) -> bool:
    return segment.track_id == track_id and segment.start_seconds <= seconds < segment.stop_seconds


def _timeline(tag: VideoTag, info: VideoInfo) -> Timeline:
    stop = max(segment.stop_seconds for segment in tag.segments)
    return Timeline(
        [_bar(segment) for segment in tag.segments],
        width=info.width,
        text_height=max(11, round(min(info.width, info.height) / 30)),
        duration_seconds=max(stop, info.duration_seconds or 0.0),
    )


def _bar(segment: TaggedSpan) -> Bar:
    prediction = segment.prediction
    is_known = prediction.doubt is None
    return Bar(
        segment.start_seconds,
        segment.stop_seconds,
        segment.track_id,
        f"{prediction.style} {prediction.score:.2f}" if is_known else UNKNOWN,
        style_rgb(prediction.best_style if is_known else None),
    )


def _still_times(rows: KeypointSequence, duration_seconds: float | None) -> Float64Array:
    """Return times evenly over the time in which somebody is in view; over the whole video if nobody is."""
    if len(rows):
        start, stop = float(rows.pts_seconds.min()), float(rows.pts_seconds.max())
    else:
        start, stop = 0.0, duration_seconds or 0.0
    return np.linspace(start, stop, SHEET_STILLS, endpoint=False)
