"""Tone mapping: high dynamic range (PQ, HLG) to the range that the pose networks were trained on.

Read as if it were ordinary video, a PQ picture is grey and flat. Light is computed from the signal (SMPTE ST 2084, ARIB
STD-B67 with BT.2100's system gamma for 1,000 cd/m2), diffuse white (203 cd/m2, BT.2408) is set to 1, BT.2020 primaries
become those of BT.709, and what is brighter than half of white is compressed smoothly, by the brightest of the three
channels, so that colours stay.
"""

from functools import cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from choreai.arrays import FloatArray, ImageArray

DynamicRange = Literal["sdr", "pq", "hlg"]

DYNAMIC_RANGES: dict[int, DynamicRange] = {16: "pq", 18: "hlg"}
"""By AVColorTransferCharacteristic."""
WHITE_NITS = 203.0
HLG_PEAK_NITS = 1000.0
KNEE = 0.5
"""Of white: darker light is left as it is, brighter light approaches 1."""

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_P3_TO_BT709 = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32)
_TO_BT709 = {9: _BT2020_TO_BT709, 11: _P3_TO_BT709, 12: _P3_TO_BT709}
"""By AVColorPrimaries."""
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)

_SIGNAL_STEPS = 4096
_LIGHT_STEPS = 4096
_MAX_LIGHT = 50.0  # of white: 10,000 cd/m2
_ROWS_AT_ONCE = 128


def tone_map(rgb: npt.NDArray[np.uint16], *, dynamic_range: DynamicRange, primaries: int) -> ImageArray:
    """Return (H, W, 3) uint8 of an (H, W, 3) 16-bit RGB picture; `primaries` is its AVColorPrimaries."""
    mapped = np.empty(rgb.shape, np.uint8)
    for start in range(0, len(rgb), _ROWS_AT_ONCE):  # a few rows at a time stay in the processor's cache
        rows = slice(start, start + _ROWS_AT_ONCE)
        mapped[rows] = _map_rows(rgb[rows], dynamic_range, primaries)
    return mapped


def _map_rows(rgb: npt.NDArray[np.uint16], dynamic_range: DynamicRange, primaries: int) -> ImageArray:
    light = _light_of_signal(dynamic_range).take(rgb >> 4)
    if dynamic_range == "hlg":
        light *= np.maximum(light @ _BT2020_LUMA, 1e-6)[..., None] ** 0.2 * (HLG_PEAK_NITS / WHITE_NITS)
    light = np.maximum(cv2.transform(light, _TO_BT709.get(primaries, np.eye(3, dtype=np.float32))), 0)
    red, green, blue = cv2.split(light)
    brightest = np.minimum(cv2.max(cv2.max(red, green), blue), _MAX_LIGHT)
    gains = _gains().take((np.sqrt(brightest / _MAX_LIGHT) * (_LIGHT_STEPS - 1)).astype(np.uint16))
    light = np.asarray(cv2.multiply(light, cv2.merge([gains, gains, gains])), np.float32)
    return _signal_of_light().take((np.minimum(light, 1) * (_LIGHT_STEPS - 1) + 0.5).astype(np.uint16))


@cache
def _light_of_signal(dynamic_range: DynamicRange) -> FloatArray:
    """Return (4096,) light by signal: of PQ in units of white, of HLG the scene's from 0 to 1."""
    signal = np.linspace(0, 1, _SIGNAL_STEPS)
    if dynamic_range == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return (10_000 / WHITE_NITS * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)).astype(np.float32)


@cache
def _gains() -> FloatArray:
    """Return (4096,) by the root of the brightest channel's share of `_MAX_LIGHT`: what its pixel is multiplied by."""
    light = np.linspace(0, 1, _LIGHT_STEPS) ** 2 * _MAX_LIGHT
    above = KNEE + (1 - KNEE) * (1 - np.exp(-np.maximum(light - KNEE, 0) / (1 - KNEE)))
    return np.where(light <= KNEE, 1.0, above / np.maximum(light, KNEE)).astype(np.float32)


@cache
def _signal_of_light() -> ImageArray:
    """Return (4096,) the 8-bit sRGB value by light from 0 to 1."""
    light = np.linspace(0, 1, _LIGHT_STEPS)
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray((255 * signal).round(), np.uint8)
