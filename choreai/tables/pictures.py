"""The pictures table: each video's picture signature, by which copies of it are told."""

from collections.abc import Collection, Mapping

import numpy as np

from choreai.errors import TableError
from choreai.tables import schemas
from choreai.tables.parts import list_parts, read_consistently, read_part
from choreai.video.frame import Frame
from choreai.video.picture_signature import SIZE_WH, PictureSampler, PictureSignature


class PictureRows:
    """The row of one video, from its sampled frames in order; none if there are no frames."""

    def __init__(self, *, video_id: str, content_id: str) -> None:
        self._ids = {"video_id": video_id, "content_id": content_id}
        self._sampler = PictureSampler()

    def add(self, frame: Frame) -> None:
        """Take the next sampled frame."""
        self._sampler.add(frame.image, pts_seconds=frame.pts_seconds)

    @property
    def rows(self) -> tuple[Mapping[str, object], ...]:
        """The rows of the table."""
        signature = self._sampler.signature()
        if not len(signature):
            return ()
        return ({**self._ids, "pts_seconds": signature.pts_seconds.tolist(), "luma": signature.luma.tobytes()},)


def read_pictures(
    root: str, pose_fingerprint: str, video_ids: Collection[str] | None = None
) -> dict[str, PictureSignature]:
    """Return by video_id the picture signatures of a table version, of these videos or all; none where videos were
    processed by an earlier release, or their keypoints came from elsewhere.

    Of a video that is there several times, one of them. Raises TableError for a part that is damaged.
    """

    def read() -> dict[str, PictureSignature]:
        found: dict[str, PictureSignature] = {}
        for uri in sorted(list_parts(root, "pictures", pose_fingerprint)):
            for row in read_part(uri, schemas.PICTURES).to_pylist():
                if video_ids is None or row["video_id"] in video_ids:
                    found[row["video_id"]] = _signature(row, uri)
        return found

    return read_consistently(read)


def _signature(row: Mapping[str, object], uri: str) -> PictureSignature:
    width, height = SIZE_WH
    luma, times = row["luma"], np.array(row["pts_seconds"], np.float64)
    assert isinstance(luma, bytes)
    if len(luma) != len(times) * width * height:
        raise TableError(f"{uri}: luma of {row['video_id']!r} has {len(luma)} bytes, not {len(times) * width * height}")
    return PictureSignature(np.frombuffer(luma, np.uint8).reshape(-1, height, width), times)
