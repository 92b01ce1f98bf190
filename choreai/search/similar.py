"""Similar videos: exact search in the motion embeddings of all windows.

Parts are streamed and only the best videos are kept, so ten million windows need no more memory than a thousand.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import FloatArray, IntArray
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import current_parts, open_part, part_uri, read_consistently, read_table
from choreai.tables.schemas import from_list_column

MAX_QUERY_WINDOWS = 64
"""Of a longer video so many windows are searched for, evenly spread: a minute has about sixty."""
ROWS_AT_ONCE = 32_768
_COLUMNS = ["video_id", "shard_id", "track_id", "start_seconds", "stop_seconds", "embedding"]


@dataclass(frozen=True, eq=False)
class MotionQuery:
    """The windows of a video to search for, Q of them."""

    vectors: FloatArray
    """(Q, EMBEDDING_SIZE) unit vectors."""
    start_seconds: FloatArray
    """(Q,)."""
    stop_seconds: FloatArray
    """(Q,)."""

    def __len__(self) -> int:
        return len(self.vectors)

    def thinned(self, most: int = MAX_QUERY_WINDOWS) -> "MotionQuery":
        """Return at most so many of the windows, evenly spread."""
        if len(self) <= most:
            return self
        rows = np.linspace(0, len(self) - 1, most).round().astype(np.int64)
        return MotionQuery(self.vectors[rows], self.start_seconds[rows], self.stop_seconds[rows])


@dataclass(frozen=True)
class EmbeddedVideo:
    """A video as the video_embeddings table has it."""

    video_id: str
    uri: str
    shard_id: str
    num_windows: int


@dataclass(frozen=True, order=True)
class SimilarVideo:
    """A video that was found, and the two moments that are most alike."""

    similarity: float
    """-1 to 1: over the windows searched for, the mean of the cosine of each with the nearest window here."""
    video_id: str
    track_id: int = field(compare=False)
    start_seconds: float = field(compare=False)
    stop_seconds: float = field(compare=False)
    own_start_seconds: float = field(compare=False)
    """Of the moment in the video searched for."""
    own_stop_seconds: float = field(compare=False)


def newest_videos(output: str, model_version: str) -> pa.Table:
    """Return video_id, uri, shard_id and num_windows of each embedded video; of one embedded again the newest."""
    columns = ["video_id", "uri", "shard_id", "num_windows", "embedded_at"]
    rows = read_table(output, "video_embeddings", model_version, schemas.VIDEO_EMBEDDINGS, columns=columns)
    if len(pc.unique(rows["video_id"])) < len(rows):
        grouped = rows.sort_by([("embedded_at", "ascending")]).group_by("video_id", use_threads=False)
        rows = grouped.aggregate([(name, "last") for name in columns[1:]])
        rows = rows.rename_columns([name.removesuffix("_last") for name in rows.column_names])
    return rows.select(columns[:-1])


def find_video(videos: pa.Table, name: str) -> EmbeddedVideo | None:
    """Return the video with this id, or else this URI; None where `videos` has none."""
    for column in ("video_id", "uri"):
        found = videos.filter(pc.equal(videos[column], name)).to_pylist()
        if found:
            return EmbeddedVideo(**found[0])
    return None


def query_of(output: str, model_version: str, video: EmbeddedVideo) -> MotionQuery:
    """Return the windows of an embedded video."""
    own = part_uri(output, "embeddings", model_version, video.shard_id)

    def read() -> pa.Table:
        is_there = objects.stat_object(own) is not None  # unless it was merged
        uris = [own] if is_there else current_parts(output, "embeddings", model_version).uris
        return pa.concat_tables([schemas.EMBEDDINGS.empty_table(), *(_rows_of(uri, video) for uri in uris)])

    rows = read_consistently(read)
    return MotionQuery(
        from_list_column(rows["embedding"]), rows["start_seconds"].to_numpy(), rows["stop_seconds"].to_numpy()
    )


def mean_vectors(output: str, model_version: str, videos: pa.Table) -> dict[str, FloatArray]:
    """Return by video_id the mean of the windows' vectors of these of the `newest_videos`; none of those without."""
    is_current = _Current(videos, None)

    def read() -> dict[str, FloatArray]:
        found = {}
        for uri in current_parts(output, "embeddings", model_version).uris:
            for rows in _whole_videos(uri):
                starts = _video_starts(rows)
                sums = np.add.reduceat(from_list_column(rows["embedding"]), starts, axis=0)
                counts = np.diff([*starts, len(rows)])
                for start, total, count in zip(starts.tolist(), sums, counts.tolist(), strict=True):
                    video_id = rows["video_id"][start].as_py()
                    if is_current(video_id, rows["shard_id"][start].as_py()):
                        found[video_id] = total / np.float32(count)
        return found

    return read_consistently(read)


