"""The sound of one video, heard now, in this process, and how its main person dances to it."""

from dataclasses import dataclass

from choreai.errors import MediaError
from choreai.motion.heard_beats import HeardBeats
from choreai.motion.on_beat import OnBeat, measure_on_beat
from choreai.motion.sequence import KeypointSequence
from choreai.music.analysis import Music, listen
from choreai.music.spectrum import SAMPLES_PER_SECOND
from choreai.storage import objects
from choreai.video.audio import AudioReader

STATUS_WORDS = {
    "no_audio": "no sound track",
    "silent": "silent",
    "too_short": "too short to hear a beat",
    "no_beat": "sound, but no beat",
    "quarantined": "its sound could not be read",
}


@dataclass(frozen=True, eq=False)
class SoundOfDance:
    """What was heard of a video, and how its main person goes with it."""

    music: Music
    on_beat: OnBeat | None
    """None where there is no beat, or nobody in view for long enough."""

    @property
    def words(self) -> str:
        """Return it in one line: "122 bpm, danced in half time, 40 ms late, E flat minor, -14 LUFS"."""
        if self.music.status != "ok" or self.music.pulse is None:
            return STATUS_WORDS[self.music.status]
        danced = self.on_beat.words if self.on_beat is not None else ""
        key = self.music.key.name if self.music.key else ""
        tempo = danced or f"{self.music.pulse.bpm:.0f} bpm"
        return ", ".join(part for part in (tempo, key, f"{self.music.lufs:.0f} LUFS") if part)

    def record(self) -> dict[str, object]:
        """Return it for a program."""
        pulse, has_beat = self.music.pulse, self.music.status == "ok"
        return {
            "status": self.music.status,
            "bpm": pulse.bpm if pulse and has_beat else None,
            "beat_seconds": self.music.beats.round(3).tolist(),
            "key": self.music.key.name if self.music.key else None,
            "lufs": self.music.lufs,
            "on_beat": vars(self.on_beat) if self.on_beat is not None else None,
        }


def hear(uri: str, main_track: KeypointSequence | None) -> SoundOfDance | None:
    """Return the sound of a video, and how `main_track` goes with it; None where there is no sound that can be read."""
    try:
        with (
            objects.open_object(uri) as file,
            AudioReader(file, uri=uri, samples_per_second=SAMPLES_PER_SECOND) as reader,
        ):
            music = listen(reader.samples())
    except MediaError:
        return None
    found = None
    if main_track is not None and music.status == "ok":
        measured = measure_on_beat(main_track, HeardBeats(music.beats))
        found = measured if measured.words else None
    return SoundOfDance(music, found)
