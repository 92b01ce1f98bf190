"""What one GPU does, in eight minutes: `make bench-gpu`, or `python tests/bench_gpu.py --json gpu.json`.

Needs PyTorch, NumPy, OpenCV, PyArrow and PyAV, nothing else of choreai's: a bare image with CUDA will do. It makes its
own clips (1080p, H.264), and its networks have random weights, on which speed does not depend: YOLOX-X looks at every
frame and finds nobody, four made-up people are then cropped from each. Without a GPU the same runs on the CPU;
`--small` is for the test suite, so that on the day a GPU is there nothing is new but the figures.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from bench_pose import _Stages, network_of, random_fastpose, seconds_of, synchronize

from choreai.pose.alphapose.crop_network import AlphaPoseNetwork, Precision
from choreai.pose.detectors.detector import Boxes, PersonDetector
from choreai.pose.detectors.yolox import load_yolox
from choreai.pose.detectors.yolox_network import SIZES, Yolox, YoloxName
from choreai.pose.nms import HEATMAP_CONSTANTS
from choreai.pose.pipeline import estimate_and_track
from choreai.pose.settings import PoseSettings
from choreai.pose.topdown import TopDownEstimator
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
PEOPLE = 4
RATE = PoseSettings().frames_per_second


@dataclass(frozen=True)
class Size:
    """How much of everything; minutes on a GPU, seconds in the suite."""

    width: int = 1920
    height: int = 1080
    clip_seconds: float = 60.0
    precisions: tuple[Precision, ...] = PRECISIONS
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    detector: YoloxName = "x"
    detector_input: int = 640
    frame_batch: int = 32
    memory_seconds: float = 60.0
    repeats: int = 5


SMALL = Size(320, 180, 0.2, ("fp32", "bf16"), (1, 2), "nano", 96, 4, 0.2, 0)
LARGE = Size()


@dataclass
class Results:
    """Figures by name, printed as they come."""

    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: float | str | None, unit: str = "") -> None:
        self.figures[name] = value
        shown = value if isinstance(value, str) else "not measured" if value is None else f"{value:,.2f} {unit}"
        print(f"{name:52} {shown}", flush=True)


class Busy:
    """The share of time in which the GPU had a kernel running, as its driver samples it (nvidia-smi)."""

    def __enter__(self) -> "Busy":
        self._samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if DEVICE.type == "cuda":
            self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        if DEVICE.type == "cuda":
            self._thread.join(timeout=10)

    def _watch(self) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._over.wait(0.2):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                self._samples.append(float(done.stdout.splitlines()[0]))

    @property
    def percent(self) -> float | None:
        return float(np.mean(self._samples)) if self._samples else None


class Networks:
    """FastPose with random weights in each precision, made ready once: that takes longer than a short measurement."""

    def __init__(self, size: Size) -> None:
        self._network, self._largest = random_fastpose(), size.batches[-1]
        self._ready: dict[Precision, AlphaPoseNetwork] = {}

    def __getitem__(self, precision: Precision) -> AlphaPoseNetwork:
        if precision not in self._ready:
            self._ready[precision] = network_of(self._network, precision, largest=self._largest)
        return self._ready[precision]


class CrowdDetector:
    """Has a detector look at every frame, and then says that there are PEOPLE people side by side."""

    def __init__(self, detector: PersonDetector) -> None:
        self._detector = detector
        self.batch_size = detector.batch_size

    def settings(self) -> dict[str, str | int | float | bool]:
        return {**self._detector.settings(), "people": "made up"}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        self._detector.detect(images)
        return [self._people(image.shape[1], image.shape[0]) for image in images]

    def _people(self, width: int, height: int) -> Boxes:
        left = np.arange(PEOPLE, dtype=np.float32) * width / PEOPLE
        top, bottom = np.full(PEOPLE, 0.2 * height, np.float32), np.full(PEOPLE, 0.9 * height, np.float32)
        boxes = np.stack([left, top, left + 0.8 * width / PEOPLE, bottom], axis=1).astype(np.float32)
        return Boxes(boxes, np.full(PEOPLE, 0.9, np.float32))


def random_yolox(size: Size) -> PersonDetector:
    torch.manual_seed(0)
    file = io.BytesIO()
    torch.save(Yolox(SIZES[size.detector]).state_dict(), file)
    dtype = torch.float16 if DEVICE.type == "cuda" else torch.float32
    return load_yolox(
        file.getvalue(), device=DEVICE, dtype=dtype, input_size=size.detector_input, min_score=0.95,
        batch_size=size.frame_batch,
    )  # fmt: skip


def write_clip(path: Path, size: Size) -> None:
    """Write a clip whose every pixel moves, so that it is no easier to decode than a dance in front of a crowd."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (size.height // 8 + 64, size.width // 8 + 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        for number in range(round(30 * size.clip_seconds)):
            shift = number % 64
            picture = noise[shift : shift + size.height // 8 + 1, shift : shift + size.width // 8 + 1]
            large = picture.repeat(8, axis=0).repeat(8, axis=1)[: size.height, : size.width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(large), format="rgb24")))
        container.mux(stream.encode(None))


# ---------------------------------------------------------------- what is measured


def measure_crops(networks: Networks, size: Size, results: Results) -> None:
    """Crops a second of the pose network alone, heatmaps decoded, by precision and batch."""
    for precision in size.precisions:
        fast = networks[precision]
        for batch in size.batches:
            crops = torch.randn(batch, 3, 256, 192, device=DEVICE)
            seconds = seconds_of(partial(fast.find_keypoints, crops), repeats=size.repeats + 1)
            results.add(f"FastPose {precision}, batch {batch}", batch / seconds, "crops/s")


