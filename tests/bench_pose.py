"""Top-down pose estimation as ratios against plain ways of doing it, and on a GPU its absolute speed.

    python tests/bench_pose.py

The network is FastPose with random weights: speed does not depend on them. The detector is YOLOX-nano on a real clip
where ../shared has them, else made-up boxes on a made-up dance. On a CPU times are process time on one thread, which
other jobs on the machine disturb little.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import people_pictures
import torch
from bench_pose_file import bench_file
from ceilings import Engine, detect_and_pose_only, ready_crops
from opencv_crops import crop_people_with_opencv
from ratios import Ratios
from torch import nn

from choreai.cluster.limits import WORKER_ENVIRONMENT
from choreai.demo.dancers import write_clip
from choreai.errors import ConfigError
from choreai.pose import topdown
from choreai.pose.alphapose.architecture import PoseArchitecture
from choreai.pose.alphapose.checkpoint import PoseNetwork, build_network
from choreai.pose.alphapose.crop_network import AlphaPoseNetwork, Precision
from choreai.pose.alphapose.onnx_export import export_onnx
from choreai.pose.crop_keypoints import CropPoseNetwork
from choreai.pose.crops import ALPHAPOSE_CROPS, pad_boxes
from choreai.pose.detectors.detector import Boxes, PersonDetector
from choreai.pose.detectors.onnx_detector import load_onnx_detector
from choreai.pose.heatmaps import decode_heatmaps, decoding_for
from choreai.pose.nms import HEATMAP_CONSTANTS, pose_nms
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.onnx_session import OnnxNetwork
from choreai.pose.pipeline import estimate_and_track
from choreai.pose.quantize import RECIPES, Quantizer
from choreai.pose.settings import PoseSettings
from choreai.pose.topdown import TopDownEstimator
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame

FASTPOSE = PoseArchitecture("FastPose", 17, 50, conv_dim=128)
CPU_FILE = Path("/proc/cpuinfo")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
FASTPOSE_GFLOP = 11.77
CPU_BATCH, GPU_BATCHES = 8, (1, 2, 4, 8, 16, 32, 64, 128, 256)
PLAIN_BATCHES = (1, 2, CPU_BATCH, 16)
NUM_FRAMES = 16 if DEVICE.type == "cpu" else 1024
SAMPLES_PER_SECOND = PoseSettings().frames_per_second
MEMORY, MEMORY_FRAMES = "memory", 240
VARIANTS: tuple[tuple[str, Precision, bool, float], ...] = (
    ("fp32", "fp32", False, 1.5),
    ("bf16", "bf16", False, 2.5),
    ("fp32, compiled", "fp32", True, 1.5),
    ("bf16, compiled", "bf16", True, 2.5),
)
"""Name, precision, whether compiled, and what is wanted beside plain eager at its best batch."""
CPU_FLAGS = frozenset(CPU_FILE.read_text().split()) if CPU_FILE.exists() else frozenset()
HAS_AMX, HAS_VNNI = "amx_bf16" in CPU_FLAGS, bool(CPU_FLAGS & {"avx512_vnni", "avx_vnni"})
SLOW_BF16 = 0.5
"""Wanted of bf16 on a CPU without AMX, where oneDNN converts to and fro: slower than fp32."""
ONNX_WANTED, INT8_WANTED = 1.1, 3.0 if HAS_VNNI else 1.5
PATH_GOALS: tuple[tuple[Precision, float], ...] = (("fp32", 1.3), ("bf16", 1.5))
REAL_CLIP = people_pictures.SHARED / "data" / "videos" / "tjysdsg_demo.mp4"


def is_slow(precision: Precision) -> bool:
    """Return whether this processor is slower in a precision than in fp32, so that nobody will use it here."""
    return precision == "bf16" and DEVICE.type == "cpu" and not HAS_AMX


def seconds_of(work: Callable[[], object], *, repeats: int = 1) -> float:
    """The best of several, after one unmeasured."""
    clock = time.perf_counter if DEVICE.type == "cuda" else time.process_time
    if repeats > 1:
        work()
    best = float("inf")
    for _ in range(repeats):
        synchronize()
        started = clock()
        work()
        synchronize()
        best = min(best, clock() - started)
    return best


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def random_fastpose() -> PoseNetwork:
    torch.manual_seed(0)
    module = build_network(FASTPOSE).requires_grad_(False).eval()
    return PoseNetwork(module, FASTPOSE, "MSELoss", "0" * 64)


def network_of(network: PoseNetwork, precision: Precision, *, largest: int, compiled: bool = False) -> AlphaPoseNetwork:
    fast = AlphaPoseNetwork(network, device=DEVICE, largest_batch=largest, precision=precision, compiled=compiled)
    fast._comparison = None  # random weights find nobody to compare
    return fast


class MadeUpBoxes:
    """Two people in every picture."""

    batch_size = 64

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"detector": "made up"}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        boxes = np.array([[100, 60, 260, 340], [330, 40, 520, 350]], np.float32)
        return [Boxes(boxes, np.array([0.9, 0.8], np.float32)) for _ in images]


def detector_at_hand() -> PersonDetector:
    if people_pictures.YOLOX_NANO.exists():
        return load_onnx_detector(people_pictures.YOLOX_NANO, num_threads=1)
    return MadeUpBoxes()


def frames_of(folder: Path, *, num_frames: int) -> list[Frame]:
    """Frames of the clip, over and over, with times that go on."""
    clip = REAL_CLIP
    if not clip.exists():
        clip = folder / "dance.mp4"
        write_clip(clip, style="hiphop", seed=0, duration_seconds=4.0, frames_per_second=8)
    with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
        images = [frame.image for frame in islice(reader.sample(frames_per_second=2.0), 32)]
    return [
        Frame(image, number, number / SAMPLES_PER_SECOND)
        for number, image in zip(range(num_frames), cycle(images), strict=False)
    ]


# ---------------------------------------------------------------- the network alone


def bench_network_on_cpu(network: PoseNetwork, ratios: Ratios) -> None:
    """Against the plain network at the batches that AlphaPose gives it: a frame's people, at most its --posebatch."""
    crops = torch.randn(64, 3, 256, 192)

    def per_crop(run: Callable[[torch.Tensor], object], batch: int) -> float:
        return seconds_of(lambda: run(crops[:batch]), repeats=3) / batch

    product = product_gflops()
    print(f"a plain matrix product reaches {product:.0f} GFLOP/s on this core, which would be a crop in "
          f"{1000 * FASTPOSE_GFLOP / product:.0f} ms: FastPose takes {FASTPOSE_GFLOP} GFLOP")  # fmt: skip
    with torch.inference_mode():
        plain = {batch: per_crop(network.module, batch) for batch in PLAIN_BATCHES}
    for batch, seconds in plain.items():
        print(f"FastPose, plain eager, batch {batch:<3} {1000 * seconds:8.1f} ms a crop")
    best_plain = min(plain, key=plain.__getitem__)

    def measure_beside_eager(name: str, run: Callable[[torch.Tensor], object], wanted: float) -> None:
        ours: list[float] = []

        def measure_ours() -> float:
            ours.append(per_crop(run, CPU_BATCH))
            return ours[-1]

        with torch.inference_mode():
            ratios.measure(
                f"FastPose, {name}",
                measure_ours,
                lambda: per_crop(network.module, best_plain),
                wanted=wanted,
                of=f"eager, batch {best_plain}",
            )
        print_roofline(statistics.median(ours), product)

    for name, precision, compiled, wanted in VARIANTS:
        if compiled and is_slow(precision):
            continue
        fast = network_of(network, precision, largest=CPU_BATCH, compiled=compiled)
        try:
            fast.find_keypoints(crops[:CPU_BATCH])
        except ConfigError as exc:
            print(f"FastPose, {name:<22} not measured: {exc}")
            continue
        wanted = wanted if precision == "fp32" or HAS_AMX else SLOW_BF16
        measure_beside_eager(name, fast.find_keypoints, wanted)
    for name, model, wanted in onnx_variants(network, crops):
        session = OnnxPose(model, preprocessing="alphapose", num_threads=1)
        measure_beside_eager(name, session.find_keypoints, wanted)


