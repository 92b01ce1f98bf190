"""The files that `choreai pose` writes: AlphaPose's result file, written frame by frame, and tables of all frames."""

import json
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from choreai.cli.pose_inputs import PoseInput
from choreai.errors import StorageError
from choreai.formats.alphapose_results import ResultFormat, to_coco, to_openpose
from choreai.pose.pipeline import TrackedPoses
from choreai.storage.files import write_atomically
from choreai.tables.parts import WRITING
from choreai.tables.pose_parts import KeypointsWriter, VideoRows

RESULTS = "alphapose-results.json"
FRAMES = pa.schema(
    [
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("pts_seconds", pa.float32(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("num_people", pa.int32(), nullable=False),
    ]
)
"""One row per frame that was read, with or without people."""


class ResultFiles:
    """The files of one run; a context manager, at whose end they appear under their names if the run succeeded."""

    def __init__(self, outdir: Path, scratch: Path, *, source: PoseInput, result_format: ResultFormat) -> None:
        self._outdir, self._scratch = outdir, scratch
        self._source, self._format = source, result_format
        self._rows = VideoRows(scratch, video_id=source.name, content_id="")
        self._frames: dict[str, list[object]] = {name: [] for name in FRAMES.names}
        self._json = _JsonFile(scratch / RESULTS, brackets=("[", "]") if result_format == "coco" else ("{", "}"))
        self.num_frames = self.num_frames_with_people = self.num_people = 0

    def add(self, people: TrackedPoses) -> None:
        """Add the people of the next frame."""
        num_people, image_id = len(people.track_ids), self._source.image_id(people.frame_index)
        self.num_frames += 1
        self.num_frames_with_people += num_people > 0
        self.num_people += num_people
        for name, value in zip(
            FRAMES.names, (people.frame_index, people.pts_seconds, image_id, num_people), strict=True
        ):
            self._frames[name].append(value)
        self._rows.add_people(people.frame_people)
        if not num_people:
            return
        if self._format == "coco":
            for person in to_coco(people, image_id=self._source.result_id(people.frame_index)):
                self._json.add(json.dumps(person))
        else:
            self._add_openpose(people, image_id, self._format)

    def _add_openpose(self, people: TrackedPoses, image_id: str, result_format: Literal["cmu", "open"]) -> None:
        text = json.dumps(to_openpose(people, result_format=result_format))
        self._json.add(f"{json.dumps(image_id)}: {text}")
        # AlphaPose cuts names at their first dot, which would make "a.1.jpg" and "a.2.jpg" one file.
        path = (self._outdir / "sep-json" / image_id).with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def __enter__(self) -> Self:
        try:
            self._outdir.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise StorageError(str(self._outdir), f"cannot be created: {exc.strerror}") from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._json.close()
        if kind is None:
            self._finish()

    def _finish(self) -> None:
        writer = KeypointsWriter(self._scratch / "keypoints.parquet")
        for chunk in self._rows.chunks():
            writer.write(chunk)
        writer.close()
        frames = pa.table(self._frames, schema=FRAMES)
        pq.write_table(frames, self._scratch / "frames.parquet", **WRITING)
        for name in ("keypoints.parquet", "frames.parquet", RESULTS):
            _move(self._scratch / name, self._outdir / name)


class _JsonFile:
    """One JSON list or object, written entry by entry."""

    def __init__(self, path: Path, *, brackets: tuple[str, str]) -> None:
        self._file: TextIO = path.open("w", encoding="ascii")
        self._separator, self._end = brackets

    def add(self, entry: str) -> None:
        self._file.write(self._separator + entry)
        self._separator = ", "

    def close(self) -> None:
        self._file.write(self._end if self._separator == ", " else self._separator + self._end)
        self._file.close()


def _move(source: Path, target: Path) -> None:
    """Move a file in one step, possibly from another disk."""
    try:
        with write_atomically(target) as temporary:
            temporary.write_bytes(source.read_bytes())
    except OSError as exc:
        raise StorageError(str(target), f"cannot be written: {exc.strerror}") from exc
