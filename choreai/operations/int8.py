"""Make an int8 network of a detector's or pose network's weights: calibrated on some videos of a catalog, its recipe
chosen on others, and measured on yet others, where it must stay near the float32 network."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from choreai.arrays import FloatArray, ImageArray
from choreai.catalog.catalog import Catalog, Video, with_content_ids
from choreai.catalog.pictures import open_source
from choreai.errors import CatalogError, MediaError, StorageError, WeightsError
from choreai.fingerprint import fingerprint
from choreai.pose.agreement import Agreement, box_agreement, keypoint_agreement
from choreai.pose.alphapose.checkpoint import load_pose_network
from choreai.pose.alphapose.onnx_export import export_onnx
from choreai.pose.crops import CropSettings, crop_people, pad_boxes
from choreai.pose.detectors.detector import PersonDetector
from choreai.pose.detectors.onnx_detector import FREE_SIZE_HW, detector_of
from choreai.pose.int8_record import MIN_AGREEMENT, Int8Record, Measure
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.onnx_session import OnnxNetwork
from choreai.pose.quantize import RECIPES, Quantizer, Recipe, check_onnx, with_record
from choreai.pose.settings import Preprocessing
from choreai.video.pictures import open_reader

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

PARTS = ("calibrate", "choose", "measure")
"""What videos are for, in turns."""
MAX_VIDEOS, FRAMES_PER_VIDEO, FRAMES_PER_SECOND = 36, 5, 0.5
PEOPLE_PER_FRAME = 2
MAX_CALIBRATION = 64
MIN_PEOPLE = 20
"""Fewer people than this prove nothing."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What one network sees of a part of the videos."""

    images: list[ImageArray] = field(default_factory=list)
    """(H, W, 3) RGB frames, each of its size."""
    crops: list[FloatArray] = field(default_factory=list)
    """(3, H, W) normalised crops of people; none for a detector."""
    box_wh: list[FloatArray] = field(default_factory=list)
    """(2,) for each crop: the person's box in crop pixels."""


@dataclass(frozen=True)
class Trial:
    """One recipe, and what it came to."""

    recipe: Recipe
    part: str
    """Which videos it was measured on."""
    agreement: Agreement
    milliseconds: float
    """CPU time of the int8 network for each crop or frame."""
    exact_milliseconds: float
    """The same of the float32 network, in onnxruntime too."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """An int8 network that was measured, good enough or not."""

    model: bytes
    """The .onnx file, with its record."""
    record: Int8Record
    trials: tuple[Trial, ...]
    """The recipes that were tried, and last the chosen one on the videos that are for measuring."""

    @property
    def is_good(self) -> bool:
        return self.record.mean >= MIN_AGREEMENT


def quantize_pose_network(
    weights: bytes, catalog: Catalog, *, detector: PersonDetector, is_onnx: bool, preprocessing: Preprocessing
) -> Outcome:
    """Return the int8 network of a pose network: an .onnx file, or an AlphaPose checkpoint, which is exported first.

    `detector` finds the people whose crops calibrate and measure it. Raises WeightsError for networks that cannot be
    made int8, CatalogError for videos with too few people.
    """
    check_onnx()
    model = weights if is_onnx else export_onnx(load_pose_network(weights))
    preprocessing = preprocessing if is_onnx else "alphapose"
    exact = OnnxPose(model, preprocessing=preprocessing, num_threads=1)
    samples, catalog_hash = _sample(catalog, detector, exact.crop_settings)

    def compare(int8: bytes, part: str) -> tuple[Agreement, float, float]:
        crops = torch.from_numpy(np.stack(samples[part].crops))
        network = OnnxPose(int8, preprocessing=preprocessing, num_threads=1)
        found, seconds = _timed(lambda: network.find_keypoints(crops))
        expected, exact_seconds = _timed(lambda: exact.find_keypoints(crops))
        agreement = keypoint_agreement(found, expected, np.stack(samples[part].box_wh))
        return agreement, 1000 * seconds / len(crops), 1000 * exact_seconds / len(crops)

    _check_enough({part: len(sample.crops) for part, sample in samples.items()})
    crops = [crop[None] for crop in samples["calibrate"].crops[:MAX_CALIBRATION]]
    quantizer = Quantizer(model, OnnxNetwork(model, num_threads=1), crops)
    identity = _Identity(hashlib.sha256(weights).hexdigest(), catalog_hash, "oks", len(crops), preprocessing)
    return _try_recipes(quantizer, compare, identity)


def quantize_detector(weights: bytes, catalog: Catalog) -> Outcome:
    """Return the int8 network of a person detector in an .onnx file. Raises as `quantize_pose_network` does."""
    check_onnx()
    recorder = _RecordingNetwork(weights, num_threads=1, free_size_hw=FREE_SIZE_HW)
    exact = detector_of(recorder)
    samples, catalog_hash = _sample(catalog)
    recorder.seen.clear()
    exact.detect(_tensors(samples["calibrate"].images[:MAX_CALIBRATION]))
    canvases = [canvas[None] for batch in recorder.seen for canvas in batch]

    def compare(int8: bytes, part: str) -> tuple[Agreement, float, float]:
        images = _tensors(samples[part].images)
        network = detector_of(OnnxNetwork(int8, num_threads=1, free_size_hw=FREE_SIZE_HW))
        found, seconds = _timed(lambda: network.detect(images))
        expected, exact_seconds = _timed(lambda: exact.detect(images))
        agreement = box_agreement(found, expected)
        return agreement, 1000 * seconds / len(images), 1000 * exact_seconds / len(images)

    _check_enough({part: len(sample.images) for part, sample in samples.items()})
    quantizer = Quantizer(weights, recorder, canvases)
    identity = _Identity(hashlib.sha256(weights).hexdigest(), catalog_hash, "found", len(canvases), "")
    return _try_recipes(quantizer, compare, identity)


@dataclass(frozen=True)
class _Identity:
    """The part of a record that is known before anything is measured."""

    source_sha256: str
    catalog_sha256: str
    measure: Measure
    num_calibration: int
    preprocessing: str

    def record(self, recipe: Recipe, agreement: Agreement) -> Int8Record:
        mean = agreement.mean if self.measure == "oks" else agreement.found
        return Int8Record(
            **vars(self),
            mean=round(mean, 5),
            low=round(agreement.low, 5),
            num_people=agreement.num_people,
            kept=str(recipe),
        )


def _try_recipes(
    quantizer: Quantizer, compare: Callable[[bytes, str], tuple[Agreement, float, float]], identity: _Identity
) -> Outcome:
    """Take the first recipe that is good enough on the videos to choose on, else the best; measure it on others."""
    trials: list[Trial] = []
    models: list[bytes] = []
    for recipe in RECIPES:
        models.append(quantizer.quantize(recipe))
        trials.append(Trial(recipe, "choose", *compare(models[-1], "choose")))
        logger.info("float32 layers: %s: mean agreement %.4f", recipe, trials[-1].agreement.mean)
        if identity.record(recipe, trials[-1].agreement).mean >= MIN_AGREEMENT:
            break
    best = max(range(len(trials)), key=lambda at: identity.record(trials[at].recipe, trials[at].agreement).mean)
    recipe = trials[best].recipe
    measured = Trial(recipe, "measure", *compare(models[best], "measure"))
    if measured.agreement.num_people < MIN_PEOPLE:
        raise CatalogError(
            f"the videos that measure the int8 network show {measured.agreement.num_people} people, at least "
            f"{MIN_PEOPLE} are needed; give a catalog of more videos"
        )
    record = identity.record(recipe, measured.agreement)
    return Outcome(with_record(models[best], record), record, (*trials, measured))


# ---------------------------------------------------------------- what networks see of a catalog


def _sample(
    catalog: Catalog, detector: PersonDetector | None = None, settings: CropSettings | None = None
) -> tuple[dict[str, Sample], str]:
    """Return frames of videos from all over the catalog, for each part, with the people's crops where a detector is
    given, and the hash of the videos' ids and contents. Videos that cannot be read are left out."""
    chosen = np.unique(np.linspace(0, len(catalog) - 1, min(len(catalog), MAX_VIDEOS)).round().astype(np.int64))
    if len(chosen) < len(PARTS):
        raise CatalogError(f"{len(PARTS)} videos or more are needed for int8, the catalog has {len(chosen)}")
    videos = list(with_content_ids(catalog.select(chosen)).videos())
    samples = {part: Sample() for part in PARTS}
    for number, video in enumerate(videos):
        sample = samples[PARTS[number % len(PARTS)]]
        try:
            images = list(_frames(video))
        except (MediaError, StorageError) as exc:
            logger.warning("left out: %s", exc)
            continue
        sample.images.extend(images)
        if detector is not None and settings is not None:
            _add_crops(sample, images, detector, settings)
    return samples, fingerprint({video.video_id: video.content_id for video in videos})


