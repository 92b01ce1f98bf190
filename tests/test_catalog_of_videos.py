"""Catalogs that nobody wrote: a video, or several videos and folders together."""

from pathlib import Path

import pytest

from choreai.catalog.catalog import Catalog, read_catalog, with_content_ids
from choreai.catalog.several import read_catalogs
from choreai.errors import CatalogError
from choreai.storage.objects import put_object
from choreai.storage.uris import join_uri


def ids_of(catalog: Catalog) -> list[str]:
    return list(catalog.table["video_id"].to_pylist())


def test_one_video_is_a_catalog_of_itself(store_uri: str) -> None:
    put_object(join_uri(store_uri, "clips", "dance.MP4"), b"x")
    (video,) = with_content_ids(read_catalog(join_uri(store_uri, "clips", "dance.MP4"))).videos()
    assert (video.video_id, video.uri) == ("dance.MP4", join_uri(store_uri, "clips", "dance.MP4"))


def test_several_videos_and_folders_are_named_below_the_folder_that_holds_them(store_uri: str) -> None:
    for name in ("a/dance.mp4", "b/dance.mp4", "b/deep/solo.mov"):
        put_object(join_uri(store_uri, "clips", name), b"x")
    of = [join_uri(store_uri, "clips", name) for name in ("a/dance.mp4", "b", "b/dance.mp4")]
    assert ids_of(read_catalogs(of)) == ["a/dance.mp4", "b/dance.mp4", "b/deep/solo.mov"]


def test_an_id_in_two_catalogs_is_refused(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("one.csv", "two.csv")]
    for name in names:
        Path(name).write_text("video_id,uri\n1,a.mp4\n")
    with pytest.raises(CatalogError, match="'1' is in two of"):
        read_catalogs(names)
