"""The tag worker's tables: tags and kinematics, each row traceable, readable by anybody."""

from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from arms_model import ArmsModel, arms_model, references, still_xy
from moving_skeletons import FINGERPRINT, dancer_xy, keypoint_rows, write_keypoints
from tag_rows import tag_row, write_lines, write_tags

from choreai.catalog.catalog import Video, read_catalog
from choreai.catalog.shards import TagShard
from choreai.cli.tag import print_summary
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig
from choreai.errors import TableError
from choreai.motion.kinematics import FEATURES
from choreai.motion.sequence import KeypointSequence
from choreai.storage import objects
from choreai.style.examples import Inputs
from choreai.tables import schemas
from choreai.tables.keypoints import sequence_of
from choreai.tables.parts import list_parts, part_uri, read_part, read_table, write_part
from choreai.tables.runs import RunManifest
from choreai.tables.schemas import UNKNOWN


def two_people(video_id: str, first: np.ndarray, second: np.ndarray) -> pa.Table:
    rows = [keypoint_rows(video_id, "c", xy) for xy in (first, second)]
    second_track = pa.array(np.ones(len(second), np.int32))
    place = schemas.KEYPOINTS.get_field_index("track_id")
    return pa.concat_tables([rows[0], rows[1].set_column(place, schemas.KEYPOINTS.field("track_id"), second_track)])


@pytest.fixture
def store(tmp_path: Path) -> str:
    """One keypoints part: two dancers, one who stands, one who is gone at once."""
    videos = [
        two_people("duo", dancer_xy("clockwise", seed=1), dancer_xy("counter", seed=2)),
        keypoint_rows("short", "c", dancer_xy("counter", seed=1, num_frames=8)),
        keypoint_rows("still", "c", still_xy()),
    ]
    write_keypoints(tmp_path, {"k": videos})
    return str(tmp_path)


def shard_of(*video_ids: str, name: str = "shard") -> TagShard:
    return TagShard(name, "k", tuple(Video(v, f"{v}.mp4", "c") for v in video_ids))


def worker(store: str, model: ArmsModel) -> TagWorker:
    class ArmsTagWorker(TagWorker):
        @staticmethod
        def load_model(uri: str) -> ArmsModel:
            return model

    made = ArmsTagWorker(store, model_uri="any", pose_fingerprint=FINGERPRINT, run_id="run")
    made.setup()
    return made


def test_the_tags_table_holds_everything_and_every_row_can_be_traced(store: str) -> None:
    model = arms_model(references=references(clockwise=0.0, counter=-1.0, seesaw=-1.0))
    report = worker(store, model).process(shard_of("duo", "nobody", "short", "still"))
    assert report.statuses == {"unknown": 2, "nothing to judge": 2}
    (uri,) = list_parts(store, "tags", model.model_version)
    duo, nobody, short, still = read_part(uri, schemas.TAGS).to_pylist()
    assert (duo["style"], duo["unknown"], duo["best_style"]) == (
        UNKNOWN,
        True,
        max(duo["tracks"], key=lambda t: t["score"])["style"],
    )
    assert [(t["track_id"], t["style"], t["unknown"]) for t in duo["tracks"]] == [
        (0, "clockwise", False),
        (1, "counter", False),
    ]
    assert duo["reason"] == f"score {duo['score']:.2f} below 0.60"
    assert sum(entry["score"] for entry in duo["distribution"]) == pytest.approx(1)
    assert {s["track_id"] for s in duo["segments"]} == {w["track_id"] for w in duo["windows"]} == {0, 1}
    assert duo["kinematics"]["hands_speed_mean"] > 0
    assert still["unknown"]
    assert [row["reason"] for row in (nobody, short)] == ["nobody in view", "nobody in view for 1.5 seconds on end"]
    for row in (nobody, short):
        assert (row["style"], row["best_style"], row["score"], row["unknown"], row["kinematics"]) == (
            None, None, None, False, None,
        )  # fmt: skip
    for row in (duo, nobody, short, still):
        assert (row["pose_fingerprint"], row["model_version"], row["run_id"]) == (
            FINGERPRINT, model.model_version, "run",
        )  # fmt: skip


def test_kinematics_are_left_once_for_the_whole_part_whichever_videos_and_models_are_tagged(store) -> None:
    worker(store, arms_model()).process(shard_of("still"))
    (uri,) = list_parts(store, "kinematics", FINGERPRINT)
    written = objects.read_object(uri)
    table = read_part(uri, schemas.KINEMATICS)
    assert table.select(["video_id", "track_id", "is_main"]).to_pylist() == [
        {"video_id": "duo", "track_id": 0, "is_main": False},
        {"video_id": "duo", "track_id": 1, "is_main": True},
        {"video_id": "short", "track_id": 0, "is_main": True},
        {"video_id": "still", "track_id": 0, "is_main": True},
    ]
    other = arms_model(unknown_below=0.2)
    worker(store, other).process(shard_of("duo", "short", name="another"))
    assert list(list_parts(store, "kinematics", FINGERPRINT)) == [uri]
    assert objects.read_object(uri) == written


