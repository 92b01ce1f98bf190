"""Windows: one video's keypoint rows cut into the fixed-length, normalised sequences a style model reads.

Pure NumPy between the keypoint tables and the model; training and tagging call the same function, so a model
reads the same in a nightly run as in training.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, Int32Array
from choreai.errors import TableError
from choreai.motion.keypoint_sets import COCO, SETS_BY_NAME
from choreai.motion.kinematics import FEATURES, measure_kinematics
from choreai.motion.prominence import choose_dancers, dancing_tracks
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, NUM_KEYPOINTS, RIGHT_HIP, RIGHT_SHOULDER

NUM_FEATURES = 3 * NUM_KEYPOINTS
"""x, y, score of each of COCO's keypoints, keypoint by keypoint."""

MAX_GAP_SECONDS = 0.5
"""A person unseen for longer than this is not interpolated: the track is split there."""
MIN_SEEN_SHARE = 0.25
"""A window of which less than this share of its keypoints was seen is discarded."""
TORSO_TO_EXTENT = 0.3
"""Torso length over the extent of all keypoints (the larger of width and height) of a standing person."""
MIN_TORSO_TO_EXTENT = 0.1
"""Below this the torso is seen end-on or badly estimated, and the extent takes its place as the scale."""
MAX_COORDINATE = 6.0
"""Coordinates are clipped to this many torso lengths: a misplaced keypoint must not dominate the input."""


@dataclass(frozen=True)
class WindowSettings:
    """How tracks are cut into windows; part of a style model, which reads only windows cut this way."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012, pydantic's name for its settings

    num_steps: int = 45
    """15 a second at 3 seconds: hits and stops are over in a tenth of a second."""
    window_seconds: float = 3.0
    stride_seconds: float = 1.0
    min_seconds: float = 1.0
    """A track shorter than a window but not than this gives one window, its first pose held in front."""
    min_score: float = 0.2
    """Keypoints scored below this are interpolated in time from better ones."""
    context_seconds: float = 10.0
    """The kinematic features are of this much of the track, centred on the window where possible."""
    keypoint_set: str = COCO.name
    """The keypoints that the model reads in the picture: of a larger set than COCO's, tables must hold all."""

    def __post_init__(self) -> None:
        if self.num_steps < 2:
            raise ValueError(f"num_steps must be at least 2, got {self.num_steps}")
        for name in ("window_seconds", "stride_seconds", "min_seconds", "context_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a positive number of seconds, got {getattr(self, name)}")
        if self.min_seconds > self.window_seconds:
            raise ValueError(f"min_seconds ({self.min_seconds}) must not exceed window_seconds ({self.window_seconds})")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score must be in [0, 1], got {self.min_score}")
        if self.keypoint_set not in SETS_BY_NAME:
            raise ValueError(f"keypoint_set must be one of {', '.join(SETS_BY_NAME)}, got {self.keypoint_set!r}")

    @property
    def num_keypoints(self) -> int:
        """J, the keypoints of a step."""
        return len(SETS_BY_NAME[self.keypoint_set])

    @property
    def needs_others(self) -> bool:
        """Whether keypoints beside COCO's 17 are read."""
        return self.num_keypoints > NUM_KEYPOINTS

    def to_json(self) -> dict[str, object]:
        """Return the settings as JSON values; without the keypoint set where it is COCO's, as models had it before."""
        values = asdict(self)
        if not self.needs_others:
            del values["keypoint_set"]
        return values


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one video, W of them (W may be 0), by track and then by time.

    A window's steps are `window_seconds / num_steps` apart and cover [start_seconds, stop_seconds).
    """

    steps: FloatArray
    """(W, num_steps, 3 J): x, y, score of each keypoint of the set, 51 numbers of COCO's. Origin at the window's median
    hip centre, unit its median torso length, x right, y down; scores in [0, 1]. Always finite. All scores are 0 in
    steps before the person came into view."""
    xyz: FloatArray
    """(W, num_steps, 51): x, y, z per keypoint, from the step's hip centre, in torso lengths (the window's median), y
    down, turned about the vertical so that the left side lies towards +x (median over the window). 0 where the
    estimator has no such coordinates."""
    kinematic_features: FloatArray
    """(W, K): `choreai.motion.kinematics.FEATURES` of the track around the window; NaN where missing."""
    start_seconds: FloatArray
    """(W,)."""
    stop_seconds: FloatArray
    """(W,)."""
    track_id: Int32Array
    """(W,)."""
    num_short: int = 0
    """Stretches of main tracks that were shorter than `min_seconds` and gave no window."""
    num_unseen: int = 0
    """Windows discarded because hardly any of their keypoints was seen."""
    dancer_confidence: float = 1.0
    """How clearly the main dancers stood out from the others (`DancerChoice.confidence`)."""

    def __post_init__(self) -> None:
        steps = self.steps
        if steps.ndim != 3 or steps.shape[2] < NUM_FEATURES or steps.shape[2] % 3 or steps.dtype != np.float32:
            raise ValueError(f"steps must be (W, T, {NUM_FEATURES}) float32, got {steps.shape} {steps.dtype}")
        expected = (*steps.shape[:2], NUM_FEATURES)
        if self.xyz.shape != expected or self.kinematic_features.shape != (len(steps), len(FEATURES)):
            raise ValueError(
                f"xyz must be {expected} and kinematic_features ({len(self.steps)}, {len(FEATURES)}), "
                f"got {self.xyz.shape} and {self.kinematic_features.shape}"
            )
        for name in ("start_seconds", "stop_seconds", "track_id"):
            if getattr(self, name).shape != (len(self.steps),):
                raise ValueError(f"{name} must be ({len(self.steps)},), got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, eq=False)
class _Stretch:
    """One track's rows without a gap, N of them, in time order."""

    seconds: Float64Array  # (N,)
    keypoints_xy: Float64Array  # (N, J, 2)
    keypoints_xyz: Float64Array  # (N, 17, 3), NaN throughout where the estimator has none
    scores: Float64Array  # (N, J), in [0, 1]
    seen: BoolArray  # (N, J)

    @property
    def stop_seconds(self) -> float:
        """The end of the last row's own time: half-open, like every range here."""
        spacing = float(np.median(np.diff(self.seconds))) if len(self.seconds) > 1 else 0.0
        return float(self.seconds[-1]) + spacing