def onnx_variants(network: PoseNetwork, crops: torch.Tensor) -> Iterator[tuple[str, bytes, float]]:
    """The network as .onnx, in float32 and in int8."""
    model = export_onnx(network)
    yield "onnxruntime, fp32", model, ONNX_WANTED
    quantizer = Quantizer(model, OnnxNetwork(model, num_threads=1), [crop[None].numpy() for crop in crops[:4]])
    yield "onnxruntime, int8", quantizer.quantize(RECIPES[1]), INT8_WANTED


def product_gflops() -> float:
    """What a plain matrix product reaches, which no direct convolution exceeds."""
    matrix = torch.randn(2048, 2048)
    return 2 * 2048**3 / seconds_of(lambda: matrix @ matrix, repeats=5) / 1e9


def print_roofline(seconds: float, product: float) -> None:
    reached = FASTPOSE_GFLOP / seconds
    print(f"{'':32} {1000 * seconds:8.1f} ms a crop: {reached:.0f} GFLOP/s of direct convolutions, "
          f"{reached / product:.2f} of the matrix product's")  # fmt: skip


def bench_network_on_gpu(network: PoseNetwork) -> None:
    for precision in ("fp32", "bf16", "fp16"):
        fast = network_of(network, precision, largest=GPU_BATCHES[-1])
        for batch in GPU_BATCHES:
            crops = torch.randn(batch, 3, 256, 192, device=DEVICE)
            seconds = seconds_of(partial(fast.find_keypoints, crops), repeats=10)
            print(f"FastPose, {precision}, batch {batch:<4}       {batch / seconds:10.0f} crops/s")


