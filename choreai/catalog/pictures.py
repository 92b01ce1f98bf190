"""Pictures as rows of a catalog: a folder of them is a video, an image file is one of a single frame.

The folder's URI may end in its rate, `frames/dance1/#fps=30`; without one it is 25 pictures a second.
"""

import hashlib
import logging
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from choreai.errors import MediaError
from choreai.natural_order import natural_key
from choreai.storage import objects
from choreai.storage.uris import ObjectInfo
from choreai.video.picture_files import IMAGE_SUFFIXES, IMAGES_PER_SECOND, Picture, Pictures

logger = logging.getLogger(__name__)
_RATE = re.compile(r"/#fps=(\d{1,4}(?:\.\d{1,6})?)$", re.ASCII)
_FOLDER_NAMES = r"/(#fps=[0-9.]+)?$"
_MODULUS = 2**128


def is_picture_name(uri: str) -> bool:
    """Return whether a file is an image, as its extension has it."""
    return uri.lower().endswith(IMAGE_SUFFIXES)


def is_picture_folder(uri: str) -> bool:
    """Return whether a URI is written as a folder, or a path is one."""
    is_written_so = uri.endswith("/") or _RATE.search(uri) is not None
    return is_written_so or (not uri.startswith("s3://") and objects.is_folder(uri))


def picture_folder_names(uris: pa.Array) -> pa.Array:
    """Return for each URI whether it is written as a folder."""
    return pc.match_substring_regex(uris, _FOLDER_NAMES)


class PicturesDigest:
    """Which bytes the pictures of a folder are: from a listing in any order, in little memory."""

    def __init__(self) -> None:
        self._sum = self.num_pictures = 0

    def add(self, name: str, content_id: str) -> None:
        """Add a picture of the folder."""
        digest = hashlib.sha256(f"{name}\0{content_id}".encode("utf-8", "surrogateescape")).digest()
        self._sum = (self._sum + int.from_bytes(digest[:16], "big")) % _MODULUS
        self.num_pictures += 1

    @property
    def content_id(self) -> str:
        return f"pictures-{self.num_pictures}-{self._sum:032x}"


class ListedPictures:
    """The pictures in the listing of one catalog folder: those directly in it, and the folders below with others.

    Of a folder below only its digest is held, of the others a row each.
    """

    def __init__(self, folder: str) -> None:
        """`folder` has a slash at its end."""
        self._folder = folder
        self._alone: list[ObjectInfo] = []
        self._folders: dict[str, PicturesDigest] = {}

    def __bool__(self) -> bool:
        return bool(self._alone or self._folders)

    def add(self, info: ObjectInfo) -> None:
        """Note an object if it is a picture."""
        if is_picture_name(info.uri):
            inside, _, name = info.uri.removeprefix(self._folder).rpartition("/")
            if inside:
                self._folders.setdefault(inside, PicturesDigest()).add(name, info.content_id)
            else:
                self._alone.append(info)

    def forget(self) -> None:
        """Forget all pictures so far."""
        self._alone.clear()
        self._folders.clear()

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, URI and content id of every row."""
        for info in self._alone:
            yield info.uri.removeprefix(self._folder), info.uri, info.content_id
        for name, digest in self._folders.items():
            yield name, f"{self._folder}{name}/", digest.content_id

    def log_found(self) -> None:
        num_inside = sum(digest.num_pictures for digest in self._folders.values())
        logger.info(
            "%s: pictures; %d in it, each for itself, and %d below it, each folder (%d) a video of %g a second",
            self._folder,
            len(self._alone),
            num_inside,
            len(self._folders),
            IMAGES_PER_SECOND,
        )


def pictures_content_id(uri: str) -> str:
    """Return the content id of the pictures in a folder. Raises MediaError where there are none, and StorageError."""
    digest = PicturesDigest()
    for info in _list_pictures(_folder(uri)):
        digest.add(posixpath.basename(info.uri), info.content_id)
    if not digest.num_pictures:
        raise _no_pictures_error(uri)
    return digest.content_id


@contextmanager
def open_source(uri: str) -> Iterator[BinaryIO | Pictures]:
    """Open what a catalog's `uri` names, for `choreai.video.pictures.open_reader`.

    Raises ObjectMissingError, ObjectUnusableError and StorageError, and MediaError for a folder without pictures.
    """
    if is_picture_folder(uri):
        yield _pictures_in(uri)
        return
    if is_picture_name(uri) and (info := objects.stat_object(uri)) is not None:
        yield Pictures((_picture(info),))
        return
    with objects.open_object(uri) as file:
        yield file


def num_bytes(source: BinaryIO | Pictures) -> int:
    """Return the size of all of a source."""
    return source.num_bytes if isinstance(source, Pictures) else source.seek(0, 2)


def _pictures_in(uri: str) -> Pictures:
    rate = _RATE.search(uri)
    per_second = float(rate[1]) if rate else IMAGES_PER_SECOND
    if not per_second:
        raise MediaError(uri, "the rate after #fps= must be above 0")
    found = sorted(_list_pictures(_folder(uri)), key=lambda info: natural_key(posixpath.basename(info.uri)))
    if not found:
        raise _no_pictures_error(uri)
    return Pictures(tuple(map(_picture, found)), per_second)


def _no_pictures_error(uri: str) -> MediaError:
    return MediaError(uri, f"is a folder, not a file, and without pictures ({' '.join(IMAGE_SUFFIXES)}) in it")


def _folder(uri: str) -> str:
    return _RATE.sub("/", uri).rstrip("/") + "/"


def _list_pictures(folder: str) -> Iterator[ObjectInfo]:
    for info in objects.list_objects(folder, sub_folders=False):
        if is_picture_name(info.uri) and not posixpath.basename(info.uri).startswith("."):
            yield info


def _picture(info: ObjectInfo) -> Picture:
    return Picture(posixpath.basename(info.uri), partial(objects.read_object, info.uri), info.size)
