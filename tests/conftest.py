"""Fixtures for every test: an S3 server in a process of its own, spoken to over HTTP."""

import contextlib
import importlib.util
import itertools
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloud_servers
import pytest
from hypothesis import settings

from choreai.cli.console import console
from choreai.weights.cache import Cache, default_folder
from choreai.weights.resolve import missing_weights, shipped_catalogue

# Ray's native part remembers the first mode it sees in a process, so all tests of one process must want the same.
os.environ["RAY_AUTH_MODE"] = "disabled"

# Threads of several processes that spin on few cores make each other ten times slower. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples on every machine, however loaded it is.
settings.register_profile("choreai", derandomize=True, deadline=None, max_examples=50, database=None)
settings.register_profile("fuzz", deadline=None, max_examples=300, database=None)  # make fuzz
settings.load_profile("choreai")

HAS_MEDIAPIPE = importlib.util.find_spec("mediapipe") is not None


def _weights_folder() -> Path:
    """An empty one; in MediaPipe's place its networks are in it, where the developer fetched them."""
    if HAS_MEDIAPIPE:
        return Path(tempfile.gettempdir(), "choreai-no-weights")
    folder = Path(tempfile.gettempdir(), "choreai-blazepose-alone")
    folder.mkdir(exist_ok=True)
    for entry in shipped_catalogue().expand(["blazepose"]):
        if fetched := Cache(default_folder()).find(entry):
            with contextlib.suppress(FileExistsError):
                (folder / entry.file_name).symlink_to(fetched)
    return folder


# No test finds, or fetches into, the developer's own weights.
os.environ["CHOREAI_WEIGHTS"] = str(_weights_folder())

_bucket_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast first: tests that start a Ray of their own come last."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a command run in this process does to logging; its handler's stream is closed by then."""
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("choreai", "jobs", "__main__")]
    level, levels, show, quiet = root.level, [logger.level for logger in ours], warnings.showwarning, console.quiet
    yield
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.setLevel(level)
    for logger, its_level in zip(ours, levels, strict=True):
        logger.setLevel(its_level)
    warnings.showwarning, console.quiet = show, quiet


def _start_moto(log: Path) -> tuple[subprocess.Popen[bytes], str] | None:
    """The server and its endpoint once it answers; None if it ended, as it does when the port was taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    endpoint, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{endpoint}/moto-api/data.json", timeout=5):
                return server, endpoint
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.05)
    _end(server)
    return None


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def mediapipe() -> None:
    """Skip what needs the mediapipe package where it is not installed: it has no wheels for Python 3.13."""
    if not HAS_MEDIAPIPE:
        pytest.skip("the mediapipe extra is not installed")


@pytest.fixture(scope="session")
def real_poses() -> None:
    """Skip what estimates real poses where neither MediaPipe nor its networks on LiteRT are at hand."""
    if HAS_MEDIAPIPE:
        return
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("neither the mediapipe nor the litert extra is installed")
    if missing_weights(["blazepose"]):
        pytest.skip("mediapipe is not installed, and its networks are not fetched: choreai weights fetch blazepose")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of an S3 server, at which the environment points for the rest of the run.

    Processes inherit that when they start: ask for this fixture before starting a local Ray.
    """
    log = tmp_path_factory.mktemp("moto") / "server.log"
    started = next(filter(None, (_start_moto(log) for _ in range(3))), None)
    if started is None:
        pytest.fail(f"moto_server did not start: {log.read_text()[-2000:]}")
    server, endpoint = started
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", endpoint)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.setenv("AWS_CONFIG_FILE", "/dev/null")  # nothing of the developer's own account
        environment.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        environment.delenv("AWS_PROFILE", raising=False)
        environment.delenv("AWS_SESSION_TOKEN", raising=False)
        environment.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # for pyarrow, as boto3 has it
        environment.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        environment.setenv("NO_PROXY", "127.0.0.1")
        yield endpoint
    _end(server)


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Any:  # boto3 makes the types of its clients at run time
    """A boto3 client of `s3_server`, for what choreai itself never does, such as making buckets."""
    import boto3

    return boto3.session.Session().client("s3")


@pytest.fixture
def s3_uri(s3_client: Any) -> str:
    """The URI of a bucket of its own, empty."""
    bucket = f"bucket-{next(_bucket_numbers)}"
    s3_client.create_bucket(Bucket=bucket)
    return f"s3://{bucket}"


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a server that speaks as Google's store; the environment points there for the rest of the run."""
    server, endpoint = cloud_servers.start_gcs(tmp_path_factory.mktemp("gcs"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GOOGLE_BASE_URL", endpoint)
        environment.setenv("GOOGLE_BEARER_TOKEN", "test")
        environment.setenv("NO_PROXY", "127.0.0.1")
        yield endpoint
    _end(server)


@pytest.fixture
def gs_uri(gcs_server: str) -> str:
    """The URI of a bucket of its own, empty."""
    bucket = f"bucket{next(_bucket_numbers)}"  # without a hyphen, which obstore encodes and moto does not decode
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}
    urllib.request.urlopen(urllib.request.Request(f"{gcs_server}/{bucket}", method="PUT", headers=signed)).close()
    return f"gs://{bucket}"


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of Azurite, at which the environment points for the rest of the run."""
    program = cloud_servers.azurite_program()
    if program is None:
        pytest.skip("Azurite is not installed: npm install azurite, and CHOREAI_AZURITE=.../azurite-blob")
    server, endpoint = cloud_servers.start_azurite(program, tmp_path_factory.mktemp("azurite"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURE_STORAGE_ACCOUNT_NAME", cloud_servers.ACCOUNT)
        environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", cloud_servers.KEY)
        environment.setenv("AZURE_STORAGE_ENDPOINT", f"{endpoint}/{cloud_servers.ACCOUNT}")
        environment.setenv("NO_PROXY", "127.0.0.1")
        yield endpoint
    _end(server)


@pytest.fixture
def az_uri(azurite: str) -> str:
    """The URI of a container of its own, empty."""
    container = f"container-{next(_bucket_numbers)}"
    cloud_servers.make_container(azurite, container)
    return f"az://{container}"


@pytest.fixture(params=["path", pytest.param("s3", marks=pytest.mark.s3)])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, and in a second run of the same test an empty bucket."""
    return _empty_store(request, tmp_path)


@pytest.fixture(params=["path", *(pytest.param(store, marks=pytest.mark.s3) for store in ("s3", "gs", "az"))])
def any_store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, and in further runs of the same test an empty bucket of each kind of store."""
    return _empty_store(request, tmp_path)


def _empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "path" else request.getfixturevalue(f"{request.param}_uri")
