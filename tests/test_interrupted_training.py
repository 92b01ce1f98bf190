"""Training that is stopped from outside says so in one line, exits with 130, and leaves nothing half-written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from drivers import ROOT, wait_until
from ray.train.torch import TorchTrainer
from tiny_training import write_training

from choreai.style.training.distributed import trainer_class

CHECKPOINT = "training/*/checkpoint_*/state.pt"
TRIAL = "training/sweep-*/_run_trial_*/params.json"


def test_ray_train_still_takes_ctrl_c_for_itself_where_our_trainer_says_no() -> None:
    """Fails as soon as Ray renames the private method, whose handler ends a stopped training with exit code 0."""
    assert callable(TorchTrainer._register_sigint_handler)
    assert trainer_class()._register_sigint_handler is not TorchTrainer._register_sigint_handler


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif("CHOREAI_SLOW" not in os.environ, reason="a minute; set CHOREAI_SLOW=1")
@pytest.mark.parametrize(
    ("sent", "flags", "begun"),
    [
        (signal.SIGINT, [], CHECKPOINT),
        (signal.SIGTERM, [], CHECKPOINT),
        (signal.SIGINT, ["--sweep", "learning-rate"], TRIAL),
        (signal.SIGTERM, ["--sweep", "learning-rate"], TRIAL),
    ],
)
def test_stopped_training_exits_with_130_and_one_line(tmp_path: Path, sent: int, flags: list[str], begun: str) -> None:
    arguments = write_training(tmp_path, num_epochs=100_000)
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    training = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "tiny_training.py"), *arguments, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "TMPDIR": str(scratch),
            "RAY_TMPDIR": "/tmp",  # its sockets have short names
        },
        start_new_session=True,
    )
    try:
        wait_until(lambda: bool(list(out.glob(begun))) or training.poll() is not None, what=begun, timeout_seconds=250)
        if sent == signal.SIGINT:
            os.killpg(training.pid, sent)  # as a terminal does it: Ray's processes hear it too
        else:
            training.send_signal(sent)
        stdout, stderr = training.communicate(timeout=120)
    finally:
        if training.poll() is None:
            os.killpg(training.pid, signal.SIGKILL)
            training.communicate()
    assert training.returncode == 130, stderr
    (last,) = [line for line in stderr.splitlines() if " ERROR " in line]
    assert last.endswith("interrupted; run the same command again to resume, finished work is kept")
    assert not [word for word in ("Traceback", "logging.cc", "SIGTERM", "SIGINT", "Ray") if word in stderr], stderr
    assert stdout == ""
    assert not (out / "models").exists()
    assert list(scratch.glob("choreai-*")) == []
