"""Parts: their names, and what is said of a damaged one."""

import io
import random
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from choreai.errors import StorageError, TableError
from choreai.formats.rows import ConvertedRows
from choreai.storage import objects
from choreai.tables.parts import list_parts, merged_id, merged_number, part_id_of, part_uri, read_part, write_part
from choreai.tables.schemas import KEYPOINTS, VIDEOS


def written_part(folder: Path) -> Path:
    path = folder / "part-x.parquet"
    pq.write_table(VIDEOS.empty_table(), path)
    return path


def test_a_part_id_is_read_back_from_its_uri() -> None:
    uri = part_uri("s3://bucket/out", "tags", "lstm-1", "0f")
    assert uri == "s3://bucket/out/tags/lstm-1/part-0f.parquet"
    assert part_id_of(uri) == "0f"
    with pytest.raises(ValueError, match=r"notes\.txt: not named as a part"):
        part_id_of("s3://bucket/out/tags/lstm-1/notes.txt")


def test_only_merged_parts_have_a_number() -> None:
    assert merged_number(merged_id(12)) == 12
    assert merged_number(merged_id(1_234_567)) == 1_234_567
    assert [merged_number(name) for name in ("0f", "000012", "merged-", "merged-x")] == [0, 0, 0, 0]


def test_only_what_is_named_as_a_part_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "tags" / "v1"
    folder.mkdir(parents=True)
    for name in ("part-a.parquet", "part-b.parquet.bak", "notes.parquet", "part-c.csv"):
        (folder / name).touch()
    assert list(list_parts(str(tmp_path), "tags", "v1")) == [str(folder / "part-a.parquet")]


def test_a_damaged_footer_of_any_kind_is_told_from_a_traceback(tmp_path: Path) -> None:
    path = written_part(tmp_path)
    whole = path.read_bytes()
    (footer_bytes,) = struct.unpack("<I", whole[-8:-4])
    rng = random.Random(0)
    num_refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole) - 8 - footer_bytes, len(whole))] = rng.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            read_part(str(path), VIDEOS)
        except TableError:
            num_refused += 1
    assert num_refused > 150  # the others changed nothing that is read


def test_damaged_rows_are_found_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "part-x.parquet"
    table = pa.Table.from_pylist(
        [dict.fromkeys(VIDEOS.names, 1) | {f.name: str(i) for f in VIDEOS if pa.types.is_string(f.type)}
         for i in range(2000)], schema=VIDEOS,
    )  # fmt: skip
    pq.write_table(table, path, compression="zstd")
    damaged = bytearray(path.read_bytes())
    damaged[4:2000] = bytes(1996)
    path.write_bytes(bytes(damaged))
    with pytest.raises(TableError, match=r"part-x\.parquet: not readable as Parquet"):
        read_part(str(path), VIDEOS)


def test_a_flipped_bit_never_gives_other_keypoints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    num = 500
    rows = ConvertedRows(["v"], ["c"], np.zeros(num, np.int64), np.zeros(num, np.int64), np.arange(num),
                         rng.random((num, 4), np.float32), rng.random(num, np.float32),
                         rng.random((num, 17, 3), np.float32))  # fmt: skip
    table = rows.to_table(frames_per_second=15)
    path = tmp_path / "part-x.parquet"
    write_part(str(path), table, tmp_path / "scratch")
    whole = path.read_bytes()
    (footer_bytes,) = struct.unpack("<I", whole[-8:-4])
    num_found = 0
    for place in rng.integers(4, len(whole) - 8 - footer_bytes, 200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            assert read_part(str(path), KEYPOINTS).equals(table)  # a bit of a statistic that nobody reads
        except TableError:
            num_found += 1
    assert num_found > 190


class FailingDisk(io.BytesIO):
    def read(self, *_: object) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_failing_disk_is_not_taken_for_a_damaged_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written_part(tmp_path)
    monkeypatch.setattr(objects, "open_object", lambda _: FailingDisk(path.read_bytes()))
    with pytest.raises(StorageError, match="cannot be read: Input/output error"):
        read_part(str(path), VIDEOS)
