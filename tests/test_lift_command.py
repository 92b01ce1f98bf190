"""`choreai lift`: tables beside the keypoints, once and only what is new; a training that can be repeated; views."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lifted_dancers import seen_dancer
from moving_skeletons import FINGERPRINT, keypoint_rows, write_keypoints
from tag_rows import video_row, write_rows

from choreai.cli.main import main
from choreai.errors import ChoreaiWarning, StorageError, WeightsError
from choreai.formats.convert import read_keypoints
from choreai.lift.network import LifterNetwork
from choreai.lift.weights import SHIPPED, load_lifter, save_lifter
from choreai.operations.forget import forget
from choreai.operations.garbage import delete_versions, find_versions
from choreai.tables.compact import compact
from choreai.tables.parts import part_uri, read_table
from choreai.tables.schemas import from_list_column
from choreai.tables.space_schemas import LIFTED_SCHEMAS


def write_videos(root: Path, part: str, videos: dict[str, np.ndarray]) -> None:
    write_keypoints(root, {part: [keypoint_rows(name, "c1", xy) for name, xy in videos.items()]})
    rows = [video_row(name, shard_id=part, uri=f"{root}/{name}.mp4", content_id="c1") for name in videos]
    write_rows(str(root), "videos", FINGERPRINT, part, rows)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two dancers, somebody who is there for one frame, and somebody of whom nothing is known."""
    xy = seen_dancer(1).track.keypoints_xy
    write_videos(tmp_path, "p0", {"dance": xy, "blink": xy[:1], "blind": np.full_like(xy, np.nan)})
    write_videos(tmp_path, "p1", {"other": seen_dancer(2, degrees=90).track.keypoints_xy})
    return tmp_path


def lift(output: Path, capsys: pytest.CaptureFixture[str], *flags: str, code: int = 0) -> dict[str, object]:
    assert main(["lift", str(output), "--json", *flags]) == code
    return json.loads(capsys.readouterr().out)


def rows_of(output: Path, table: str, version: object) -> list[dict[str, object]]:
    schema = LIFTED_SCHEMAS[table]
    return read_table(str(output), table, str(version), schema, columns=schema.names).to_pylist()


