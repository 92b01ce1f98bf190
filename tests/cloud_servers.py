"""Servers that speak the protocols of Google's and Azure's stores, for the tests of `choreai.storage.clouds`.

Azure's is Azurite, Microsoft's own emulator, from npm. Google's is moto's S3 server behind Google's XML API, which
differs from S3's in what the tests use by the name of conditions: `x-goog-if-generation-match`, 0 for nothing there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from socket import socket
from typing import Any

ACCOUNT = "devstoreaccount1"  # Azurite's own, with its published key
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def azurite_program() -> str | None:
    """Return Azurite's program: CHOREAI_AZURITE, or from the path; None where there is none."""
    return os.environ.get("CHOREAI_AZURITE") or shutil.which("azurite-blob")


def start_azurite(program: str, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Return the server and its endpoint once it answers."""
    port = _free_port()
    command = [program, "--silent", "--skipApiVersionCheck", "--location", str(folder), "--blobPort", str(port)]
    return _started(command, f"http://127.0.0.1:{port}", folder / "azurite.log")


def start_gcs(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Return the server and its endpoint once it answers."""
    port = _free_port()
    return _started([sys.executable, __file__, str(port)], f"http://127.0.0.1:{port}", folder / "gcs.log")


def make_container(endpoint: str, name: str) -> None:
    """Create a container of Azurite's, which choreai never does, by a signed request (Shared Key)."""
    import base64
    import hmac
    from email.utils import formatdate

    date, version = formatdate(usegmt=True), "2021-08-06"
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = "PUT" + 12 * "\n" + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}
    address = f"{endpoint}/{ACCOUNT}/{name}?restype=container"
    with urllib.request.urlopen(urllib.request.Request(address, method="PUT", headers=headers), timeout=30):
        pass


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _started(command: list[str], endpoint: str, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(endpoint, timeout=5):
                return server, endpoint
        except urllib.error.HTTPError:  # an answer all the same
            return server, endpoint
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.05)
    server.kill()
    raise AssertionError(f"{command[0]} did not start: {log.read_text()[-2000:]}")


def _as_google(app: _WsgiApp) -> _WsgiApp:
    """Return S3's application under Google's names for conditional writes: a generation stands for an ETag."""
    etags = {"0": "none"}

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        generation = environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None)
        if generation == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        elif generation is not None:
            environ["HTTP_IF_MATCH"] = etags.get(generation, "none")

        def with_generation(status: str, headers: Any, exc_info: Any = None) -> Any:
            for name, value in list(headers):
                if name.lower() == "etag":
                    number = str(int.from_bytes(hashlib.sha256(value.encode()).digest()[:7], "big"))
                    etags[number] = value
                    headers = [*headers, ("x-goog-generation", number)]
            return start_response(status, headers, exc_info)

        return app(environ, with_generation)

    return answer


if __name__ == "__main__":
    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    s3: Any = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", int(sys.argv[1]), _as_google(s3), threaded=True, request_handler=MotoRequestHandler)
