"""What one worker did with one shard."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from choreai.pose.stages import StageSeconds


@dataclass(frozen=True)
class ShardReport:
    """The outcome of one shard: all that travels back through Ray."""

    shard_id: str
    written: bool
    """False: another worker had committed the shard already, and this work was discarded."""
    statuses: Mapping[str, int]
    """Number of videos by status."""
    problems: tuple[tuple[str, str], ...]
    """(video_id, reason) of each quarantined video."""
    num_frames: int
    num_rows: int
    process_seconds: float
    peak_memory_bytes: int
    """Resident set of the worker process, the largest since it started."""
    worker: str
    """host:process id."""
    gpu_ids: tuple[str, ...] = ()
    num_bytes: int = 0
    """Size of the videos that were opened."""
    input_quality: Mapping[str, int] = field(default_factory=dict)
    """Number of videos by remark on their input quality (`choreai.video.quality`)."""
    stages: StageSeconds = field(default_factory=StageSeconds)
    """Where the time of an extraction went; `process_seconds` is the wall time they are shares of."""
    video_seconds: float = 0.0
    """Of an extraction: the length of the videos that were not quarantined, as far as they could be read."""
    gpu_seconds: float | None = None
    """How long the worker's GPU had something to do meanwhile; None without one, or where nothing tells."""
