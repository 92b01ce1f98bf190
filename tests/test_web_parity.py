"""One clip, one answer: what the web application says of a video is what the batch jobs say of it."""

import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
import torch
from web_server import running_server, wait_until

from choreai.catalog.catalog import Video
from choreai.catalog.shards import PoseShard, TagShard
from choreai.cluster.pose_worker import PoseWorker
from choreai.cluster.tag_worker import TagWorker
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import WindowSettings
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.style.model import StyleModel, StyleModelConfig, load_model, save_model
from choreai.style.networks import build_network
from choreai.tables import schemas
from choreai.tables.keypoints import sequence_of
from choreai.tables.parts import list_parts, part_uri, read_part

VIDEOS = Path(__file__).parents[2] / "shared" / "data" / "videos"
CLIPS = ["choreai_afro8", "danzip_ballet", "danzip_belly_dancing", "serbian_cucanj1", "tjysdsg_demo"]
SETTINGS = PoseSettings(estimator="mediapipe")

pytestmark = [
    pytest.mark.usefixtures("mediapipe"),
    pytest.mark.slow,
    pytest.mark.shared,
    pytest.mark.skipif(not VIDEOS.exists(), reason="../shared/data/videos is not there"),
]


@pytest.fixture(scope="module")
def pose_id(real_poses: None) -> str:
    return pose_fingerprint(SETTINGS, build_estimator(SETTINGS, read_file=objects.read_object))


@pytest.fixture(scope="module")
def model_uri(tmp_path_factory: pytest.TempPathFactory, pose_id) -> str:
    """Networks that nobody has trained: small differences in the keypoints would show in their scores as well."""
    torch.manual_seed(5)
    networks = [build_network("report", num_labels=3, hidden_size=16, dropout=0.0) for _ in range(2)]
    config = StyleModelConfig(
        labels=("afro", "ballet", "salsa"),
        pose_fingerprint=pose_id,
        windows=WindowSettings(),
        network="report",
        hidden_size=16,
        num_members=2,
        unknown_below=0.3,
    )
    uri = str(tmp_path_factory.mktemp("model") / "model")
    save_model(uri, StyleModel(tuple(networks), config))
    return uri


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_uri):
    def build():
        return build_estimator(SETTINGS, read_file=objects.read_object, num_threads=2)

    folder = tmp_path_factory.mktemp("web")
    model, rate = load_model(model_uri), SETTINGS.frames_per_second
    with running_server(folder, build_estimator=build, model=model, frames_per_second=rate) as running:
        yield running


@pytest.mark.parametrize("name", CLIPS)
def test_an_upload_has_the_keypoints_and_the_tag_that_the_jobs_give(
    name, server, model_uri, pose_id, tmp_path: Path
) -> None:
    uri = str(VIDEOS / f"{name}.mp4")
    by_jobs, tags_row = _by_jobs(uri, str(tmp_path), model_uri, pose_id)

    data = Path(uri).read_bytes()
    accepted = requests.post(server.url + "/v1/classify", data=data, headers={"Content-Type": "video/mp4"}, timeout=30)
    status: dict = {}

    def is_over() -> bool:
        status.update(requests.get(server.url + accepted.json()["url"], timeout=10).json())
        return status["state"] in ("done", "failed")

    wait_until(is_over, f"{name}", seconds=120)
    assert status["state"] == "done", status
    download = requests.get(f"{server.url}/v1/videos/{status['video_id']}/keypoints.parquet", timeout=30)
    by_web = sequence_of(pq.read_table(io.BytesIO(download.content)))
    for column, expected in asdict(by_jobs).items():
        np.testing.assert_array_equal(getattr(by_web, column), expected, err_msg=column)

    tag = status["result"]["tag"]
    if tags_row["style"] is None:
        assert tag is None
        return
    assert (tag["style"], tag["best_style"]) == (tags_row["style"], tags_row["best_style"])
    assert tag["score"] == pytest.approx(tags_row["score"], abs=1e-4)
    for part in ("segments", "tracks"):
        assert [(each["track_id"], each["style"]) for each in tag[part]] == [
            (each["track_id"], each["style"]) for each in tags_row[part]
        ]
    assert tag["kinematics"]["hands_speed_mean"] == pytest.approx(tags_row["kinematics"]["hands_speed_mean"], abs=1e-4)


def _by_jobs(uri: str, output: str, model_uri: str, pose_id: str) -> tuple[KeypointSequence, dict]:
    """The keypoints and the tags row that the workers of the jobs leave in their tables."""
    info = objects.stat_object(uri)
    assert info is not None
    video = Video("video", uri, info.content_id)
    shard = PoseShard.from_videos((video,), (1,), pose_fingerprint=pose_id)
    poses = PoseWorker(output, settings=SETTINGS, pose_fingerprint=pose_id, run_id="run")
    poses.setup()
    poses.process(shard)
    tags = TagWorker(output, model_uri=model_uri, pose_fingerprint=pose_id, run_id="run")
    tags.setup()
    tags.process(TagShard("tags", shard.shard_id, (video,)))
    rows = sequence_of(read_part(part_uri(output, "keypoints", pose_id, shard.shard_id), schemas.KEYPOINTS))
    (part,) = list_parts(output, "tags", load_model(model_uri).model_version)
    return rows, read_part(part, schemas.TAGS).to_pylist()[0]
