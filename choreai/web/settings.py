"""Settings of the web application, for `choreai serve` and a RayService alike."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from choreai.pose.settings import PoseSettings

VIEWERS_PER_REPLICA = 4
"""With more, each viewer gets too few pictures per second to be of use."""


@dataclass(frozen=True)
class WebSettings:
    """The settings of one web application. A client, in limits per client, is an IP address."""

    data_folder: str
    """Uploads while they are processed, results until they expire, and the catalog's stills; on the HTTP server's
    node."""
    model: str = ""
    """Folder of a style model; without one the pages show movement but no styles."""
    output: str = ""
    """Folder or s3:// prefix of the jobs' tables, shown by the catalog pages."""
    pose: PoseSettings = field(default_factory=PoseSettings)

    live_frames_per_second: float = 10.0
    """Rate offered to viewers; pictures beyond it are dropped."""
    max_viewers: int = 8
    max_viewers_per_client: int = 4

    max_upload_bytes: int = 200 * 2**20
    max_upload_seconds: float = 180.0
    """Longest video; longer ones are for the batch job."""
    max_upload_pixels: int = 3840 * 2160
    max_uploads_per_client: int = 2
    """At the same time, including those being processed."""
    max_uploads: int = 6
    """The same, over all clients."""
    work_seconds: float = 600.0
    """Deadline for processing an upload."""
    keep_hours: float = 24.0
    """How long a result is kept."""
    max_results: int = 200
    """The oldest results beyond this number are deleted, whatever their age, to bound disk use."""

    requests_per_second: float = 30.0
    """Sustained rate per client, with bursts of four seconds' worth."""

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
        """Maximum number of pose replicas; each uses about one core."""
        return -(-self.max_viewers // VIEWERS_PER_REPLICA)

    @property
    def uploads_folder(self) -> Path:
        return Path(self.data_folder, "clips")

    @property
    def stills_folder(self) -> Path:
        return Path(self.data_folder, "stills")


def is_loopback(host: str) -> bool:
    """Return whether a server bound to `host`, a name or an address, is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