def cut_windows(
    sequence: KeypointSequence, settings: WindowSettings, *, named: Collection[int] | None = None
) -> Windows:
    """Return the windows of one video's keypoints.

    Values that are not finite count as unseen; `keypoints_xyz` may be in any unit. Only the rows in which a person is a
    main dancer give windows, of several main dancers each (see `prominence`); where people are `named`, of these only,
    and of all of them. The end of a track that does not fill another stride is left out. Raises TableError for
    keypoints of a smaller or another set than the settings name.
    """
    _check_keypoint_set(sequence, settings)
    choice = choose_dancers(sequence, named)
    dancing = sequence.take(choice.is_main)
    cut: list[_Window] = []
    num_short = num_unseen = 0
    for track_id in dancing_tracks(sequence, choice):
        track = dancing.track(track_id)
        features_of: dict[bytes, Float64Array] = {}  # neighbours in a short track have the same
        for stretch in _split_at_gaps(track, settings):
            starts = _window_starts(stretch, settings)
            num_short += not starts
            for start in starts:
                resampled = _resample(stretch, start, settings)
                steps = _normalise(resampled)
                if steps is None:
                    num_unseen += 1
                    continue
                inside = _around(track, start + settings.window_seconds / 2, settings.context_seconds)
                if (key := inside.tobytes()) not in features_of:
                    features_of[key] = _measure_features(track, inside)
                span = max(start, float(stretch.seconds[0])), start + settings.window_seconds
                cut.append(_Window(steps, _body_coordinates(resampled.keypoints_xyz), features_of[key], span, track_id))
    spans = np.array([w.span for w in cut], np.float32).reshape(-1, 2)
    return Windows(
        steps=_stack([w.steps for w in cut], (settings.num_steps, 3 * settings.num_keypoints)),
        xyz=_stack([w.xyz for w in cut], (settings.num_steps, NUM_FEATURES)),
        kinematic_features=_stack([w.kinematic_features for w in cut], (len(FEATURES),)),
        start_seconds=spans[:, 0],
        stop_seconds=spans[:, 1],
        track_id=np.array([w.track_id for w in cut], np.int32),
        num_short=num_short,
        num_unseen=num_unseen,
        dancer_confidence=choice.confidence,
    )


