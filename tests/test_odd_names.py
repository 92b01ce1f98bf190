"""Names and folders that nobody chose: each odd one is one quarantined row, and the others are listed."""

import os
from pathlib import Path
from typing import Any

import pytest

from choreai.catalog.catalog import UNAVAILABLE, Video, read_catalog, with_content_ids
from choreai.catalog.listings import MIN_WANTED
from choreai.catalog.odd_names import escape_name, oddity
from choreai.errors import CatalogError
from choreai.storage.objects import put_object

ODD_NAMES = {
    "line\nbreak.mp4": "line break",
    "tab\there.mp4": "control character",
    "return\rhere.mp4": "control character",
    "bell\x07.mp4": "control character",
    "delete\x7f.mp4": "control character",
    "next\x85line.mp4": "control character",
    "signed?sig=abc123.mp4": "credentials",
    "signed?X-Amz-Signature=abc123.mp4": "credentials",
    "signed?X-Goog-Signature=abc123.mp4": "credentials",
    "a?v=1&access_token=abc123.mp4": "credentials",
    "a?token=abc123.mp4": "credentials",
    "a?api_key=abc123.mp4": "credentials",
}


def videos_of(uri: str) -> dict[str, Video]:
    return {video.video_id: video for video in with_content_ids(read_catalog(uri)).videos()}


def quarantined(videos: dict[str, Video]) -> list[Video]:
    return [video for video in videos.values() if video.content_id.startswith(UNAVAILABLE)]


def write(store_uri: str, name: str, s3_client: Any) -> None:
    """Put an object past choreai, which would refuse most of these names."""
    if store_uri.startswith("s3://"):
        s3_client.put_object(Bucket=store_uri.removeprefix("s3://"), Key=name, Body=b"x")
    else:
        Path(store_uri, name).write_bytes(b"x")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_is_one_row_and_the_others_are_listed(store_uri: str, s3_client: Any, name: str) -> None:
    if store_uri.startswith("s3://") and "\n" in name:
        pytest.skip("moto takes no key with a line feed")
    for each in ("a.mp4", "z.mp4", name):
        write(store_uri, each, s3_client)
    videos = videos_of(store_uri)
    assert len(videos) == 3
    (odd,) = quarantined(videos)
    assert {"a.mp4", "z.mp4"} == videos.keys() - {odd.video_id}
    assert ODD_NAMES[name] in odd.content_id
    assert "abc123" not in odd.video_id + odd.uri
    assert odd.video_id.isprintable()


def test_names_whose_secrets_alone_differ_stay_apart(tmp_path: Path) -> None:
    for secret in ("one", "two"):
        (tmp_path / f"a?sig={secret}.mp4").touch()
    assert len(quarantined(videos_of(str(tmp_path)))) == 2


def test_a_file_name_that_is_no_utf8_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "good.mp4").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")).touch()
    videos = videos_of(str(tmp_path))
    (odd,) = quarantined(videos)
    assert odd.video_id.startswith("caf\\xe9.mp4 [")
    assert "not UTF-8" in odd.content_id
    assert "good.mp4" in videos


@pytest.mark.s3
def test_a_key_longer_than_an_id_is_one_row(s3_uri: str) -> None:
    put_object(f"{s3_uri}/good.mp4", b"x")
    put_object(f"{s3_uri}/{'k' * 1015}.mp4", b"x")
    videos = videos_of(s3_uri)
    (odd,) = quarantined(videos)
    assert "1019 bytes, 1000 are allowed" in odd.content_id
    assert len(odd.video_id) < 250
    assert "good.mp4" in videos


def test_links_to_themselves_to_nothing_and_pipes_are_rows(tmp_path: Path) -> None:
    (tmp_path / "good.mp4").touch()
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")  # not named as a video: not missed
    (tmp_path / "around").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    videos = videos_of(str(tmp_path))
    assert videos.keys() == {"good.mp4", "loop.mp4", "gone.mp4", "pipe.mp4"}
    assert {video.video_id for video in quarantined(videos)} == {"loop.mp4", "gone.mp4", "pipe.mp4"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "good.mp4").touch()
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o000)
    try:
        videos = videos_of(str(tmp_path))
    finally:
        locked.chmod(0o700)
    (odd,) = quarantined(videos)
    assert odd.video_id == "locked/"
    assert "ermission" in odd.content_id
    assert "good.mp4" in videos


def test_a_folder_that_cannot_be_listed_is_told_to_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.mp4").touch()
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # as for a user other than root
    (odd,) = quarantined(videos_of(str(tmp_path)))
    assert odd.video_id == "locked/"


@pytest.mark.parametrize("seconds", [1e12, -1e9, 0.0])
def test_a_modification_time_beyond_the_calendar_is_a_time_like_any_other(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "a.mp4").touch()
    try:
        os.utime(tmp_path / "a.mp4", (seconds, seconds))
    except OSError:
        pytest.skip("this file system keeps no such time")
    assert not quarantined(videos_of(str(tmp_path)))


@pytest.mark.s3
def test_many_videos_of_a_missing_bucket_are_rows_and_no_end(s3_uri: str, tmp_path: Path) -> None:
    put_object(f"{s3_uri}/good.mp4", b"x")
    lines = [f"v{n},s3://no-such-bucket/in/{n}.mp4" for n in range(MIN_WANTED + 1)]
    (tmp_path / "c.csv").write_text("\n".join(["video_id,uri", *lines, f"good,{s3_uri}/good.mp4"]))
    videos = videos_of(str(tmp_path / "c.csv"))
    assert len(quarantined(videos)) == MIN_WANTED + 1
    assert not videos["good"].content_id.startswith(UNAVAILABLE)


def test_all_bad_rows_of_a_catalog_by_hand_are_listed_the_first_twenty(tmp_path: Path) -> None:
    rows = [f"v{n},{'' if n % 2 else f'{n}.mp4'}" for n in range(60)]
    (tmp_path / "c.csv").write_text("\n".join(["video_id,uri", *rows, "v0,again.mp4", "x,gcs://b/x.mp4", "a,b,c"]))
    with pytest.raises(CatalogError) as caught:
        read_catalog(str(tmp_path / "c.csv"))
    lines = str(caught.value).splitlines()
    assert "33 rows cannot be used" in lines[0]
    assert len(lines) == 22
    assert lines[1].strip() == "line 3: uri is empty; fill it in or remove the row"
    assert lines[-1].strip() == "and 13 more"


def test_bad_lines_of_json_are_listed_together(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"video_id": "1", "uri": "a"}\nno\n[]\n{"video_id": 1.5, "uri": "b"}\n')
    with pytest.raises(CatalogError) as caught:
        read_catalog(str(tmp_path / "c.jsonl"))
    assert [line.strip().split(":")[0] for line in str(caught.value).splitlines()[1:]] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize("name", ["a.mp4", "ダンス/é ü.mp4", "50%20?.mp4", "a?v=2.mp4", "clips & co/x=1.mp4"])
def test_an_ordinary_name_stays(name: str) -> None:
    assert oddity(name) is None


def test_an_escaped_name_is_short_printable_and_always_the_same() -> None:
    name = "x\n" * 5000
    assert escape_name(name) == escape_name(name)
    assert len(escape_name(name)) < 250
    assert escape_name("a\ud800b").startswith("a\\ud800b [")
