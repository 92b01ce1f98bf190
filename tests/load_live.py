"""Load on the live WebSocket: so many viewers dance for so long; prints what delay and rate each got.

    python tests/load_live.py http://localhost:8000 --viewers 4 --seconds 20 CLIP.mp4

Each viewer does what the page does: ten pictures a second, the next one when the last has been answered.
"""

import argparse
import asyncio
import io
import json
import os
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import websockets
from PIL import Image

from choreai.video.decode import VideoReader

MAX_SIDE = 640


@dataclass
class Seen:
    """What one viewer saw."""

    delays_ms: list[float] = field(default_factory=list)
    num_people: list[int] = field(default_factory=list)
    styles: list[str | None] = field(default_factory=list)
    told_rate: float = 0.0
    dropped: int = 0
    problem: str | None = None


def pictures_of(clip: Path, *, frames_per_second: float) -> list[bytes]:
    """A clip's frames as the page sends them: JPEG, 640 pixels at most."""
    pictures = []
    with clip.open("rb") as file, VideoReader(file, uri=clip.name) as reader:
        for frame in reader.sample(frames_per_second=frames_per_second):
            image = Image.fromarray(frame.image)
            image.thumbnail((MAX_SIDE, MAX_SIDE))
            target = io.BytesIO()
            image.save(target, "JPEG", quality=80)
            pictures.append(target.getvalue())
    return pictures


async def watch(url: str, pictures: list[bytes], *, seconds: float, token: str | None = None) -> Seen:
    """One viewer's `seconds`."""
    seen = Seen()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with websockets.connect(url, additional_headers=headers, compression=None) as socket:
        welcome = json.loads(await socket.recv())
        if welcome["type"] == "problem":
            seen.problem = welcome["detail"]
            return seen
        interval = 1 / welcome["frames_per_second"]
        started = time.perf_counter()
        number = 0
        while (now := time.perf_counter()) - started < seconds:
            await socket.send(struct.pack("<d", 1000 * now) + pictures[number % len(pictures)])
            while (message := json.loads(await socket.recv()))["type"] != "pose":
                if message["type"] == "problem":
                    seen.problem = message["detail"]
                    return seen
                if message["type"] == "style":
                    seen.styles.append(message["style"])
            seen.delays_ms.append(1000 * (time.perf_counter() - now))
            seen.num_people.append(len(message["people"]))
            seen.told_rate, seen.dropped = message["frames_per_second"], message["dropped"]
            number += 1
            await asyncio.sleep(max(0.0, interval - (time.perf_counter() - now)))
    return seen


async def watch_all(url: str, pictures: list[bytes], *, viewers: int, seconds: float, token: str | None) -> list[Seen]:
    return await asyncio.gather(*(watch(url, pictures, seconds=seconds, token=token) for _ in range(viewers)))


def describe(number: int, seen: Seen, seconds: float) -> str:
    if seen.problem:
        return f"viewer {number}: {seen.problem}"
    late = np.array(seen.delays_ms[len(seen.delays_ms) // 2 :])
    median, p95 = np.percentile(seen.delays_ms, [50, 95])
    return (
        f"viewer {number}: delay median {median:.0f} ms, 95% {p95:.0f} ms, "
        f"second half's median {np.median(late):.0f} ms; "
        f"{len(seen.delays_ms) / seconds:.1f} pictures/s (told {seen.told_rate}), {seen.dropped} dropped, "
        f"somebody in {np.mean(np.array(seen.num_people) > 0):.0%}, {len(seen.styles)} verdicts"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    pictures = pictures_of(arguments.clip, frames_per_second=10)
    url = arguments.server.replace("http", "ws", 1) + "/v1/live"
    work = watch_all(
        url,
        pictures,
        viewers=arguments.viewers,
        seconds=arguments.seconds,
        token=os.environ.get("CHOREAI_WEB_TOKEN"),
    )
    for number, seen in enumerate(asyncio.run(work)):
        print(describe(number, seen, arguments.seconds))


if __name__ == "__main__":
    main()
