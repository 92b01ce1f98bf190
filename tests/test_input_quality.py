"""The input quality of a video on its way: from the worker into the tables, the tag, the report and `choreai show`."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from arms_model import ArmsModel, arms_model
from clips import write_clip
from odd_videos import ODD_VIDEOS
from tag_rows import video_row, write_rows
from test_run_report import FIRST, write_run
from tiny_poses import FINGERPRINT, TinyWorker

from choreai.catalog.catalog import Video
from choreai.catalog.shards import PoseShard, TagShard
from choreai.cli.outcome import warn_of_input_quality
from choreai.cluster.tag_worker import TagWorker
from choreai.config import ReportSettings
from choreai.operations.run_report import make_run_report
from choreai.operations.run_report_page import run_report_page
from choreai.pose.settings import PoseSettings
from choreai.tables import schemas
from choreai.tables.compact import compact_table
from choreai.tables.parts import list_parts, part_uri, read_part, read_table, write_part
from choreai.tables.posed_video import find_in_tables
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest, read_run
from choreai.video.quality import (
    ALL_REMARKS,
    InputQuality,
    Levels,
    PeopleSeen,
    count_remarks,
    measure_brightness,
    remarks_for_tag,
)

NAMES = ("cut.mp4", "anamorphic.mkv", "interlaced.mpg", "variable_rate.mp4")


class ArmsTagWorker(TagWorker):
    @staticmethod
    def load_model(uri: str) -> ArmsModel:
        return arms_model()


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ShardReport, PoseShard]:
    """A shard of odd videos, extracted."""
    folder = tmp_path_factory.mktemp("odd")
    odd = {each.name: each for each in ODD_VIDEOS}
    videos = [Video(name, str(odd[name].write(folder / name)), "c") for name in NAMES]
    (folder / "torn.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    videos.append(Video("torn.mp4", str(folder / "torn.mp4"), "c"))
    shard = PoseShard.from_videos(tuple(videos), (1,) * len(videos), pose_fingerprint=FINGERPRINT)
    output = str(folder / "out")
    worker = TinyWorker(output, settings=PoseSettings(), pose_fingerprint=FINGERPRINT, run_id="run")
    worker.setup()
    return output, worker.process(shard), shard


def test_the_videos_table_says_what_was_odd(extracted: tuple[str, ShardReport, PoseShard]) -> None:
    output, report, _ = extracted
    columns = ["video_id", *schemas.VIDEOS.names[schemas.VIDEOS.names.index("input_quality") :]]
    table = read_table(output, "videos", FINGERPRINT, schemas.VIDEOS, columns=columns)
    rows = {row["video_id"]: row for row in table.to_pylist()}
    assert {name: row["input_quality"] for name, row in rows.items()} == {
        "cut.mp4": "cut short",
        "anamorphic.mkv": "non-square pixels",
        "interlaced.mpg": "interlaced",
        "variable_rate.mp4": "good",
        "torn.mp4": None,
    }
    assert rows["cut.mp4"]["expected_seconds"] == pytest.approx(2.0)
    assert 0.5 < rows["cut.mp4"]["read_seconds"] < 1.5
    assert rows["anamorphic.mkv"]["pixel_aspect"] == pytest.approx(64 / 45)
    assert rows["anamorphic.mkv"]["person_height"] == pytest.approx(38 / 72, abs=1e-3)
    assert rows["anamorphic.mkv"]["nobody_share"] == 0
    assert rows["torn.mp4"]["read_seconds"] is None
    assert {row["codec"] for row in rows.values()} == {"h264", "mpeg2video", None}
    assert report.video_seconds == pytest.approx(sum(row["read_seconds"] or 0.0 for row in rows.values()), rel=1e-3)
    assert report.input_quality == {"cut short": 1, "non-square pixels": 1, "interlaced": 1}


def test_the_tag_says_what_no_correction_makes_good(extracted: tuple[str, ShardReport, PoseShard]) -> None:
    output, _, shard = extracted
    worker = ArmsTagWorker(output, model_uri="any", pose_fingerprint=FINGERPRINT, run_id="run")
    worker.setup()
    worker.process(TagShard("shard", shard.shard_id, shard.videos[:4]))
    (uri,) = list_parts(output, "tags", arms_model().model_version)
    found = {row["video_id"]: row["input_quality"] for row in read_part(uri, schemas.TAGS).to_pylist()}
    assert found == dict.fromkeys(NAMES) | {"cut.mp4": "cut short"}


def test_show_has_the_sentences_of_a_video_in_the_tables(extracted: tuple[str, ShardReport, PoseShard]) -> None:
    output, _, _ = extracted
    found = find_in_tables("cut.mp4", output, FINGERPRINT)
    assert found is not None
    assert found.input_quality[0].startswith("cut short: 1.")
    assert found.input_quality[0].endswith(" of 2.0 s could be read")
    good = find_in_tables("variable_rate.mp4", output, FINGERPRINT)
    assert good is not None
    assert good.input_quality == ()


def test_a_job_warns_in_one_line_with_counts(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    manifest = RunManifest("extract_poses", FIRST, {}, "fp1")
    for counts in ({"cut short": 2, "HDR": 1}, {"cut short": 1}, {}):
        manifest.add(ShardReport("s", True, {}, (), 0, 0, 0.0, 1, "w", input_quality=counts))
    manifest.write(str(tmp_path))
    with caplog.at_level(logging.WARNING, logger="choreai"):
        warn_of_input_quality(read_run(str(tmp_path), FIRST))
        warn_of_input_quality(RunManifest("extract_poses", FIRST, {}, "fp1"))
    assert caplog.messages == ["input quality: 3 cut short, 1 HDR; `input_quality` in the videos table says which"]


def test_the_run_report_counts_the_remarks(tmp_path: Path) -> None:
    rows = [
        video_row("a", input_quality="cut short, HDR", run_id=FIRST),
        video_row("b", input_quality="cut short", run_id=FIRST),
        video_row("c", input_quality="good", run_id=FIRST),
        video_row("earlier", run_id=FIRST),
    ]
    write_rows(str(tmp_path), "videos", "fp1", "0", rows)
    write_run(str(tmp_path), FIRST, job="extract_poses", statuses={"ok": 4})
    report = make_run_report(str(tmp_path), ReportSettings())
    assert [(each.remark, each.num, each.example) for each in report.input_quality] == [
        ("cut short", 2, "a"),
        ("HDR", 1, "a"),
    ]
    assert "input quality: 2 cut short, 1 HDR" in report.summary
    assert "Input quality" in run_report_page(report)


def test_parts_of_an_earlier_release_are_read_and_merged(tmp_path: Path) -> None:
    rows = [dict.fromkeys(schemas.VIDEOS.names, 1) | {f.name: f"{n}" for f in schemas.VIDEOS if f.type == "string"}
            for n in range(2)]  # fmt: skip
    for n, row in enumerate(rows):
        table = schemas.VIDEOS.empty_table().from_pylist([row], schema=schemas.VIDEOS)
        if n == 0:
            table = table.drop_columns(sorted(schemas.ADDED["videos"]))
        write_part(part_uri(str(tmp_path), "videos", "v", f"{n}"), table, tmp_path / "scratch")
    columns = ["video_id", "input_quality", "brightness"]
    expected = [{"video_id": "0", "input_quality": None, "brightness": None},
                {"video_id": "1", "input_quality": "1", "brightness": 1.0}]  # fmt: skip
    for _ in range(2):
        found = read_table(str(tmp_path), "videos", "v", schemas.VIDEOS, columns=columns).to_pylist()
        assert sorted(found, key=lambda row: row["video_id"]) == expected
        compact_table(str(tmp_path), "videos", "v")
    (merged,) = list_parts(str(tmp_path), "videos", "v")
    assert read_part(merged, schemas.VIDEOS).schema.names == schemas.VIDEOS.names


# ---- measures


def test_every_remark_is_said_in_words_and_stands_in_the_list() -> None:
    quality = InputQuality(
        expected_seconds=10.0, read_seconds=5.0, pixel_aspect=1.4, dynamic_range="hlg", interlaced_share=1.0,
        num_sizes=2, num_clock_jumps=2, num_frames_skipped=3, num_video_streams=2, brightness=9.0, person_height=0.05,
        nobody_share=0.8, damaged_share=0.2, combed_share=0.5,
    )  # fmt: skip
    assert set(quality.remarks) == set(ALL_REMARKS)
    assert quality.sentences[0] == "cut short: 5.0 of 10.0 s could be read"
    assert InputQuality.from_row({**quality.columns(), "num_decode_errors": 2, "num_frames_decoded": 10}) == quality
    assert InputQuality().columns()["input_quality"] == "good"
    assert InputQuality.from_row({"input_quality": None}) is None


def test_a_tag_has_only_what_matters_to_it() -> None:
    assert remarks_for_tag("HDR, dark, cut short") == "dark, cut short"
    assert remarks_for_tag("HDR") is remarks_for_tag("good") is remarks_for_tag(None) is None
    assert count_remarks(["HDR, dark", "dark", "good", ""]) == Counter(dark=2, HDR=1)


def test_a_median_of_levels_is_that_of_the_numbers_in_thousandths() -> None:
    rng = np.random.default_rng(0)
    for num in (1, 2, 7, 200):
        levels, numbers = Levels(), rng.random(num)
        for number in numbers:
            levels.add(float(number))
        assert levels.median() == pytest.approx(np.sort(numbers)[(num - 1) // 2], abs=1e-3)
    assert Levels().median() is None


def test_the_tallest_person_counts_and_frames_with_nobody() -> None:
    seen = PeopleSeen()
    for heights in ([50, 10], [40], [], []):
        seen.add(np.array([[0, 0, 9, height] for height in heights], np.float32).reshape(-1, 4), picture_height=100)
    quality = seen.complete(InputQuality())
    assert (quality.person_height, quality.nobody_share) == (0.4, 0.5)
    assert PeopleSeen().complete(InputQuality()) == InputQuality()


def test_a_dancer_in_a_spotlight_on_a_black_stage_is_not_dark() -> None:
    stage = np.zeros((120, 160, 3), np.uint8)
    assert measure_brightness(stage) == 0
    stage[20:100, 70:90] = 200
    assert measure_brightness(stage) == pytest.approx(200 / 255)


def test_a_whole_video_is_not_cut_short_whatever_its_container(tmp_path: Path) -> None:
    from choreai.video.decode import VideoReader

    for suffix, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx"), ("avi", "mpeg4"), ("wmv", "wmv2"),
                          ("ts", "libx264"), ("mpg", "mpeg2video"), ("flv", "flv"), ("ogg", "libvpx")):  # fmt: skip
        path = write_clip(
            tmp_path / f"a.{suffix}", codec=codec, num_frames=30, with_audio=suffix in ("mp4", "mkv", "ts")
        )
        with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
            list(reader.sample(frames_per_second=8))
            assert reader.quality.remarks == (), suffix
