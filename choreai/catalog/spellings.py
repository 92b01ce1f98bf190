"""One name for what people spell in several ways: `Hip-Hop`, `hip hop` and `Hip-hop` are one style."""

import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

logger = logging.getLogger(__name__)

MAX_NAMED = 5
_SEPARATORS = re.compile(r"[\s\-_\u2010-\u2015\u2212]+")


def spelling_key(name: str) -> str:
    """Return what two spellings of one name share: letters and digits without case, Unicode form and separators."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return _SEPARATORS.sub(" ", folded).strip()


def preferred_spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Return for each spelling the one that stands for all of its name: the most frequent, then the first by alphabet.

    It is in Unicode's composed form. A name spelt one way only is kept as it is.
    """
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        spellings[spelling_key(name) or name].append(name)
    return {
        name: unicodedata.normalize("NFC", names[0]) if len(names) > 1 else name
        for names in spellings.values()
        for name in names
    }


def with_one_spelling(column: pa.ChunkedArray, *, what: str, where: str) -> pa.ChunkedArray:
    """Return a column of names with one spelling for each name, and log in one line what was joined.

    `what` are labels or groups, `where` the catalog's URI.
    """
    counted = pc.value_counts(column.drop_null())
    counts = Counter(dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)))
    preferred = preferred_spellings(counts)
    changed = {name: other for name, other in preferred.items() if name != other}
    if not changed:
        return column
    named = [f"{name!r} is {other!r}" for name, other in sorted(changed.items())[:MAX_NAMED]]
    more = f" and {len(changed) - MAX_NAMED} more" if len(changed) > MAX_NAMED else ""
    logger.warning("%s: %s spelt in several ways are one: %s%s", where, what, ", ".join(named), more)
    names = pa.array(list(changed), pa.string())
    others = pa.array(list(changed.values()), pa.string())
    return pa.chunked_array(
        [pc.coalesce(others.take(pc.index_in(chunk, value_set=names)), chunk) for chunk in column.chunks], pa.string()
    )
