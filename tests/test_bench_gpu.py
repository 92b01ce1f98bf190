"""`make bench-gpu` on the CPU with small sizes: on the day a GPU is there, nothing is new but the figures."""

import json
import subprocess
import sys
from pathlib import Path

ALONE = """
import os, runpy, sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"ray", "boto3", "duckdb", "psutil", "onnxruntime", "mediapipe", "obstore", "rich"}:
            raise ImportError(f"{name} is not on a bare image with CUDA")
sys.meta_path.insert(0, Refused())
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_benchmark_of_a_gpu_runs_where_there_is_little_but_pytorch(tmp_path: Path) -> None:
    script, figures = Path(__file__).parent / "bench_gpu.py", tmp_path / "gpu.json"
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(script), "--small", "--json", str(figures)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(figures.read_text())
    assert {"FastPose fp32, batch 2", "file to poses, fp32", "decoding on the CPU"} <= set(found)
    assert all(value > 0 for name, value in found.items() if isinstance(value, float) and "off fp32" not in name)
    assert "done in" in done.stdout