def _rows_of(uri: str, video: EmbeddedVideo) -> pa.Table:
    with open_part(uri, schemas.EMBEDDINGS) as part:
        found = [schemas.EMBEDDINGS.empty_table()]
        for batch in part.iter_batches(batch_size=ROWS_AT_ONCE):
            is_own = pc.and_(pc.equal(batch["video_id"], video.video_id), pc.equal(batch["shard_id"], video.shard_id))
            found.append(pa.Table.from_batches([batch]).filter(is_own))
        return pa.concat_tables(found)


def find_similar(
    output: str, model_version: str, query: MotionQuery, *, videos: pa.Table, count: int, leave_out: str | None = None
) -> list[SimilarVideo]:
    """Return the `count` most similar of `videos` (as `newest_videos` has them), the most similar first.

    `leave_out`: the id of the video searched for, where it is one of them.
    """
    if not len(query):
        return []
    wanted = query.thinned()
    is_current = _Current(videos, leave_out)
    return read_consistently(lambda: _scan(output, model_version, wanted, is_current, count))


class _Current:
    """Tells rows that count from those of a video embedded again since, and from those left out."""

    def __init__(self, videos: pa.Table, leave_out: str | None) -> None:
        ids = zip(videos["video_id"].to_pylist(), videos["shard_id"].to_pylist(), strict=True)
        self._shard_of = {video_id: shard_id for video_id, shard_id in ids if video_id != leave_out}

    def __call__(self, video_id: str, shard_id: str) -> bool:
        return self._shard_of.get(video_id) == shard_id


def _scan(output: str, model_version: str, query: MotionQuery, is_current: _Current, count: int) -> list[SimilarVideo]:
    best: list[SimilarVideo] = []
    for uri in current_parts(output, "embeddings", model_version).uris:
        for rows in _whole_videos(uri):
            cosines = from_list_column(rows["embedding"]) @ query.vectors.T
            starts = _video_starts(rows)
            scores = np.maximum.reduceat(cosines, starts, axis=0).mean(axis=1)
            stops = [*starts[1:], len(rows)]
            for place in np.argsort(-scores, kind="stable").tolist():
                if len(best) == count and scores[place] < best[0].similarity:
                    break
                own = slice(starts[place], stops[place])
                if is_current(rows["video_id"][own.start].as_py(), rows["shard_id"][own.start].as_py()):
                    found = _found(rows.slice(own.start, own.stop - own.start), cosines[own], query, scores[place])
                    (heapq.heappush if len(best) < count else heapq.heappushpop)(best, found)
    return sorted(best, key=lambda each: (-each.similarity, each.video_id))


def _whole_videos(uri: str) -> Iterator[pa.Table]:
    """Yield the rows of a part in tables that end where a video ends."""
    with open_part(uri, schemas.EMBEDDINGS) as part:
        held = schemas.EMBEDDINGS.empty_table().select(_COLUMNS)
        for batch in part.iter_batches(batch_size=ROWS_AT_ONCE, columns=_COLUMNS):
            rows = pa.concat_tables([held, pa.Table.from_batches([batch], schema=held.schema)])
            last = int(_video_starts(rows)[-1])
            if last:
                yield rows.slice(0, last)
            held = rows.slice(last)
        if len(held):
            yield held


def _video_starts(rows: pa.Table) -> IntArray:
    """Return the places at which the rows of another video begin, the first included."""
    changes = np.zeros(len(rows), np.bool_)
    changes[:1] = True
    for name in ("video_id", "shard_id"):
        values = rows[name].combine_chunks()
        changes[1:] |= pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return np.flatnonzero(changes)


def _found(rows: pa.Table, cosines: FloatArray, query: MotionQuery, score: float) -> SimilarVideo:
    """Return one video with its best pair of moments. `cosines` (W, Q)."""
    here, own = np.unravel_index(int(cosines.argmax()), cosines.shape)
    row = rows.slice(int(here), 1).select(["video_id", "track_id", "start_seconds", "stop_seconds"]).to_pylist()[0]
    return SimilarVideo(
        similarity=float(score),
        own_start_seconds=float(query.start_seconds[own]),
        own_stop_seconds=float(query.stop_seconds[own]),
        **row,
    )
