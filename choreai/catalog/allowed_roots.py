"""Where the videos of a catalog may lie: whoever writes a catalog should not choose what a worker reads."""

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.storage.uris import locate


def is_outside(uris: pa.Array, roots: Sequence[str]) -> pa.Array:
    """For each URI whether it lies under none of `roots` (folders, buckets or prefixes).

    Links and '..' in paths are followed; keys have neither.
    """
    prefixes = [f"{_real(root).rstrip('/')}/" for root in roots]
    inside = pa.array(np.zeros(len(uris), np.bool_))
    # Most are s3:// and need no look one by one.
    on_s3 = pc.starts_with(uris, "s3://")
    real = uris if pc.all(on_s3).as_py() else pa.array([_real(uri) for uri in uris.to_pylist()], pa.string())
    for prefix in prefixes:
        inside = pc.or_(inside, pc.starts_with(real, prefix))
    return pc.invert(inside)


def _real(uri: str) -> str:
    place = locate(uri)
    return os.path.realpath(place) if isinstance(place, str) else f"s3://{place.bucket}/{place.key}"
