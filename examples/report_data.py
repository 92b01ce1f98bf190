"""Write sequences of generated dancers as the student report had its own: four text files.

    python report_data.py report-data
    choreai train --keypoints report-data --report-experiment --output out

X_train.txt and X_test.txt have 51 numbers a line (x, y, score of 17 keypoints) and 100 lines a sequence, Y_train.txt
and Y_test.txt a class number a sequence. No dancer is on both sides of the split.
"""

import argparse
from pathlib import Path

import numpy as np

from choreai.demo.dancers import STYLES, clip_keypoints

NUM_LINES = 100
FRAMES_PER_SECOND = 25
UNSEEN_SEED = 20_000
ERROR_PIXELS = 2.0
"""How far off an estimator's keypoints are; generated ones lie on the spot."""


def sequence(style: str, seed: int) -> np.ndarray:
    """Return (100, 51) numbers of one dancer."""
    xy = clip_keypoints(
        style=style, seed=seed, duration_seconds=NUM_LINES / FRAMES_PER_SECOND, frames_per_second=FRAMES_PER_SECOND
    )
    rng = np.random.default_rng([seed, STYLES.index(style)])
    scores = rng.uniform(0.6, 0.95, (*xy.shape[:2], 1))
    return np.concatenate([xy + rng.normal(0, ERROR_PIXELS, xy.shape), scores], axis=2).reshape(NUM_LINES, -1)


def write_split(folder: Path, name: str, *, num_sequences: int, first_seed: int) -> None:
    """Write the two files of one side of the split, styles in turn."""
    classes = [number % len(STYLES) for number in range(num_sequences)]
    blocks = [sequence(STYLES[c], first_seed + number // len(STYLES)) for number, c in enumerate(classes)]
    np.savetxt(folder / f"X_{name}.txt", np.concatenate(blocks), fmt="%.3f", delimiter=",")
    (folder / f"Y_{name}.txt").write_text("".join(f"{c + 1}\n" for c in classes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=849, help="sequences to train on (default: the report's 849)")
    parser.add_argument("--test", type=int, default=330, help="sequences to test on (default: the report's 330)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_split(arguments.folder, "train", num_sequences=arguments.train, first_seed=0)
    write_split(arguments.folder, "test", num_sequences=arguments.test, first_seed=UNSEEN_SEED)
    print(f"{arguments.folder}: {arguments.train} and {arguments.test} sequences of {', '.join(STYLES)} (1, 2, 3)")


if __name__ == "__main__":
    main()
