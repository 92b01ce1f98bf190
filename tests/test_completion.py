"""Completion of commands, flags and choices, as bash itself asks for it."""

import contextlib
import io
import shutil
import subprocess

import pytest

from choreai.cli.main import COMMANDS, main


@pytest.fixture(scope="module")
def bash_script() -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["completion", "bash"]) == 0
    return out.getvalue()


def completed(script: str, *words: str) -> list[str]:
    """What bash offers after these words, the last of which is being typed."""
    quoted = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _choreai; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["choreai", ""], list(COMMANDS)),
        (["choreai", "de"], ["describe", "demo"]),
        (["choreai", "tag", "--mo"], ["--model"]),
        (["choreai", "tag", "dance.mp4", "--max-"], ["--max-failed-fraction", "--max-hours"]),
        (["choreai", "search", "--format", "js"], ["jsonl"]),
        (["choreai", "weights", "fe"], ["fetch"]),
        (["choreai", "weights", "fetch", "--mi"], ["--mirror"]),
        (["choreai", "completion", "z"], ["zsh"]),
        (["choreai", "tag", "dan"], []),  # bash itself completes files then
    ],
)
def test_bash_completes(bash_script: str, words: list[str], offered: list[str]) -> None:
    assert completed(bash_script, *words) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in COMMANDS)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=20)
