"""One person's keypoints over time as a file for an analysis: CSV, TRC or NumPy, a file for each dancer.

Every file says in its head what wrote it, which video, person and poses it is of, its units and its frame.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from choreai import __version__
from choreai.errors import CatalogError, ConfigError, StorageError
from choreai.formats.keypoint_csv import write_keypoint_csv
from choreai.formats.one_person import row_rate
from choreai.formats.rows import table_of
from choreai.formats.settings import ConvertSettings
from choreai.formats.trc import write_trc
from choreai.formats.written import write_file
from choreai.motion.prominence import choose_dancers, dancing_tracks
from choreai.motion.sequence import KeypointSequence
from choreai.search.dancer_reviews import DancerReviews, find_named
from choreai.storage import objects
from choreai.tables.posed_video import PosedVideo, TableEntry

ExportFormat = Literal["csv", "trc", "npz"]


@dataclass(frozen=True, eq=False)
class ExportedPerson:
    """One person of one video, to be written to one file."""

    video: PosedVideo
    entry: TableEntry
    track_id: int
    uri: str
    """Where the file goes."""

    @property
    def rows(self) -> KeypointSequence:
        """The person's keypoints."""
        return self.video.rows.track(self.track_id)

    def about(self, *, is_in_metres: bool = False) -> dict[str, str]:
        """Return where the numbers come from, and their units and frame, by name."""
        rate = row_rate(self.rows.pts_seconds.astype(np.float64))
        size = self.entry.size_wh
        picture = "the upright original picture" + (f" of {size[0]} x {size[1]} pixels" if size else "")
        own_frame = f"{picture}, origin at the centre of its upper left pixel, x to the right, y down"
        on_floor = "origin on the floor below the median place, x to the right, y up; no perspective is taken out"
        return {
            "written by": f"choreai {__version__}",
            "video_id": self.entry.video_id,
            "uri": self.video.uri,
            "content_id": self.entry.content_id,
            "pose_fingerprint": self.entry.pose_fingerprint,
            "track_id": str(self.track_id),
            "units": f"{'metres' if is_in_metres else 'pixels'}; seconds from the first frame; scores from 0 to 1",
            "frame": on_floor if is_in_metres else own_frame,
            "samples": f"{len(self.rows)}, {rate:.6g} a second, as estimated: neither smoothed nor filled",
        }


def find_exported(
    video: PosedVideo,
    *,
    folder: str,
    name: str,
    to: ExportFormat,
    people: Collection[int] | Literal["all"] | None,
    reviews: DancerReviews,
) -> list[ExportedPerson]:
    """Return the people of a video to write, as files in `folder`: those of `people`, everybody, or who dances (None):
    by the last review, otherwise by prominence.

    Raises CatalogError where nobody is in view, ConfigError for somebody who is not.
    """
    entry = video.entry
    if entry is None or not len(video.rows):
        raise CatalogError(f"{video.name}: nobody is in view, so there is nothing to export")
    track_ids = _chosen(video.rows, entry, people, reviews)
    if unknown := sorted(set(track_ids) - set(video.rows.track_ids)):
        there = ", ".join(map(str, video.rows.track_ids))
        raise ConfigError(f"--person {unknown[0]}: nobody in {entry.video_id} has this id; there are {there}")
    return [
        ExportedPerson(video, entry, each, objects.join_uri(folder, f"{name}.person{each}.{to}")) for each in track_ids
    ]


def _chosen(
    rows: KeypointSequence, entry: TableEntry, people: Collection[int] | Literal["all"] | None, reviews: DancerReviews
) -> list[int]:
    if people == "all":
        return rows.track_ids
    if people is not None:
        return sorted(set(people))
    named = reviews.get(entry.video_id, entry.content_id)
    found = find_named(named, rows, pose_fingerprint=entry.pose_fingerprint)
    return dancing_tracks(rows, choose_dancers(rows, found.track_ids))


def check_absent(people: Sequence[ExportedPerson]) -> None:
    """Raise StorageError where one of the files is there already: nothing is written then, and nothing replaced."""
    for each in people:
        if objects.stat_object(each.uri) is not None:
            raise StorageError(each.uri, "exists already; delete it or choose another --folder")


def write_exported(person: ExportedPerson, *, to: ExportFormat, height_metres: float | None = None) -> None:
    """Write one person's file. `height_metres`, of TRC only, makes metres of pixels."""
    if to == "npz":
        return _write_npz(person)
    settings = ConvertSettings(person_height_metres=height_metres)
    about = person.about(is_in_metres=height_metres is not None)
    table = table_of(person.rows, video_id=person.entry.video_id, content_id=person.entry.content_id)
    if to == "csv":
        return write_keypoint_csv(table, person.uri, settings, about=list(_lines(about)))
    told = {name: about[name] for name in ("written by", "video_id", "pose_fingerprint", "track_id")}
    axes = "x right, y up, from the floor" if height_metres else "x right, y up, from the upper left pixel"
    return write_trc(table, person.uri, settings, about="; ".join([*_lines(told), axes]))


def _write_npz(person: ExportedPerson) -> None:
    rows = person.rows
    arrays: dict[str, npt.NDArray[Any]] = {
        "frame_index": rows.frame_index,
        "pts_seconds": rows.pts_seconds,
        "keypoints_xy": rows.all_keypoints_xy,
        "keypoint_scores": rows.all_keypoint_scores,
        "keypoint_names": np.array(rows.keypoint_set.keypoints),
        "about": np.array(json.dumps(person.about(), ensure_ascii=False)),
    }
    if rows.keypoints_xyz is not None:
        arrays["keypoints_xyz"] = rows.keypoints_xyz
    if rows.box_xyxy is not None:
        arrays["box_xyxy"] = rows.box_xyxy
    with write_file(person.uri) as path, path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _lines(about: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each, without the line breaks that a name may have."""
    return (f"{name}: {' '.join(text.split())}" for name, text in about.items())


def file_names(videos: Sequence[PosedVideo]) -> list[str]:
    """Return a name for each video's files: that of the video, with a number where others have it too."""
    names: list[str] = []
    for video in videos:
        number = sum(name == video.name for name in (each.name for each in videos[: len(names)]))
        names.append(video.name if number == 0 else f"{video.name}-{number + 1}")
    return names