def test_every_video_is_lifted_once_and_what_cannot_be_has_a_status(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = lift(output, capsys)
    assert done["statuses"] == {"ok": 2, "too_short": 1, "not_seen": 1}
    movement = {row["video_id"]: row for row in rows_of(output, "movement3d", done["poses3d"])}
    assert {name: (row["status"], row["num_poses"]) for name, row in movement.items()} == {
        "dance": ("ok", 45), "other": ("ok", 45), "blink": ("too_short", 0), "blind": ("not_seen", 0),
    }  # fmt: skip
    assert movement["dance"]["is_main"]
    assert movement["dance"]["limb_variation"] < 0.03  # type: ignore[operator]
    assert movement["blink"]["jump_height"] is None
    assert "half a second" in str(movement["blink"]["reason"])
    poses = rows_of(output, "poses3d", done["poses3d"])
    assert {row["video_id"] for row in poses} == {"dance", "other"}
    assert len(poses) == 90
    again = lift(output, capsys)
    assert (again["statuses"], again["poses3d"]) == ({}, done["poses3d"])


def test_a_new_video_is_lifted_alone_and_another_height_makes_other_tables(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = lift(output, capsys)
    write_videos(output, "p2", {"new": seen_dancer(3).track.keypoints_xy})
    assert lift(output, capsys)["statuses"] == {"ok": 1}
    other = lift(output, capsys, "--height", "1.6")
    assert other["poses3d"] != first["poses3d"]
    assert sum(other["statuses"].values()) == 5  # type: ignore[attr-defined]
    assert {row["scale_source"] for row in rows_of(output, "poses3d", other["poses3d"])} == {"given"}


def test_a_damaged_part_fails_alone_and_the_next_run_takes_it_up(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = Path(part_uri(str(output), "keypoints", FINGERPRINT, "p0"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    done = lift(output, capsys, code=1)
    assert (done["statuses"], done["num_failed"]) == ({"ok": 1}, 3)
    part.write_bytes(whole)
    assert lift(output, capsys)["statuses"] == {"ok": 1, "too_short": 1, "not_seen": 1}


def test_what_is_forgotten_or_merged_is_so_in_3d_too(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = lift(output, capsys)["poses3d"]
    compact(str(output))
    forget(str(output), ["dance"], act=True)
    for table in ("poses3d", "movement3d"):
        assert "dance" not in {row["video_id"] for row in rows_of(output, table, version)}
    assert lift(output, capsys)["statuses"] == {}


def test_what_was_lifted_goes_with_its_poses(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = lift(output, capsys)["poses3d"]
    write_rows(str(output), "videos", "wanted", "0", [video_row("v")])
    found = {each.name: each for each in find_versions(str(output), keep=["wanted"])}
    assert set(found) == {FINGERPRINT, "wanted"}
    assert set(found[FINGERPRINT].tables) == {"keypoints", "videos", "poses3d", "movement3d"}
    delete_versions(str(output), [found[FINGERPRINT]])
    assert rows_of(output, "movement3d", version) == rows_of(output, "poses3d", version) == []


def test_lifted_poses_become_bvh_that_reads_back_the_same(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = str(lift(output, capsys)["poses3d"])
    target = output / "dance.bvh"
    source = output / "poses3d" / version
    assert main(["convert", str(source), str(target), "--video-id", "dance"]) == 0
    with pytest.warns(ChoreaiWarning, match="it never has left_eye"):
        back = read_keypoints(str(target))
    poses = [row["keypoints_xyz"] for row in rows_of(output, "poses3d", version) if row["video_id"] == "dance"]
    found = np.array(back["keypoints_xyz"].to_pylist()).reshape(-1, 17, 3)[:, 5:]
    wanted = np.array(poses).reshape(-1, 17, 3)[:, 5:]
    size = (
        np.linalg.norm(wanted[:, 8] - wanted[:, 6], axis=1).mean()
        / np.linalg.norm(found[:, 8] - found[:, 6], axis=1).mean()
    )
    assert np.abs(found * size - wanted).max() < 0.06
    assert np.abs(found * size - wanted)[:, 6:].max() < 0.01


def test_the_dancer_is_drawn_from_another_side(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from choreai.cli.show_space import draw_from_side

    path = draw_from_side(seen_dancer(1).track, "side", name="dance", folder=output, named=None)
    assert path == output / "dance.view+90.png"
    assert Image.open(path).size == (1600, 544)
    said = capsys.readouterr().out
    assert "0 full turns left, 0 right; no jump" in said
    assert draw_from_side(seen_dancer(1).track.take(slice(0, 1)), "side", name="x", folder=output, named=None) is None
    assert "not in 3D: the dancer is in view for half a second or less" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--height", "17"], "--height must be a person's in metres"),
        (["--lifter", "nowhere.safetensors"], "nowhere.safetensors: cannot be read"),
        (["--poses", "abc"], "--poses abc: no such keypoint tables"),
    ],
)
def test_a_wrong_flag_is_refused_in_words(
    output: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["lift", str(output), *arguments]) != 0
    assert said in capsys.readouterr().err


def test_a_training_says_how_far_it_is_from_what_it_never_saw_and_can_be_repeated(
    tmp_path: Path,
) -> None:
    from choreai.lift.training import LifterSettings
    from choreai.pipeline.train_lifter import train_lifter

    small = LifterSettings(num_steps=2, batch_size=4, num_dancers=1, num_random=4, num_judged=1)
    folder = tmp_path / "capture"
    folder.mkdir()
    for number, subject in enumerate("ab"):
        xyz = seen_dancer(20 + number, num_frames=60).xyz * (1, -1, -1)
        np.savez(folder / f"{subject}.npz", xyz=xyz.astype(np.float32), fps=30.0, group=subject, label="walk")
    found = [
        train_lifter(tmp_path / f"{name}.safetensors", small, mocap=folder, held_out=["b"]) for name in ("one", "two")
    ]
    assert found[0].lifter.version == found[1].lifter.version
    assert set(found[0].errors) == {"afrobeat", "classical", "hiphop", "walk"}
    assert found[0].errors["walk"].num_recordings == 4
    assert "1 recordings of motion capture of 1 subjects" in found[0].lifter.about["data"]
    assert main(["train-lifter", str(tmp_path / "one.safetensors")]) == 2
    assert main(["train-lifter", str(tmp_path / "new.safetensors"), "--mocap", str(folder), "--held-out", "c"]) == 2


def test_the_weights_that_come_with_choreai_are_small_and_say_how_they_were_made() -> None:
    assert SHIPPED.stat().st_size < 2e6
    about = load_lifter().about
    assert about["licence"] == "Apache-2.0"
    assert about["made_by"].startswith("choreai train-lifter --seed")


def test_files_that_are_no_lifter_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        load_lifter(tmp_path / "nowhere.safetensors")
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"no such file")
    with pytest.raises(WeightsError, match=r"no \.safetensors file"):
        load_lifter(path)
    good = tmp_path / "good.safetensors"
    save_lifter(LifterNetwork(), good, {})
    assert load_lifter(good).version.startswith("lifter-")


def test_xyz_of_a_part_is_a_list_of_51_numbers(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = str(lift(output, capsys)["poses3d"])
    table = pa.concat_tables([pq.read_table(path) for path in (output / "poses3d" / version).glob("*.parquet")])
    xyz = from_list_column(table["keypoints_xyz"]).reshape(-1, 17, 3)
    np.testing.assert_allclose(xyz[:, 11:13].mean(1), 0, atol=1e-6)
