"""Train the beat network on music that is computed here: `python -m choreai.music.training --output FILE`.

Nobody's recordings are in it, so the weights are the project's own.
"""

import argparse
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from choreai.arrays import FloatArray
from choreai.music.beat_network import CHANNELS, DILATIONS, KERNEL, NUM_TEMPI, NUM_TRACES, tempo_place
from choreai.music.distractors import draw_distractor
from choreai.music.spectrum import (
    FRAMES_PER_SECOND,
    NUM_BANDS,
    NUM_INPUTS,
    WINDOW,
    mel_powers,
    network_inputs,
    power_spectra,
)
from choreai.music.synthesis import Song, draw_song

logger = logging.getLogger(__name__)
SECONDS = 20.0
NUM_FRAMES = int(SECONDS * FRAMES_PER_SECOND)
CROP_FRAMES = 600
"""Of a lesson, at random, in each epoch: twelve seconds teach as much as twenty, in less time."""
SHARE_WITHOUT_BEAT = 0.25
LESSONS_PER_FILE = 100
MAX_STRETCH = 0.12
"""Spectra are stretched in time by up to so much, which makes other tempi of a song for nothing."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One sound as the network learns from it."""

    mel: FloatArray  # (NUM_FRAMES, NUM_BANDS), powers as float16 logarithms
    beats: FloatArray
    """Seconds."""
    is_downbeat: FloatArray
    bpm: float
    """0: there is no beat."""


