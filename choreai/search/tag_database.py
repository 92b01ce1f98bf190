"""A scratch DuckDB file with the tags of any number of videos, where SQL can join, sort and count them.

DuckDB keeps on disk what does not fit into memory, so ten million tags need no more memory than ten thousand. Parts
are read through `choreai.storage.objects`, locally and from S3 alike.
"""

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.search.corrections import read_corrections
from choreai.storage.scratch import scratch_folder
from choreai.tables import schemas
from choreai.tables.compact import list_versions
from choreai.tables.parts import current_parts, open_part, read_consistently, read_schema

MEMORY_LIMIT = "512MB"
ROWS_PER_INSERT = 50_000

PLAIN_COLUMNS = (
    "video_id",
    "uri",
    "content_id",
    "style",
    "best_style",
    "score",
    "unknown",
    "reason",
    "pose_fingerprint",
    "model_version",
    "run_id",
    "tagged_at",
    "input_quality",
    "doubts",
    "novelty",
)


class TagDatabase:
    """A connection to a scratch database; tables are loaded when they are asked for, and deleted with it.

    Times are UTC without a zone. Statements are ours; everything a user gave goes in as a parameter.
    """

    def __init__(self, root: str, folder: Path) -> None:
        import duckdb

        self.root = root
        self._connection = duckdb.connect(str(folder / "tags.duckdb"))
        self.sql(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self.sql(f"SET temp_directory = '{folder.as_posix()}/spill'")
        self.sql("SET preserve_insertion_order = false")

    def close(self) -> None:
        self._connection.close()

    def sql(self, statement: str, parameters: Sequence[object] = ()) -> Any:  # DuckDB's connection, untyped
        """Execute a statement and return its cursor; fetch from it before the next statement."""
        return self._connection.execute(statement, list(parameters))

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:  # values of any type
        """Return the rows of a small result by column name."""
        return self._connection.sql(statement, params=list(parameters)).to_arrow_table().to_pylist()

    def batches(self, statement: str, parameters: Sequence[object] = (), *, rows: int = 4096) -> Iterator[pa.Table]:
        """Yield the result in tables of about `rows` rows; one empty table if nothing is found."""
        reader = self._connection.sql(statement, params=list(parameters)).to_arrow_reader(rows)
        batch = None
        for batch in reader:
            yield pa.Table.from_batches([batch])
        if batch is None:
            yield reader.schema.empty_table()

    def load_tags(
        self, models: Sequence[str] = (), *, features: Collection[str] = (), nested: Collection[str] = ()
    ) -> None:
        """Make the table `tags`: `PLAIN_COLUMNS`, the struct `kinematics` of `features`, `nested` columns, and the
        row's place: `part` and `row_in_part`.

        Loads the model versions in `models`, or all; then versions whose schema is another release's are left out
        with a warning. Raises ConfigError if there are no tags, or none of such a model.
        """
        versions = list_versions(self.root, "tags")
        if not versions:
            raise ConfigError(f"{self.root}: no tags here yet; run `choreai tag`, or point --output elsewhere")
        wanted = [name.rstrip("/").rsplit("/", 1)[-1] for name in models] or self._versions_of_this_release(versions)
        if missing := sorted(set(wanted) - set(versions)):
            raise ConfigError(f"{self.root}: no tags of model {missing[0]}; there are {', '.join(versions)}")
        if not wanted:
            raise ConfigError(f"{self.root}: no tags of this release's schema here; run `choreai tag`")
        paths = [*PLAIN_COLUMNS, *(f"kinematics.{name}" for name in features), *nested]
        read_consistently(lambda: self._load("tags", schemas.TAGS, wanted, paths))

    def _versions_of_this_release(self, versions: Sequence[str]) -> list[str]:
        current = []
        for version in versions:
            schema = read_consistently(partial(self._first_schema, version))
            if schema is None:
                continue
            found = (schema.metadata or {}).get(b"choreai.schema_version", b"?").decode()
            if found == schemas.TAGS.metadata[b"choreai.schema_version"].decode():
                current.append(version)
            else:
                _warn(
                    f"{self.root}/tags/{version} is left out: its schema version {found} is another release's; "
                    "move that folder away and tag again to have them"
                )
        return current

    def _first_schema(self, version: str) -> pa.Schema | None:
        """Return the schema of a version's first readable part; None, with a warning, if it has none."""
        for uri in self._part_uris("tags", version):
            try:
                return read_schema(uri)
            except TableError as exc:
                _warn_left_out(exc)
        _warn(f"{self.root}/tags/{version} is left out: no part in it can be read")
        return None

    def load_videos(self, columns: Sequence[str], *, fingerprints: Sequence[str] = ()) -> None:
        """Make the table `videos`: `columns` of the videos tables of the pose `fingerprints` (default: all), and
        `version`, the fingerprint."""
        versions = fingerprints or list_versions(self.root, "videos")
        read_consistently(lambda: self._load("videos", schemas.VIDEOS, versions, columns))

    def load_columns(self, name: str, schema: pa.Schema, versions: Sequence[str], columns: Sequence[str]) -> None:
        """Make the table `name`: `columns` of these versions of the table that `schema` is of, and `version`.

        Without their places, which take as long to store as the rest, and which `load_details` alone needs.
        """
        read_consistently(lambda: self._load(name, schema, versions, columns, with_places=False))

    def load_details(self, chosen: str, columns: Sequence[str]) -> None:
        """Make the table `details`: `columns` of the tags whose `part` and `row_in_part` are in the table `chosen`.

        Parts without any are not read. Raises ObjectMissingError where a part was merged since `tags` was loaded.
        """
        self._create("details", _add_place(_drop_zones(_empty(schemas.TAGS, columns)), "", "", 0))
        for (uri,) in self.sql(f"SELECT DISTINCT part FROM {chosen} ORDER BY part").fetchall():
            found = self.sql(f"SELECT row_in_part FROM {chosen} WHERE part = ? ORDER BY row_in_part", [uri])
            wanted = found.fetchnumpy()["row_in_part"]
            try:
                for start, rows in _read_rows(uri, schemas.TAGS, columns):
                    here = wanted[(wanted >= start) & (wanted < start + len(rows))]
                    if len(here):
                        placed = _add_place(rows, "", uri, start).take(pa.array(here - start))
                        self._insert("details", [placed])
            except TableError as exc:
                _warn_left_out(exc)

    def load_corrections(self) -> int:
        """Make the table `corrections` and return the number of reviews in it."""
        found = read_corrections(self.root)
        self._create("corrections", _drop_zones(found.slice(0, 0)))
        self._insert("corrections", [_drop_zones(found)])
        return int(found.num_rows)

    def load_labels(self, labels: pa.Table) -> None:
        """Make the table `labels` (video_id, label) from a catalog's columns."""
        self._create("labels", labels.slice(0, 0))
        self._insert("labels", [labels])

    def _load(
        self, name: str, schema: pa.Schema, versions: Sequence[str], columns: Sequence[str], *, with_places: bool = True
    ) -> None:
        """Fill the table `name` from all parts of `versions`, each row with its `version` and place."""
        add = _add_place if with_places else _add_version
        self._create(name, add(_drop_zones(_empty(schema, columns)), "", "", 0))
        held: list[pa.Table] = []
        table = schema.metadata[b"choreai.table"].decode()
        for version in versions:
            uris = self._part_uris(table, version)
            for uri in uris:
                try:
                    for start, rows in _read_rows(uri, schema, columns):
                        held.append(add(rows, version, uri, start))
                        if sum(map(len, held)) >= ROWS_PER_INSERT:
                            self._insert(name, held)
                            held = []
                except TableError as exc:  # one strange or damaged part must not hide all others
                    if len(uris) == len(versions) == 1:  # there are none
                        raise
                    _warn_left_out(exc)
        self._insert(name, held)

    def _part_uris(self, table: str, version: str) -> tuple[str, ...]:
        try:
            return current_parts(self.root, table, version).uris
        except TableError:
            return current_parts(self.root, table, version, on_damage=_warn_left_out).uris

    def _create(self, name: str, empty: pa.Table) -> None:
        self._connection.register("incoming", empty)
        self.sql(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")
        self._connection.unregister("incoming")

    def _insert(self, name: str, parts: list[pa.Table]) -> None:
        if parts:
            self._connection.register("incoming", pa.concat_tables(parts))
            self.sql(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
            self._connection.unregister("incoming")


@contextmanager
def open_tag_database(root: str) -> Iterator[TagDatabase]:
    """Open a database for the tables under `root`, on scratch space that is freed at the end."""
    with scratch_folder() as folder:
        database = TagDatabase(root, folder)
        try:
            yield database
        finally:
            database.close()


def _warn(text: str) -> None:
    warnings.warn(text, ChoreaiWarning, stacklevel=2)


def _warn_left_out(exc: TableError) -> None:
    _warn(f"left out: {exc}")


def _read_rows(uri: str, schema: pa.Schema, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Yield (number of the first row in the part, rows) of one part, piece by piece."""
    start = 0
    with open_part(uri, schema) as part:
        for batch in part.iter_batches(columns=list(columns), batch_size=ROWS_PER_INSERT):
            yield start, _drop_zones(schemas.with_added(pa.Table.from_batches([batch]), schema, columns))
            start += len(batch)


def _add_place(rows: pa.Table, version: str, uri: str, start: int) -> pa.Table:
    """Append `version` and the place of each row, `part` and `row_in_part` from `start` on."""
    num = len(rows)
    places = {
        "version": pa.repeat(pa.scalar(version), num),
        "part": pa.repeat(pa.scalar(uri), num),
        "row_in_part": pa.array(np.arange(start, start + num)),
    }
    for name, column in places.items():
        rows = rows.append_column(name, column)
    return rows


def _add_version(rows: pa.Table, version: str, uri: str, start: int) -> pa.Table:
    """Append `version` alone."""
    return rows.append_column("version", pa.repeat(pa.scalar(version), len(rows)))


def _empty(schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Return no rows of `columns`, which may name fields of a struct ("kinematics.seconds"), as Parquet reads them."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return pq.ParquetFile(pa.BufferReader(sink.getvalue())).read(columns=list(columns))


def _drop_zones(table: pa.Table) -> pa.Table:
    """Return `table` with times as UTC without a zone: DuckDB's zoned times follow the machine's settings."""
    fields = [
        pa.field(field.name, pa.timestamp("ms")) if pa.types.is_timestamp(field.type) else field.remove_metadata()
        for field in table.schema
    ]
    return table.cast(pa.schema([pa.field(field.name, field.type) for field in fields]))
