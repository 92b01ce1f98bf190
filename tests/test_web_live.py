"""The live WebSocket: skeletons and styles for pictures, the newest picture only, and a clear word for nonsense."""

import io
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from arms_model import ArmsModel, arms_model, rows_of
from moving_skeletons import dancer_xy
from PIL import Image
from web_server import DancerEstimator, RunningServer, connect_live, receive, running_server, timed, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from choreai.errors import MediaError
from choreai.pose.estimator import Poses
from choreai.web import server as web_server
from choreai.web.errors import WebProblem
from choreai.web.pose_sessions import MAX_PICTURE_SIDE, PoseSessions, decode_picture
from choreai.web.tag_json import tags_json
from choreai.web.viewer import HORIZON_SECONDS, Viewer


def jpeg(*, value: int = 128, size_wh: tuple[int, int] = (320, 240)) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size_wh, (value, value, value)).save(target, "JPEG")
    return target.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("web"), live_frames_per_second=100.0) as running:
        yield running


def test_a_picture_comes_back_as_a_skeleton_with_its_own_clock(server) -> None:
    with connect_live(server) as viewer:
        viewer.send(timed(jpeg(size_wh=(300, 200)), seconds=5.25))
        answer = receive(viewer)
    assert answer["type"] == "pose"
    assert answer["captured_ms"] == 5250.0
    assert (answer["width"], answer["height"]) == (300, 200)
    (person,) = answer["people"]
    assert person["track_id"] == 0
    assert len(person["keypoints"]) == 51
    expected = DancerEstimator().estimate([_frame()])[0].keypoints_xy[0, 9]
    assert person["keypoints"][27:29] == pytest.approx(expected.tolist(), abs=0.06)


def test_a_picture_without_anybody_gives_no_skeleton_and_the_next_goes_on(server) -> None:
    with connect_live(server) as viewer:
        for number, value in enumerate((128, 0, 128)):
            viewer.send(timed(jpeg(value=value), seconds=number / 10))
            assert len(receive(viewer, type_="pose")["people"]) == (value > 0)


def test_a_few_seconds_of_dancing_give_a_style_with_kinematics(server) -> None:
    with connect_live(server) as viewer:
        for number in range(60):
            viewer.send(timed(jpeg(), seconds=number / 10))
            answer = receive(viewer)
            if answer["type"] == "style":
                break
        else:
            answer = receive(viewer, type_="style")
    assert answer["style"] == "clockwise"
    assert sum(entry["score"] for entry in answer["distribution"]) == pytest.approx(1, abs=1e-3)
    assert answer["kinematics"]["left_hand_range"] > 0


def test_the_newest_picture_takes_the_place_of_those_that_wait(tmp_path: Path) -> None:
    def slow() -> DancerEstimator:
        return DancerEstimator(seconds=0.4)

    with running_server(tmp_path, build_estimator=slow) as server, connect_live(server) as viewer:
        for number in range(8):
            viewer.send(timed(jpeg(), seconds=number))
        answers = [receive(viewer, type_="pose")]
        while answers[-1]["captured_ms"] != 7000.0:
            answers.append(receive(viewer, type_="pose"))
    assert len(answers) <= 3  # the first, perhaps one taken up while the others came, and the last
    assert answers[-1]["dropped"] == 8 - len(answers)


def test_each_viewer_is_told_the_rate_it_gets(tmp_path: Path) -> None:
    with running_server(tmp_path, live_frames_per_second=100.0) as server, connect_live(server) as viewer:
        for number in range(30):
            viewer.send(timed(jpeg(), seconds=number / 7))
            answer = receive(viewer, type_="pose")
    assert answer["frames_per_second"] == pytest.approx(7, rel=0.05)


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ("hello", "binary"),
        (b"", "binary"),
        (b"\0" * 8, "binary"),
        (struct.pack("<d", float("nan")) + jpeg(), "finite"),
        (struct.pack("<d", 1e300) + jpeg(), "finite"),
        (timed(b"no picture at all", seconds=1), "JPEG"),
        (timed(jpeg()[:200], seconds=1), "JPEG"),
        (timed(jpeg(size_wh=(4000, 20)), seconds=1), "pixels"),
        (timed(bytes(600 * 2**10), seconds=1), "bytes"),
    ],
    ids=["text", "empty", "clock only", "nan", "huge clock", "garbage", "cut short", "too large", "too many bytes"],
)
def test_what_no_page_of_ours_sends_is_answered_with_the_reason_and_goodbye(server, message, detail) -> None:
    with connect_live(server) as viewer:
        viewer.send(message)
        problem = receive(viewer, type_="problem")
        assert detail in problem["detail"]
        assert problem["status"] in (400, 413, 422)
        with pytest.raises(ConnectionClosed):
            viewer.recv(timeout=10)


def test_a_viewer_bears_with_a_replica_that_is_being_replaced_and_keeps_who_is_who(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path, live_frames_per_second=100.0) as server, connect_live(server) as viewer:
        types = []
        for number in range(6):
            if number == 2:
                monkeypatch.setattr(server.backend, "estimate", _dead)
            if number == 4:
                monkeypatch.undo()
            viewer.send(timed(jpeg(), seconds=number / 10))
            answer = receive(viewer)
            types.append(answer["type"])
    assert types == ["pose", "pose", "busy", "busy", "pose", "pose"]
    assert answer["people"][0]["track_id"] == 0


def test_a_live_session_outlives_the_deadlines_of_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(web_server, "BODY_SECONDS", 0.5)
    with running_server(tmp_path) as server, connect_live(server) as viewer:
        started = time.monotonic()
        number = 0
        while time.monotonic() - started < 1.5:
            viewer.send(timed(jpeg(), seconds=(number := number + 1)))
            receive(viewer, type_="pose")


