"""`choreai serve`: what it refuses before anything slow starts."""

import socket
from pathlib import Path

import pytest

from choreai.cli.main import main
from choreai.cli.serve import serve_parser
from choreai.errors import ConfigError
from choreai.web import serve


def run(*flags: str) -> int:
    return serve.run(serve_parser("choreai serve").parse_args(list(flags)))


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serve.TOKEN_VARIABLE, raising=False)


def test_other_machines_are_let_in_only_with_a_token() -> None:
    with pytest.raises(ConfigError, match=serve.TOKEN_VARIABLE):
        run("--host", "0.0.0.0")


def test_a_token_that_could_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serve.TOKEN_VARIABLE, "secret")
    with pytest.raises(ConfigError, match="16 characters"):
        run("--host", "0.0.0.0")


def test_a_port_that_is_taken_is_told_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another --port"):
            run("--port", str(taken.getsockname()[1]), "--data", str(tmp_path))


def test_no_viewers_at_all_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="--max-viewers"):
        run("--max-viewers", "0")


@pytest.mark.parametrize("flags", [("--port", "70000"), ("--host", "203.0.113.1")])
def test_an_address_that_is_not_ours_is_told_at_once(flags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serve.TOKEN_VARIABLE, "x" * 20)
    with pytest.raises(ConfigError, match="cannot listen"):
        run(*flags, "--data", str(tmp_path))


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["serve", "--help"])
    assert done.value.code == 0
    assert "CHOREAI_WEB_TOKEN" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://localhost:8000/"),
        ("::1", "http://localhost:8000/"),
        ("localhost", "http://localhost:8000/"),
        ("127.0.0.2", "http://127.0.0.2:8000/"),
        ("10.0.0.7", "http://10.0.0.7:8000/"),
        ("[fd00::7]", "http://[fd00::7]:8000/"),
        ("studio.example", "http://studio.example:8000/"),
    ],
)
def test_the_address_to_open_is_one_that_a_browser_reaches(host: str, expected: str) -> None:
    assert serve.addresses_to_open(host, 8000) == expected


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]"])
def test_the_address_of_all_interfaces_is_none_to_open(host: str) -> None:
    told = serve.addresses_to_open(host, 8000)
    assert told.endswith(":8000/ or, on this machine, http://localhost:8000/")
    own = told.split("/")[2].rpartition(":")[0]
    assert own not in ("", "0.0.0.0", "[::]")
    socket.getaddrinfo(own.strip("[]"), 8000)
