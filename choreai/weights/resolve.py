"""From a name to a file: what settings such as `detector_checkpoint = "weights:yolox_nano"` mean on this machine."""

import functools
from collections.abc import Iterable
from pathlib import Path

from choreai.errors import WeightsError
from choreai.weights.cache import Cache, default_folder
from choreai.weights.catalogue import Catalogue, WeightsFile, read_catalogue
from choreai.weights.download import OnProgress, no_progress
from choreai.weights.fetch import default_mirror, fetch

PREFIX = "weights:"


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


def resolve(
    name: str,
    *,
    auto_fetch: bool = False,
    mirror: str | None = None,
    cache: Cache | None = None,
    catalogue: Catalogue | None = None,
    on_progress: OnProgress = no_progress,
) -> Path:
    """Return the file of these weights, fetched first where it is missing and `auto_fetch` allows it.

    `mirror` None means that of the environment. Raises WeightsError, with the command to run, where the file is
    missing and may not be fetched; what `fetch` raises where it may; ConfigError for an unknown name.
    """
    cache, catalogue = cache or Cache(default_folder()), catalogue or shipped_catalogue()
    entry = catalogue.find(name)
    if path := cache.find(entry):
        return path
    if not auto_fetch:
        size = f" ({entry.num_bytes / 1e6:.1f} MB)" if entry.num_bytes else ""
        raise WeightsError(
            f"the weights {entry.name}{size} are not in {cache.folder}; get them with "
            f"`choreai weights fetch {entry.name}`"
        )
    mirror = default_mirror() if mirror is None else mirror
    return fetch(entry, cache, mirror=mirror, on_progress=on_progress).path


def resolve_setting(
    value: str,
    *,
    auto_fetch: bool = False,
    mirror: str | None = None,
    cache: Cache | None = None,
    catalogue: Catalogue | None = None,
) -> str:
    """Return a setting that names a file: `weights:NAME` as that file's path, anything else as it is."""
    if not value.startswith(PREFIX):
        return value
    name = value.removeprefix(PREFIX)
    return str(resolve(name, auto_fetch=auto_fetch, mirror=mirror, cache=cache, catalogue=catalogue))