def test_anybody_reads_the_tables_with_no_code_of_ours(store: str) -> None:
    model = arms_model()
    worker(store, model).process(shard_of("duo", "still"))
    frame = pd.read_parquet(next(iter(list_parts(store, "kinematics", FINGERPRINT))))
    assert set(FEATURES) < set(frame.columns)
    assert frame.groupby("video_id")["is_main"].sum().tolist() == [1, 1, 1]
    query = f"""
        select t.video_id, k.hands_speed_mean, t.kinematics.hands_speed_mean, len(t.segments)
        from '{store}/tags/*/*.parquet' t join '{store}/kinematics/*/*.parquet' k using (video_id, content_id)
        where k.is_main order by t.video_id
    """
    found = duckdb.sql(query)
    assert found is not None
    rows = found.fetchall()
    assert [row[0] for row in rows] == ["duo", "still"]
    for _, measured, repeated, num_segments in rows:
        assert measured == repeated
        assert num_segments >= 1


def test_tags_of_the_first_schema_are_refused_by_their_version(store: str, tmp_path: Path) -> None:
    old = schemas.TAGS.with_metadata({**schemas.TAGS.metadata, b"choreai.schema_version": b"1"})
    uri = part_uri(store, "tags", "lstm-old", "x")
    write_part(uri, old.empty_table(), tmp_path / "scratch")
    with pytest.raises(TableError, match="tags schema version '1', but this release reads version 2"):
        read_table(store, "tags", "lstm-old", schemas.TAGS, columns=["style"])


def test_a_worker_that_died_before_its_tags_were_put_is_made_good(store: str) -> None:
    class FailingModel(ArmsModel):
        def window_log_scores(self, inputs: Inputs) -> np.ndarray:
            raise RuntimeError("killed")

    model = arms_model()
    with pytest.raises(RuntimeError, match="killed"):
        worker(store, FailingModel(model.networks, model.config)).process(shard_of("duo"))
    ready = worker(store, model)
    assert list(list_parts(store, "tags", model.model_version)) == []
    assert ready.process(shard_of("duo")).written
    assert not ready.process(shard_of("duo")).written
    assert len(list(list_parts(store, "kinematics", FINGERPRINT))) == 1


def test_the_summary_counts_styles_and_shares_of_this_catalog_with_unknown_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        tag_row("a", "popping", 0.8),
        tag_row("b", "waacking", 0.9),
        tag_row("c", "popping", 0.7),
        tag_row("d", UNKNOWN, 0.4),
        tag_row("e", None, None),
        tag_row("of another catalog", "locking", 0.9),
    ]
    write_tags(str(tmp_path), rows)
    lines = ["video_id,uri,content_id", *(f"{name},{name}.mp4,c1" for name in "abcde")]
    catalog = read_catalog(write_lines(tmp_path / "catalog.csv", *lines))
    config = TagConfig(catalog="-", output=str(tmp_path))
    statuses = Counter({"tagged": 3, "unknown": 1, "nothing to judge": 1})
    done = RunManifest("tag_catalog", "run", {}, "fp1", model_version="lstm-a", statuses=statuses)
    print_summary(config, catalog, RunManifest("extract_poses", "run", {}, "fp1"), done)
    table = capsys.readouterr().out.split("styles in this catalog")[1]
    cells = [line.strip("│ ").replace("│", " ").split() for line in table.splitlines() if "%" in line]
    assert cells == [["popping", "2", "50%", "0.75"], ["waacking", "1", "25%", "0.90"], ["unknown", "1", "25%"]]


def test_coordinates_in_space_come_back_nan_where_a_row_has_none(tmp_path: Path) -> None:
    table = keypoint_rows("v", "c", dancer_xy("counter", seed=1, num_frames=4))
    place = schemas.KEYPOINTS.get_field_index("keypoints_xyz")

    def with_xyz(values: list[list[float] | None]) -> KeypointSequence:
        return sequence_of(
            table.set_column(place, schemas.KEYPOINTS.field(place), pa.array(values, pa.list_(pa.float32())))
        )

    assert with_xyz([None] * 4).keypoints_xyz is None
    numbers = np.arange(51.0).tolist()
    xyz = with_xyz([None, numbers, None, numbers]).keypoints_xyz
    assert xyz is not None
    np.testing.assert_array_equal(xyz[[1, 3]].reshape(2, 51), [numbers, numbers])
    assert np.isnan(xyz[[0, 2]]).all()
    with pytest.raises(TableError, match=r"51 numbers or be null, got \[50\]"):
        with_xyz([numbers[:50]] * 4)