@dataclass(frozen=True, eq=False)
class _Window:
    steps: Float64Array  # (T, 3 J)
    xyz: Float64Array  # (T, 51)
    kinematic_features: Float64Array  # (K,)
    span: tuple[float, float]
    track_id: int


def _check_keypoint_set(sequence: KeypointSequence, settings: WindowSettings) -> None:
    found = sequence.keypoint_set
    if settings.needs_others and len(sequence) and len(found) != settings.num_keypoints:
        raise TableError(
            f"the model reads the {settings.num_keypoints} keypoints of {settings.keypoint_set}, and these are the "
            f"{len(found)} of {found.name}; extract the videos with a network of {settings.keypoint_set}, to an output "
            "of its own, or take a model that was trained on these"
        )


def _stack(arrays: list[Float64Array], shape: tuple[int, ...]) -> FloatArray:
    return np.array(arrays, np.float32).reshape(len(arrays), *shape)


def _around(track: KeypointSequence, middle: float, seconds: float) -> BoolArray:
    """Return (N,) which rows lie in `seconds` of the track around `middle`, shifted where the track ends earlier."""
    times = track.pts_seconds
    start = min(max(middle - seconds / 2, float(np.nanmin(times))), float(np.nanmax(times)) - seconds)
    return (times >= start) & (times <= start + seconds)


def _measure_features(track: KeypointSequence, inside: BoolArray) -> Float64Array:
    """Return (K,) kinematic features of the rows `inside`."""
    kinematics = measure_kinematics(track.take(inside))
    return np.array([getattr(kinematics, name) for name in FEATURES])


def _body_coordinates(xyz: Float64Array) -> Float64Array:
    """Return (T, 51) from the hip centre, in torso lengths, turned to the window's median heading; 0 where unknown."""
    hips, shoulders = (xyz[:, [a, b]].mean(axis=1) for a, b in ((LEFT_HIP, RIGHT_HIP), (LEFT_SHOULDER, RIGHT_SHOULDER)))
    torso = float(np.median(np.linalg.norm(shoulders - hips, axis=1)))
    if not torso > 1e-6:  # also where it is NaN
        return np.zeros((len(xyz), NUM_FEATURES))
    to_left = xyz[:, [LEFT_SHOULDER, LEFT_HIP]].sum(axis=1) - xyz[:, [RIGHT_SHOULDER, RIGHT_HIP]].sum(axis=1)
    heading = np.arctan2(np.median(to_left[:, 2]), np.median(to_left[:, 0]))
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    turned = (xyz - hips[:, None]) / torso @ turn
    return np.clip(np.nan_to_num(turned, nan=0.0), -MAX_COORDINATE, MAX_COORDINATE).reshape(len(xyz), NUM_FEATURES)


def _split_at_gaps(track: KeypointSequence, settings: WindowSettings) -> list[_Stretch]:
    """Return one track's rows, split where the person was out of sight for more than MAX_GAP_SECONDS."""
    # A track has one row a frame; of two at the same time (or without one) interpolation could not decide.
    times, first = np.unique(track.pts_seconds.astype(np.float64), return_index=True)
    first = first[np.isfinite(times)]
    times = times[np.isfinite(times)]
    found_xy, found_scores = track.keypoints_xy, track.keypoint_scores
    if settings.needs_others:
        found_xy, found_scores = track.all_keypoints_xy, track.all_keypoint_scores
    xy = found_xy[first].astype(np.float64)
    if track.keypoints_xyz is None:
        xyz = np.full((len(first), NUM_KEYPOINTS, 3), np.nan)
    else:
        xyz = track.keypoints_xyz[first].astype(np.float64)
    scores = np.clip(np.nan_to_num(found_scores[first].astype(np.float64), nan=0.0), 0.0, 1.0)
    seen = np.isfinite(xy).all(axis=2) & (scores >= settings.min_score)
    breaks = np.flatnonzero(np.diff(times) > MAX_GAP_SECONDS) + 1
    pieces = np.split(np.arange(len(times)), breaks)
    return [_Stretch(times[p], xy[p], xyz[p], scores[p], seen[p]) for p in pieces if len(p)]


