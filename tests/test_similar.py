"""Motion embeddings and similar videos: written once from the tables, searched exactly, with answers for mistakes."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pytest
from motion_tables import rows_of, write_model, write_output
from moving_skeletons import FINGERPRINT, write_keypoints
from tag_rows import tag_row, video_row, write_lines, write_rows, write_tags

from choreai.api.similar import similar
from choreai.cli.main import main
from choreai.pipeline.embed import missing_shards
from choreai.search import similar as search
from choreai.search.corrections import import_corrections
from choreai.search.similar import MotionQuery, find_similar, newest_videos
from choreai.style.embedding import embed_video, unit_length
from choreai.tables import schemas
from choreai.tables.compact import compact
from choreai.tables.parts import list_parts, read_table
from choreai.tables.schemas import from_list_column

NAMES = [f"{style}-{seed}" for style in ("clockwise", "counter", "seesaw") for seed in range(3)]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine dancers, a copy of one of them under another name, and somebody who is gone at once."""
    root = tmp_path_factory.mktemp("similar")
    videos = {name: rows_of(name) for name in NAMES}
    copy = videos["seesaw-1"]
    place = copy.schema.get_field_index("video_id")
    videos["again"] = copy.set_column(place, copy.schema.field(place), [["again"] * len(copy)])
    videos["counter-9-short"] = rows_of("counter-9-short", seconds=0.5)
    write_output(root, videos)
    similar("seesaw-1", output=str(root))
    return root


def version_of(output: Path) -> str:
    return next((output / "models").iterdir()).name


def windows_of(output: Path) -> tuple[list[str], np.ndarray]:
    columns = ["video_id", "embedding"]
    rows = read_table(str(output), "embeddings", version_of(output), schemas.EMBEDDINGS, columns=columns)
    return rows["video_id"].to_pylist(), from_list_column(rows["embedding"])


def test_a_copy_is_the_most_similar_video_and_its_moments_are_the_same(output: Path) -> None:
    answer = similar("seesaw-1", output=str(output), count=3)
    first = answer.found[0]
    assert first.video_id == "again"
    assert first.similarity == pytest.approx(1, abs=1e-5)
    assert first.start_seconds == first.own_start_seconds
    assert len(answer.found) == 3
    assert [each.similarity for each in answer.found] == sorted([e.similarity for e in answer.found], reverse=True)
    assert "seesaw-1" not in {each.video_id for each in answer.found}


def test_embeddings_are_unit_vectors_and_a_video_has_the_mean_of_its_windows(output: Path) -> None:
    names, vectors = windows_of(output)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    columns = ["video_id", "num_windows", "embedding"]
    videos = read_table(str(output), "video_embeddings", version_of(output), schemas.VIDEO_EMBEDDINGS, columns=columns)
    for row in videos.to_pylist():
        own = vectors[np.array(names) == row["video_id"]]
        assert row["num_windows"] == len(own)
        np.testing.assert_allclose(row["embedding"], embed_video(own), atol=1e-6)
    short = videos.to_pylist()[videos["video_id"].to_pylist().index("counter-9-short")]
    assert (short["num_windows"], set(short["embedding"])) == (0, {0.0})


def test_the_search_is_exact(output: Path) -> None:
    names, vectors = windows_of(output)
    own = vectors[np.array(names) == "clockwise-0"]
    expected = {
        name: float((vectors[np.array(names) == name] @ own.T).max(axis=0).mean())
        for name in set(names) - {"clockwise-0"}
    }
    found = similar("clockwise-0", output=str(output), count=100).found
    assert {each.video_id: each.similarity for each in found} == pytest.approx(expected, abs=1e-5)


def test_what_is_embedded_is_not_embedded_again_and_a_new_video_alone_is(tmp_path: Path) -> None:
    version = write_output(tmp_path, {"clockwise-0": rows_of("clockwise-0")}, num_parts=1)
    (first,) = missing_shards(str(tmp_path), pose_id=FINGERPRINT, model_version=version)
    assert [video.video_id for video in first.videos] == ["clockwise-0"]
    similar("clockwise-0", output=str(tmp_path))
    assert missing_shards(str(tmp_path), pose_id=FINGERPRINT, model_version=version) == []
    write_keypoints(tmp_path, {"new": [rows_of("counter-0")]})
    write_rows(str(tmp_path), "videos", FINGERPRINT, "new", [video_row("counter-0", shard_id="new")])
    (second,) = missing_shards(str(tmp_path), pose_id=FINGERPRINT, model_version=version)
    assert [video.video_id for video in second.videos] == ["counter-0"]


