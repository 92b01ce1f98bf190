"""What wrote a file: the versions of choreai, Python and the libraries that numbers depend on."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from choreai import __version__

LIBRARIES = ("numpy", "torch", "scikit-learn")


def versions(libraries: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions by name; of libraries that are not installed none."""
    found = {"choreai": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
