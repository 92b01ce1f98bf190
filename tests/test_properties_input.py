"""Properties of what people write: catalogs in all dialects, URIs, names, settings, and files of other programs.

Whatever is written is read as it was meant or refused with an error of ours; nothing else ever comes of it.
"""

import csv
import hashlib
import io
import json
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from choreai.catalog.catalog import read_catalog
from choreai.catalog.odd_names import MAX_NAME_BYTES, escape_name, oddity
from choreai.catalog.spellings import preferred_spellings, spelling_key
from choreai.config import ExtractConfig, TagConfig, TrainConfig, load_config
from choreai.errors import ChoreaiError, ConfigError
from choreai.formats.alphapose_json import read_alphapose_json
from choreai.formats.json_stream import read_json_list
from choreai.formats.keypoint_text import read_keypoint_text
from choreai.formats.mot import read_mot
from choreai.storage.uris import (
    StoreLocation,
    has_secrets,
    join_uri,
    parent_uri,
    parse_uri,
    resolve_uri,
    shorten,
    without_secrets,
)

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
WORD = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
few = settings(max_examples=settings().max_examples // 3)
ROWS = st.lists(st.tuples(WORD, WORD, st.none() | WORD), min_size=1, max_size=6, unique_by=lambda row: row[0])
URI_PARTS = st.lists(
    st.sampled_from(["s3://", "S3://", "file://", "http://", "a", "/", "//", "..", ".", "b.mp4", " ", "%20", "?sig=x",
                     "token=", "me:x@", "C:\\", "\\", ":", "é", "\0", "\n"]) | TEXT,
    max_size=7,
).map("".join)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def read_text(read: Callable[[str], object], name: str, content: bytes) -> object:
    """What `read` makes of a file with these bytes; None where it refuses them with an error of ours."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return read(str(path))
        except ChoreaiError as exc:
            message = str(exc)
    assert len(message.encode()) < 20_000
    return None


@few
@given(
    ROWS,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_a_catalog_is_the_same_in_every_dialect(
    rows: list[tuple[str, str, str | None]], separator: str, line_end: str, encoding: str, quoting: Any, says_it: bool
) -> None:
    sink = io.StringIO(newline="")
    if says_it:
        sink.write(f"sep={separator}{line_end}")
    writer = csv.writer(sink, delimiter=separator, lineterminator=line_end, quoting=quoting)
    writer.writerow(["video_id", "uri", "group"])
    writer.writerows([name, f"s3://bucket/x{key}", group] for name, key, group in rows)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    catalog = read_text(read_catalog, "catalog.csv", mark + sink.getvalue().encode(encoding))
    assert catalog is not None
    found = [(row["video_id"], row["uri"], row["group"]) for row in catalog.table.to_pylist()]  # type: ignore[attr-defined]
    assert found == [(name, f"s3://bucket/x{key}", group) for name, key, group in rows]


@given(st.text(max_size=40), st.sampled_from(["catalog.csv", "catalog.jsonl"]), st.sampled_from(["utf-8", "utf-16"]))
@example("video_id,uri\n1,a\r2,b\n", "catalog.csv", "utf-8")
@example('{"video_id":1e999,"uri":"a"}', "catalog.jsonl", "utf-8")
def test_any_text_is_a_catalog_or_refused(text: str, name: str, encoding: str) -> None:
    head = "video_id,uri\n" if name.endswith("csv") else ""
    read_text(read_catalog, name, (head + text).encode(encoding, "surrogatepass"))


@given(URI_PARTS, st.sampled_from(["s3://bucket/folder/", "s3://bucket", "/folder", "."]))
def test_a_uri_resolved_is_absolute_and_stays_as_it_is(uri: str, against: str) -> None:
    try:
        resolved = resolve_uri(uri, against=against)
    except ConfigError as exc:
        resolved, message = None, str(exc)
    if resolved is None:
        assert not has_secrets(message)
        return
    assert resolve_uri(resolved, against="/elsewhere") == resolved
    location = parse_uri(resolved)
    if isinstance(location, str):
        assert location.startswith("/")
    elif not isinstance(parse_uri(uri), StoreLocation):
        assert location.bucket == "bucket"


@given(
    st.sampled_from(["s3://bucket/folder", "s3://bucket", "/folder", "/"]), WORD.filter(lambda name: "/" not in name)
)
def test_what_lies_in_a_folder_has_it_as_parent(folder: str, name: str) -> None:
    assume("/" not in name and not has_secrets(join_uri(folder, name)))
    assert parent_uri(join_uri(folder, name)) == folder


@given(st.lists(TEXT | URI_PARTS, max_size=3).map(" ".join))
@example("https://me:p@ss@host/a.mp4?X-Goog-Signature=secret")
def test_a_text_without_its_secrets_has_none(text: str) -> None:
    clean = without_secrets(text)
    assert not has_secrets(clean)
    assert without_secrets(clean) == clean
    assert len(shorten(text)) <= max(len(text), 400)


@given(st.text(max_size=30) | URI_PARTS, st.text(max_size=30))
def test_an_escaped_name_can_be_an_id_and_is_no_other_names(name: str, other: str) -> None:
    escaped = escape_name(name)
    assert oddity(escaped) is None
    assert len(escaped.encode()) <= MAX_NAME_BYTES
    assert (escaped == escape_name(other)) == (name == other)


@given(st.dictionaries(TEXT, st.integers(1, 9), max_size=8))
def test_names_of_one_key_get_one_spelling_and_keep_it(counts: dict[str, int]) -> None:
    preferred = preferred_spellings(counts)
    assert preferred.keys() == counts.keys()
    for name, chosen in preferred.items():
        assert spelling_key(chosen) == spelling_key(name)
        assert spelling_key(spelling_key(name)) == spelling_key(name)
    again = preferred_spellings({chosen: 1 for chosen in preferred.values()})
    assert all(name == chosen for name, chosen in again.items())


@pytest.mark.parametrize("config", [ExtractConfig, TrainConfig, TagConfig])
@few
@given(data=st.data())
def test_any_settings_are_taken_or_refused(config: type[ExtractConfig], data: st.DataObject) -> None:
    keys = st.sampled_from([*config.__dataclass_fields__, "frames_per_second", "num_cpus"]) | TEXT
    values = st.booleans() | st.integers() | st.floats() | TEXT | st.sampled_from(["7", "2026-11-01", "auto"])
    tables = st.dictionaries(keys, values | st.lists(values, max_size=3), max_size=4)
    raw = data.draw(st.dictionaries(keys, values | tables | st.lists(values | tables, max_size=2), max_size=5))
    try:
        loaded = load_config(config, None, {}, defaults={"catalog": "c.csv", "output": "/o", **raw})
    except ConfigError as exc:
        str(exc).encode()
    else:
        assert loaded.output.startswith(("/", "s3://"))


@given(
    st.text(max_size=60) | st.sampled_from(["a = 1\n[a]\nb = 2", "limit = 1e999", 'output = "\\ud800"', "[[workers]]"])
)
def test_any_settings_file_is_taken_or_refused(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    loaded = read_text(
        lambda path: load_config(ExtractConfig, path, {"catalog": "c", "output": "o"}), "j.toml", content
    )
    if loaded is not None:
        tomllib.loads(text.removeprefix("\ufeff"))


@given(JSON)
@few
def test_any_json_is_a_table_of_people_or_refused(value: Any) -> None:
    person = {"image_id": "1.jpg", "category_id": 1, "keypoints": [1.0] * 51, "score": 2.5, "box": [0, 0, 9, 9]}
    for content in (value, [value], [person | value] if isinstance(value, dict) else [person, value]):
        read_text(
            lambda path: read_alphapose_json(path, video_id="v", frames_per_second=8.0),
            "people.json",
            json.dumps(content).encode(),
        )
    for name in person:
        read_text(
            lambda path: read_alphapose_json(path, video_id="v", frames_per_second=8.0),
            "people.json",
            json.dumps([person | {name: value}]).encode(),
        )


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 1, 3]), st.booleans())
def test_a_list_read_piece_by_piece_is_the_list(values: list[Any], indent: int | None, has_mark: bool) -> None:
    text = json.dumps(values, indent=indent, allow_nan=False) if _is_finite(values) else json.dumps([])
    content = text.encode("utf-8-sig" if has_mark else "utf-8")
    digest = hashlib.sha256()
    found = list(read_json_list(io.BytesIO(content), digest=digest, uri="x"))
    assert found == json.loads(text)
    assert digest.digest() == hashlib.sha256(content).digest()


def _is_finite(values: object) -> bool:
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        return False
    return True


@given(st.text("0123456789.,-+e naif\t\n\r\ufeffé", max_size=80))
def test_any_text_is_keypoints_or_boxes_or_refused(text: str) -> None:
    content = text.encode()
    read_text(read_mot, "gt.txt", content)
    hundred_lines = b"\n".join([b",".join([b"0.5"] * 51)] * 99 + [content])
    for samples in (content, hundred_lines):
        read_text(lambda path: read_keypoint_text(path, path, frames_per_second=8.0), "X.txt", samples)
