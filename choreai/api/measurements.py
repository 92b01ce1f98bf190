"""What movement measures: the kinematics of each person of a video."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from choreai.api.notebook import caption, table_html
from choreai.api.poses import VideoPoses
from choreai.motion.kinematics import MIN_BEAT_STRENGTH, Kinematics
from choreai.motion.sequence import KeypointSequence
from choreai.style.dancers import Dancer, measure_dancers

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("body_speed_mean", "hands_speed_mean", "feet_speed_mean", "beats_per_minute", "torso_lean_degrees_mean")
"""The few of about 70 features that a line of text has room for; `to_pandas` has all."""


@dataclass(frozen=True, eq=False, repr=False)
class Measurements:
    """The kinematics of one video's people (`choreai.motion.kinematics.Kinematics`), by track id."""

    dancers: tuple[Dancer, ...]

    @property
    def main(self) -> Dancer | None:
        """The person the video is about; None where nobody is in view."""
        return next((dancer for dancer in self.dancers if dancer.is_main), None)

    def __len__(self) -> int:
        return len(self.dancers)

    def __repr__(self) -> str:
        return "\n".join(_line(dancer) for dancer in self.dancers) or "nobody in view"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each person: track_id, start_seconds, stop_seconds, is_main, and every feature; NaN where
        missing."""
        import pandas as pd

        rows = [
            {
                "track_id": dancer.track_id,
                "start_seconds": dancer.start_seconds,
                "stop_seconds": dancer.stop_seconds,
                "is_main": dancer.is_main,
                **asdict(dancer.kinematics),
            }
            for dancer in self.dancers
        ]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        header = ("person", "seconds", *(name.replace("_", " ") for name in SHOWN))
        rows = [
            (
                f"{dancer.track_id}{' (main)' if dancer.is_main else ''}",
                f"{dancer.start_seconds:.1f} to {dancer.stop_seconds:.1f}",
                *(_text(dancer.kinematics, name) for name in SHOWN),
            )
            for dancer in self.dancers
        ]
        return table_html(header, rows) if rows else caption("nobody in view")


def measure(poses: VideoPoses | KeypointSequence) -> Measurements:
    """Return the kinematics of each person in `poses`: lengths in torso lengths, seconds, angles in degrees."""
    sequence = poses.sequence if isinstance(poses, VideoPoses) else poses
    return Measurements(measure_dancers(sequence))


def _line(dancer: Dancer) -> str:
    features = ", ".join(f"{name} {_text(dancer.kinematics, name)}" for name in SHOWN)
    main = " (main)" if dancer.is_main else ""
    return f"person {dancer.track_id}{main}, {dancer.start_seconds:.1f} to {dancer.stop_seconds:.1f} s: {features}"


def _text(kinematics: Kinematics, name: str) -> str:
    if name == "beats_per_minute" and not kinematics.beat_strength >= MIN_BEAT_STRENGTH:
        return "no clear beat"
    return f"{getattr(kinematics, name):.2f}"
