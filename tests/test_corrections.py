"""Reviews: imported once, the last one wins, and training learns from them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tag_rows import write_lines

from choreai.catalog.catalog import Video
from choreai.errors import TableError
from choreai.search.corrections import CORRECTIONS, correct_labels, import_corrections, read_corrections

HEADER = "video_id,style,reviewer,reviewed_at,note"


def test_the_same_reviews_imported_twice_are_there_once(store_uri: str, tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a.csv", HEADER, "v1,house,kim,2026-11-02T10:00:00Z,")
    same = write_lines(
        tmp_path / "b.jsonl",
        '{"video_id": "v1", "style": "house", "reviewer": "kim", "reviewed_at": "2026-11-02T11:00:00+01:00"}',
    )
    assert import_corrections(store_uri, first).is_new
    assert not import_corrections(store_uri, same).is_new
    other = write_lines(tmp_path / "c.csv", HEADER, "v1,ballet,kim,2026-11-03T10:00:00Z,really")
    assert import_corrections(store_uri, other).is_new
    assert [row["style"] for row in read_corrections(store_uri).to_pylist()] == ["house", "ballet"]


def test_csv_jsonl_and_parquet_mean_the_same(tmp_path: Path) -> None:
    rows = [{"video_id": "=v1", "style": "house", "reviewer": "kim", "reviewed_at": "2026-11-02T10:00:00", "note": "x"}]
    write_lines(tmp_path / "r.csv", HEADER, "'=v1,house,kim,2026-11-02T10:00:00,x")  # as an export writes this id
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    write_lines(tmp_path / "r.jsonl", str(rows[0]).replace("'", '"'))
    read = []
    for kind in ("csv", "parquet", "jsonl"):
        import_corrections(str(tmp_path / kind), str(tmp_path / f"r.{kind}"))
        read.append(read_corrections(str(tmp_path / kind)))
    assert read[0].schema.equals(CORRECTIONS)
    assert read[0].equals(read[1])
    assert read[0].equals(read[2])
    assert read[0]["video_id"].to_pylist() == ["=v1"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("v1,,kim,2026-11-02,", "line 2: style missing"),
        ("v1,house,,2026-11-02,", "line 2: reviewer missing"),
        (",house,kim,2026-11-02,", "line 2: video_id missing"),
        ("v1,house,kim,yesterday,", "line 2: reviewed_at 'yesterday' is not a time"),
        ("v1,house,kim", "line 2: reviewed_at missing"),
        ("v1,house,kim,2026-11-02,a,b", "line 2: 6 values"),
    ],
)
def test_a_wrong_review_is_refused_with_its_line_and_nothing_is_stored(tmp_path: Path, line, problem) -> None:
    reviews = write_lines(tmp_path / "r.csv", HEADER, line, "v2,house,kim,2026-11-02,")
    with pytest.raises(TableError, match=problem):
        import_corrections(str(tmp_path / "out"), reviews)
    assert read_corrections(str(tmp_path / "out")).num_rows == 0


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("r.csv", HEADER.encode(), "no reviews"),
        ("r.csv", b"", "no reviews"),
        ("r.csv", b"video_id,style\nv1,\xff", "UTF-8"),
        ("r.jsonl", b"{", "line 1: not valid JSON"),
        ("r.jsonl", b"[1]", "line 1: not a JSON object"),
        ("r.parquet", b"PAR1", "Parquet"),
        ("r.xls", b"x", "unknown extension"),
    ],
)
def test_a_file_that_is_no_reviews_is_refused(tmp_path: Path, name, data, problem) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TableError, match=problem):
        import_corrections(str(tmp_path / "out"), str(tmp_path / name))


@pytest.mark.parametrize("place", ["page", "footer"])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, place) -> None:
    pq.write_table(pa.table({"video_id": ["a"] * 50, "style": ["x"] * 50}), tmp_path / "r.parquet")
    data = bytearray((tmp_path / "r.parquet").read_bytes())
    data[slice(4, 60) if place == "page" else slice(-60, -12)] = b"\xff" * (56 if place == "page" else 48)
    (tmp_path / "r.parquet").write_bytes(data)
    with pytest.raises(TableError, match="not readable as Parquet"):
        import_corrections(str(tmp_path / "out"), str(tmp_path / "r.parquet"))


def test_training_learns_the_last_review_of_the_same_bytes(tmp_path: Path) -> None:
    lines = [
        "video_id,content_id,style,reviewer,reviewed_at",
        "twice,,ballet,kim,2026-11-05",
        "twice,,house,kim,2026-11-04",
        "agreed,,house,kim,2026-11-02",
        "new-bytes,old,ballet,kim,2026-11-02",
        "same-bytes,c1,ballet,kim,2026-11-02",
        "none,,unknown,kim,2026-11-02",
        "unlabelled,,house,kim,2026-11-02",
        "elsewhere,,house,kim,2026-11-02",
    ]
    import_corrections(str(tmp_path), write_lines(tmp_path / "r.csv", *lines))
    labels = {
        "twice": "hiphop",
        "agreed": "house",
        "new-bytes": "hiphop",
        "same-bytes": "hiphop",
        "none": "hiphop",
        "unlabelled": None,
        "untouched": "hiphop",
    }
    videos = [Video(name, f"/{name}.mp4", "c1", label, "dancer") for name, label in labels.items()]
    corrected = correct_labels(videos, read_corrections(str(tmp_path)))
    assert {video.video_id: video.label for video in corrected.videos} == {
        "twice": "ballet",
        "agreed": "house",
        "new-bytes": "hiphop",
        "same-bytes": "ballet",
        "none": None,
        "unlabelled": "house",
        "untouched": "hiphop",
    }
    assert (corrected.num_changed, corrected.num_removed) == (3, 1)
    assert {video.group for video in corrected.videos} == {"dancer"}