def draw_lesson(seed: int) -> Lesson:
    """Return the sound of this number; one in four has no beat."""
    rng = np.random.default_rng((seed, 20_26))
    if rng.random() < SHARE_WITHOUT_BEAT:
        nothing = np.zeros(0)
        song = Song(draw_distractor(rng, seconds=SECONDS), nothing, nothing, 0.0)
    else:
        song = draw_song(rng, seconds=SECONDS)
    padded = np.pad(song.samples, WINDOW // 2)
    mel = mel_powers(power_spectra(padded))[:NUM_FRAMES]
    logs = np.log10(mel + 1e-10).astype(np.float16)
    return Lesson(logs, song.beats.astype(np.float32), song.is_downbeat.astype(np.float32), song.bpm)


class BeatTeacher(nn.Module):
    """The beat network in torch; `choreai.music.beat_network` runs its weights without."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(NUM_INPUTS, CHANNELS, 3, padding=1)
        self.wide = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2 * d, dilation=d) for d in DILATIONS
        )
        self.mix = nn.ModuleList(nn.Conv1d(CHANNELS, CHANNELS, 1) for _ in DILATIONS)
        self.leave = nn.Conv1d(CHANNELS, NUM_TRACES + NUM_TEMPI, 1)
        self.dropout = nn.Dropout1d(0.1)

    def forward(self, inputs_NFT: torch.Tensor) -> torch.Tensor:
        """Return logits of the traces and tempi, (N, traces + tempi, T)."""
        hidden = functional.elu(self.enter(inputs_NFT))
        for wide, mix in zip(self.wide, self.mix, strict=True):
            hidden = hidden + self.dropout(mix(functional.elu(wide(hidden))))
        logits: torch.Tensor = self.leave(functional.elu(hidden))
        return logits


def make_batch(lessons: list[Lesson], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return inputs (N, F, T), targets of the traces (N, 3, T) and of the tempi (N, NUM_TEMPI; zeros: none)."""
    inputs, traces, tempi = [], [], []
    for lesson in lessons:
        stretch = float(np.exp(rng.uniform(-MAX_STRETCH, MAX_STRETCH)))
        first = int(rng.integers(0, NUM_FRAMES - CROP_FRAMES))
        inputs.append(network_inputs(_varied(lesson.mel, stretch, first, rng)).T)
        traces.append(_targets(lesson, stretch)[:, first : first + CROP_FRAMES])
        tempi.append(tempo_target(lesson.bpm / stretch if lesson.bpm else 0.0))
    return tuple(torch.from_numpy(np.stack(each)) for each in (inputs, traces, tempi))  # type: ignore[return-value]


def _varied(mel: FloatArray, stretch: float, first: int, rng: np.random.Generator) -> FloatArray:
    """Return CROP_FRAMES of powers from `first` on, stretched in time and with other bass and treble; what lies beyond
    the end repeats its last."""
    places = np.clip((first + np.arange(CROP_FRAMES)) / stretch, 0, NUM_FRAMES - 1)
    before = places.astype(int)
    share = (places - before)[:, None]
    logs = mel.astype(np.float32)
    logs = logs[before] * (1 - share) + logs[np.minimum(before + 1, NUM_FRAMES - 1)] * share
    curve = np.interp(np.arange(NUM_BANDS), np.linspace(0, NUM_BANDS, 5), rng.normal(0, 0.4, 5))
    return (10 ** (logs + curve)).astype(np.float32)


def _targets(lesson: Lesson, stretch: float) -> FloatArray:
    targets = np.zeros((NUM_TRACES, NUM_FRAMES), np.float32)
    frames = lesson.beats * stretch * FRAMES_PER_SECOND
    for trace, chosen in ((0, frames), (1, frames[lesson.is_downbeat > 0])):
        for offset, worth in ((-1, 0.4), (1, 0.4), (0, 1.0)):
            places = np.round(chosen).astype(int) + offset
            targets[trace, places[(places >= 0) & (places < NUM_FRAMES)]] = worth
    targets[2] = float(lesson.bpm > 0)
    return targets


def tempo_target(bpm: float) -> FloatArray:
    """Return the shares of the tempo classes: a bell of about four per cent around `bpm`, zeros for none."""
    if not bpm:
        return np.zeros(NUM_TEMPI, np.float32)
    bell = np.exp(-0.5 * ((np.arange(NUM_TEMPI) - tempo_place(bpm)) / 0.8) ** 2)
    return (bell / bell.sum()).astype(np.float32)


def loss_of(logits: torch.Tensor, traces: torch.Tensor, tempi: torch.Tensor) -> torch.Tensor:
    """Return the loss: of the traces at each frame, of the tempo over the whole sound."""
    has_beat = traces[:, 2:3]
    weight = 1 + 4 * traces[:, :2]
    beats = functional.binary_cross_entropy_with_logits(logits[:, :2], traces[:, :2], weight=weight)
    presence = functional.binary_cross_entropy_with_logits(logits[:, 2:3], has_beat)
    guesses = functional.log_softmax(logits[:, NUM_TRACES:].mean(dim=2), dim=1)
    tempo = -(tempi * guesses).sum() / max(1.0, float(tempi.sum()))
    return beats + 0.2 * presence + 0.1 * tempo


def load_pool(folder: Path | None, num: int) -> list[Lesson]:
    """Return the first `num` lessons, from `folder` where they were drawn before."""
    return [lesson for first in range(0, num, LESSONS_PER_FILE) for lesson in _load_file(folder, first)][:num]


def _load_file(folder: Path | None, first: int) -> list[Lesson]:
    """Return LESSONS_PER_FILE lessons from number `first` on."""
    path = folder / f"lessons-{first:06d}.npz" if folder else None
    if path and path.exists():
        with np.load(path) as file:
            counts = np.cumsum(file["counts"])[:-1]
            columns = (file["mel"], np.split(file["beats"], counts), np.split(file["down"], counts), file["bpm"])
        return [Lesson(*each) for each in zip(*columns, strict=True)]
    lessons = [draw_lesson(seed) for seed in range(first, first + LESSONS_PER_FILE)]
    if path:
        np.savez(
            path,
            mel=np.stack([each.mel for each in lessons]),
            counts=[len(each.beats) for each in lessons],
            beats=np.concatenate([each.beats for each in lessons]),
            down=np.concatenate([each.is_downbeat for each in lessons]),
            bpm=[each.bpm for each in lessons],
        )
    return lessons


def train(
    lessons: list[Lesson], *, num_epochs: int, seed: int = 0, start: Path | None = None, batch: int = 16
) -> BeatTeacher:
    """Return a network trained on `lessons`, from the weights at `start` on if they are given; the same on the same
    machine and number of threads."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = BeatTeacher()
    if start:
        model.load_state_dict({name: value.float() for name, value in load_file(start).items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    steps = num_epochs * (len(lessons) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps, pct_start=0.15)
    model.train()
    for epoch in range(num_epochs):
        started, losses = time.monotonic(), []
        order = rng.permutation(len(lessons))
        for first in range(0, len(lessons) - batch + 1, batch):
            inputs, traces, tempi = make_batch([lessons[i] for i in order[first : first + batch]], rng)
            loss = loss_of(model(inputs), traces, tempi)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        logger.info("epoch %d: loss %.4f, %.0f s", epoch + 1, np.mean(losses), time.monotonic() - started)
    return model.eval()


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--lessons", type=int, default=3200, help="sounds of 20 seconds to draw")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="weights to go on from, where somebody trains in several sittings")
    parser.add_argument("--pool", type=Path, help="folder that keeps the drawn sounds' spectra for another run")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    lessons = load_pool(args.pool, args.lessons)
    logger.info("%d lessons", len(lessons))
    model = train(lessons, num_epochs=args.epochs, seed=args.seed, start=args.start)
    made = {"lessons": args.lessons, "epochs": args.epochs, "seed": args.seed, "licence": "Apache-2.0"}
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, args.output, metadata={"choreai.made": json.dumps(made)})
    logger.info("%d parameters in %s", sum(value.numel() for value in weights.values()), args.output)


if __name__ == "__main__":
    main()
