"""One video's poses: estimated now, or read back from the tables of a job."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from choreai.api.notebook import caption, picture_html
from choreai.catalog.pictures import open_source
from choreai.errors import CatalogError, MediaError, ObjectMissingError, StorageError, TableError
from choreai.motion.sequence import KeypointSequence
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.choice import settle
from choreai.pose.estimator import PoseEstimator
from choreai.pose.pipeline import count_people, open_tracked, to_sequence
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.tables.compact import list_versions
from choreai.tables.posed_video import find_in_tables
from choreai.video.quality import PeopleSeen

if TYPE_CHECKING:
    import pandas as pd

NUM_THREADS = 2


@dataclass(frozen=True, eq=False, repr=False)
class VideoPoses:
    """The people of one video over time. Print it, look at it in a notebook, or take it to pandas."""

    name: str
    """The video's id, or its file name without the ending."""
    uri: str
    """Where the video is: a path or an s3:// URI."""
    sequence: KeypointSequence
    pose_fingerprint: str
    """Which settings and weights made the keypoints; a style model fits only those it was trained on."""
    settings: PoseSettings | None = field(default=None)
    """How they were made; None where they were read from a table."""
    input_quality: tuple[str, ...] = ()
    """What is odd about the video as input, a sentence each: cut short, interlaced, dark, ..."""

    def __len__(self) -> int:
        return len(self.sequence)

    def __repr__(self) -> str:
        rows = self.sequence
        if not len(rows):
            return f"{self.name}: nobody in view"
        first, last = float(rows.pts_seconds.min()), float(rows.pts_seconds.max())
        people = len(rows.track_ids)
        return (
            f"{self.name}: {people} {'person' if people == 1 else 'people'}, {len(rows)} poses, "
            f"{first:.1f} to {last:.1f} s"
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each person and frame: track_id, frame_index, pts_seconds, then x, y (pixels) and score of
        each keypoint, as `left_wrist_x`: COCO's 17, and after them those of a larger set, where there are any."""
        import pandas as pd

        rows = self.sequence
        columns: dict[str, object] = {
            "track_id": rows.track_id,
            "frame_index": rows.frame_index,
            "pts_seconds": rows.pts_seconds,
        }
        xy, scores = rows.all_keypoints_xy, rows.all_keypoint_scores
        for index, keypoint in enumerate(rows.keypoint_set.keypoints):
            columns[f"{keypoint}_x"] = xy[:, index, 0]
            columns[f"{keypoint}_y"] = xy[:, index, 1]
            columns[f"{keypoint}_score"] = scores[:, index]
        return pd.DataFrame(columns)

    def stills(self) -> bytes | None:
        """Return a JPEG of four frames with skeletons; None where nobody is in view or the video is gone."""
        from choreai.visualize.stills import annotated_stills

        try:
            return annotated_stills(self.uri, self.sequence)
        except (MediaError, StorageError, ObjectMissingError):
            return None

    def _repr_html_(self) -> str:
        return caption(repr(self)) + picture_html(self.stills(), alt=f"four frames of {self.name} with skeletons")


def estimate_poses(path_or_uri: str, *, settings: PoseSettings | None = None) -> VideoPoses:
    """Return the people of a video, found now, in this process.

    `path_or_uri` is a file or an s3:// object; `settings` are a job's [pose] settings (default: crowd where its weights
    were fetched, else MediaPipe; 15 frames a second). Raises MediaError if it is no usable video, ObjectMissingError if
    it is not there, ConfigError or WeightsError if the estimator cannot run here.
    """
    wanted = settle(settings or PoseSettings(), read_file=objects.read_object)
    return estimate_with(build_estimator(wanted, read_file=objects.read_object, num_threads=NUM_THREADS), path_or_uri,
                         settings=wanted)  # fmt: skip


def estimate_with(estimator: PoseEstimator, path_or_uri: str, *, settings: PoseSettings) -> VideoPoses:
    """Return the people of a video as `estimator`, which `settings` describe, finds them."""
    with (
        open_source(path_or_uri) as file,
        open_tracked(
            file,
            estimator,
            uri=path_or_uri,
            frames_per_second=settings.frames_per_second,
            num_threads=NUM_THREADS,
            split_shots=settings.split_shots,
        ) as (reader, tracked),
    ):
        people_seen = PeopleSeen()
        sequence = to_sequence(count_people(tracked, people_seen, picture_height=reader.info.height))
        quality = people_seen.complete(reader.quality)
    pose_id = pose_fingerprint(settings, estimator)
    return VideoPoses(name_of(path_or_uri), path_or_uri, sequence, pose_id, settings, quality.sentences)


def name_of(path_or_uri: str) -> str:
    """Return the file's name without the ending."""
    return PurePosixPath(path_or_uri).stem


def read_keypoints(output: str, *, video_id: str, pose_fingerprint: str | None = None) -> VideoPoses:
    """Return a video's poses from the tables under `output`, as `choreai extract` and `tag` write them.

    `video_id` is an id or a URI of the catalog. `pose_fingerprint` names one of several versions of the tables; it may
    be left out where there is one. Raises TableError where there are none or several, CatalogError for a video that is
    not in them, MediaError if it was quarantined.
    """
    version = pose_fingerprint or _only_version(output)
    found = find_in_tables(video_id, output, version)
    if found is None:
        raise CatalogError(
            f"{output}: no video of id or URI {video_id!r} in the tables of {version}; the ids are those of the "
            "catalog, and of the videos table"
        )
    return VideoPoses(video_id, found.uri, found.rows, version, input_quality=found.input_quality)


def _only_version(output: str) -> str:
    versions = list_versions(output, "videos")
    if len(versions) != 1:
        known = ", ".join(versions) or "none"
        raise TableError(
            f"{output}: one version of the keypoint tables is expected here, found: {known}; "
            + ("name one as pose_fingerprint" if versions else "run `choreai extract` with this --output first")
        )
    return versions[0]