def test_of_a_video_embedded_again_only_the_newest_rows_count(output: Path) -> None:
    version = version_of(output)
    videos = newest_videos(str(output), version)
    stale = videos.set_column(2, "shard_id", [["another"] * len(videos)])
    query = MotionQuery(windows_of(output)[1][:2], np.zeros(2, np.float32), np.ones(2, np.float32))
    assert find_similar(str(output), version, query, videos=stale, count=5) == []
    assert len(find_similar(str(output), version, query, videos=videos, count=5)) == 5


@pytest.mark.parametrize("rows_at_once", [1, 4, 7])
def test_videos_are_found_whole_wherever_batches_end(
    output: Path, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = similar("counter-1", output=str(output)).found
    monkeypatch.setattr(search, "ROWS_AT_ONCE", rows_at_once)
    found = similar("counter-1", output=str(output)).found
    assert [each.video_id for each in found] == [each.video_id for each in expected]
    similarities = [each.similarity for each in expected]
    assert [each.similarity for each in found] == pytest.approx(similarities, abs=1e-6)  # the sums are in another order


def test_a_long_video_is_searched_for_by_windows_spread_over_it() -> None:
    vectors = unit_length(np.random.default_rng(0).standard_normal((1000, 8), np.float32))
    query = MotionQuery(vectors, np.arange(1000, dtype=np.float32), np.arange(1, 1001, dtype=np.float32)).thinned()
    assert len(query) == 64
    assert (query.start_seconds[0], query.start_seconds[-1]) == (0, 999)


def test_duckdb_finds_the_same_by_its_array_distance(output: Path) -> None:
    query = f"""
        WITH videos AS (SELECT * FROM '{output}/video_embeddings/{version_of(output)}/*.parquet')
        SELECT video_id, array_cosine_similarity(embedding::FLOAT[128],
            (SELECT embedding::FLOAT[128] FROM videos WHERE video_id = 'seesaw-1')) AS similarity
        FROM videos WHERE num_windows > 0 ORDER BY similarity DESC LIMIT 2"""
    found = duckdb.sql(query)
    assert found is not None
    assert {row[0] for row in found.fetchall()} == {"seesaw-1", "again"}


def test_compacted_embeddings_are_searched_as_before(tmp_path: Path) -> None:
    version = write_output(tmp_path, {name: rows_of(name) for name in NAMES[:4]})
    before = similar("clockwise-0", output=str(tmp_path)).found
    compact(str(tmp_path))
    assert len(list(list_parts(str(tmp_path), "embeddings", version))) == 1
    after = similar("clockwise-0", output=str(tmp_path)).found
    assert [each.video_id for each in after] == [each.video_id for each in before]


def test_the_command_prints_a_table_and_json(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", "seesaw-1", "--output", str(output), "--count", "2"]) == 0
    said = capsys.readouterr().out
    assert "videos like seesaw-1" in said
    assert "again" in said
    assert main(["similar", "seesaw-1", "--output", str(output), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["found"][0]["video_id"], answer["found"][0]["style"]) == ("again", None)
    assert answer["num_videos"] == len(NAMES) + 2


def test_a_found_video_has_its_tag_and_a_review_counts_more(tmp_path: Path) -> None:
    version = write_output(tmp_path, {name: rows_of(name) for name in NAMES[:4]})
    tags = [tag_row(name, "hiphop", model=version) for name in NAMES[:3]]
    write_tags(str(tmp_path), tags)
    reviews = tmp_path / "reviews.csv"
    write_lines(reviews, "video_id,style,reviewer,reviewed_at", f"{NAMES[1]},popping,ann,2026-11-20T10:00:00")
    import_corrections(str(tmp_path), str(reviews))
    assert similar(NAMES[0], output=str(tmp_path)).styles == {NAMES[1]: "popping", NAMES[2]: "hiphop"}


@pytest.mark.parametrize(
    ("video", "said"),
    [
        ("sesaw-1", "no such file, and no video of that id or URI"),
        ("sesaw-1", "did you mean seesaw-1?"),
        ("counter-9-short", "nobody is in view for 1 s on end"),
    ],
)
def test_a_video_that_cannot_be_searched_for_is_refused_with_a_remedy(
    output: Path, video: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["similar", video, "--output", str(output)]) == 2
    assert said in capsys.readouterr().err


def test_an_output_without_a_model_or_without_poses_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["similar", "clip", "--output", str(tmp_path)]) == 2
    assert "no style model here yet" in capsys.readouterr().err
    write_model(tmp_path, {"clockwise-0": rows_of("clockwise-0")})
    assert main(["similar", "clip", "--output", str(tmp_path)]) == 2
    assert f"no poses {FINGERPRINT} here" in capsys.readouterr().err