def measure_precision(networks: Networks, size: Size, results: Results) -> None:
    """How far lower precision moves keypoints, in crop pixels (a heatmap's pixel is 4)."""
    torch.manual_seed(1)
    crops = torch.nn.functional.interpolate(torch.rand(size.batches[-1], 3, 16, 12), (256, 192), mode="bicubic")
    crops = crops.to(DEVICE)
    exact = networks["fp32"].find_keypoints(crops)
    for precision in size.precisions[1:]:
        found = networks[precision].find_keypoints(crops)
        distance = (found.xy - exact.xy).norm(dim=-1).flatten()
        results.add(f"keypoints of {precision} off fp32, median", float(distance.median()), "crop pixels")
        results.add(
            f"keypoints of {precision} off fp32, above 4 pixels", 100 * float((distance > 4).float().mean()), "%"
        )


def measure_decoding(clip: Path, size: Size, results: Results) -> None:
    """Frames a second that the CPU's decoder, and the GPU's, get out of the clip."""

    def on_cpu() -> None:
        with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
            for _ in reader.sample(frames_per_second=RATE):
                pass

    num_frames = 30 * size.clip_seconds
    results.add("decoding on the CPU", num_frames / seconds_of(on_cpu), "frames/s")
    results.add("decoding on the GPU (NVDEC, by PyAV)", *_on_nvdec(clip, num_frames))


def _on_nvdec(clip: Path, num_frames: float) -> tuple[float | str, str]:
    if DEVICE.type != "cuda":
        return "not measured: there is no GPU", ""
    try:
        from av.codec.hwaccel import HWAccel

        started = time.perf_counter()
        with av.open(str(clip), hwaccel=HWAccel(device_type="cuda", allow_software_fallback=False)) as container:
            decoded = sum(1 for _ in container.decode(video=0))
        return decoded / (time.perf_counter() - started), "frames/s"
    except (ImportError, OSError, RuntimeError, ValueError, NotImplementedError) as exc:
        return f"not measured: {type(exc).__name__}: {exc}", ""


def measure_path(networks: Networks, clip: Path, size: Size, results: Results) -> None:
    """Frames a second from the file to tracked poses, where the time goes, and how busy the GPU is."""
    detector = CrowdDetector(random_yolox(size))

    def run(fast: AlphaPoseNetwork) -> int:
        with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
            return sum(1 for _ in estimate_and_track(reader.sample(frames_per_second=RATE), estimator_of(fast)))

    def estimator_of(fast: AlphaPoseNetwork) -> TopDownEstimator:
        return TopDownEstimator(
            detector, fast, constants=HEATMAP_CONSTANTS, device=DEVICE, frame_batch=size.frame_batch,
            crop_batch=size.batches[-1],
        )  # fmt: skip

    for precision in ("fp32", "fp16") if DEVICE.type == "cuda" else ("fp32",):
        fast = networks[precision]
        run(fast)
        with Busy() as busy:
            started = time.perf_counter()
            num_frames = run(fast)
            synchronize()
            seconds = time.perf_counter() - started
        results.add(f"file to poses, {precision}", num_frames / seconds, f"frames/s of {PEOPLE} people")
        results.add(f"file to poses, {precision}: of the clip's own time", size.clip_seconds / seconds, "x")
        results.add(f"file to poses, {precision}: GPU busy", busy.percent, "%")
        with _Stages() as stages:
            started = time.perf_counter()
            run(fast)
            total = time.perf_counter() - started
        results.add(f"file to poses, {precision}: shares", stages.shares(total))


def measure_memory(networks: Networks, clip: Path, size: Size, results: Results) -> None:
    """Memory of the device in the first and the last third of a long run."""
    fast = networks["fp16" if DEVICE.type == "cuda" else "fp32"]
    estimator = TopDownEstimator(
        CrowdDetector(random_yolox(size)), fast, constants=HEATMAP_CONSTANTS, device=DEVICE,
        frame_batch=size.frame_batch, crop_batch=size.batches[-1],
    )  # fmt: skip
    with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
        images = [frame.image for frame in islice(reader.sample(frames_per_second=RATE), size.frame_batch)]
    deadline = time.monotonic() + size.memory_seconds

    def frames() -> Iterator[Frame]:
        for number in count():
            if time.monotonic() > deadline:
                return
            yield Frame(images[number % len(images)], number, number / RATE)

    levels = [_device_bytes() for _ in estimate_and_track(frames(), estimator)]
    third = max(1, len(levels) // 3)
    results.add("memory, first third of a long run", max(levels[:third]) / 2**20, "MiB")
    results.add("memory, last third of a long run", max(levels[-third:]) / 2**20, "MiB")
    results.add("frames of that run", len(levels), "")


def _device_bytes() -> int:
    if DEVICE.type == "cuda":
        return int(torch.cuda.memory_reserved())
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(size: Size) -> dict[str, Any]:
    """Measure everything and return the figures by name."""
    results = Results()
    results.add("device", torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU, one thread")
    results.add("PyTorch", torch.__version__)
    networks = Networks(size)
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as name:
        clip = Path(name, "clip.mp4")
        write_clip(clip, size)
        results.add(
            "clip", f"{size.width}x{size.height} H.264, {size.clip_seconds:g} s, {clip.stat().st_size / 1e6:.1f} MB"
        )
        measure_decoding(clip, size, results)
        measure_crops(networks, size, results)
        measure_precision(networks, size, results)
        measure_path(networks, clip, size, results)
        measure_memory(networks, clip, size, results)
    return results.figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="seconds, not minutes: to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)
        print("there is no GPU here: everything runs on the CPU")
    started = time.monotonic()
    figures = measure(SMALL if arguments.small else LARGE)
    print(f"done in {time.monotonic() - started:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
