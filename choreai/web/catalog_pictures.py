"""Pictures of the catalog's videos, drawn once and kept in a folder: a still of each, portraits of its people."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from choreai.arrays import BoolArray
from choreai.catalog.pictures import open_source
from choreai.errors import ConfigError, MediaError, StorageError
from choreai.motion.people import describe_people, listed
from choreai.motion.sequence import KeypointSequence
from choreai.operations.who_dances import MAX_SECONDS, NUM_PEOPLE
from choreai.storage.files import write_atomically
from choreai.video.pictures import open_reader
from choreai.visualize.portraits import draw_portraits
from choreai.visualize.stills import draw_people_at

STILL_WIDTH = 480
MAX_STILL_SECONDS = 15.0
"""A still comes from the first seconds of a video, so that long videos cost no more."""


class CatalogPictures:
    """The folder of the pictures; a name tells what was drawn, so that what has changed is drawn anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def still(
        self, key: str, *, version: str, drawn: str, uri: str, rows: Callable[[], tuple[KeypointSequence, BoolArray]]
    ) -> bytes | None:
        """Return a JPEG of one frame with its skeletons; None where the video cannot be read.

        `version` are the poses, `drawn` names bytes and reviews; `rows`: the people, and who of them dances.
        """
        path = self._folder / f"{key}-{version}-{_hash(drawn)}.jpg"
        if not path.exists():
            try:
                picture = draw_still(uri, *rows())
            except (MediaError, StorageError, ConfigError):
                return None  # the video may have been deleted since
            _keep(path, picture)
        return path.read_bytes()

    def portrait(
        self, key: str, track_id: int, *, version: str, drawn: str, uri: str, rows: Callable[[], KeypointSequence]
    ) -> bytes | None:
        """Return a JPEG of one of the most prominent people; None for another, or where the video cannot be read."""
        stem = f"{key}-{version}-{_hash(drawn)}-person"
        if not (self._folder / f"{stem}s.jpg").exists():
            people = rows()
            shown = listed(describe_people(people.between(0.0, MAX_SECONDS)), num=NUM_PEOPLE)
            try:
                drawn_people = draw_portraits(uri, people, {each.track_id: each.clearest_seconds for each in shown})
            except (MediaError, StorageError, ConfigError):
                return None
            for each, picture in drawn_people.items():
                _keep(self._folder / f"{stem}{each}.jpg", picture)
            _keep(self._folder / f"{stem}s.jpg", b"")  # last: all are there
        path = self._folder / f"{stem}{track_id}.jpg"
        return path.read_bytes() if path.exists() else None


def _hash(drawn: str) -> str:
    return hashlib.sha256(drawn.encode()).hexdigest()[:16]


def _keep(path: Path, picture: bytes) -> None:
    with write_atomically(path) as temporary:
        temporary.write_bytes(picture)


def draw_still(uri: str, rows: KeypointSequence, dances: BoolArray) -> bytes:
    """Return a JPEG of the middle one of the first seconds' frames that have people in them."""
    times = np.unique(rows.pts_seconds[rows.pts_seconds < MAX_STILL_SECONDS])
    wanted = float(times[len(times) // 2]) if len(times) else 0.0
    with open_source(uri) as file, open_reader(file, uri=uri) as reader:
        chosen = next(frame for frame in reader.frames() if frame.pts_seconds >= wanted - 1e-3)
    image = draw_people_at(chosen.image, rows, dances, seconds=chosen.pts_seconds)
    picture = Image.fromarray(image)
    picture.thumbnail((STILL_WIDTH, 2 * STILL_WIDTH))
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=82)
    return target.getvalue()
