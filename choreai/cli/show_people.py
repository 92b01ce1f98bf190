"""The people of `choreai show`: who dances, by a review or by --person, and a table of everybody to name one from."""

import argparse
import getpass

import numpy as np

from choreai.cli.console import print_table
from choreai.errors import ConfigError
from choreai.motion.people import Person, describe_people, listed
from choreai.motion.prominence import choose_dancers
from choreai.motion.sequence import KeypointSequence
from choreai.search.dancer_reviews import Found, find_named, read_dancer_reviews, store_dancers
from choreai.search.dancer_text import AUTO
from choreai.style.tagging import DANCER_UNCERTAIN, MIN_DANCER_CONFIDENCE
from choreai.tables.posed_video import PosedVideo

NUM_LISTED = 8


def chosen_dancers(video: PosedVideo, arguments: argparse.Namespace) -> Found:
    """Return who dances: by --person, which is stored where the video is in the tables, or by the last review.

    Raises ConfigError for a person whom the video does not have.
    """
    if arguments.person is not None:
        return _named_now(video, arguments)
    if video.entry is None:
        return Found(None)
    reviews = read_dancer_reviews(arguments.output, pose_fingerprint=video.entry.pose_fingerprint)
    named = reviews.get(video.entry.video_id, video.entry.content_id)
    found = find_named(named, video.rows, pose_fingerprint=video.entry.pose_fingerprint)
    if named is not None and found.track_ids is not None:
        print(f"dancers named by {named.reviewer}: {_ids(found.track_ids)}")
    return found


def _named_now(video: PosedVideo, arguments: argparse.Namespace) -> Found:
    track_ids = _parse(arguments.person)
    if unknown := sorted(set(track_ids) - set(video.rows.track_ids)):
        there = _ids(video.rows.track_ids) or "none"
        raise ConfigError(f"--person {unknown[0]}: nobody in {video.name} has this id; there are {there}")
    entry = video.entry
    if entry is None:
        print("not stored: poses were estimated now, and ids are of tables only; give --output and the video's id")
    elif entry.size_wh is None:
        raise ConfigError(f"{entry.video_id}: its tables have no size of the picture; extract it again")
    else:
        store_dancers(
            arguments.output,
            video.rows,
            track_ids,
            video_id=entry.video_id,
            content_id=entry.content_id,
            pose_fingerprint=entry.pose_fingerprint,
            size_wh=entry.size_wh,
            reviewer=arguments.reviewer or user_name(),
        )
        what = f"dancers {_ids(track_ids)}" if track_ids else "choreai chooses again"
        print(f"stored: {what} in {entry.video_id}; `choreai tag` will tag it again")
    return Found(sorted(track_ids) if track_ids else None)


def user_name() -> str:
    """Return the name of this machine's user. Raises ConfigError where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as exc:  # as in containers whose user has no name
        raise ConfigError("--reviewer NAME is needed: this machine's user has no name") from exc


def _parse(text: str) -> list[int]:
    """Return the ids in `--person`; none for `auto`."""
    if text.strip() == AUTO:
        return []
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError as exc:
        raise ConfigError(
            f"--person {text!r}: give ids as `choreai show` draws them, such as 3 or 3,7, or {AUTO}"
        ) from exc


def print_people(video: PosedVideo, dancers: Found, size_wh: tuple[int, int]) -> None:
    """Print a table of the people where there are several, and how sure the choice between them is."""
    people = describe_people(video.rows, dancers.track_ids)
    if len(people) < 2:
        return
    confidence = choose_dancers(video.rows, dancers.track_ids).confidence
    shown = listed(people, num=NUM_LISTED)
    title = "people" if confidence >= MIN_DANCER_CONFIDENCE else DANCER_UNCERTAIN
    header = ("person", "seen", "height", "movement", "prominence", "dances")
    print_table(title, [_row(person, size_wh[1]) for person in shown], header=header)
    if len(people) > len(shown):
        print(f"and {len(people) - len(shown)} more, less prominent or seen for less than a second")
    if dancers.track_ids is None:
        print("the wrong one? name the dancer with --person ID, or several with --person ID,ID")


def size_of_keypoints(rows: KeypointSequence) -> tuple[int, int]:
    """Return width and height of what the keypoints reach, for a video whose picture nobody has."""
    known = rows.keypoints_xy[rows.keypoint_scores > 0]
    known = known[np.isfinite(known).all(axis=1)]
    if not len(known):
        return 1, 1
    width, height = np.ceil(known.max(axis=0) - np.minimum(known.min(axis=0), 0)).astype(int).tolist()
    return max(1, width), max(1, height)


def _row(person: Person, frame_height: int) -> tuple[str, ...]:
    return (
        str(person.track_id),
        f"{person.seconds:.1f} s",
        f"{person.height_pixels / frame_height:.0%}",
        f"{person.movement:.2f}/s",
        f"{person.prominence:.2f}",
        f"{person.dancing_share:.0%}",
    )


def _ids(track_ids: list[int]) -> str:
    return ", ".join(map(str, track_ids))
