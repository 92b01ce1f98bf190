"""music: a catalog of videos -> the music table, and which videos share a song."""

import argparse
import csv
import io
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict

from choreai.api.sound import STATUS_WORDS
from choreai.catalog.catalog import Catalog
from choreai.cli.console import print_json, print_table
from choreai.cli.job import load_job
from choreai.cli.outcome import exit_code, exit_code_after_deadline
from choreai.config import ExtractConfig
from choreai.operations.forget import forget_again
from choreai.pipeline.execution import end_run
from choreai.pipeline.extract import open_catalog
from choreai.pipeline.music import extract_music, music_fingerprint
from choreai.pipeline.selection import deadline, num_remaining
from choreai.pipeline.songs import Songs, find_songs
from choreai.search.spreadsheet import escape_formula
from choreai.storage import objects
from choreai.tables.music import STATUSES, HeardVideo, read_music
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)
MAX_SHOWN = 50
"""Videos that are shown one by one, and groups of them."""
MIN_CANDIDATE_SHARE = 0.2
"""Of a tempo that is named beside the one that was found."""


def run(arguments: argparse.Namespace) -> int:
    """Run the music job, print what was heard, and return its exit code."""
    started = time.monotonic()
    csv_uri = arguments.csv
    del arguments.csv
    job = load_job(ExtractConfig, arguments)
    config = job.config
    sources = job.open_sources()
    catalog = open_catalog(config, sources)
    music_id = music_fingerprint()
    manifest = extract_music(
        config,
        catalog,
        music_id=music_id,
        until=deadline(config, started=started),
        in_process=not job.names_cluster and job.is_small(sources, most=len(sources)),
    )
    heard = _of_catalog(read_music(config.output, music_id), catalog)
    songs = find_songs(heard, library=config.music.library)
    if csv_uri:
        objects.put_object(csv_uri, _csv(heard, songs).encode())
    if job.as_json:
        print_json(_json(config, manifest, heard, songs))
    else:
        _print(manifest, heard, songs)
        print(f"music: {config.output}/music/{music_id}")
    stopped = exit_code_after_deadline(num_remaining(manifest, catalog), num_done=manifest.num_videos)
    code = max(stopped, exit_code(manifest, config))
    end_run(config, manifest, is_red=code != 0)
    forget_again(config.output, catalog.table)
    return code


def _of_catalog(heard: Sequence[HeardVideo], catalog: Catalog) -> list[HeardVideo]:
    """Return those of the catalog, in its order."""
    by_key = {(each.video_id, each.content_id): each for each in heard}
    keys = zip(catalog.table["video_id"].to_pylist(), catalog.table["content_id"].to_pylist(), strict=True)
    return [by_key[key] for key in keys if key in by_key]


def _print(manifest: RunManifest, heard: Sequence[HeardVideo], songs: Songs) -> None:
    if len(heard) == 1:
        print(f"{heard[0].video_id}: {in_words(heard[0])}{_song_in_words(heard[0], songs)}")
    elif len(heard) <= MAX_SHOWN:
        header = ("video", "status", "bpm", "key", "LUFS", "song")
        print_table("music", [_row(video, songs) for video in heard], header=header)
    counts = [(status, sum(video.status == status for video in heard)) for status in STATUSES]
    print(f"{len(heard)} videos: {', '.join(f'{num} {status}' for status, num in counts if num) or 'none heard'}")
    for number, group in enumerate(songs.groups[:MAX_SHOWN], start=1):
        print(f"song {number} is shared by {', '.join(sorted(group)[:8])}{' ...' if len(group) > 8 else ''}")
    for video_id, reason in manifest.problems[:20]:
        print(f"not heard: {video_id}: {reason}")


def in_words(video: HeardVideo) -> str:
    """Return what was heard of a video in one line."""
    if video.status != "ok":
        return STATUS_WORDS[video.status]
    others = [each for each in video.candidates if each.share >= MIN_CANDIDATE_SHARE and each.bpm != video.bpm]
    perhaps = f" (perhaps {', '.join(f'{each.bpm:.0f}' for each in others)})" if others else ""
    parts = [f"{video.bpm:.1f} bpm{perhaps}", f"{len(video.beats)} beats", video.key or "no clear key"]
    parts += [f"{video.beats_per_bar} beats a bar"] if video.beats_per_bar else []
    return ", ".join([*parts, f"{video.lufs:.0f} LUFS"])


def _song_in_words(video: HeardVideo, songs: Songs) -> str:
    match = songs.names.get(video.video_id)
    return f", the song is {match.name}" if match else ""


def _row(video: HeardVideo, songs: Songs) -> tuple[str, ...]:
    match, group = songs.names.get(video.video_id), songs.group_of(video.video_id)
    return (
        video.video_id,
        video.status,
        "" if video.bpm is None else f"{video.bpm:.1f}",
        video.key or "",
        "" if video.lufs is None else f"{video.lufs:.0f}",
        match.name if match else f"song {group}" if group else "",
    )


def _csv(heard: Sequence[HeardVideo], songs: Songs) -> str:
    """Return a line a video: its status, tempo, the number of its song, and the song's name and how sure that is."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video_id", "status", "bpm", "song_group", "song", "num_agreeing", "speed"))
    for video in heard:
        match, group = songs.names.get(video.video_id), songs.group_of(video.video_id)
        named = (escape_formula(match.name), match.num_agreeing, f"{match.speed:.2f}") if match else ("", "", "")
        bpm = "" if video.bpm is None else f"{video.bpm:.2f}"
        writer.writerow((escape_formula(video.video_id), video.status, bpm, group or "", *named))
    return text.getvalue()


def _json(config: ExtractConfig, manifest: RunManifest, heard: Sequence[HeardVideo], songs: Songs) -> dict[str, object]:
    return {
        "output": config.output,
        "fingerprint": manifest.pose_fingerprint,
        "this_run": dict(manifest.statuses),
        "problems": manifest.problems[:MAX_SHOWN],
        "videos": [
            {
                "video_id": video.video_id,
                "status": video.status,
                "bpm": video.bpm,
                "beats_per_bar": video.beats_per_bar,
                "key": video.key,
                "lufs": video.lufs,
                "tempo_candidates": [vars(each) for each in video.candidates],
                "beat_seconds": video.beats.seconds.round(3).tolist(),
                "song_group": songs.group_of(video.video_id),
                "song": asdict(songs.names[video.video_id]) if video.video_id in songs.names else None,
            }
            for video in heard
        ],
        "shared_songs": [sorted(group) for group in songs.groups],
    }
