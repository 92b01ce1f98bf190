"""What `choreai pose` reads: a video, or images in a folder, a list or a detection file."""

import argparse
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from choreai.catalog.folder_videos import FolderNames
from choreai.cli.pose_alphapose import coco_image_id
from choreai.errors import ConfigError
from choreai.natural_order import natural_key
from choreai.pose.detectors.detfile import DetfileDetector, read_detfile
from choreai.storage import objects
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.video.picture_files import IMAGE_SUFFIXES, IMAGES_PER_SECOND
from choreai.video.pictures import decode_image

logger = logging.getLogger(__name__)

INPUTS = ("video", "indir", "list", "image", "detfile")


@dataclass(frozen=True)
class Share:
    """The frames of an input that one of several workers reads: blocks of neighbours, which go round the workers."""

    number: int
    num_shares: int
    block_size: int

    def block_of(self, frame_index: int) -> int:
        return frame_index // self.block_size

    def has(self, frame_index: int) -> bool:
        return self.block_of(frame_index) % self.num_shares == self.number


WHOLE = Share(0, 1, 1)


@dataclass(eq=False)
class PoseInput:
    """The frames of one input, and their names in the results."""

    name: str
    frames: Iterator[Frame]
    image_ids: Sequence[str] | None
    """By frame_index; None for a video, whose frames AlphaPose calls "0.jpg", "1.jpg", ..."""
    unreadable_indices: list[int] = field(default_factory=list)
    """Frame indices of the images that could not be read so far."""
    remarks: Callable[[], Sequence[str]] = tuple
    """What is odd about the input, a sentence each, as far as it was read."""
    detector: DetfileDetector | None = None
    numbers: Sequence[int] = ()
    """By frame_index: what the results call the images instead, see `number_images`."""

    @property
    def is_video(self) -> bool:
        return self.image_ids is None

    @property
    def unreadable(self) -> list[str]:
        """Names of the images that could not be read so far."""
        return [self.image_id(index) for index in self.unreadable_indices]

    def note_unreadable(self, indices: Sequence[int]) -> None:
        """Note, and log, images that turned out to be unreadable, unless they are noted already."""
        for index in indices:
            if index not in self.unreadable_indices:
                logger.warning("%s cannot be read as an image and is skipped", self.image_id(index))
                self.unreadable_indices.append(index)

    def number_images(self) -> None:
        """Give the images the numbers in their names as ids, as COCO has them.

        Raises ConfigError for a video, a name without a number, and two of one number.
        """
        if self.image_ids is None:
            raise ConfigError("--eval is for images, whose ids are numbers in COCO's results; leave it out for a video")
        numbers = [coco_image_id(image_id) for image_id in self.image_ids]
        if len(set(numbers)) < len(numbers):
            double = next(number for number in numbers if numbers.count(number) > 1)
            raise ConfigError(f"--eval: {numbers.count(double)} images have the number {double}; leave --eval out")
        self.numbers = numbers

    def image_id(self, frame_index: int) -> str:
        """Return the name of a frame."""
        return f"{frame_index}.jpg" if self.image_ids is None else self.image_ids[frame_index]

    def result_id(self, frame_index: int) -> str | int:
        """Return what the results call a frame: its name, or its number in COCO."""
        return self.numbers[frame_index] if self.numbers else self.image_id(frame_index)


@contextmanager
def open_input(arguments: argparse.Namespace, *, num_threads: int, share: Share = WHOLE) -> Iterator[PoseInput]:
    """Open the input that the flags name, to read it or a share of it; frames are numbered through all of it.

    Raises ConfigError if they name none or two, and MediaError, StorageError or TableError if it cannot be read.
    """
    given = [name for name in INPUTS if getattr(arguments, name)]
    if len(given) == 2 and "indir" in given and given[-1] in ("list", "detfile"):
        given.remove("indir")
    if len(given) != 1:
        raise ConfigError(f"give one input, --{', --'.join(INPUTS)}; got {len(given)}: {', '.join(given) or 'none'}")
    if given == ["video"]:
        uri: str = arguments.video
        if objects.stat_object(uri) is None:
            raise ConfigError(f"{uri}: no such file or object; --video takes a path or an s3:// URI")
        with objects.open_object(uri) as file, VideoReader(file, uri=uri, num_threads=num_threads) as reader:
            frames = reader.frames(wanted=share.has)
            yield PoseInput(Path(uri).stem, frames, None, remarks=lambda: reader.quality.sentences)
            return
    yield _open_images(arguments, given[0], share)


def _open_images(arguments: argparse.Namespace, source: str, share: Share) -> PoseInput:
    folder = Path(arguments.indir or "")
    detections = None
    match source:
        case "indir":
            paths = find_images(folder)
        case "list":
            lines = _read_text(arguments.list).splitlines()
            paths = [folder / line.strip() for line in lines if line.strip()]
        case "image":
            paths = [Path(arguments.image)]
        case _:
            detections = read_detfile(_read_bytes(arguments.detfile), source=arguments.detfile)
            paths = [folder / str(image_id) for image_id in detections.by_image]
    if not paths:
        raise ConfigError(f"there are no images in {getattr(arguments, source)}")
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(
            f"{len(missing)} of {len(paths)} images are missing, the first is {missing[0]}; "
            "names are relative to --indir, or else to this folder"
        )
    images = PoseInput(Path(getattr(arguments, source)).stem, iter(()), _image_ids(paths))
    readable = _Images(paths, images, share)
    images.frames = iter(readable)
    if detections is not None:
        image_ids = list(detections.by_image)
        images.detector = DetfileDetector(detections, image_ids=(image_ids[index] for index in readable.indices_read()))
    return images


def _image_ids(paths: Sequence[Path]) -> list[str]:
    """Return the names of the images in the results: AlphaPose's file names, or where these are not unique, the
    paths relative to the folder that holds them all."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [os.path.abspath(path) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in whole])
    return [os.path.relpath(path, common) for path in whole]


class _Images:
    """Reads a share of the images one by one; remembers their indices, so that the detection file can follow."""

    def __init__(self, paths: Sequence[Path], images: PoseInput, share: Share) -> None:
        self._paths, self._images, self._share = paths, images, share
        self._indices_read: list[int] = []

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            if not self._share.has(index):
                continue
            image = decode_image(path.read_bytes())
            if image is None:
                self._images.note_unreadable([index])
                continue
            self._indices_read.append(index)
            yield Frame(image, index, index / IMAGES_PER_SECOND)

    def indices_read(self) -> Iterator[int]:
        """Yield the index of each image that was read, each only after it was read."""
        position = 0
        while True:
            yield self._indices_read[position]
            position += 1


def find_images(folder: Path) -> list[Path]:
    """Return every image under a folder, in natural order ("2.jpg" before "10.jpg"), and log what is left out: hidden
    and trash folders, and other files. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    names = FolderNames(f"{folder}/", extensions=IMAGE_SUFFIXES, noun="image")
    found = [path for path in folder.rglob("*") if path.is_file() and names.is_wanted(str(path))]
    names.log_left_out()
    return sorted(found, key=lambda path: [natural_key(part) for part in path.relative_to(folder).parts])


def _read_bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror or exc})") from exc


def _read_text(path: str) -> str:
    try:
        return _read_bytes(path).decode()
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not a UTF-8 text file ({exc})") from exc
