"""The music table: one row per video and attempt; the schema describes each column, units included."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.motion.heard_beats import HeardBeats
from choreai.music.analysis import Music
from choreai.music.landmarks import Landmarks
from choreai.music.tempo import TempoCandidate
from choreai.tables.parts import current_parts, open_part, read_consistently

MUSIC_VERSION = 1
"""Of the schema."""
LISTENING_VERSION = 1
"""Of what is measured: part of the fingerprint, so that a better ear starts a new table beside the old."""
STATUSES = ("ok", "no_audio", "silent", "too_short", "no_beat", "quarantined")


def _field(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


def _text(name: str, description: str, *, nullable: bool = True) -> pa.Field:
    return _field(name, pa.string(), description, nullable=nullable)


def _number(name: str, description: str) -> pa.Field:
    return _field(name, pa.float32(), description)


def _count(name: str, description: str, *, nullable: bool = True) -> pa.Field:
    return _field(name, pa.int32(), description, nullable=nullable)


_FLOATS = pa.list_(pa.float32())
_CANDIDATES = pa.list_(pa.struct([pa.field("bpm", pa.float32()), pa.field("share", pa.float32())]))

MUSIC = pa.schema(
    [
        _text("video_id", "the catalog's name of the video", nullable=False),
        _text("uri", "where the video is", nullable=False),
        _text("content_id", "which bytes were heard", nullable=False),
        _text(
            "status",
            "ok: music with a beat; no_beat: sound without one; silent: all below -60 LUFS; too_short: less than "
            "3 seconds; no_audio: no sound track; quarantined: it could not be read",
            nullable=False,
        ),
        _text("stage", "where reading failed: open, decode or worker; null unless quarantined"),
        _text("error_class", "kind of the error; null unless quarantined"),
        _text("reason", "what went wrong, or why there is no sound; null otherwise"),
        _count("attempts", "number of this attempt, from 1", nullable=False),
        _text("codec", "codec of the sound"),
        _count("sample_rate", "sampling rate of the sound in the file, in Hz"),
        _count("num_channels", "channels of the sound in the file"),
        _count("num_decode_errors", "packets of the sound that could not be decoded; they are silent"),
        _number("seconds", "seconds of sound that were heard, counted from the first picture"),
        _number("lufs", "integrated loudness of the mono mix by ITU-R BS.1770, in LUFS; null in silence"),
        _number("peak_dbfs", "the largest sample, in dB of full scale"),
        _number("silent_share", "share of 0.4-second blocks below -55 LUFS, 0 to 1"),
        _number("bass_share", "share of the power below 280 Hz, 0 to 1"),
        _number("middle_share", "share of the power from 280 Hz to 2 kHz, 0 to 1"),
        _number("treble_share", "share of the power above 2 kHz, 0 to 1"),
        _number("bpm", "tempo in beats per minute, where the beats are steady; null without a beat"),
        _number("beat_confidence", "how sure it is that this is music with this beat, 0 to 1"),
        _number("steadiness", "1 less the median change of the beat interval from one to the next, in intervals"),
        _field(
            "tempo_candidates",
            _CANDIDATES,
            "what the tempo might be (bpm) and the share of the network's belief in it (0 to 1), the likeliest first",
        ),
        _field("beat_seconds", _FLOATS, "the beats, in seconds since the first picture"),
        _count("beats_per_bar", "beats in a bar, 3 or 4; null where bars are not clear"),
        _number("bar_confidence", "by how much a bar likelier begins on those beats than on others, 0 to 1"),
        _field("downbeat_seconds", _FLOATS, "where bars begin, in seconds since the first picture; null where unclear"),
        _number("onsets_per_second", "notes and strokes that begin, per second"),
        _field("onset_seconds", _FLOATS, "when they begin, in seconds since the first picture"),
        _text("key", "the key, such as 'E flat minor'; null where no profile fits"),
        _number("key_confidence", "lead of the key's profile over the next best in correlation, 0 to 1"),
        _field(
            "rhythm",
            _FLOATS,
            "shares of the onsets of bass, middle and treble (in this order) on each quarter of each beat of the bar: "
            "three rows of 16 numbers in four-four time, each adding up to 1; null where bars are not clear",
        ),
        _field("landmark_frames", pa.list_(pa.int32()), "fingerprint: times of spectral peaks, in hops of 20 ms"),
        _field(
            "landmark_pitches",
            pa.list_(pa.int16()),
            "fingerprint: pitches of those peaks, in 96ths of an octave above 200 Hz",
        ),
        _number("process_seconds", "wall seconds that listening took"),
        _text("shard_id", "the shard that the video was in", nullable=False),
        _text("run_id", "the run that heard it", nullable=False),
    ],
    metadata={"choreai.table": "music", "choreai.schema_version": str(MUSIC_VERSION)},
)
"""One row per video and attempt; the attempt with the highest number counts."""


def music_columns(music: Music) -> dict[str, object]:
    """Return the columns that say what was heard."""
    pulse, bars = music.pulse, music.bars
    has_beat = music.status == "ok" and pulse is not None
    bass, middle, treble = music.band_shares
    return {
        "status": music.status,
        "seconds": music.seconds,
        "lufs": None if np.isnan(music.lufs) else music.lufs,
        "peak_dbfs": music.peak_dbfs,
        "silent_share": music.silent_share,
        "bass_share": bass,
        "middle_share": middle,
        "treble_share": treble,
        "bpm": pulse.bpm if pulse and has_beat else None,
        "beat_confidence": pulse.confidence if pulse else None,
        "steadiness": pulse.steadiness if pulse and has_beat else None,
        "tempo_candidates": [vars(each) for each in pulse.candidates] if pulse and has_beat else None,
        "beat_seconds": music.beats.tolist() if has_beat else None,
        "beats_per_bar": bars.beats_per_bar if bars else None,
        "bar_confidence": bars.contrast if bars else None,
        "downbeat_seconds": music.beats[bars.first :: bars.beats_per_bar].tolist() if bars else None,
        "onsets_per_second": len(music.onsets) / music.seconds if music.seconds else None,
        "onset_seconds": music.onsets.tolist(),
        "key": music.key.name if music.key else None,
        "key_confidence": music.key.confidence if music.key else None,
        "rhythm": music.rhythm.ravel().tolist() if music.rhythm is not None else None,
        "landmark_frames": music.landmarks.frames.tolist(),
        "landmark_pitches": music.landmarks.pitches.tolist(),
    }


@dataclass(frozen=True, eq=False)
class HeardVideo:
    """What the music table has of a video that matching songs and dancing take."""

    video_id: str
    content_id: str
    status: str
    bpm: float | None
    candidates: tuple[TempoCandidate, ...]
    beats: HeardBeats
    beats_per_bar: int | None
    key: str | None
    lufs: float | None
    landmarks: Landmarks


_COLUMNS = ["video_id", "content_id", "status", "attempts", "bpm", "tempo_candidates", "beat_seconds", "beats_per_bar",
            "key", "lufs", "landmark_frames", "landmark_pitches"]  # fmt: skip


def read_music(output: str, music_id: str) -> list[HeardVideo]:
    """Return the last attempt at each video in a music table, by video; none if there is no such table."""

    def read() -> dict[tuple[str, str], Mapping[str, Any]]:
        latest: dict[tuple[str, str], Mapping[str, Any]] = {}
        for row in _rows(output, music_id):
            key = (str(row["video_id"]), str(row["content_id"]))
            if key not in latest or row["attempts"] > latest[key]["attempts"]:
                latest[key] = row
        return latest

    found = read_consistently(read)
    return [_heard_video(found[key]) for key in sorted(found)]


def _rows(output: str, music_id: str) -> Iterator[Mapping[str, Any]]:
    for uri in current_parts(output, "music", music_id).uris:
        with open_part(uri, MUSIC) as part:
            for batch in part.iter_batches(columns=_COLUMNS):
                yield from batch.to_pylist()


def _heard_video(row: Mapping[str, Any]) -> HeardVideo:
    return HeardVideo(
        video_id=str(row["video_id"]),
        content_id=str(row["content_id"]),
        status=str(row["status"]),
        bpm=row["bpm"],
        candidates=tuple(TempoCandidate(**each) for each in row["tempo_candidates"] or ()),
        beats=HeardBeats(_array(row["beat_seconds"])),
        beats_per_bar=row["beats_per_bar"],
        key=row["key"],
        lufs=row["lufs"],
        landmarks=Landmarks(
            _array(row["landmark_frames"]).astype(np.int32), _array(row["landmark_pitches"]).astype(np.int32)
        ),
    )


def _array(values: object) -> Float64Array:
    return np.array(values if isinstance(values, list) else [], np.float64)
