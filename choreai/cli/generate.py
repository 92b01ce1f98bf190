"""generate: new dances as videos and tables."""

import argparse
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from choreai.arrays import Float64Array
from choreai.cli.console import print_json, print_table
from choreai.cli.generate_plan import check_kinds, plan_of
from choreai.errors import ConfigError, ObjectMissingError, WeightsError
from choreai.formats.bvh_writer import write_skeleton
from choreai.generate.choreography import generate_dances
from choreai.generate.film import FRAMES_PER_SECOND as FILM_RATE
from choreai.generate.film import film
from choreai.generate.model import Generator, shipped_generator
from choreai.generate.outputs import describe_origin, write_joints
from choreai.generate.plan import FRAMES_PER_SECOND, Plan
from choreai.pipeline.progress import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """One dance and its files."""

    dance_id: str
    files: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Make the dances, print where they are, and return the exit code."""
    kinds = check_kinds(arguments.to)
    plan = plan_of(arguments)
    generator = load_generator(arguments.generator)
    joints = generate_dances(generator, plan)
    made = _write(joints, plan, generator, kinds, Path(arguments.folder))
    if arguments.json:
        print_json({"dances": [asdict(each) for each in made], "synthetic": True, "styles": plan.styles})
        return 0
    rows = [(each.dance_id, "\n".join(each.files)) for each in made]
    print_table("new dances, all synthetic", rows, header=("dance", "files"))
    return 0


def load_generator(path: str | None) -> Generator:
    """Return the generator in a file, or the one that comes with choreai. Raises WeightsError for one that copies."""
    if path is None:
        return shipped_generator()
    try:
        generator = Generator.from_bytes(Path(path).read_bytes(), name=path)
    except OSError as exc:
        raise ObjectMissingError(path, f"cannot be read ({exc.strerror})") from exc
    if generator.config.trained_on.get("copies"):
        raise WeightsError(
            f"{path}: this generator repeats dances that it learned from, so that what it makes would be somebody's; "
            "train it on more"
        )
    return generator


def _write(joints: Float64Array, plan: Plan, generator: Generator, kinds: tuple[str, ...], folder: Path) -> list[Made]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{folder}: the folder cannot be made ({exc.strerror}); give another with --folder") from exc
    num_frames = round(plan.seconds * FILM_RATE) * len(joints) if "mp4" in kinds else len(joints)
    made = []
    with progress("drawing", num_frames) as steps:
        for number, each in enumerate(joints):
            made.append(_write_one(each, number, plan, generator, kinds, folder, on_frame=steps.advance))
    return made


def _write_one(
    joints: Float64Array,
    number: int,
    plan: Plan,
    generator: Generator,
    kinds: tuple[str, ...],
    folder: Path,
    *,
    on_frame: Callable[[], None],
) -> Made:
    dance_id = f"synthetic-{'-'.join(plan.styles)}-{plan.seed}-{number}"
    origin = describe_origin(plan, number, dict(generator.config.trained_on))
    files = []
    if "parquet" in kinds:
        files.append(folder / f"{dance_id}.parquet")
        write_joints(files[-1], joints, plan, dance_id=dance_id, origin=origin)
    if "bvh" in kinds:
        files.append(folder / f"{dance_id}.bvh")
        root = joints[:, 11:13].mean(1)
        write_skeleton(str(files[-1]), joints - root[:, None], root, frames_per_second=FRAMES_PER_SECOND)
    if "mp4" in kinds:
        files.append(folder / f"{dance_id}.mp4")
        looks = int(np.random.default_rng([plan.seed, number]).integers(2**31))
        film(files[-1], joints, frames_per_second=FRAMES_PER_SECOND, seed=looks, comment=origin, on_frame=on_frame)
    return Made(dance_id, tuple(str(file) for file in files))