async def _dead(*_arguments, **_options) -> None:
    raise WebProblem(503, "being replaced")


def test_time_that_runs_backwards_is_refused(server) -> None:
    with connect_live(server) as viewer:
        viewer.send(timed(jpeg(), seconds=2))
        receive(viewer)
        viewer.send(timed(jpeg(), seconds=1))
        assert "later" in receive(viewer, type_="problem")["detail"]


def test_a_viewer_who_goes_leaves_no_estimator_behind(server) -> None:
    wait_until(lambda: len(server.backend.sessions) == 0, "earlier viewers to be gone")
    with connect_live(server) as viewer:
        viewer.send(timed(jpeg(), seconds=0))
        receive(viewer)
        assert len(server.backend.sessions) == 1
        viewer.socket.shutdown(socket.SHUT_RDWR)  # without a goodbye, as a phone that is switched off
    wait_until(lambda: len(server.backend.sessions) == 0, "the estimator to be freed")


def test_more_viewers_than_there_are_places_for_are_told_so(tmp_path: Path) -> None:
    with running_server(tmp_path, max_viewers=3, max_viewers_per_client=2) as server:
        with connect_live(server), connect_live(server), connect(server.live_url) as third:
            problem = receive(third)
        assert problem["type"] == "problem"
        assert problem["status"] == 429
        wait_until(lambda: _is_welcome(server), "the places to be free again")


def test_one_viewers_trouble_is_no_trouble_for_another(server) -> None:
    with connect_live(server) as good, connect_live(server) as bad:
        good.send(timed(jpeg(), seconds=0))
        bad.send(timed(b"garbage garbage", seconds=0))
        receive(bad, type_="problem")
        assert receive(good)["type"] == "pose"
        good.send(timed(jpeg(), seconds=1))
        assert receive(good, type_="pose")["captured_ms"] == 1000.0


def test_a_picture_larger_than_allowed_is_refused_by_its_header_alone() -> None:
    bomb = bytearray(jpeg(size_wh=(64, 64)))
    start = bomb.index(b"\xff\xc0") + 5
    bomb[start : start + 4] = struct.pack(">HH", 9_000, 9_000)
    with pytest.raises(MediaError, match=str(MAX_PICTURE_SIDE)):
        decode_picture(bytes(bomb))


def test_sessions_keep_the_latest_viewers_only() -> None:
    sessions = PoseSessions(DancerEstimator, max_sessions=2)
    for session_id in ("a", "b", "a", "c"):
        sessions.estimate(session_id, jpeg(), pts_seconds=0.0)
    assert len(sessions) == 2
    second = sessions.estimate("a", jpeg(), pts_seconds=0.3).poses  # "b" had to go, "a" goes on
    third_pose = DancerEstimator()._poses[2]
    np.testing.assert_array_equal(second.keypoints_xy[0], third_pose)


def test_a_viewers_memory_is_the_last_seconds_in_the_order_of_a_keypoint_table() -> None:
    viewer, estimator = Viewer(), DancerEstimator()
    for number in range(300):
        (poses,) = estimator.estimate([_frame()])
        viewer.add(_twice(poses), pts_seconds=1e6 + number / 10)  # eleven days later
    rows = viewer.rows()
    assert rows.frame_index.max() == 299
    assert rows.pts_seconds.min() == 0
    assert HORIZON_SECONDS - 0.2 < rows.pts_seconds.max() < HORIZON_SECONDS
    assert np.allclose(np.diff(rows.pts_seconds[rows.track_id == 0]), 0.1, atol=1e-4)
    assert sorted(set(rows.track_id.tolist())) == [0, 1]
    assert np.all(np.diff(rows.track_id) >= 0)
    assert np.all(np.diff(rows.pts_seconds[rows.track_id == 0]) > 0)
    assert len(rows) == 2 * len(rows.pts_seconds[rows.track_id == 0])


def test_viewers_judged_together_hear_what_each_would_hear_alone_from_one_pass_of_the_network() -> None:
    calls = []

    class Counted(ArmsModel):
        def window_log_scores(self, inputs):
            calls.append(len(inputs))
            return super().window_log_scores(inputs)

    plain = arms_model()
    model = Counted(plain.networks, plain.config)
    viewers = [rows_of(dancer_xy(style, seed=number)) for number, style in enumerate(("clockwise", "seesaw"))]
    viewers.insert(1, rows_of(dancer_xy("counter", seed=9)[:3]))  # too short to say anything
    together = tags_json(viewers, model)
    assert len(calls) == 1
    assert together == [tags_json([rows], model)[0] for rows in viewers]
    assert [tag and tag["style"] for tag in together] == ["clockwise", None, "seesaw"]


def _twice(poses: Poses) -> Poses:
    """The same person again, 400 pixels to the right."""
    shift = np.array([400, 0], np.float32)
    return Poses(
        np.concatenate([poses.box_xyxy, poses.box_xyxy + np.tile(shift, 2)]),
        np.ones(2, np.float32),
        np.concatenate([poses.keypoints_xy, poses.keypoints_xy + shift]),
        np.tile(poses.keypoint_scores, (2, 1)),
    )


def _frame():
    from choreai.video.frame import Frame

    return Frame(np.full((8, 8, 3), 128, np.uint8), 0, 0.0)


def _is_welcome(server: RunningServer) -> bool:
    with connect(server.live_url) as viewer:
        return json.loads(viewer.recv(timeout=10))["type"] == "welcome"
