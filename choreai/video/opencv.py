"""Which builds of OpenCV are installed: PyPI has four, and all of them write the same files."""

import logging
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.metadata import distributions

from choreai.errors import ConfigError

logger = logging.getLogger(__name__)

BUILDS = ("opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")
"""MediaPipe asks for the second, the base for the first; either does for choreai."""


def check_opencv(path: Sequence[str] | None = None) -> None:
    """Warn if the builds found on `path` (default: `sys.path`) are of different releases.

    Raises ConfigError if OpenCV is missing, or lost its files when another build was uninstalled.
    """
    builds = find_builds(path)
    spec = PathFinder.find_spec("cv2", path)
    if spec is None or spec.origin is None:
        name, release = next(iter(builds.items()), (BUILDS[0], ""))
        because = "another build of it was uninstalled, which has the same files" if builds else "it is not installed"
        wanted = f"{name}=={release}" if release else name
        raise ConfigError(
            f"OpenCV's files are missing, because {because}; run `pip install --force-reinstall --no-deps {wanted}`"
        )
    if len(set(builds.values())) > 1:
        logger.warning(
            "the builds of OpenCV overwrite each other's files, and those installed are of different releases (%s); "
            "uninstall them all, and install again the one you want, or several at the same release",
            ", ".join(f"{name} {version}" for name, version in builds.items()),
        )


def find_builds(path: Sequence[str] | None = None) -> dict[str, str]:
    """Return the release of every build that is installed, by its name."""
    found: dict[str, str] = {}
    for name in BUILDS:
        for build in distributions(name=name, path=list(sys.path if path is None else path)):
            found.setdefault(name, build.version)
    return found
