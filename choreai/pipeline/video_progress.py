"""Progress of a job over videos: by the frames of those that are being processed, not only by those that are done."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from choreai.cluster.steps import Step
from choreai.pipeline.pace import Pace
from choreai.pipeline.progress import State


@dataclass(frozen=True)
class VideoInWork:
    """A worker's shard, and how far it is."""

    video_id: str
    """Of the video that it is at; empty where all of them are done and only the shard's end is left."""
    step: Step


@dataclass
class VideoProgress:
    """Adds up what is done of `num_videos` videos."""

    num_videos: int
    num_done: int = 0
    """Videos of finished shards."""
    num_frames: int = 0
    """Their frames."""
    pace: Pace = field(default_factory=Pace)
    """Of the frames; of the videos where no frames are counted."""

    def add(self, num_videos: int, num_frames: int = 0) -> None:
        """Count the videos of a shard that was finished or given up."""
        self.num_done += num_videos
        self.num_frames += num_frames

    def state(self, in_work: Sequence[VideoInWork]) -> State | None:
        """Return how far all is, together with what the workers are at; None as long as none has begun."""
        if not in_work and not self.num_done:
            return None
        steps = [each.step for each in in_work]
        num_frames = self.num_frames + sum(step.num_frames_before + step.num_frames for step in steps)
        num_over = self.num_done + sum(step.index for step in steps)
        self.pace.note(num_frames or num_over)
        rate = self.pace.rate
        return State(
            done=num_over + sum(step.fraction for step in steps),
            count=f"{num_over} of {self.num_videos} videos",
            amount=f"{num_frames} frames" if num_frames else "",
            rate="" if rate is None else f"{rate:.1f} frames/s" if num_frames else f"{60 * rate:.1f} videos/min",
            seconds_left=self._seconds_left(steps, num_frames, num_over),
            parts=tuple((each.video_id, each.step.fraction) for each in in_work if each.video_id),
        )

    def _seconds_left(self, steps: Sequence[Step], num_frames: int, num_over: int) -> float | None:
        rate = self.pace.rate
        if rate is None:
            return None
        if not num_frames:
            return (self.num_videos - num_over) / rate
        opened = [step for step in steps if step.num_expected]
        left_of_each = [max(0, step.num_expected - step.num_frames) for step in opened]
        num_known = num_over + len(opened)
        if not num_known:
            return None
        mean_frames = (num_frames + sum(left_of_each)) / num_known
        left = sum(left_of_each) + mean_frames * max(0, self.num_videos - num_known)
        # At the end one worker is left with its video, and the others idle.
        return max(left / rate, max(left_of_each, default=0) / (rate / max(1, len(opened))))
