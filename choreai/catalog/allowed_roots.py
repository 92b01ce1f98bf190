"""Allowed roots: whoever writes a catalog should not choose what a worker reads."""

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.storage.uris import IN_STORE, parse_uri


def is_outside(uris: pa.Array, allowed_roots: Sequence[str]) -> pa.Array:
    """Return for each URI whether it is under none of `allowed_roots` (folders, buckets or prefixes).

    Links and '..' in paths are followed; keys have neither.
    """
    prefixes = [f"{_resolve_links(root).rstrip('/')}/" for root in allowed_roots]
    inside = pa.array(np.zeros(len(uris), np.bool_))
    # Most are in a store and need not be resolved one by one.
    in_store = pc.match_substring_regex(uris, IN_STORE)
    real = (
        uris if pc.all(in_store).as_py() else pa.array([_resolve_links(uri) for uri in uris.to_pylist()], pa.string())
    )
    for prefix in prefixes:
        inside = pc.or_(inside, pc.starts_with(real, prefix))
    return pc.invert(inside)


def _resolve_links(uri: str) -> str:
    location = parse_uri(uri)
    return os.path.realpath(location) if isinstance(location, str) else location.uri
