"""Scrambled files, expressions, settings and requests: `make fuzz`, or `python tests/fuzz.py --minutes 10 [--seed 7]`.

Each target reads something that a stranger may have written. An error of ours is an answer; anything else (a traceback,
a hang, a crash of the process, a 500) is a finding: the input is kept and named, and the exit code is 1. A finding
becomes a test when it is mended.
"""

import argparse
import json
import logging
import random
import socket
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from arms_model import arms_model
from catalog_tables import write_catalog_tables
from clips import numbered, write_clip
from tag_rows import tag_row, video_row
from web_server import running_server

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.config import ExtractConfig, load_config
from choreai.errors import ChoreaiError
from choreai.formats.alphapose_json import read_alphapose_json
from choreai.formats.mot import read_mot
from choreai.search.condition import compile_expression
from choreai.search.corrections import import_corrections
from choreai.search.search import COLUMNS
from choreai.style.model import load_model, save_model
from choreai.tables import schemas
from choreai.tables.keypoints import read_contents
from choreai.tables.parts import read_part
from choreai.tables.runs import RunManifest, read_runs
from choreai.video.decode import VideoReader
from choreai.web.pose_sessions import decode_picture

MAX_SECONDS = 20.0
"""One input that takes longer is a finding."""
WORDS = [
    b"", b"\0", b"\n", b"\r", b"\r\n", b"\t", b",", b";", b'"', b"'", b"{", b"}", b"[", b"]", b":", b"null", b"NaN",
    b"1e999", b"-1", b"0", b"9" * 30, b"9" * 5000, b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe",
    b"../", b"s3://", b"file:///", b"https://u:p@h/", b"?sig=x", b"%00", b"true", b"(", b")", b" and ", b" or ",
    b" not ", b" in ", b"=", b"<",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"HTTP/1.1", b"*", b"[" * 200,
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Something that reads strangers' bytes: seeds to scramble, and what reads them."""

    name: str
    seeds: list[bytes]
    read: Callable[[bytes], object]


def scrambled(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with some bytes changed, cut, doubled or replaced by telling words."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(data) + 1)
        until = min(len(data), at + rng.choice([0, 1, 4, 30, 500]))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] = rng.randrange(256)
        elif kind == 1:
            data[at:until] = rng.choice(WORDS)
        elif kind == 2:
            data[at:until] = rng.randbytes(until - at)
        elif kind == 3:
            data[at:until] = data[at:until] * rng.choice([2, 3, 50])
        elif kind == 4:
            del data[at:until]
        else:
            data[at:until] = bytes(until - at)
    return bytes(data[: 1 << 20])


def reader_of(folder: Path, name: str, read: Callable[[str], object]) -> Callable[[bytes], object]:
    """What writes the bytes to a file of this name and has `read` read it."""

    def write_and_read(data: bytes) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(str(path))

    return write_and_read


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def read_video(path: str) -> None:
    with open(path, "rb") as file, VideoReader(file, uri="x") as reader:
        for count, _ in enumerate(reader.sample(frames_per_second=5)):
            if count > 50:
                return


def targets(folder: Path) -> Iterator[Target]:
    catalog = b'video_id,uri,label,group\n1,a.mp4,house,x\n"2",s3://b/c d.mp4,"a, b",\n3,/c.mp4,,\n'
    rows = b'{"video_id": "1", "uri": "a.mp4"}\n{"video_id": 2, "uri": "s3://b/c.mp4", "label": null}\n'

    def read(path: str) -> object:
        return with_content_ids(read_catalog(path), allowed_roots=[str(folder)])

    yield Target("CSV catalog", [catalog, catalog.decode().encode("utf-16")], reader_of(folder, "c.csv", read))
    yield Target("JSONL catalog", [rows], reader_of(folder, "c.jsonl", read))
    table = pa.table({"video_id": ["1", "2"], "uri": ["a.mp4", "b.mp4"], "label": ["x", None]})
    yield Target("Parquet catalog", [parquet(table)], reader_of(folder, "c.parquet", read))
    job = b'catalog = "c.csv"\noutput = "out"\n[pose]\nframes_per_second = 5.0\n[workers]\nnum_cpus = 1.5\n'
    yield Target("settings", [job], reader_of(folder, "job.toml", lambda path: load_config(ExtractConfig, path, {})))
    searches = [b"style = hiphop and score > 0.8 or (tempo in (1, 2) and not unknown)", b"tagged_at > 2026-11-01T06:00"]
    yield Target(
        "expression", searches, lambda data: compile_expression(data.decode(errors="surrogateescape"), COLUMNS)
    )
    for name, schema, row in (("tags", schemas.TAGS, tag_row("v")), ("videos", schemas.VIDEOS, video_row("v"))):
        part = parquet(pa.Table.from_pylist([row] * 20, schema=schema))
        read_rows = reader_of(folder, f"{name}/v/part-0.parquet", partial(read_part, expected=schema))
        yield Target(f"{name} part", [part], read_rows)
    yield Target("keypoints part", [_keypoints()], reader_of(
        folder, "keypoints/v/part-0.parquet", lambda path: list(read_contents(path))
    ))  # fmt: skip
    yield from _documents(folder)
    clip = write_clip(folder / "clip.mp4", num_frames=20, paint=numbered).read_bytes()
    yield Target("video", [clip, write_clip(folder / "c.mkv", num_frames=9).read_bytes()],
                 reader_of(folder, "v.mp4", read_video))  # fmt: skip
    from page_attacks import many_scans

    yield Target("live picture", [many_scans(64, 2)], decode_picture)


def _keypoints() -> bytes:
    row = {
        "video_id": "v", "content_id": "c", "frame_index": 1, "pts_seconds": 0.5, "track_id": 0, "box_xyxy": [0.0] * 4,
        "box_score": 0.5, "keypoints_xy": [1.0] * 34, "keypoint_scores": [0.5] * 17, "keypoints_xyz": None,
    }  # fmt: skip
    rows = [row | {"frame_index": number} for number in range(30)]
    return parquet(pa.Table.from_pylist(rows, schema=schemas.KEYPOINTS))


def _documents(folder: Path) -> Iterator[Target]:
    save_model(str(folder / "model"), arms_model())
    described = (folder / "model" / "model.json").read_bytes()
    read_model = reader_of(folder, "model/model.json", lambda path: load_model(str(Path(path).parent)))
    yield Target("model.json", [described], read_model)
    manifest = json.dumps(RunManifest(job="tag_catalog", run_id="r", config={}, pose_fingerprint="f").to_json())
    out = folder / "out"
    yield Target(
        "manifest", [manifest.encode()], reader_of(out, "runs/r/manifest.json", lambda _: list(read_runs(str(out))))
    )
    people = [{"image_id": "1.jpg", "category_id": 1, "keypoints": [1.0] * 51, "score": 2.5, "box": [0, 0, 9, 9]}]
    read_people = reader_of(folder, "a.json", partial(read_alphapose_json, video_id="v", frames_per_second=8.0))
    yield Target("AlphaPose JSON", [json.dumps(people).encode()], read_people)
    yield Target("MOT", [b"1,1,10,20,30,40,1,1,1\n2,1,11,20,30,40,1,1,1\n"], reader_of(folder, "gt.txt", read_mot))
    reviews = b"video_id,style,reviewer,reviewed_at\nv0,house,me,2026-11-01\n"
    yield Target("reviews", [reviews], reader_of(folder, "r.csv", partial(import_corrections, str(folder / "c"))))


class Logged(logging.Handler):
    """What the server logs as an error: a stranger must not be able to fill the log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@contextmanager
def page_target(folder: Path) -> Iterator[Target]:
    """The HTTP server on a port of this machine; every answer must be one of ours, and the server must go on."""
    output = folder / "out"
    output.mkdir(parents=True)
    write_catalog_tables(output)
    logged = Logged()
    logging.getLogger().addHandler(logged)
    many: dict[str, Any] = {"max_uploads": 200, "max_uploads_per_client": 200}
    with running_server(folder / "web", output=str(output), **many) as server:
        key = requests.get(server.url + "/v1/search", timeout=30).json()["videos"][0]["key"].encode()

        def ask(data: bytes) -> None:
            head, end, rest = data.partition(b"\r\n\r\n")
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
                client.settimeout(0.1)
                answer = b""
                with suppress(OSError):
                    client.sendall(head + end + (b"" if b"websocket" in head else rest))
                    answer = client.recv(65536)
                    if answer.startswith(b"HTTP/1.1 101"):
                        client.sendall(rest)
                        client.recv(65536)
            assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:80]
            assert not answer.startswith(b"HTTP/1.1 500"), answer[:300]
            assert not logged.messages, logged.messages.pop()  # of this request or the one before

        yield Target("HTTP", _requests(key), ask)


def _requests(key: bytes) -> list[bytes]:
    """One request of every kind."""

    def post(path: bytes, media_type: bytes, body: bytes) -> bytes:
        length = str(len(body)).encode()
        headers = b"Host: localhost\r\nContent-Type: " + media_type + b"\r\nContent-Length: " + length
        return b"POST " + path + b" HTTP/1.1\r\n" + headers + b"\r\n\r\n" + body

    video, json_type = b"/v1/catalog/" + key, b"application/json"
    frame = b"\x82\x9ec\x13\xa0Z" + bytes(30)
    return [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2,
        b'HEAD / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: "a"\r\n\r\n',
        b"GET /v1/search?q=style%20%3D%20house&limit=5 HTTP/1.1\r\nHost: localhost\r\nCookie: a=b\r\n\r\n",
        b"GET " + video + b'/media HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-9\r\nIf-Range: "a"\r\n\r\n',
        post(b"/v1/session", json_type, b'{"token":"a"}'),
        post(b"/v1/classify?name=a", b"video/mp4", b"hello"),
        post(video + b"/corrections", json_type, b'{"style":"house","reviewer":"me","is_new_style":true}'),
        post(video + b"/dancers", json_type, b'{"track_ids":[0],"reviewer":"me"}'),
        b"GET /v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + frame + frame,
    ]


def try_once(target: Target, data: bytes) -> str | None:
    """The finding, if reading `data` gave something else than a result or an error of ours."""
    started = time.monotonic()
    try:
        target.read(data)
    except ChoreaiError as exc:
        str(exc).encode("utf-8", "backslashreplace")
        if len(str(exc)) > 20_000:
            return f"a message of {len(str(exc))} characters"
    except Exception:
        return traceback.format_exc(limit=-4)
    seconds = time.monotonic() - started
    return f"took {seconds:.0f} s" if seconds > MAX_SECONDS else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="part of a target's name")
    options = parser.parse_args()
    logging.lastResort = None  # only what `Logged` hears of
    warnings.simplefilter("ignore")
    rng, tried, findings = random.Random(options.seed), Counter[str](), dict[str, str]()
    np.seterr(all="ignore")
    with tempfile.TemporaryDirectory() as name, page_target(Path(name, "web")) as page:
        chosen = [each for each in (*targets(Path(name)), page) if not options.only or options.only in each.name]
        deadline = time.monotonic() + 60 * options.minutes
        while time.monotonic() < deadline:
            for target in chosen:
                data = scrambled(rng, target.seeds)
                tried[target.name] += 1
                finding = try_once(target, data)
                if finding is not None and (key := f"{target.name}: {finding.splitlines()[-1][:160]}") not in findings:
                    path = Path(tempfile.gettempdir()) / f"choreai-finding-{len(findings)}"
                    path.write_bytes(data)
                    findings[key] = f"{finding}\n  input: {path}"
                    print(f"FINDING {key}\n{findings[key]}", flush=True)
    for target in chosen:
        print(f"{tried[target.name]:8} {target.name}")
    print(f"{len(findings)} findings in {sum(tried.values())} inputs")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
