"""A headless Firefox, driven by WebDriver BiDi: Debian has the browser, and no geckodriver for Selenium."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from web_server import wait_until
from websockets.sync.client import ClientConnection, connect

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
_PREFERENCES = {
    "media.navigator.streams.fake": True,  # a picture that changes its colour, and a tone
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "services.settings.server": "data:,",
}
_WEBSOCKET = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


class Firefox:
    """One tab of a browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.complaints: list[str] = []
        """Errors of the pages, and what their policy forbade."""
        self._call("session.new", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": False}}})
        self._call("session.subscribe", {"events": ["log.entryAdded"]})
        self._tab = self._call("browsingContext.getTree", {})["contexts"][0]["context"]

    def get(self, url: str) -> None:
        self._call("browsingContext.navigate", {"context": self._tab, "url": url, "wait": "complete"})

    def run(self, script: str) -> Any:  # a JSON value
        """The JSON value that a function's body returns, or a promise of it."""
        found = self._call(
            "script.callFunction",
            {
                "functionDeclaration": f"async () => JSON.stringify(await (async () => {{ {script} }})() ?? null)",
                "target": {"context": self._tab},
                "awaitPromise": True,
                "userActivation": True,
            },
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return json.loads(found["result"]["value"])

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in the page's first input of a selector."""
        found = self._call(
            "browsingContext.locateNodes", {"context": self._tab, "locator": {"type": "css", "value": selector}}
        )
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self._call("input.setFiles", {"context": self._tab, "element": element, "files": [str(path)]})

    def press(self, *keys: str) -> None:
        downs_and_ups = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keys", "actions": downs_and_ups}]
        self._call("input.performActions", {"context": self._tab, "actions": actions})

    def until(self, script: str, what: str) -> None:
        """Wait until a function's body returns what is true."""
        wait_until(lambda: self.run(f"return Boolean((() => {{ {script} }})())") is True, what)

    def _call(self, method: str, parameters: dict[str, Any]) -> Any:  # as the protocol has it
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                self.complaints += [str(entry["text"])] if entry["level"] == "error" else []
            if message.get("id") == self._number:
                assert message["type"] == "success", f"{method}: {message.get('message')}"
                return message["result"]


@contextmanager
def firefox(folder: Path) -> Iterator[Firefox]:
    """A browser with its profile in `folder`, whose camera and microphone are made up."""
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items())
    (folder / "user.js").write_text("\n".join(lines))
    log = folder / "firefox.log"
    command = [str(FIREFOX), "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port=0"]
    with log.open("wb") as target:
        browser = subprocess.Popen(command, stdout=target, stderr=target)
    try:
        wait_until(lambda: _WEBSOCKET.search(log.read_bytes()) is not None, f"Firefox; see {log}", seconds=60)
        address = _WEBSOCKET.search(log.read_bytes())
        assert address is not None
        with connect(address[1].decode() + "/session", max_size=2**26) as socket:
            yield Firefox(socket)
    finally:
        browser.terminate()
        with suppress(subprocess.TimeoutExpired):
            browser.wait(10)
        browser.kill()
