"""The shots table: where in each video one camera's picture ends and the next begins."""

from collections.abc import Mapping


class ShotRows:
    """The shots of one video, from its sampled frames in order; empty if it is not split into shots."""

    def __init__(self, *, video_id: str, content_id: str) -> None:
        self._ids = {"video_id": video_id, "content_id": content_id}
        self._shots: list[dict[str, object]] = []

    def add(self, *, frame_index: int, pts_seconds: float, shot_index: int, sample_seconds: float) -> None:
        """Take the next sampled frame, which lasts for `sample_seconds` if no other follows."""
        if not self._shots or self._shots[-1]["shot_index"] != shot_index:
            if self._shots:
                self._shots[-1]["stop_seconds"] = pts_seconds
            self._shots.append(
                {
                    **self._ids,
                    "shot_index": shot_index,
                    "start_seconds": pts_seconds,
                    "first_frame_index": frame_index,
                }
            )
        self._shots[-1]["stop_seconds"] = pts_seconds + sample_seconds

    @property
    def rows(self) -> tuple[Mapping[str, object], ...]:
        """The rows of the table, ready for JSON."""
        return tuple(self._shots)
