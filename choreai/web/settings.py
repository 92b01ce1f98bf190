"""What decides how the web application runs: settings of `choreai serve` and of a RayService alike."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from choreai.pose.settings import PoseSettings

VIEWERS_PER_REPLICA = 4
"""More, and each gets so few pictures a second that there is little to see."""


@dataclass(frozen=True)
class WebSettings:
    """The settings of one web application. Limits are per client where they say so, a client being an address."""

    data_folder: str
    """Uploads while they are worked on, results until they expire, and the catalog's stills; on the node of the HTTP
    server."""
    model: str = ""
    """Folder of a style model; without one the pages show movement, but no style."""
    output: str = ""
    """Folder or s3:// prefix of the jobs' tables, which the catalog pages show."""
    pose: PoseSettings = field(default_factory=PoseSettings)

    live_frames_per_second: float = 10.0
    """What a viewer is offered; who sends more has frames dropped."""
    max_viewers: int = 8
    max_viewers_per_client: int = 4

    max_upload_bytes: int = 200 * 2**20
    max_upload_seconds: float = 180.0
    """Of video; longer ones are the batch job's work."""
    max_upload_pixels: int = 3840 * 2160
    max_uploads_per_client: int = 2
    """At the same time, those being worked on included."""
    max_uploads: int = 6
    """Of everybody, likewise."""
    work_seconds: float = 600.0
    """An upload that takes longer to process is given up."""
    keep_hours: float = 24.0
    """How long a result can be seen."""
    max_results: int = 200
    """The oldest go first, whatever their age: disks are finite."""

    requests_per_second: float = 30.0
    """Of one client, over time; four seconds' worth at once."""

    def __post_init__(self) -> None:
        if not self.data_folder:
            raise ValueError("data_folder is empty; give a folder for uploads and results")
        for name in ("live_frames_per_second", "max_upload_seconds", "work_seconds", "keep_hours",
                     "requests_per_second"):  # fmt: skip
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a positive number, got {getattr(self, name)}")
        for name in ("max_viewers", "max_viewers_per_client", "max_upload_bytes",
                     "max_upload_pixels", "max_uploads_per_client", "max_uploads", "max_results"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def max_pose_replicas(self) -> int:
        """The most processes that estimate poses of viewers; one takes about a core."""
        return -(-self.max_viewers // VIEWERS_PER_REPLICA)

    @property
    def clips_folder(self) -> Path:
        return Path(self.data_folder, "clips")

    @property
    def stills_folder(self) -> Path:
        return Path(self.data_folder, "stills")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`, a name or an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
