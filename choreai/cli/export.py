"""export: who dances in videos, as files for an analysis."""

import argparse
import fnmatch
from collections.abc import Iterator

import pyarrow.compute as pc

from choreai.catalog.shards import latest_attempts
from choreai.cli.console import print_json, print_table
from choreai.cli.export_flags import parse_people
from choreai.errors import CatalogError, ConfigError
from choreai.operations.exported_motion import (
    ExportedPerson,
    check_absent,
    file_names,
    find_exported,
    write_exported,
)
from choreai.search.dancer_reviews import read_dancer_reviews
from choreai.storage.uris import resolve_uri
from choreai.tables import schemas
from choreai.tables.compact import list_versions
from choreai.tables.parts import read_table
from choreai.tables.posed_video import PosedVideo, find_in_tables


def run(arguments: argparse.Namespace) -> int:
    """Write the files, print what each holds, and return the exit code."""
    output = resolve_uri(arguments.output, against=".")
    videos = list(_videos(arguments.videos, output, arguments.poses))
    people = list(_people(videos, arguments, output))
    check_absent(people)
    for person in people:
        write_exported(person, to=arguments.to, height_metres=arguments.person_height)
    if arguments.json:
        print_json([{"file": each.uri, **each.about(is_in_metres=arguments.person_height is not None)}
                    for each in people])  # fmt: skip
    else:
        print_table("exported", [_row(each) for each in people], header=("file", "person", "samples", "seconds"))
    return 0


def _people(videos: list[PosedVideo], arguments: argparse.Namespace, output: str) -> Iterator[ExportedPerson]:
    chosen = parse_people(arguments.person)
    folder = resolve_uri(arguments.folder, against=".")
    for video, name in zip(videos, file_names(videos), strict=True):
        assert video.entry is not None
        reviews = read_dancer_reviews(output, pose_fingerprint=video.entry.pose_fingerprint)
        yield from find_exported(video, folder=folder, name=name, to=arguments.to, people=chosen, reviews=reviews)


def _row(person: ExportedPerson) -> tuple[str, ...]:
    times = person.rows.pts_seconds
    return person.uri, str(person.track_id), str(len(times)), f"{times[0]:.1f}-{times[-1]:.1f}"


def _videos(words: list[str], output: str, poses: str | None) -> Iterator[PosedVideo]:
    """Yield the videos of these ids, URIs and patterns, each once. Raises CatalogError for what is nowhere."""
    versions = list_versions(output, "videos")
    if not versions:
        raise ConfigError(f"{output}: no poses here yet; run `choreai extract` or `choreai tag` with this --output")
    if poses is not None and poses not in versions:
        raise ConfigError(f"--poses {poses}: the tables have {', '.join(versions)}")
    wanted = versions if poses is None else [poses]
    seen: set[str] = set()
    for word in words:
        for video_id in _ids(word, output, wanted):
            if video_id not in seen:
                seen.add(video_id)
                yield _one(video_id, output, wanted)


def _one(video_id: str, output: str, versions: list[str]) -> PosedVideo:
    found = [video for version in versions if (video := find_in_tables(video_id, output, version)) is not None]
    if not found:
        raise CatalogError(f"{video_id}: no video of that id or URI in the tables under {output}; check the name")
    if len(found) > 1:
        known = ", ".join(video.entry.pose_fingerprint for video in found if video.entry)
        raise ConfigError(f"{video_id}: the tables have its poses more than once; choose with --poses one of {known}")
    return found[0]


def _ids(word: str, output: str, versions: list[str]) -> list[str]:
    """Return the ids that a pattern fits, in order; what is no pattern is an id or a URI itself."""
    if not set(word) & set("*?"):
        return [word]
    found: set[str] = set()
    for version in versions:
        columns = ["video_id", "content_id", "status", "attempts"]
        videos = latest_attempts(read_table(output, "videos", version, schemas.VIDEOS, columns=columns))
        posed = videos.filter(pc.equal(videos["status"], "ok"))
        found |= {video_id for video_id in posed["video_id"].to_pylist() if fnmatch.fnmatchcase(video_id, word)}
    if not found:
        raise CatalogError(f"{word}: no id of a video with somebody in view fits this pattern")
    return sorted(found)
