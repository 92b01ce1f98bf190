"""A catalog of videos -> keypoint tables: `choreai extract`, as a script that `ray job submit` can run.

ray job submit --working-dir . -- python jobs/extract_poses.py --config deploy/extract.toml
"""

import sys

from choreai.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["extract", *sys.argv[1:]]))
