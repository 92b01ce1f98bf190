"""Several catalogs, folders and videos, read as one catalog."""

from collections.abc import Sequence
from itertools import takewhile

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog, read_catalog
from choreai.catalog.rows import CATALOG_EXTENSIONS
from choreai.errors import CatalogError


def read_catalogs(uris: Sequence[str]) -> Catalog:
    """Read several catalogs, folders and videos as one catalog.

    Videos and those of folders are named by their path in the folder that holds all of them, each once. Raises
    `CatalogError` as `read_catalog` does, and where two catalogs use one id.
    """
    if len(uris) == 1:
        return read_catalog(uris[0])
    tables = [(uri, read_catalog(uri).table) for uri in dict.fromkeys(uris)]
    listed = [table for uri, table in tables if not uri.lower().endswith(CATALOG_EXTENSIONS)]
    written = [table for uri, table in tables if uri.lower().endswith(CATALOG_EXTENSIONS)]
    together = pa.concat_tables([*written, *([_named_by_path(pa.concat_tables(listed))] if listed else [])])
    counts = together.group_by("video_id").aggregate([([], "count_all")])
    repeated = counts.filter(pc.greater(counts["count_all"], 1))["video_id"]
    if len(repeated):
        raise CatalogError(f"video_id {repeated[0].as_py()!r} is in two of {', '.join(uris)}; ids must be unique")
    return Catalog(" ".join(uris), together)


def _named_by_path(table: pa.Table) -> pa.Table:
    """Return the rows with the path below their common folder as video_id; of several with one URI the first."""
    firsts = list({uri: row for row, uri in reversed(list(enumerate(table["uri"].to_pylist())))}.values())
    table = table.take(sorted(firsts))
    folders = [uri.split("/")[:-1] for uri in table["uri"].to_pylist()]
    num_shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False)))
    ids = ["/".join(uri.split("/")[num_shared:]) for uri in table["uri"].to_pylist()]
    return table.set_column(0, CATALOG_SCHEMA.field("video_id"), pa.array(ids, pa.string()))
