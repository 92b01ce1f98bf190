"""Forty ways in which an object of a bucket is no video that can be processed: its key, its bytes, and what is said."""

import gzip
import io
import json
import sqlite3
import struct
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from clips import numbered, write_audio, write_clip
from PIL import Image
from tiny_poses import FRAMES_PER_CLIP, HANGS, always


@dataclass(frozen=True)
class BadObject:
    """One object that must end as one quarantined row."""

    key: str
    data: bytes
    words: str
    """Some of the reason, in lower case."""
    storage_class: str = "STANDARD"


def bad_objects(folder: Path) -> list[BadObject]:
    """All forty, made with `folder` as scratch space."""
    good = clip_bytes(folder, 1)
    found = [*_bad_names(good), *_bad_bytes(folder, good), *_bad_for_workers(folder, good)]
    assert len(found) == len({each.key for each in found}) == 40, len(found)
    return found


def clip_bytes(folder: Path, number: int, *, suffix: str = ".mp4", num_frames: int = FRAMES_PER_CLIP) -> bytes:
    """A tiny clip that shows `number`."""
    path = folder / f"clip-{number}{suffix}"
    return write_clip(path, num_frames=num_frames, frames_per_second=8, paint=always(number)).read_bytes()


def _bad_names(good: bytes) -> Iterator[BadObject]:
    for key, words in {
        "bad/tab\there.mp4": "control character",
        "bad/return\rhere.mp4": "control character",
        "bad/bell\x07.mp4": "control character",
        "bad/delete\x7f.mp4": "control character",
        "bad/next\x85line.mp4": "control character",
        "bad/signed?sig=abc.mp4": "credentials",
        "bad/signed?token=abc.mp4": "credentials",
        "bad/signed?X-Amz-Signature=abc.mp4": "credentials",
        "bad/signed?X-Goog-Signature=abc.mp4": "credentials",
        "bad/signed?access_token=abc.mp4": "credentials",
        "bad/signed?api_key=abc.mp4": "credentials",
        "bad/signed?v=1&password=abc.mp4": "credentials",
        f"bad/{'k' * 1010}.mp4": "bytes, 1000 are allowed",
    }.items():
        yield BadObject(key, good, words)


def _bad_bytes(folder: Path, good: bytes) -> Iterator[BadObject]:
    def named(name: str, data: bytes, words: str = "") -> BadObject:
        return BadObject(f"bad/{name}", data, words)

    yield named("empty.mp4", b"", "empty")
    yield named("one-byte.mp4", b"\0")
    yield named("truncated.mp4", good[: len(good) // 2])
    yield named("only-ftyp.mp4", good[:32])
    yield named("zeros.mp4", bytes(1 << 20))
    yield named("noise.mp4", np.random.default_rng(0).bytes(20_000))
    yield named("text.mp4", b"just some words\n" * 50, "text")
    yield named("html.mp4", b"<!DOCTYPE html><html><body>404</body></html>", "text")
    yield named("utf16.mp4", ("words " * 100).encode("utf-16"))
    yield named("json.mp4", json.dumps({"video": [1, 2, 3]}).encode())
    yield named("playlist.mp4", b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n", "playlist")
    yield named("concat.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "playlist")
    yield named("subtitles.mkv", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    yield named("zipped.mp4", _zipped(good))
    yield named("gzipped.mp4", gzip.compress(good, mtime=0))
    yield named("database.mp4", _database(folder))
    yield named("header-only.mkv", clip_bytes(folder, 3, suffix=".mkv")[:40])
    yield named("header-only.avi", b"RIFF" + struct.pack("<I", 1000) + b"AVI LIST")
    yield named("sync-bytes.ts", (b"\x47" + bytes(187)) * 20)
    yield named("sound.mp4", _wave())
    yield named("audio.m4a.mp4", write_audio(folder / "audio.m4a").read_bytes(), "no video")
    yield named("cover.m4a.mp4", write_audio(folder / "cover.m4a", with_cover=True).read_bytes(), "no video")
    yield named("picture.mp4", _picture("PNG"), "image")
    yield named("photo.mov", _picture("JPEG"), "image")


def _bad_for_workers(folder: Path, good: bytes) -> Iterator[BadObject]:
    yield BadObject("bad/hangs.mp4", clip_bytes(folder, HANGS), "time limit")
    yield BadObject("bad/archived.mp4", good, "archived", storage_class="GLACIER")
    yield BadObject("bad/archived deep.mp4", good, "archived", storage_class="DEEP_ARCHIVE")


def _zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.mp4", data)
    return sink.getvalue()


def _database(folder: Path) -> bytes:
    path = folder / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE IF NOT EXISTS a (b)")
    connection.commit()
    connection.close()
    return path.read_bytes()


def _wave() -> bytes:
    sink = io.BytesIO()
    with wave.open(sink, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16_000))
    return sink.getvalue()


def _picture(kind: str) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(numbered(5)).save(sink, kind)
    return sink.getvalue()
