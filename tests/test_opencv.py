"""Several builds of OpenCV in one environment: what is said of them, on folders made like those that pip leaves."""

import logging
from pathlib import Path

import pytest

from choreai.errors import ConfigError
from choreai.video.opencv import check_opencv, find_builds


def install(folder: Path, name: str, version: str) -> None:
    """Leave what pip leaves of a build: the package's folder and the record of its release."""
    record = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "cv2").mkdir(exist_ok=True)
    (folder / "cv2" / "__init__.py").touch()


def test_one_build_is_nothing_to_speak_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(tmp_path, "opencv-python-headless", "5.0.0.93")
    check_opencv([str(tmp_path)])
    assert find_builds([str(tmp_path)]) == {"opencv-python-headless": "5.0.0.93"}
    assert not caplog.messages


def test_builds_of_the_same_release_have_the_same_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("opencv-python", "opencv-contrib-python"):
        install(tmp_path, name, "4.11.0.86")
    check_opencv([str(tmp_path)])
    assert not caplog.messages


def test_builds_of_different_releases_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(tmp_path, "opencv-contrib-python", "4.11.0.86")
    install(tmp_path, "opencv-python", "5.0.0.93")
    with caplog.at_level(logging.WARNING):
        check_opencv([str(tmp_path)])
    (message,) = caplog.messages
    assert "(opencv-python 5.0.0.93, opencv-contrib-python 4.11.0.86)" in message


def test_an_uninstalled_build_took_the_files_of_the_one_that_is_left(tmp_path: Path) -> None:
    install(tmp_path, "opencv-contrib-python", "4.11.0.86")
    (tmp_path / "cv2" / "__init__.py").unlink()  # folders of what Python compiled may be left
    with pytest.raises(ConfigError, match=r"another build .* opencv-contrib-python==4\.11\.0\.86`"):
        check_opencv([str(tmp_path)])


def test_no_build_at_all_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not installed; run `pip install .* opencv-python`"):
        check_opencv([str(tmp_path)])


def test_this_environment_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    check_opencv()
    assert not caplog.messages
