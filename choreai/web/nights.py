"""The nights for the web pages: all runs under the output with their trends, and one run's report."""

import hashlib
import math
import threading
from collections.abc import Callable

from choreai.config import ReportSettings
from choreai.errors import ConfigError, TableError
from choreai.operations.nights import Nights, read_nights
from choreai.operations.run_report import RunReport, make_run_report

KEEP_SECONDS = 60.0
"""How long the nights are shown before they are read again: a thousand take some seconds."""


class NightsReader:
    """Reads the nights under `output` and keeps them for a while. Thread-safe."""

    def __init__(self, output: str, *, clock: Callable[[], float]) -> None:
        self._root, self._clock_of_nights = output, clock
        self._nights_lock = threading.Lock()
        self._nights: Nights | None = None
        self._nights_read_at = -math.inf

    def nights(self) -> Nights | None:
        """Return all nights; None where there are no runs."""
        with self._nights_lock:
            if self._clock_of_nights() - self._nights_read_at >= KEEP_SECONDS:
                try:
                    self._nights = read_nights(self._root)
                except ConfigError:
                    self._nights = None
                self._nights_read_at = self._clock_of_nights()
            return self._nights

    def night(self, run_id: str) -> RunReport | None:
        """Return the report of a run; None if there is no such run, or it cannot be read."""
        try:
            return make_run_report(self._root, ReportSettings(), run_id=run_id)
        except (ConfigError, TableError):
            return None


def video_key(video_id: str) -> str:
    """Return the `key` of a video in the catalog's addresses, as `choreai.web.catalog_search.KEY` has it in SQL."""
    return hashlib.sha256(video_id.encode()).hexdigest()[:24]
