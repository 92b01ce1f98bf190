"""Reads a C3D file with ezc3d in a process of its own: `python -m choreai.formats.c3d_child FILE.c3d POINTS.npz`.

ezc3d ends the process on some damaged files, so it is not let into ours. What it raises is the last line of standard
error.
"""

import sys
from pathlib import Path

import numpy as np


def main(source: str, target: str) -> None:
    """Write names, points (T, M, 3) with NaN where missing, rate and unit of `source` to `target`."""
    import ezc3d

    read = ezc3d.c3d(source)
    about = read["parameters"]["POINT"]
    names = [name for key, part in sorted(about.items()) if _is_labels(key) for name in part["value"]]
    points = read["data"]["points"][:3].transpose(2, 1, 0).astype(np.float64)
    lost = read["data"]["meta_points"]["residuals"][0].T < 0
    points[lost | (points == 0).all(axis=2)] = np.nan
    num_markers = min(len(names), points.shape[1])
    np.savez(
        Path(target),
        names=np.array(names[:num_markers], str),
        points=points[:, :num_markers],
        rate=float(about["RATE"]["value"][0]),
        unit=str(about.get("UNITS", {"value": ["mm"]})["value"][0]),
    )


def _is_labels(key: str) -> bool:
    """LABELS, and LABELS2, LABELS3, ... for markers from 256 on."""
    return key == "LABELS" or (key.startswith("LABELS") and key[6:].isdigit())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, MemoryError, UnicodeError) as exc:
        sys.exit(str(exc) or type(exc).__name__)
