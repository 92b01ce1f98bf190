"""Whole jobs on real files, a real local Ray and real processes: what is good is never lost, nor written twice."""

import signal
from pathlib import Path

import pytest
from drivers import actor_processes, fingerprints, finish, kill, read_whole, start_driver, wait_until

from choreai.demo.dancers import STYLES, write_clip
from choreai.storage import objects
from choreai.tables.parts import list_parts, part_id_of, part_uri

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("real_poses")]
NUM_VIDEOS = 12


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dozen short dances and a catalog of them."""
    folder = tmp_path_factory.mktemp("dances")
    rows = ["video_id,uri,label,group,content_id"]
    for number in range(NUM_VIDEOS):
        style = STYLES[number % len(STYLES)]
        write_clip(folder / f"{number}.mp4", style=style, seed=number, duration_seconds=3.0, frames_per_second=8)
        # A content id of the catalog's own, so that a copy in S3 counts as the same bytes.
        rows.append(f"dance-{number:02d},{number}.mp4,{style},dancer-{number},bytes-{number}")
    (folder / "catalog.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def undisturbed(dances, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of an extraction in which nothing went wrong."""
    output = str(tmp_path_factory.mktemp("undisturbed"))
    code, _, err = finish(extract(dances, output))
    assert code == 0, err
    return output


def extract(dances, output: str, *flags: str):
    return start_driver("extract_poses", f"{dances}/catalog.csv", "--output", output, "--videos-per-shard", "1", *flags)


def assert_same_poses(output: str, undisturbed: str) -> None:
    """No row lost, no row twice, the same keypoints to the last bit."""
    assert read_whole(output, "keypoints").equals(read_whole(undisturbed, "keypoints"))
    same = ["video_id", "content_id", "status", "num_frames_sampled", "num_tracks", "num_rows"]
    assert read_whole(output, "videos").select(same).equals(read_whole(undisturbed, "videos").select(same))


def test_a_run_leaves_a_page_beside_its_manifest(undisturbed) -> None:
    (page,) = [info.uri for info in objects.list_objects(f"{undisturbed}/runs/") if info.uri.endswith("/report.html")]
    assert objects.stat_object(page.replace("report.html", "manifest.json")) is not None
    assert f"{NUM_VIDEOS} ok" in " ".join(objects.read_object(page).decode().split())


def num_parts(output: str) -> int:
    return sum(len(list(list_parts(output, "keypoints", version))) for version in fingerprints(output))


def test_a_second_run_does_nothing_and_says_so_and_leaves_only_its_record(dances, undisturbed) -> None:
    before = {info.uri for info in objects.list_objects(undisturbed)}
    code, out, _ = finish(extract(dances, undisturbed))
    assert code == 0
    assert f"nothing to do: all {NUM_VIDEOS} videos have poses" in out
    added = {info.uri for info in objects.list_objects(undisturbed)} - before
    assert sorted(Path(uri).parts[-3] + "/" + Path(uri).name for uri in added) == [
        "runs/manifest.json",
        "runs/report.html",
    ]


def test_a_worker_killed_in_mid_run_costs_no_row(dances, undisturbed, tmp_path: Path) -> None:
    output = str(tmp_path)
    driver = extract(dances, output, "--num-workers", "2")
    wait_until(lambda: num_parts(output) >= 2, what="the first shards")
    victims = actor_processes(driver, "PoseWorker")
    assert victims, "no PoseWorker process found under the driver"
    victims[0].send_signal(signal.SIGKILL)
    code, out, err = finish(driver)
    assert code == 0, err
    assert "workers that died" in out
    assert "a worker died" in err
    assert err.count(" INFO shard ") == NUM_VIDEOS  # each was reported once; what was in flight was done again
    assert_same_poses(output, undisturbed)


def test_a_driver_killed_in_mid_run_goes_on_where_it_stopped(dances, undisturbed, tmp_path: Path) -> None:
    output = str(tmp_path)
    driver = extract(dances, output)
    wait_until(lambda: num_parts(output) >= 3, what="the first shards")
    kill(driver)
    done = num_parts(output)
    assert 3 <= done < NUM_VIDEOS
    code, _, err = finish(extract(dances, output))
    assert code == 0, err
    assert f"{NUM_VIDEOS - done} of {NUM_VIDEOS} videos need poses" in err
    assert_same_poses(output, undisturbed)


def test_a_worker_that_died_between_its_two_puts_is_made_good(dances, undisturbed, tmp_path: Path) -> None:
    output = str(tmp_path)
    (version,) = fingerprints(undisturbed)
    for uri in list_parts(undisturbed, "keypoints", version):
        objects.put_object(part_uri(output, "keypoints", version, part_id_of(uri)), objects.read_object(uri))
    code, out, err = finish(extract(dances, output))
    assert code == 0, err
    assert "nothing to do" in out
    assert_same_poses(output, undisturbed)


def test_two_drivers_racing_on_one_catalog_leave_every_shard_once(dances, undisturbed, store_uri: str) -> None:
    output = f"{store_uri}/out"
    drivers = [extract(dances, output, "--num-workers", "1") for _ in range(2)]
    results = [finish(driver) for driver in drivers]
    assert [code for code, _, _ in results] == [0, 0], results
    assert num_parts(output) == NUM_VIDEOS
    assert_same_poses(output, undisturbed)


@pytest.mark.s3
def test_extraction_on_s3_equals_that_on_plain_paths(dances, undisturbed, s3_uri: str) -> None:
    for path in dances.iterdir():
        objects.put_object(f"{s3_uri}/in/{path.name}", path.read_bytes())
    output = f"{s3_uri}/out"
    arguments = ("extract_poses", f"{s3_uri}/in/catalog.csv", "--output", output, "--videos-per-shard", "1")
    code, _, err = finish(start_driver(*arguments))
    assert code == 0, err
    assert_same_poses(output, undisturbed)
    code, out, _ = finish(start_driver(*arguments))
    assert (code, "nothing to do" in out) == (0, True)


def test_wrong_input_exits_with_2_before_any_work(dances, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("video_id,uri\nsame,a.mp4\nsame,b.mp4\n")
    code, _, err = finish(start_driver("extract_poses", str(catalog), "--output", str(tmp_path / "out")))
    assert code == 2
    assert "same" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
