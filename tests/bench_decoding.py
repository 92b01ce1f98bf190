"""Process time of decoding a frame on one core, by codec and size: the table that `choreai plan` assumes.

    python tests/bench_decoding.py [CLIP]

The pictures are those of CLIP, by default of a real dance clip of 1080p where ../shared has it, else of a made-up one.
They are fitted into each size and encoded at each encoder's own idea of good quality. Every frame is decoded, 15 a
second are turned into RGB, as in a job.
"""

import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import people_pictures

from choreai.arrays import ImageArray
from choreai.demo.dancers import write_clip
from choreai.pose.settings import PoseSettings
from choreai.video.decode import VideoReader

REAL_CLIP = people_pictures.SHARED / "data" / "videos" / "serbian_cucanj1.mp4"
ENCODERS = {
    "h264": ("libx264", {"preset": "veryfast", "crf": "23"}),
    "hevc": ("libx265", {"preset": "ultrafast", "crf": "28", "x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {"crf": "33", "b": "0", "cpu-used": "8", "deadline": "realtime"}),
    "av1": ("libsvtav1", {"crf": "35", "preset": "12"}),
}
LINES = (360, 480, 720, 1080, 2160)
NUM_FRAMES = 40
REPEATS = 3


def read_pictures(clip: Path) -> list[ImageArray]:
    with clip.open("rb") as file, VideoReader(file, uri=clip.name) as reader:
        return [frame.image for frame in islice(reader.frames(), NUM_FRAMES)]


def encode(path: Path, pictures: list[ImageArray], codec: str, lines: int) -> None:
    encoder, options = ENCODERS[codec]
    height, width = pictures[0].shape[:2]
    size = (round(width * lines / min(width, height) / 2) * 2, round(height * lines / min(width, height) / 2) * 2)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(encoder, rate=30, options=options)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for picture in pictures:
            fitted = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(fitted, format="rgb24")))
        container.mux(stream.encode(None))


def milliseconds_a_frame(path: Path) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        started = time.process_time()
        with path.open("rb") as file, VideoReader(file, uri=path.name) as reader:
            for _ in reader.sample(frames_per_second=PoseSettings().frames_per_second):
                pass
        best = min(best, time.process_time() - started)
    return 1000 * best / reader.num_frames_decoded


def main() -> None:
    av.logging.set_level(av.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as name:
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else REAL_CLIP
        if not clip.exists():
            clip = Path(name, "made-up.mp4")
            write_clip(clip, style="hiphop", seed=0, duration_seconds=2.0, frames_per_second=30)
        pictures = read_pictures(clip)
        print(f"{clip.name}, {len(pictures)} frames, milliseconds a frame\ncodec  " + "".join(f"{n:>8}" for n in LINES))
        for codec in ENCODERS:
            row = []
            for lines in LINES:
                path = Path(name, f"{codec}-{lines}.mp4")
                encode(path, pictures, codec, lines)
                row.append(milliseconds_a_frame(path))
            print(f"{codec:7}" + "".join(f"{value:8.2f}" for value in row), flush=True)


if __name__ == "__main__":
    main()
