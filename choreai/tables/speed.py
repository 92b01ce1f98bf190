"""The speed of a run, beside what its engine alone reaches: one figure, every run.

The engine is what a plain loop over the same files has to do too: decode, detect, crop, estimate, track. Its stages
are timed where the work is done (`choreai.pose.stages`), so a ceiling costs nothing: the seconds of video divided by
the seconds that the stage took for them is what the run would reach if it did nothing else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from choreai.pose.stages import StageSeconds

CEILINGS: Mapping[str, tuple[str, ...]] = {
    "decode": ("decode",),
    "detector": ("detect",),
    "pose": ("crop", "pose", "heatmaps"),
    "tracker": ("track",),
}
"""Ceiling -> its stages."""


@dataclass(frozen=True)
class Speed:
    """The speed of one run's extraction, a worker's on average.

    Where a worker has one core and no GPU, the engine's stages take turns on it, and the engine alone needs their sum;
    otherwise they can work at the same time, and it needs what the slowest of them does. A stage's clock runs on while
    another thread has the core: the figure flatters by as much, which `make bench` does not, as it runs each alone.
    """

    video_seconds: float
    """Of the videos that were processed."""
    worker_seconds: float
    """What all workers together were there for: wall time x workers."""
    busy_seconds: float
    """What they spent on shards."""
    stages: StageSeconds
    takes_turns: bool
    """Whether a worker has one core and no GPU."""

    @property
    def video_seconds_per_second(self) -> float:
        """Seconds of video per second, of one worker."""
        return self.video_seconds / self.worker_seconds

    @property
    def ceilings(self) -> dict[str, float]:
        """Seconds of video per second that each stage alone would reach; without those that took no time."""
        return {name: self.video_seconds / spent for name, spent in self._seconds().items() if spent > 0}

    @property
    def engine(self) -> float:
        """Seconds of video per second that a worker would reach whose engine alone is at work all the time."""
        seconds = self._seconds().values()
        needed = min(sum(seconds), self.busy_seconds) if self.takes_turns else max(seconds)
        return self.video_seconds / needed

    @property
    def of_light(self) -> float:
        """The speed of the run as a share of `engine`, from 0 to 1."""
        return min(1.0, self.video_seconds_per_second / self.engine)

    @property
    def of_light_while_busy(self) -> float:
        """The same of the time in which workers had a shard."""
        return min(1.0, self.of_light * self.worker_seconds / self.busy_seconds)

    def to_json(self) -> dict[str, object]:
        """Return the figures for the run's manifest."""
        return {
            "video_seconds_per_second": self.video_seconds_per_second,
            "of_speed_of_light": self.of_light,
            "of_speed_of_light_while_busy": self.of_light_while_busy,
            "ceilings": self.ceilings,
        }

    def _seconds(self) -> dict[str, float]:
        spent = asdict(self.stages)
        return {name: sum(spent[stage] for stage in stages) for name, stages in CEILINGS.items()}


def speed_of(
    *, video_seconds: float, worker_seconds: float, busy_seconds: float, stages: StageSeconds, takes_turns: bool
) -> Speed | None:
    """Return the speed of a run; None of one that has processed nothing, or was not timed by stage."""
    if not (video_seconds > 0 and worker_seconds > 0 and busy_seconds > 0 and sum(asdict(stages).values()) > 0):
        return None
    return Speed(video_seconds, worker_seconds, busy_seconds, stages, takes_turns)
