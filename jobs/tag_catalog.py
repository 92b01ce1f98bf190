"""A catalog of videos -> style tags: `choreai tag`, as a script that `ray job submit` can run.

ray job submit --working-dir . -- python jobs/tag_catalog.py --config deploy/tag.toml
"""

import sys

from choreai.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["tag", *sys.argv[1:]]))
