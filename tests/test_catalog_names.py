"""Names in a catalog: of videos in a folder, of labels and groups in their spellings, and of objects in their URIs."""

from pathlib import Path

import pytest
from test_catalog import as_parquet, catalog_of, ids_of

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.cli.pose_inputs import find_images
from choreai.errors import CatalogError
from choreai.storage.objects import put_object
from choreai.storage.uris import join_uri


def test_a_folder_lists_whatever_is_played(store_uri: str) -> None:
    names = sorted(f"a{suffix}" for suffix in (".MTS", ".m2ts", ".vob", ".mxf", ".m2v", ".3g2", ".f4v", ".dv", ".asf",
                                               ".gif", ".rmvb", ".qt", ".divx", ".h264"))  # fmt: skip
    for name in names:
        put_object(join_uri(store_uri, name), b"video")
    assert ids_of(read_catalog(store_uri)) == names


def test_videos_in_hidden_and_trash_folders_are_left_out_and_counted(
    store_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = [".Trash-1000/files/a.mp4", "b/.thumbnails/a.mp4", "$RECYCLE.BIN/S-1/a.mp4", "@eaDir/a.mp4/a.mp4",
              "__MACOSX/._a.mp4", "c/#recycle/a.mp4"]  # fmt: skip
    for name in [*hidden, "b/a.mp4", "notes.txt", "b/notes.TXT", "b/picture.jpg", "README"]:
        put_object(join_uri(store_uri, name), b"x")
    with caplog.at_level("INFO", logger="choreai"):
        assert ids_of(read_catalog(store_uri)) == ["b/a.mp4"]
    assert caplog.messages == [
        f"{store_uri}/: left out 4 files not named as videos (2 .txt, 1 .jpg, 1 without extension) and 6 videos "
        "hidden or in hidden or trash folders"
    ]


def test_pictures_in_hidden_folders_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("10.jpg", "2.PNG", ".thumbnails/2.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with caplog.at_level("INFO", logger="choreai"):
        assert [path.name for path in find_images(tmp_path)] == ["2.PNG", "10.jpg"]
    assert caplog.messages == [
        f"{tmp_path}/: left out 1 file not named as images (1 .txt) and 1 image hidden or in hidden or trash folders"
    ]


def test_a_catalog_that_lies_in_a_hidden_folder_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.mp4").touch()
    assert ids_of(read_catalog(str(tmp_path / ".cache"))) == ["a.mp4"]


def test_labels_and_groups_spelt_in_several_ways_are_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = [
        "Hip-Hop",
        "hip hop",
        "Hip-hop",
        "Hip-Hop",
        "Cha\u0301-cha\u0301",
        "Ch\u00e1-ch\u00e1",
        "ch\u00e1 ch\u00e1",
        "pop",
        None,
    ]
    groups = ["Ana", "ana", "Ana", "Ben", "Ben", "Ben", "Z\u00fcri", "Zu\u0308ri", "Zu\u0308ri"]
    rows: list[dict[str, str | None]] = [
        {"video_id": str(index), "uri": f"{index}.mp4", "label": label, "group": group}
        for index, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]
    table = catalog_of(tmp_path, as_parquet(rows), name="catalog.parquet").table
    assert table["label"].to_pylist() == [*["Hip-Hop"] * 4, *["Ch\u00e1-ch\u00e1"] * 3, "pop", None]
    assert table["group"].to_pylist() == [*["Ana"] * 3, *["Ben"] * 3, *["Z\u00fcri"] * 3]
    labelled, grouped = caplog.messages
    assert "labels spelt in several ways are one: " in labelled
    assert "'hip hop' is 'Hip-Hop'" in labelled
    assert "groups" in grouped


def test_a_windows_path_in_a_catalog_is_no_path_under_its_folder(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_text("video_id,uri\na,a.mp4\nb,C:\\Videos\\a.mp4\n")
    with pytest.raises(CatalogError, match=r"line 3: .*is a path of Windows, which this machine does not have"):
        read_catalog(str(tmp_path / "catalog.csv"))


@pytest.mark.s3
def test_a_relative_uri_keeps_the_slashes_of_its_key(s3_uri: str) -> None:
    put_object(f"{s3_uri}/catalog.csv", b"video_id,uri\n1,clips//a.mp4\n2,clips/./b.mp4\n")
    put_object(f"{s3_uri}/clips//a.mp4", b"video")
    catalog = with_content_ids(read_catalog(f"{s3_uri}/catalog.csv"))
    assert catalog.table["uri"].to_pylist() == [f"{s3_uri}/clips//a.mp4", f"{s3_uri}/clips/b.mp4"]
    assert not catalog.table["content_id"][0].as_py().startswith("unavailable")
