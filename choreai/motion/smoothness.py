"""How smooth a movement is: spectral arc length and log dimensionless jerk.

Both from S. Balasubramanian, A. Melendez-Calderon, A. Roby-Brami, E. Burdet, "On the analysis of movement
smoothness", J. NeuroEngineering Rehabil. 12:112 (2015), doi:10.1186/s12984-015-0090-9. Neither depends on how large
the movement is; both fall (away from zero) as it gets jerkier.
"""

import numpy as np

from choreai.arrays import Float64Array

MAX_FREQUENCY_HZ = 10.0
AMPLITUDE_THRESHOLD = 0.05
PADDING_OCTAVES = 4
"""The three constants of the authors' published implementation (github.com/siva82kb/SPARC)."""


def spectral_arc_length(speed: Float64Array, *, step_seconds: float) -> float:
    """Return SPARC of a speed profile (T,): minus the length of its normalised spectrum; NaN for a profile of zeros.

    A single minimum-jerk movement of one second has about -1.4; every further submovement lowers it. Raises ValueError
    for fewer than two values.
    """
    if speed.ndim != 1 or len(speed) < 2:
        raise ValueError(f"speed must be (T,) with two values or more, got {speed.shape}")
    size = 2 ** (int(np.ceil(np.log2(len(speed)))) + PADDING_OCTAVES)
    magnitude = np.abs(np.fft.rfft(speed, size))
    peak = magnitude.max()
    if not peak > 0:
        return float("nan")
    frequency = np.fft.rfftfreq(size, step_seconds)
    magnitude = magnitude[frequency <= MAX_FREQUENCY_HZ] / peak
    strong = np.flatnonzero(magnitude >= AMPLITUDE_THRESHOLD)
    kept = magnitude[strong[0] : strong[-1] + 1]
    if len(kept) < 2:
        return float("nan")
    return -float(np.hypot(1 / (len(kept) - 1), np.diff(kept)).sum())


def log_dimensionless_jerk(velocity: Float64Array, *, step_seconds: float) -> float:
    """Return LDLJ of a speed profile (T,) or velocity (T, D): -ln(duration^3 / peak^2 * integral of jerk^2).

    -ln(204.8) = -5.32 for one minimum-jerk movement along a line, the largest value a movement from rest to rest can
    have. NaN if nothing moves or nothing accelerates. Raises ValueError for fewer than three values.
    """
    if velocity.ndim not in (1, 2) or len(velocity) < 3:
        raise ValueError(f"velocity must be (T,) or (T, D) with three values or more, got {velocity.shape}")
    columns = velocity.reshape(len(velocity), -1)
    peak_squared = float((columns**2).sum(axis=1).max())
    jerk = np.diff(columns, 2, axis=0) / step_seconds**2
    integral = float((jerk**2).sum()) * step_seconds
    if not (peak_squared > 0 and integral > 0):
        return float("nan")
    duration = len(velocity) * step_seconds
    return -float(np.log(duration**3 / peak_squared * integral))