# ---------------------------------------------------------------- the whole path


def plain_loop(frames: Sequence[Frame], detector: PersonDetector, module: nn.Module) -> int:
    """Frame by frame: detect, crop with OpenCV, one batch of the frame's people, decode, suppress."""
    module = module.to(DEVICE)
    decoding, num_people = decoding_for(17, "MSELoss"), 0
    for frame in frames:
        (boxes,) = detector.detect([torch.from_numpy(frame.image)])
        if not len(boxes):
            continue
        padded = pad_boxes(boxes.box_xyxy, ALPHAPOSE_CROPS)
        crops = crop_people_with_opencv(frame.image, padded, ALPHAPOSE_CROPS)
        with torch.inference_mode():
            heatmaps = module(crops.to(DEVICE)).cpu()
        found = decode_heatmaps(heatmaps, padded, decoding=decoding)
        pose_nms(boxes.box_xyxy, found.xy.numpy(), found.scores.numpy(), constants=HEATMAP_CONSTANTS)
        num_people += len(boxes)
    return num_people


def our_path(frames: Sequence[Frame], detector: PersonDetector, network: CropPoseNetwork) -> None:
    is_gpu = DEVICE.type == "cuda"
    estimator = TopDownEstimator(
        detector,
        network,
        constants=HEATMAP_CONSTANTS,
        device=DEVICE,
        frame_batch=64 if is_gpu else 8,
        crop_batch=256 if is_gpu else CPU_BATCH,
    )
    for _ in estimate_and_track(frames, estimator):
        pass


def bench_path(network: PoseNetwork, folder: Path, ratios: Ratios) -> None:
    frames, detector = frames_of(folder, num_frames=NUM_FRAMES), detector_at_hand()
    num_people = plain_loop(frames[:8], detector, network.module)
    print(f"clip of {frames[0].image.shape[1]}x{frames[0].image.shape[0]}, {num_people / 8:.1f} people a frame")
    for precision, wanted in PATH_GOALS:
        if is_slow(precision):  # the network alone says by how much
            continue
        fast = network_of(network, precision, largest=GPU_BATCHES[-1])
        our_path(frames[:8], detector, fast)
        ratios.measure(
            f"top-down, {precision}",
            partial(seconds_of, partial(our_path, frames, detector, fast)),
            lambda: seconds_of(lambda: plain_loop(frames, detector, network.module)),
            wanted=wanted,
            of="loop over frames",
        )
        bench_light(frames, detector, fast, precision, ratios)
        with _Stages() as stages:
            seconds = seconds_of(partial(our_path, frames, detector, fast))
        print(f"                                 {NUM_FRAMES / seconds:8.2f} frames/s: {stages.shares(seconds)}")


