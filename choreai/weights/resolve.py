"""From names to files: what settings such as `detector_checkpoint = "weights:yolox_nano"` mean on this machine."""

import functools
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from choreai.errors import WeightsError
from choreai.weights.cache import Cache, default_folder
from choreai.weights.catalogue import Catalogue, WeightsFile, read_catalogue
from choreai.weights.download import OnProgress, no_progress
from choreai.weights.fetch import default_mirror, fetch

logger = logging.getLogger(__name__)

PREFIX = "weights:"
"""Before the name of weights, in a setting that otherwise holds a path or URI."""


@functools.cache
def shipped_catalogue() -> Catalogue:
    """Return the catalogue that comes with choreai, read once."""
    return read_catalogue()


def weights_path(name: str, *, cache: Cache | None = None, catalogue: Catalogue | None = None) -> Path | None:
    """Return the cached file of these weights, None where it was never fetched; never touches the network.

    Raises ConfigError for a name that is not in the catalogue.
    """
    return (cache or Cache(default_folder())).find((catalogue or shipped_catalogue()).find(name))


def missing_weights(
    names: Iterable[str], *, cache: Cache | None = None, catalogue: Catalogue | None = None
) -> tuple[WeightsFile, ...]:
    """Return those of `names`, which may be sets such as "crowd-cpu", that the cache does not have."""
    cache = cache or Cache(default_folder())
    entries = (catalogue or shipped_catalogue()).expand(names)
    return tuple(entry for entry in entries if cache.find(entry) is None)


def resolve_settings(
    values: Mapping[str, str],
    *,
    auto_fetch: bool = False,
    mirror: str | None = None,
    cache: Cache | None = None,
    catalogue: Catalogue | None = None,
    on_progress: OnProgress = no_progress,
) -> dict[str, str]:
    """Return settings that name files, `weights:NAME` as that file's path and anything else as it is.

    What is missing is fetched if `auto_fetch` allows it, from `mirror` (None: that of the environment). Raises
    WeightsError, with the command that fetches all of them, where files are missing and may not be fetched; what
    `fetch` raises where they may; ConfigError for an unknown name.
    """
    cache, catalogue = cache or Cache(default_folder()), catalogue or shipped_catalogue()
    entries = {key: catalogue.find(value.removeprefix(PREFIX)) for key, value in values.items() if is_name(value)}
    missing = missing_weights((entry.name for entry in entries.values()), cache=cache, catalogue=catalogue)
    if missing and not auto_fetch:
        raise WeightsError(_describe_missing(missing, cache))
    mirror = default_mirror() if mirror is None else mirror
    for entry in missing:
        logger.info("fetching the weights %s", entry.name)
        fetch(entry, cache, mirror=mirror, on_progress=on_progress)
    return {**values, **{key: str(cache.path_of(entry)) for key, entry in entries.items()}}


def is_name(value: str) -> bool:
    """Return whether a setting holds the name of weights, and not a path or URI."""
    return value.startswith(PREFIX)


def _describe_missing(missing: Iterable[WeightsFile], cache: Cache) -> str:
    sized = [f"{e.name} ({e.num_bytes / 1e6:.1f} MB)" if e.num_bytes else e.name for e in missing]
    names = " ".join(entry.name for entry in missing)
    return (
        f"the weights {' and '.join(sized)} are not in {cache.folder}; get them with "
        f"`choreai weights fetch {names}`, or set auto_fetch = true in [pose]"
    )
