"""The threads of the catalog: few for pictures, which a page asks for by the dozen, so that no search waits."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from choreai.web.catalog import CatalogBrowser

NUM_PICTURE_THREADS = 2
"""A still takes a core for as long as its video takes to open and decode."""
_PICTURES = frozenset({"still", "portrait"})


class CatalogThreads:
    """Asks a browser in threads."""

    def __init__(self, browser: CatalogBrowser) -> None:
        self._browser = browser
        self._pictures = ThreadPoolExecutor(NUM_PICTURE_THREADS, thread_name_prefix="pictures")

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:  # whatever the method returns
        """Return what the browser's method returns."""
        work = partial(getattr(self._browser, method), *arguments, **options)
        pool = self._pictures if method in _PICTURES else None
        return await asyncio.get_running_loop().run_in_executor(pool, work)
