"""Weights that anyone can get: a catalogue of detector, pose and re-ID files, fetched once, checked, and kept by hash.

Nothing here touches the network unless it is asked to: `weights_path("yolox_nano")` looks into the cache only.
"""

from choreai.weights.catalogue import Catalogue, WeightsFile, read_catalogue
from choreai.weights.resolve import missing_weights, resolve_settings, weights_path

__all__ = [
    "Catalogue",
    "WeightsFile",
    "missing_weights",
    "read_catalogue",
    "resolve_settings",
    "weights_path",
]