def _frames(video: Video) -> Iterator[ImageArray]:
    with open_source(video.uri) as file, open_reader(file, uri=video.uri) as reader:
        for frame in islice(reader.sample(frames_per_second=FRAMES_PER_SECOND), FRAMES_PER_VIDEO):
            yield np.ascontiguousarray(frame.image)


def _add_crops(sample: Sample, images: Sequence[ImageArray], detector: PersonDetector, settings: CropSettings) -> None:
    for image, boxes in zip(_tensors(images), detector.detect(_tensors(images)), strict=True):
        box_xyxy = boxes.box_xyxy[:PEOPLE_PER_FRAME]
        padded = pad_boxes(box_xyxy, settings)
        crops = crop_people([image], padded, np.zeros(len(box_xyxy), np.int64), settings)
        scale = settings.size_hw[1] / (padded[:, 2] - padded[:, 0])
        sample.crops.extend(crops.numpy())
        sample.box_wh.extend((box_xyxy[:, 2:] - box_xyxy[:, :2]) * scale[:, None])


def _tensors(images: Sequence[ImageArray]) -> list[torch.Tensor]:
    return [torch.from_numpy(image) for image in images]


def _check_enough(numbers: dict[str, int]) -> None:
    for part, number in numbers.items():
        if not number:
            raise CatalogError(f"nobody is seen in the videos to {part} the int8 network on; give a larger catalog")


class _RecordingNetwork(OnnxNetwork):
    """Keeps the images it is given."""

    seen: list[FloatArray]

    def run(self, images_N3HW: FloatArray) -> list[FloatArray]:
        self.__dict__.setdefault("seen", []).append(images_N3HW)
        return super().run(images_N3HW)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def refusal(record: Int8Record) -> WeightsError:
    """Return the error for an int8 network that strays too far."""
    what = "keypoints move by more than one OKS point" if record.measure == "oks" else "too many boxes differ"
    return WeightsError(
        f"int8 is refused: {what} ({record.mean:.4f}, at least {MIN_AGREEMENT:g} is needed); use the float32 weights"
    )
