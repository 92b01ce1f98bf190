"""MOT Challenge text: there and back, its rules for what is scored, and errors that say where."""

from pathlib import Path

import numpy as np
import pytest

from choreai.errors import ConfigError, StorageError, TableError
from choreai.formats.mot import MotBoxes, read_mot, read_num_frames, score_pedestrians_only, write_mot
from choreai.pose.tracking_scores import BoxTracks


def random_boxes(seed: int) -> MotBoxes:
    """Up to 60 boxes with numbers of every size."""
    rng = np.random.default_rng(seed)
    num_boxes = int(rng.integers(0, 60))
    pairs = rng.permutation(400)[:num_boxes]
    return MotBoxes(
        frame=pairs // 20 + 1,
        track_id=pairs % 20,
        box_xywh=np.abs(rng.normal(0, 10.0 ** rng.integers(-3, 5), (num_boxes, 4))) * (1, 1, 1, 1),
        confidence=rng.choice([0.0, 1.0, 0.25, 1 / 3], num_boxes),
        class_id=rng.choice([-1, 1, 2, 7], num_boxes),
        visibility=rng.choice([-1.0, 0.1, 0.5, 1.0], num_boxes),
    )


def read(tmp_path: Path, text: str, *, num_frames: int | None = None) -> MotBoxes:
    (tmp_path / "gt.txt").write_text(text)
    return read_mot(str(tmp_path / "gt.txt"), num_frames=num_frames)


@pytest.mark.parametrize("seed", range(25))
def test_boxes_read_back_are_what_was_written(seed: int, tmp_path: Path) -> None:
    boxes = random_boxes(seed)
    write_mot(boxes, str(tmp_path / "boxes.txt"))
    again = read_mot(str(tmp_path / "boxes.txt"))
    for name, value in vars(boxes).items():
        assert np.array_equal(getattr(again, name), value), name


def test_a_line_of_dancetrack_is_read(tmp_path: Path) -> None:
    boxes = read(tmp_path, "1,0,845,319,161,421,1,1,1\n2,0,840.5,319,161,421,1,1,1\n")
    assert boxes.frame.tolist() == [1, 2]
    assert boxes.track_id.tolist() == [0, 0]
    assert boxes.box_xywh[1].tolist() == [840.5, 319, 161, 421]
    assert boxes.tracks().box_xyxy[0].tolist() == [845, 319, 1006, 740]
    assert boxes.class_id.tolist() == [1, 1]


@pytest.mark.parametrize(
    "line", ["3,7,10,20,30,40", "3 7 10 20 30 40 1", "3,7,10,20,30,40,1,-1,-1,-1", "3.0, 7, 10,20,30,40"]
)
def test_results_may_end_early_go_on_or_have_blanks(tmp_path: Path, line: str) -> None:
    boxes = read(tmp_path, f"\ufeff{line}\n\n")
    assert (boxes.frame.tolist(), boxes.track_id.tolist()) == ([3], [7])
    assert boxes.box_xywh.tolist() == [[10, 20, 30, 40]]
    assert (boxes.confidence.tolist(), boxes.class_id.tolist()) == ([1], [-1])


def test_an_empty_file_has_no_boxes(tmp_path: Path) -> None:
    assert len(read(tmp_path, "")) == len(read(tmp_path, "\n\n").tracks()) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2,1,10,20,30", "has 5 columns"),
        ("2,1,10,20,wide,40,1,1,1", "line 2, width: 'wide' is not a usable number"),
        ("2,1,nan,20,30,40,1,1,1", "line 2, x: 'nan'"),
        ("2,1,10,20,inf,40,1,1,1", "line 2, width: 'inf'"),
        ("2,1,10,20,30,-40,1,1,1", "line 2, height: '-40' is negative"),
        ("0,1,10,20,30,40,1,1,1", "line 2, frame: '0'; frames count from 1"),
        ("2.5,1,10,20,30,40,1,1,1", "line 2, frame: '2.5' is not a whole number"),
        ("2,1.5,10,20,30,40,1,1,1", "line 2, id: '1.5' is not a whole number"),
        ("1,1,10,20,30,40,1,1,1", "line 2: track 1 has a box in frame 1 already, in line 1"),
    ],
)
def test_a_wrong_line_is_named_with_its_value(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(TableError) as caught:
        read(tmp_path, f"1,1,10,20,30,40,1,1,1\n{line}\n")
    assert words in str(caught.value)
    assert str(tmp_path / "gt.txt") in str(caught.value)


def test_a_frame_after_the_end_of_the_sequence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="'4'; the sequence has frames 1 to 3"):
        read(tmp_path, "4,1,10,20,30,40,1,1,1\n", num_frames=3)


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "boxes.txt").write_text("kept")
    with pytest.raises(StorageError, match="exists already"):
        write_mot(random_boxes(1), str(tmp_path / "boxes.txt"))
    assert (tmp_path / "boxes.txt").read_text() == "kept"


