"""Videos from web addresses: limits on size, time and redirects, and no private networks."""

from pathlib import Path
from typing import Any

import pytest
from weights_server import Fault, WeightsServer

from choreai.errors import ChoreaiError, ConfigError, MediaError, ObjectMissingError, StorageError
from choreai.storage.web_video import DownloadLimits, fetch_video, is_public, is_web_address

VIDEO = bytes(range(256)) * 400


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = WeightsServer(files={"/dance.mp4": VIDEO})
    yield found
    found.stop()


def fetch(server: WeightsServer, path: Path, name: str = "/dance.mp4", **limits) -> bytes:
    fetch_video(server.address + name, path, allow_private=True, limits=DownloadLimits(**limits))
    return path.read_bytes()


def test_a_video_is_downloaded_and_redirects_are_followed(server: WeightsServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path / "a") == VIDEO
    server.faults.append(Fault(status=302, redirect_to="/dance.mp4"))
    assert fetch(server, tmp_path / "b", "/moved") == VIDEO


@pytest.mark.parametrize(
    ("fault", "limits", "error", "says"),
    [
        (Fault(), {"max_bytes": 1000}, MediaError, "larger than"),
        (Fault(says_nothing_of_size=True), {"max_bytes": 1000}, MediaError, "larger than"),
        (Fault(seconds_per_chunk=0.3), {"max_seconds": 0.2}, StorageError, "took longer than 0.2 s"),
        (Fault(cut_after=1000), {}, StorageError, "cut after 1,000 of 102,400 bytes"),
        (Fault(status=404), {}, ObjectMissingError, "nothing here (404)"),
        (Fault(status=503), {}, StorageError, "answered 503"),
        (Fault(status=302, redirect_to="/dance.mp4"), {"max_redirects": 0}, MediaError, "more than 0 redirects"),
        (Fault(status=302, redirect_to="file:///etc/passwd"), {}, ConfigError, "only http:// and https://"),
        (Fault(body=b""), {}, MediaError, "is empty"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_goes_over_a_limit_leaves_nothing_behind(
    server: WeightsServer, tmp_path: Path, fault: Fault, limits: dict[str, Any], error: type[ChoreaiError], says: str
) -> None:
    server.faults.append(fault)
    with pytest.raises(error) as caught:
        fetch(server, tmp_path / "a", **limits)
    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_this_machine_and_private_networks_are_not_asked(server: WeightsServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--allow-private-addresses"):
        fetch_video(server.address + "/dance.mp4", tmp_path / "a")
    assert server.requests == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "::1", "fe80::1%eth0",
     "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "100.64.0.1"],
)  # fmt: skip
def test_an_address_is_private_however_it_is_written(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_are_public() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")
    assert is_public("64:ff9b::5db8:d822")


@pytest.mark.parametrize(
    ("address", "says"),
    [("https://me:secret@host/a.mp4", "carries credentials"), ("http://host:port/a.mp4", "no web address"),
     ("https:///a.mp4", "with a host")],
)  # fmt: skip
def test_an_address_that_cannot_be_meant_is_refused(address: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        fetch_video(address, tmp_path / "a")
    assert "secret" not in str(caught.value)


def test_addresses_are_told_from_paths() -> None:
    assert is_web_address("HTTPS://host/a.mp4")
    assert not is_web_address("s3://bucket/a.mp4")
    assert not is_web_address("http/a.mp4")