def bench_light(
    frames: Sequence[Frame], detector: PersonDetector, fast: AlphaPoseNetwork, precision: Precision, ratios: Ratios
) -> None:
    """The path beside its detector alone and its pose network alone, which take turns on one core."""
    crops, engines = ready_crops(frames, detector), list[Engine]()

    def engine() -> float:
        engines.append(detect_and_pose_only(frames, crops, detector, fast, crop_batch=CPU_BATCH, seconds_of=seconds_of))
        return engines[-1].total

    path = partial(seconds_of, partial(our_path, frames, detector, fast))
    ratios.measure(f"speed of light, {precision}", path, engine, wanted=0.9, of="bare engine")
    best = min(engines, key=lambda each: each.total)
    alone = best.ceilings(len(frames) / SAMPLES_PER_SECOND)
    print(f"                                 s of video a second: alone {alone}")


class _Stages:
    """Where time goes, stage by stage, each waiting for the GPU to finish: shares, not speed."""

    def __enter__(self) -> "_Stages":
        self.seconds: dict[str, float] = {}
        self._originals = topdown.crop_people, topdown.pose_nms
        topdown.crop_people = self._timed("crop", topdown.crop_people)
        topdown.pose_nms = self._timed("suppress", topdown.pose_nms)
        self._find = AlphaPoseNetwork.find_keypoints
        AlphaPoseNetwork.find_keypoints = self._timed("pose", AlphaPoseNetwork.find_keypoints)  # type: ignore[method-assign]
        return self

    def __exit__(self, *failure: object) -> None:
        topdown.crop_people, topdown.pose_nms = self._originals
        AlphaPoseNetwork.find_keypoints = self._find  # type: ignore[method-assign]

    def _timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: object, **options: Any) -> object:
            synchronize()
            started = time.perf_counter()
            result = work(*args, **options)
            synchronize()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
            return result

        return timed

    def shares(self, total: float) -> str:
        rest = {"detect and rest": total - sum(self.seconds.values())}
        return ", ".join(f"{stage} {100 * spent / total:.0f} %" for stage, spent in (self.seconds | rest).items())


# ---------------------------------------------------------------- memory


def bench_memory() -> None:
    """Resident memory of a long video: it may not grow with its length."""
    import psutil

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as folder:
        frames, process = frames_of(Path(folder), num_frames=32), psutil.Process()

    def for_ever() -> Iterator[Frame]:
        for number, frame in enumerate(islice(cycle(frames), MEMORY_FRAMES)):
            yield Frame(frame.image.copy(), number, number / SAMPLES_PER_SECOND)

    fast = network_of(random_fastpose(), "bf16" if HAS_AMX else "fp32", largest=CPU_BATCH)
    estimator = TopDownEstimator(
        detector_at_hand(), fast, constants=HEATMAP_CONSTANTS, device=DEVICE, frame_batch=8, crop_batch=CPU_BATCH
    )
    levels = [process.memory_info().rss for _ in estimate_and_track(for_ever(), estimator)]
    late = np.array(levels[MEMORY_FRAMES // 2 :]) / 2**20
    (slope, _), spread = np.polyfit(np.arange(len(late)) / (SAMPLES_PER_SECOND * 3600), late, 1, cov=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"memory over {MEMORY_FRAMES} frames         {late.max():8.0f} MiB, in the second half {np.ptp(late):.0f} MiB "
        f"up and down, {slope:+.0f} ± {2 * spread[0, 0] ** 0.5:.0f} MiB an hour of video (peak {peak:.0f} MiB)"
    )


def bench_all(ratios: Ratios) -> None:
    """Measure memory, the whole path and the network alone."""
    # A process of its own, set up as a worker: the allocator reads its settings when it starts, and without them
    # keeps freed frames for every thread.
    subprocess.run([sys.executable, __file__, MEMORY], env={**os.environ, **WORKER_ENVIRONMENT}, check=True)
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)
    print(
        f"on {torch.cuda.get_device_name() if DEVICE.type == 'cuda' else 'one CPU thread'}, PyTorch {torch.__version__}"
    )
    network = random_fastpose()
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as name:
        bench_path(network, Path(name), ratios)
        if DEVICE.type == "cpu":
            bench_file(ratios)
        if DEVICE.type == "cuda":
            bench_network_on_gpu(network)
        else:
            bench_network_on_cpu(network, ratios)


def main() -> int:
    ratios = Ratios()
    bench_all(ratios)
    return ratios.exit_code()


if __name__ == "__main__":
    if sys.argv[1:] == [MEMORY]:
        bench_memory()
    else:
        sys.exit(main())