def _window_starts(stretch: _Stretch, settings: WindowSettings) -> list[float]:
    """Return where the stretch's windows start; before the stretch itself where it is shorter than a window."""
    first = float(stretch.seconds[0])
    duration = stretch.stop_seconds - first
    slack = 0.5 * settings.window_seconds / settings.num_steps  # float32 times and frame rounding
    if duration + slack < settings.min_seconds:
        return []
    if duration + slack < settings.window_seconds:
        return [stretch.stop_seconds - settings.window_seconds]
    num_windows = 1 + int((duration + slack - settings.window_seconds) / settings.stride_seconds)
    return [first + i * settings.stride_seconds for i in range(num_windows)]


@dataclass(frozen=True, eq=False)
class _Resampled:
    keypoints_xy: Float64Array  # (T, J, 2), NaN throughout for a keypoint never seen
    keypoints_xyz: Float64Array  # (T, 17, 3), likewise
    scores: Float64Array  # (T, J)
    seen_share: float


def _resample(stretch: _Stretch, start: float, settings: WindowSettings) -> _Resampled:
    """Return the stretch at the window's time steps, linear between rows; the ends are held (`np.interp` clamps)."""
    times = start + np.arange(settings.num_steps) * (settings.window_seconds / settings.num_steps)
    xy = np.full((settings.num_steps, settings.num_keypoints, 2), np.nan)
    xyz = np.full((settings.num_steps, NUM_KEYPOINTS, 3), np.nan)
    scores = np.empty((settings.num_steps, settings.num_keypoints))
    inside = (stretch.seconds >= times[0]) & (stretch.seconds <= times[-1])
    for k in range(settings.num_keypoints):
        scores[:, k] = np.interp(times, stretch.seconds, stretch.scores[:, k], left=0.0)
        seen = stretch.seen[:, k]
        if (seen & inside).any():
            xy[:, k] = _interpolate(times, stretch.seconds[seen], stretch.keypoints_xy[seen, k])
        if k >= NUM_KEYPOINTS:
            continue
        known = seen & np.isfinite(stretch.keypoints_xyz[:, k]).all(axis=1)
        if (known & inside).any():
            xyz[:, k] = _interpolate(times, stretch.seconds[known], stretch.keypoints_xyz[known, k])
    seen = stretch.seen[inside, :NUM_KEYPOINTS]
    return _Resampled(xy, xyz, scores, float(seen.mean()) if inside.any() else 0.0)


def _interpolate(times: Float64Array, seconds: Float64Array, points: Float64Array) -> Float64Array:
    return np.stack([np.interp(times, seconds, axis) for axis in points.T], axis=1)


def _normalise(window: _Resampled) -> Float64Array | None:
    """Return (T, 3 J) around the window's median hip centre in units of its median torso length; None if unseen.

    COCO's keypoints alone give origin and unit. One of each per window, not per step: travel, jumps and going to the
    floor stay visible. A keypoint never seen in the window lies at the origin, where its score says that it means
    nothing.
    """
    xy = window.keypoints_xy[:, :NUM_KEYPOINTS]
    if window.seen_share < MIN_SEEN_SHARE or np.isnan(xy).all():
        return None
    hips = (xy[:, LEFT_HIP] + xy[:, RIGHT_HIP]) / 2
    shoulders = (xy[:, LEFT_SHOULDER] + xy[:, RIGHT_SHOULDER]) / 2
    known = xy[:, ~np.isnan(xy).any(axis=(0, 2))]
    origin = np.median(known.reshape(-1, 2), axis=0) if np.isnan(hips).any() else np.median(hips, axis=0)
    extent = float(np.median(np.ptp(known, axis=1).max(axis=1)))
    torso = float(np.median(np.linalg.norm(shoulders - hips, axis=1)))
    if not torso > MIN_TORSO_TO_EXTENT * extent:  # also where torso is NaN
        torso = TORSO_TO_EXTENT * extent
    if not torso > 1e-6:  # all keypoints in one point: nobody stands there
        return None
    relative = np.nan_to_num((window.keypoints_xy - origin) / torso, nan=0.0)
    features = np.empty((*relative.shape[:2], 3))
    features[:, :, :2] = np.clip(relative, -MAX_COORDINATE, MAX_COORDINATE)
    features[:, :, 2] = window.scores
    return features.reshape(len(xy), -1)
