"""Deinterlacing by FFmpeg's bwdif, of the frames that say that they are interlaced; all others pass unchanged."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.filter import Graph

from choreai.video.clock import Placed
from choreai.video.picture import Decoded

_SETTINGS = "mode=send_frame:parity=auto:deint=interlaced"
_Key = tuple[int, int, str]


class Deinterlacer:
    """Replaces interlaced pictures by whole ones, one for one and in order; does nothing before the first of them."""

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self._graph: Graph | None = None
        self._key: _Key | None = None
        self._waiting: deque[Placed[Decoded]] = deque()

    def add(self, placed: Placed[Decoded]) -> Iterator[Placed[Decoded]]:
        """Take the next picture and yield those that are ready: the filter looks one picture ahead."""
        picture = placed.picture.picture
        if self._graph is None and not picture.interlaced_frame:
            yield placed
            return
        key = picture.width, picture.height, picture.format.name
        if key != self._key:
            yield from self.finish()
            self._graph, self._key = self._build(picture), key
        assert self._graph is not None
        self._waiting.append(placed)
        picture.pts, picture.time_base = placed.ticks, self._time_base
        self._graph.push(picture)
        yield from self._pull(self._graph)

    def finish(self) -> Iterator[Placed[Decoded]]:
        """Yield the pictures that are still in the filter."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull(self._graph)
        yield from self._waiting  # should the filter have kept any, its picture as it was
        self._waiting.clear()
        self._graph = self._key = None

    def _pull(self, graph: Graph) -> Iterator[Placed[Decoded]]:
        while self._waiting:
            try:
                picture = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(picture, av.VideoFrame)
            placed = self._waiting.popleft()
            yield replace(placed, picture=replace(placed.picture, picture=picture))

    def _build(self, picture: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=self._time_base
        )
        graph.link_nodes(source, graph.add("bwdif", _SETTINGS), graph.add("buffersink"))
        graph.configure()
        return graph
