"""The labelled videos of a catalog -> a style model: `choreai train`, as a script that `ray job submit` can run.

ray job submit --working-dir . -- python jobs/train_style.py --config deploy/train.toml
"""

import sys

from choreai.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
