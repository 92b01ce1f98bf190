"""What names a video beside the tables: runs, models, training data, downloads, exports, and the web pages' stills."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from choreai.operations.naming import Names
from choreai.storage import objects
from choreai.storage.uris import ObjectInfo
from choreai.tables.compact import COMPACTED_TABLES
from choreai.tables.forgotten import FOLDER, TrainedModel
from choreai.tables.parts import WRITING

TABLES = frozenset({"keypoints", "pictures", "corrections", *COMPACTED_TABLES})
_NEVER = frozenset({*TABLES, FOLDER, "weights"})
"""Folders that are not looked into here: tables have rows, not texts, and the others hold no ids."""
_TEXTS = (".json", ".jsonl", ".csv", ".html", ".md", ".txt", ".log", ".svg")
MAX_BYTES = 256 << 20
"""Texts larger than this are named as not looked into."""
_KEY_DIGITS = 24
"""Of the hash that names a video on the web pages (`choreai.web.catalog_search.KEY`), and its stills."""
_KEPT_OF_TRAINING = ("sweep.json", "sweep.png")


@dataclass(frozen=True)
class Change:
    """An object, and what was done to it, or why it was left."""

    uri: str
    what: str


@dataclass
class Files:
    """The objects under `root` that are no parts of tables, and what becomes of them."""

    root: str
    video_ids: frozenset[str]
    uris: frozenset[str]
    """Where the videos were."""
    act: bool
    web_data: str | None = None
    changes: list[Change] = field(default_factory=list)
    left: list[Change] = field(default_factory=list)
    models: list[TrainedModel] = field(default_factory=list)

    @cached_property
    def _names(self) -> Names:
        return Names(self.video_ids)

    def forget(self) -> None:
        """Take the videos out of every object that is ours to change."""
        self._forget_models()
        self._forget_training()
        for path, info in self._found():
            folder, name = path.split("/")[0], path.rsplit("/", 1)[-1]
            if info.uri in self.uris and folder == "downloads":
                self._delete(info, "deleted: the downloaded video itself")
            elif folder == "runs" and name.endswith((".json", ".html")):
                self._forget_run(info)
            elif folder not in ("models", "training"):
                self._forget_export(info)
        if self.web_data is not None:
            self._forget_web_data(Path(self.web_data))

    def find_left(self) -> None:
        """List the objects that still name a video; after a dry run, those that would."""
        changed = {change.uri for change in self.changes}
        for path, info in self._found():
            if info.uri in changed and not self.act:
                continue
            if self._names.are_in(path):
                self.left.append(Change(info.uri, "its name has the id; rename or delete it"))
            elif info.uri.endswith(_TEXTS):
                why = "too large to be looked into" if info.size > MAX_BYTES else "names it"
                if info.size > MAX_BYTES or self._names.are_in(self._text(info)):
                    self.left.append(Change(info.uri, why))

    def _found(self) -> Iterator[tuple[str, ObjectInfo]]:
        """Yield path and facts of everything under the root but the tables, in order."""
        prefix = f"{self.root.rstrip('/')}/"
        found = sorted(objects.list_objects(prefix), key=lambda info: info.uri)
        for info in found:
            path = info.uri.removeprefix(prefix)
            if path.split("/")[0] not in _NEVER:
                yield path, info

    def _text(self, info: ObjectInfo) -> str:
        return objects.read_object(info.uri).decode("utf-8", "replace")

    def _delete(self, info: ObjectInfo, what: str) -> None:
        if self.act:
            objects.delete_object(info.uri)
        self.changes.append(Change(info.uri, what))

    def _replace(self, info: ObjectInfo, data: bytes, what: str) -> None:
        if self.act:
            objects.put_object(info.uri, data)
        self.changes.append(Change(info.uri, what))

    def _replace_text(self, info: ObjectInfo, old: str, new: str, what: str) -> None:
        if new != old:
            self._replace(info, new.encode("utf-8", "replace"), what)

    def _forget_run(self, info: ObjectInfo) -> None:
        text = self._text(info)
        if not self._names.are_in(text):
            return
        if info.uri.endswith(".html"):
            self._delete(info, "deleted: `choreai report` makes it again")
            return
        try:
            record = json.loads(text)
        except ValueError:
            return
        if not isinstance(record, dict):
            return
        changed = self._names.without_listed(record)
        assert isinstance(changed, dict)
        config = changed.get("config")
        if isinstance(config, dict) and isinstance(config.get("catalog"), str):  # one video may be the whole catalog
            changed = {**changed, "config": {**config, "catalog": self._names.replaced(config["catalog"])}}
        if changed != record:
            self._replace(info, json.dumps(changed, indent=2, ensure_ascii=False).encode(), "its entries taken out")

    def _forget_export(self, info: ObjectInfo) -> None:
        if info.size > MAX_BYTES or not info.uri.endswith((".csv", ".jsonl", "review.html")):
            return
        text = self._text(info)
        if not self._names.are_in(text):
            return
        if info.uri.endswith("review.html"):
            self._delete(info, "deleted: `choreai review` makes it again")
            return
        rows = self._names.without_rows if info.uri.endswith(".csv") else self._names.without_documents
        kept = rows(text)
        if kept is not None:
            self._replace_text(info, text, kept, "its rows taken out")

    def _forget_models(self) -> None:
        prefix = f"{objects.join_uri(self.root, 'models')}/"
        folders: dict[str, list[ObjectInfo]] = {}
        for info in sorted(objects.list_objects(prefix), key=lambda info: info.uri):
            folders.setdefault(info.uri.removeprefix(prefix).split("/")[0], []).append(info)
        for version, infos in folders.items():
            named, taught = set[str](), set[str]()
            for info in infos:
                name = info.uri.rsplit("/", 1)[-1]
                if name == "predictions.parquet":
                    named |= self._forget_rows(info)
                elif name == "model.json":
                    taught = self._taught(self._text(info))
                elif name.endswith((".json", ".html", ".md")):
                    self._forget_numbers(info)
            if named or taught:
                self.models.append(TrainedModel(version, len(named | taught), is_taught=bool(taught)))

    def _taught(self, text: str) -> set[str]:
        """Return those of the videos that are examples of a taught style of a model."""
        try:
            taught = json.loads(text)["config"].get("taught", {})
            return {each for style in taught.values() for each in style["video_ids"]} & self.video_ids
        except (ValueError, KeyError, TypeError, AttributeError):  # no model of ours
            return set()

    def _forget_numbers(self, info: ObjectInfo) -> None:
        text = self._text(info)
        if not self._names.are_in(text):
            return
        if info.uri.endswith(".html"):
            new = self._names.without_html(text)
        elif info.uri.endswith(".md"):
            new = self._names.without_lines(text)
        else:
            try:
                kept = self._names.without_listed(json.loads(text))
            except ValueError:
                return
            new = json.dumps(kept, indent=2, ensure_ascii=False, allow_nan=False)
        self._replace_text(info, text, new, "its entries taken out")

    def _forget_rows(self, info: ObjectInfo) -> set[str]:
        """Take the videos' rows out of a Parquet file that is read whole, and return which of them it had."""
        try:
            table = pq.read_table(io.BytesIO(objects.read_object(info.uri)))
            is_named = pc.is_in(table["video_id"], value_set=pa.array(sorted(self.video_ids), pa.string()))
        except (pa.ArrowException, OSError, KeyError):
            self.left.append(Change(info.uri, "cannot be read as Parquet"))
            return set()
        found = set(table["video_id"].filter(is_named).to_pylist())
        kept = table.filter(pc.invert(is_named))
        if found and len(kept):
            buffer = io.BytesIO()
            pq.write_table(kept, buffer, **WRITING)
            self._replace(info, buffer.getvalue(), "its rows taken out")
        elif found:
            self._delete(info, "deleted: it had no other video")
        return found

    def _forget_training(self) -> None:
        """Delete the data and checkpoints of trainings on the videos: none of them could be resumed without."""
        prefix = f"{objects.join_uri(self.root, 'training')}/"
        infos = sorted(objects.list_objects(prefix), key=lambda info: info.uri)
        for examples in [info for info in infos if info.uri.endswith("/examples.parquet")]:
            folder = examples.uri.removesuffix("examples.parquet")
            with objects.open_object(examples.uri) as file:
                ids = set(pq.read_table(file, columns=["video_id"])["video_id"].to_pylist())
            if ids & self.video_ids:
                inside = [info for info in infos if info.uri.startswith(folder) and info != examples]
                for info in [*inside, examples]:  # the examples last: they say whom it is about
                    if info.uri.removeprefix(folder) not in _KEPT_OF_TRAINING:
                        self._delete(info, "deleted: training data and checkpoints")

    def _forget_web_data(self, data: Path) -> None:
        """Delete stills of the videos, and uploads that have one of the ids."""
        for video_id in sorted(self.video_ids):
            key = hashlib.sha256(video_id.encode()).hexdigest()
            for path in sorted(data.glob(f"stills/{key[:_KEY_DIGITS]}-*.jpg")):
                self._delete(ObjectInfo(str(path), 0, "", None), "deleted: a still of the web pages")
            upload = data / "clips" / video_id
            if upload.parent == data / "clips" and (upload / "status.json").is_file():
                for path in sorted(upload.iterdir()):
                    self._delete(ObjectInfo(str(path), 0, "", None), "deleted: an upload and its result")
                if self.act:
                    upload.rmdir()
