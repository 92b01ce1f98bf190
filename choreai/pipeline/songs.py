"""Which videos of a music table share a song, and what a library of one's own calls it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from choreai.errors import ConfigError, MediaError
from choreai.music.landmarks import Landmarks, landmarks_of
from choreai.music.songs import SongIndex, SongMatch, share_groups
from choreai.music.spectrum import SAMPLES_PER_SECOND
from choreai.pipeline.music import music_fingerprint
from choreai.pipeline.progress import progress
from choreai.storage import objects
from choreai.tables.music import HeardVideo, read_music
from choreai.video.audio import AudioReader

logger = logging.getLogger(__name__)
MAX_COMPARED = 20_000
"""Videos whose songs are compared with one another: 6 GB of triples at half a minute each."""
_MAX_SONGS = 20_000


@dataclass(frozen=True)
class Songs:
    """What is known of the songs of some videos."""

    groups: tuple[frozenset[str], ...]
    """Videos that share a song, two or more each, by id."""
    names: dict[str, SongMatch]
    """By video: the song of the library that was found in it."""

    def group_of(self, video_id: str) -> int | None:
        """Return the number of a video's group, from 1; None where it shares its song with no other."""
        return next((number for number, group in enumerate(self.groups, start=1) if video_id in group), None)


def find_songs(videos: Sequence[HeardVideo], *, library: str = "") -> Songs:
    """Return which of the videos share a song; with a `library` (a folder of songs) also what the songs are.

    Raises ConfigError where the library has no sound file.
    """
    sounds = [(video.video_id, video.landmarks) for video in videos if len(video.landmarks)]
    if len(sounds) > MAX_COMPARED:
        logger.warning("%d videos have sound; the songs of the first %d are compared", len(sounds), MAX_COMPARED)
    groups = tuple(share_groups(sounds[:MAX_COMPARED]))
    names: dict[str, SongMatch] = {}
    if library:
        index = SongIndex(read_library(library))
        for video_id, landmarks in sounds:
            if found := index.find(landmarks):
                names[video_id] = found[0]
    return Songs(groups, names)


def songs_among(output: str, video_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """Return which of these videos share a song, by the music table under `output`.

    Raises ConfigError where none of them was heard.
    """
    wanted = set(video_ids)
    heard = [video for video in read_music(output, music_fingerprint()) if video.video_id in wanted]
    if not heard:
        raise ConfigError(
            f"{output}: no video to train on was listened to, and keep_songs_together needs to know their songs; run "
            "`choreai music` on the catalog first"
        )
    return [tuple(sorted(group)) for group in find_songs(heard).groups]


def read_library(folder: str) -> list[tuple[str, Landmarks]]:
    """Return the songs of a folder by their paths in it, without their endings; what is no sound is left out.

    Raises ConfigError where none is there.
    """
    uris = [info.uri for info in objects.list_objects(folder.rstrip("/") + "/")][:_MAX_SONGS]
    songs = []
    with progress("listening to the library", len(uris)) as steps:
        for uri in uris:
            try:
                songs.append((_name_of(uri, folder), _read_landmarks(uri)))
            except MediaError as exc:
                logger.warning("left out of the library: %s", exc)
            steps.advance()
    if not songs:
        raise ConfigError(f"{folder}: there is no sound file here; give --library a folder of songs (mp3, flac, wav)")
    return songs


def _read_landmarks(uri: str) -> Landmarks:
    with (
        objects.open_object(uri) as file,
        AudioReader(file, uri=uri, samples_per_second=SAMPLES_PER_SECOND) as reader,
    ):
        return landmarks_of(reader.samples())


def _name_of(uri: str, folder: str) -> str:
    path = uri.removeprefix(folder.rstrip("/") + "/")
    return path.rpartition(".")[0] or path