def test_the_length_of_a_sequence_is_read(tmp_path: Path) -> None:
    info = tmp_path / "seqinfo.ini"
    assert read_num_frames(str(info)) is None
    info.write_text("[Sequence]\nname=dancetrack0004\nseqLength=1203\nimExt=.jpg\n")
    assert read_num_frames(str(info)) == 1203
    for text in ("[Sequence]\nname=dancetrack0004\n", "seqLength=3", "[Sequence]\nseqLength=many\n"):
        info.write_text(text)
        with pytest.raises(ConfigError, match="seqLength"):
            read_num_frames(str(info))


# ---------------------------------------------------------------- what is scored


def found_at(*boxes: tuple[float, float]) -> BoxTracks:
    corners = np.array([(x, y, x + 40, y + 80) for x, y in boxes], np.float64).reshape(-1, 4)
    return BoxTracks(np.ones(len(boxes), np.int64), np.arange(len(boxes)), corners)


def test_pedestrians_with_a_confidence_are_scored(tmp_path: Path) -> None:
    truth = read(
        tmp_path,
        "1,1,0,0,40,80,1,1,1\n1,2,100,0,40,80,0,1,1\n1,3,200,0,40,80,1,3,1\n1,4,300,0,40,80,1,8,1\n",
    )
    scored, found = score_pedestrians_only(truth, found_at((0, 0), (100, 0), (200, 0), (300, 0), (400, 0)))
    assert scored.track_id.tolist() == [1]
    assert found.track_id.tolist() == [0, 1, 2, 4]  # only the distractor's match is forgiven


def test_who_stands_before_a_reflection_is_scored(tmp_path: Path) -> None:
    truth = read(tmp_path, "1,1,0,0,40,80,1,1,1\n1,2,5,0,40,80,1,12,1\n")
    _, found = score_pedestrians_only(truth, found_at((1, 0)))
    assert found.track_id.tolist() == [0]


def test_a_truth_without_classes_has_pedestrians_only(tmp_path: Path) -> None:
    truth = read(tmp_path, "1,1,0,0,40,80,1\n1,2,100,0,40,80,0\n")
    scored, found = score_pedestrians_only(truth, found_at((0, 0), (500, 0)))
    assert (scored.track_id.tolist(), len(found)) == ([1], 2)


def test_what_is_scored_is_what_trackeval_scores(tmp_path: Path) -> None:
    """The whole way from text files: TrackEval's own reader, preprocessing and metrics."""
    trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    from choreai.pose.tracking_scores import score_tracks

    for seed in range(20):
        rng = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        (folder / "gt" / "S" / "gt").mkdir(parents=True)
        (folder / "trackers" / "ours" / "data").mkdir(parents=True)
        (folder / "gt" / "S" / "seqinfo.ini").write_text("[Sequence]\nseqLength=30\n")
        truth, result = [], []
        for frame in range(1, 31):
            for person in range(1, 8):
                x, y = 60 * person + 4 * frame * (-1) ** person, 50 + rng.normal(0, 2)
                row = f"{x:.2f},{y:.2f},40,80"
                class_id = [1, 1, 1, 7, 8, 12, 3][person - 1]
                if rng.random() < 0.9:
                    truth.append(f"{frame},{person},{row},{int(rng.random() < 0.85)},{class_id},1")
                if rng.random() < 0.85:
                    shifted = f"{x + rng.normal(0, 5):.2f},{y:.2f},40,80"
                    result.append(f"{frame},{person + 10 * int(rng.random() < 0.2)},{shifted},0.9,-1,-1,-1")
        rng.shuffle(result)
        gt, found = folder / "gt" / "S" / "gt" / "gt.txt", folder / "trackers" / "ours" / "data" / "S.txt"
        gt.write_text("\n".join(truth))
        found.write_text("\n".join(result))
        dataset = trackeval.datasets.MotChallenge2DBox(
            {
                "GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "trackers"), "SKIP_SPLIT_FOL": True,
                "SEQ_INFO": {"S": None}, "PRINT_CONFIG": False,
            }
        )  # fmt: skip
        data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", "S"), "pedestrian")
        theirs = trackeval.metrics.HOTA().eval_sequence(data)
        clear = trackeval.metrics.CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
        scores = score_tracks(*score_pedestrians_only(read_mot(str(gt)), read_mot(str(found)).tracks()))
        assert scores.num_found < len(result)
        assert scores.num_found == data["num_tracker_dets"]
        assert scores.hota == pytest.approx(np.mean(theirs["HOTA"]), abs=1e-9)
        assert (scores.switches, scores.mota) == pytest.approx((clear["IDSW"], clear["MOTA"]), abs=1e-9)
