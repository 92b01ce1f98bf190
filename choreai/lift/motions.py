"""The movement a lifter is trained and judged on: generated dancers, random articulated bodies, motion capture.

Everything becomes `Motion`: poses of one person in upright camera axes at 15 frames a second, of standard size.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from choreai.arrays import Float64Array, FloatArray
from choreai.demo.dancers import STYLES, Dancer
from choreai.errors import ConfigError
from choreai.lift.articulated import FRAMES_PER_SECOND, draw_lengths, draw_movement
from choreai.motion.skeleton3d import STANDARD_SIZE, from_y_up, measure_lengths, with_lengths

FIRST_SEED = 1_000_000
"""Generated dancers are numbered from here in training: those of the demo, tests and benches are others."""
NUM_RETARGETED = 3
"""Bodies on which each stretch of motion capture is put: its own proportions would tell its source."""


@dataclass(frozen=True, eq=False)
class Motion:
    """One person's movement."""

    name: str
    group: str
    """The dancer or subject."""
    label: str
    xyz: Float64Array
    """(F, 17, 3) metres in upright camera axes, 15 frames a second."""


def generated_dancers(num_dancers: int, *, first_seed: int, seconds: float) -> Iterator[Motion]:
    """Yield each dancer in all styles."""
    for seed in range(first_seed, first_seed + num_dancers):
        times = seed % 7 + np.arange(round(seconds * FRAMES_PER_SECOND)) / FRAMES_PER_SECOND
        for style in STYLES:
            dancer = Dancer(style, seed)
            xyz = from_y_up(dancer.skeleton(times).keypoints_xyz)
            yield Motion(dancer.video_id, dancer.name, style, _of_standard_size(xyz))


def read_mocap(folder: Path) -> list[Motion]:
    """Return the motion capture in `folder`: every .npz below it with `xyz` (F, 17, 3) in COCO order, metres, y up, and
    `fps`. Subject (`group`) and `label` are in the file, or in an `index.csv` of the folder, by `file`.

    Raises ConfigError where there is none, or one that is something else.
    """
    paths = sorted(folder.rglob("*.npz"))
    if not paths:
        raise ConfigError(f"{folder}: no .npz of motion capture below this folder; docs/lift.md says what they hold")
    index = _read_index(folder / "index.csv")
    found = [_read_one(path, index.get(path.stem, {})) for path in paths]
    return [motion for motion in found if motion is not None]


def _read_index(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of the index by the file's name without its ending; none where there is no index."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {Path(row.get("file") or "").stem: row for row in csv.DictReader(file)}


def _read_one(path: Path, told: Mapping[str, str]) -> Motion | None:
    """Return None for less than half a second."""
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        xyz, rate = np.asarray(held["xyz"], np.float64), float(held["fps"])
    except (OSError, KeyError, ValueError, TypeError) as exc:
        raise ConfigError(f"{path}: no motion capture ({exc}); it needs xyz (F, 17, 3) in metres and fps") from exc
    if xyz.ndim != 3 or xyz.shape[1:] != (17, 3) or not np.isfinite(xyz).all() or not 1 <= rate <= 1000:
        raise ConfigError(f"{path}: xyz must be (F, 17, 3) finite numbers and fps 1 to 1000, got {xyz.shape}, {rate:g}")
    if len(xyz) < rate / 2:
        return None
    names = {name: str(held[name]) if name in held else told.get(name) or path.stem for name in ("group", "label")}
    return Motion(path.stem, xyz=_of_standard_size(from_y_up(_resample(xyz, rate))), **names)


def _resample(xyz: Float64Array, rate: float) -> Float64Array:
    """Return the poses at 15 frames a second, linear between neighbours."""
    place = np.arange(0, len(xyz) - 1 + 1e-9, rate / FRAMES_PER_SECOND)
    before = np.minimum(place.astype(int), len(xyz) - 2)
    share = (place - before)[:, None, None]
    return xyz[before] * (1 - share) + xyz[before + 1] * share


def _of_standard_size(xyz: Float64Array) -> Float64Array:
    return xyz * (STANDARD_SIZE / measure_lengths(xyz).size)


def training_bank(
    rng: np.random.Generator, *, num_dancers: int, num_random: int, mocap: list[Motion], num_frames: int
) -> FloatArray:
    """Return (M, num_frames, 17, 3) sequences to train on; those of motion capture make up to half of them."""
    dancers = [motion.xyz for motion in generated_dancers(num_dancers, first_seed=FIRST_SEED, seconds=num_frames / 15)]
    bank = [np.stack(dancers), draw_movement(rng, num_sequences=num_random, num_frames=num_frames)]
    captured = [piece for motion in mocap for piece in _pieces(rng, motion.xyz, num_frames)]
    if captured:
        bank.append(np.stack(captured))
    return np.concatenate(bank).astype(np.float32)


def _pieces(rng: np.random.Generator, xyz: Float64Array, num_frames: int) -> Iterator[Float64Array]:
    """Yield overlapping stretches, each on some random bodies; a short recording is held at its end."""
    if len(xyz) < num_frames:
        xyz = np.concatenate([xyz, np.repeat(xyz[-1:], num_frames - len(xyz), axis=0)])
    for start in range(0, len(xyz) - num_frames + 1, num_frames // 2):
        piece = xyz[start : start + num_frames]
        yield piece
        for _ in range(NUM_RETARGETED):
            yield with_lengths(piece, draw_lengths(rng))
