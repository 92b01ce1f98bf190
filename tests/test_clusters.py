"""Clusters of what nobody has labelled: the same groups every time, their most typical video, a page and a list."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from motion_tables import rows_of, write_output
from moving_skeletons import dancer_xy, keypoint_rows
from tag_rows import write_lines

from choreai.cli.main import main
from choreai.motion.clusters import NO_CLUSTER, find_clusters, standardise
from choreai.pipeline.clusters import cluster_videos, group_movements
from choreai.search.corrections import import_corrections
from choreai.style.dancers import measure_dancers
from choreai.tables.keypoints import sequence_of

NAMES = [f"{style}-{seed}" for style in ("clockwise", "still") for seed in range(5)]


def rows(name: str) -> pa.Table:
    """A dancer, or somebody who hardly moves."""
    style, seed = name.split("-")
    if style != "still":
        return rows_of(name)
    moves = dancer_xy("seesaw", seed=int(seed), num_frames=60)
    return keypoint_rows(name, "c1", moves[:1] + 0.02 * (moves - moves[:1]))


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clusters")
    write_output(root, {name: rows(name) for name in NAMES})
    return root


def blobs(num_each: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]])
    return np.concatenate([rng.normal(centre, 1, (num_each, 2)) for centre in centres]).astype(np.float32)


def test_groups_that_are_apart_are_found_with_their_middle() -> None:
    points = blobs()
    found = find_clusters(points, 3)
    assert [len(each.members) for each in found.clusters] == [20, 20, 20]
    assert found.silhouette > 0.7
    for each in found.clusters:
        own = points[list(each.members)]
        sums = np.linalg.norm(own[:, None] - own, axis=2).sum(axis=1)
        assert each.members[0] == each.medoid
        assert sums[0] == pytest.approx(sums.min(), rel=1e-5)


def test_a_point_nearer_to_another_group_is_in_none() -> None:
    found = find_clusters(np.concatenate([blobs(), [[5, 0], [4.9, 0.1]]]).astype(np.float32), 3)
    labels = found.labels(62)
    assert set(found.outside) == set(np.flatnonzero(labels == NO_CLUSTER))
    assert sum(len(each.members) for each in found.clusters) + len(found.outside) == 62


def test_the_same_points_give_the_same_groups_and_equal_points_do_not_fail() -> None:
    assert find_clusters(blobs(), 3) == find_clusters(blobs(), 3)
    assert len(find_clusters(np.zeros((9, 2), np.float32)).clusters) >= 1


def test_more_points_than_can_be_linked_join_the_nearest_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreai.motion.clusters.MAX_LINKED", 30)
    assert [len(each.members) for each in find_clusters(blobs(), 3).clusters] == [20, 20, 20]


def test_missing_numbers_lie_at_the_mean_and_outliers_count_less() -> None:
    values = np.array([[1, np.nan], [2, 5], [3, 5], [1000, np.nan]], np.float32)
    assert np.isfinite(standardise(values)).all()
    assert standardise(values)[0, 1] == 0
    assert (standardise(np.append(np.zeros(99), 9).astype(np.float32)[:, None]) <= 3).all()


@pytest.mark.parametrize("with_model", [False, True])
def test_dancers_of_a_style_are_together_with_a_model_or_without(output: Path, with_model: bool) -> None:
    model = str(next((output / "models").iterdir())) if with_model else None
    found = cluster_videos(str(output), model_uri=model, num_clusters=2)
    assert found.compared == ("kinematics" if model is None else Path(model).name)
    for each in found.clusters:
        assert len({name.split("-")[0] for name in each.video_ids}) == 1
    assert sum(len(each.video_ids) for each in found.clusters) + len(found.outside) == len(NAMES)


def test_videos_measured_just_now_are_grouped_and_few_are_not() -> None:
    dancers = {name: measure_dancers(sequence_of(rows(name))) for name in NAMES}
    movements = {name: next(each.kinematics for each in found if each.is_main) for name, found in dancers.items()}
    groups = group_movements(movements)
    assert all(len({name.split("-")[0] for name in each.video_ids}) == 1 for each in groups)
    assert group_movements({name: movements[name] for name in NAMES[:7]}) == ()


def test_what_has_a_label_is_left_out_and_too_few_are_refused(tmp_path: Path) -> None:
    write_output(tmp_path, {name: rows(name) for name in NAMES[:9]})
    reviews = tmp_path / "reviews.csv"
    write_lines(reviews, "video_id,style,reviewer,reviewed_at", f"{NAMES[1]},popping,ann,2026-11-20T10:00:00")
    import_corrections(str(tmp_path), str(reviews), accept_unknown=True)
    found = cluster_videos(str(tmp_path))
    assert (found.num_labelled, len(found.uris)) == (1, 8)
    write_lines(reviews, "video_id,style,reviewer,reviewed_at", f"{NAMES[2]},popping,ann,2026-11-20T10:00:00")
    import_corrections(str(tmp_path), str(reviews), accept_unknown=True)
    assert main(["similar", "--clusters", "--output", str(tmp_path)]) == 2


def test_the_command_prints_a_table_a_page_and_a_catalog(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, listed = tmp_path / "clusters.html", tmp_path / "label.csv"
    command = ["similar", "--clusters", "--output", str(output), "--num-clusters", "2"]
    assert main([*command, "--to", str(page), "--csv", str(listed)]) == 0
    said = capsys.readouterr().out
    assert "most typical" in said
    assert "10 videos, by kinematics" in said
    listing = list(csv.DictReader(listed.open()))
    assert {row["video_id"] for row in listing} == set(NAMES)
    assert {row["label"] for row in listing} == {""}
    assert "No picture" in page.read_text()  # the videos are not there
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_videos"] == 10
