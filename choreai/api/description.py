"""What one video shows, told without any model: its length, shots, people, tempo, movement and music."""

from dataclasses import dataclass, replace

import numpy as np

from choreai.api.measurements import Measurements
from choreai.api.poses import NUM_THREADS, VideoPoses, name_of
from choreai.api.sound import SoundOfDance, hear
from choreai.motion.kinematics import MIN_BEAT_STRENGTH, Kinematics
from choreai.motion.sequence import KeypointSequence
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.estimator import PoseEstimator
from choreai.pose.pipeline import TrackedPoses, count_people, open_tracked, to_sequence
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.style.dancers import Dancer, measure_dancers
from choreai.video.quality import PeopleSeen

MOSTLY = 0.8
"""A main person seen for less of the video than this is told with the time: cuts and crossings make several tracks."""


@dataclass(frozen=True, eq=False, repr=False)
class Description:
    """One video, measured."""

    poses: VideoPoses
    measurements: Measurements
    seconds: float | None
    """By its container; None where it does not say."""
    num_shots: int
    """1 where no cut was found."""
    sound: SoundOfDance | None = None
    """None where the video has no sound that can be read."""

    @property
    def name(self) -> str:
        return self.poses.name

    @property
    def main(self) -> Dancer | None:
        """The person the video is about; None where nobody is in view."""
        return self.measurements.main

    @property
    def beats_per_minute(self) -> float | None:
        """The main person's tempo; None where there is no clear beat."""
        kinematics = None if self.main is None else self.main.kinematics
        is_clear = kinematics is not None and kinematics.beat_strength >= MIN_BEAT_STRENGTH
        return kinematics.beats_per_minute if is_clear and kinematics is not None else None

    def __repr__(self) -> str:
        return "\n".join([f"{self.name}: {self.headline}", *(f"  {line}" for line in self.lines())])

    @property
    def num_people(self) -> int:
        """The most people seen at once: after a cut, one dancer has another track."""
        rows = self.poses.sequence
        return int(np.unique(rows.frame_index, return_counts=True)[1].max()) if len(rows) else 0

    @property
    def headline(self) -> str:
        """Length, shots, people and tempo in one line."""
        people = self.num_people
        tempo = f"{self.beats_per_minute:.0f} beats per minute" if self.beats_per_minute else "no clear beat"
        parts = [
            f"{self.seconds:.1f} s" if self.seconds is not None else "",
            f"{self.num_shots} {'shot' if self.num_shots == 1 else 'shots'}",
            f"{people} {'person' if people == 1 else 'people'}" if people else "nobody in view",
            tempo if people else "",
        ]
        return ", ".join(part for part in parts if part)

    def lines(self) -> list[str]:
        """Return the main person's movement and the music as sentences; lengths are in torsos, shoulders to hips."""
        sound = [f"{'music':<10}{self.sound.words}"] if self.sound is not None else []
        if self.main is None:
            return sound
        first, last = self.main.start_seconds, self.main.stop_seconds
        is_partial = self.seconds is not None and last - first < MOSTLY * self.seconds
        span = [f"{'measured':<10}from {first:.1f} to {last:.1f} s, the most prominent of several tracks"]
        return [*(span if is_partial else []), *movement_lines(self.main.kinematics), *sound]


def movement_lines(movement: Kinematics) -> list[str]:
    """Return a dancer's movement as a few lines of text."""
    return [
        _line("speed", ("body {:.2f}", movement.body_speed_mean), ("hands {:.2f}", movement.hands_speed_mean),
              ("feet {:.2f}", movement.feet_speed_mean), ("travel {:.2f} torsos/s", movement.travel_speed_mean)),
        _line("size", ("reach {:.2f}", movement.reach_mean), ("stance {:.2f}", movement.stance_width_mean),
              ("bounce {:.2f} torsos", movement.bounce_height)),
        _line("posture", ("torso leans {:.0f}°", movement.torso_lean_degrees_mean),
              ("knees bent {:.0%}", movement.bent_knees_share), ("elbows bent {:.0%}", movement.bent_elbows_share)),
        _line("levels", ("hands up {:.0%}", movement.hands_up_share), ("hips low {:.0%}", movement.low_hips_share),
              ("upside down {:.0%}", movement.upside_down_share), ("back turned {:.0%}", movement.back_turned_share)),
        _line("stillness", ("hands still {:.0%}", movement.hands_still_share),
              ("feet still {:.0%} of the time", movement.feet_still_share)),
    ]  # fmt: skip


def _line(name: str, *values: tuple[str, float]) -> str:
    known = [words.format(value) for words, value in values if value == value]  # NaN: not seen
    return f"{name:<10}{', '.join(known) or 'not seen'}"


def describe(path_or_uri: str, *, settings: PoseSettings | None = None) -> Description:
    """Return what a video shows, measured now, in this process; shots are told apart.

    Raises as `choreai.estimate_poses` does.
    """
    wanted = replace(settings or PoseSettings(), split_shots=True)
    estimator = build_estimator(wanted, read_file=objects.read_object, num_threads=NUM_THREADS)
    return describe_with(estimator, path_or_uri, settings=wanted)


def describe_with(estimator: PoseEstimator, path_or_uri: str, *, settings: PoseSettings) -> Description:
    """Return what a video shows as `estimator`, which `settings` describe, finds it."""
    with (
        objects.open_object(path_or_uri) as file,
        open_tracked(
            file,
            estimator,
            uri=path_or_uri,
            frames_per_second=settings.frames_per_second,
            num_threads=NUM_THREADS,
            split_shots=settings.split_shots,
        ) as (reader, tracked),
    ):
        seconds = reader.info.duration_seconds
        people_seen = PeopleSeen()
        frames: list[TrackedPoses] = list(count_people(tracked, people_seen, picture_height=reader.info.height))
        quality = people_seen.complete(reader.quality)
    sequence: KeypointSequence = to_sequence(frames)
    pose_id = pose_fingerprint(settings, estimator)
    poses = VideoPoses(name_of(path_or_uri), path_or_uri, sequence, pose_id, settings, quality.sentences)
    num_shots = max((frame.shot_index for frame in frames), default=0) + 1
    measured = Measurements(measure_dancers(sequence))
    main = None if measured.main is None else sequence.track(measured.main.track_id)
    return Description(poses, measured, seconds, num_shots, hear(path_or_uri, main))
