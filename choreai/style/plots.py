"""Pictures of a training run: who is taken for whom, and how the losses went."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from choreai.style.evaluate import Scorecard
from choreai.style.fitting import EpochResult

DOTS_PER_INCH = 120


def confusion_matrix_png(card: Scorecard) -> bytes:
    """A PNG of the confusion matrix: a row per label, a column per tag, shades by share of the row."""
    counts = np.array(card.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [c.label for c in card.classes]
    side = 2.2 + 0.7 * len(labels)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("tag (the model said)")
    axes.set_ylabel("label (a person said)")
    axes.set_title(f"{card.num} held-out videos, accuracy {card.accuracy:.2f}", fontsize="medium")
    figure.colorbar(image, ax=axes, label="share of the label's videos", shrink=0.8)
    return _png(figure)


def learning_curves_png(history: Sequence[EpochResult]) -> bytes:
    """A PNG of loss and accuracy per epoch, of training and of test windows."""
    epochs = [result.epoch for result in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    loss_axes.plot(epochs, [r.train_loss for r in history], label="training")
    loss_axes.plot(epochs, [r.test_loss for r in history], label="held out")
    loss_axes.set(xlabel="epoch", ylabel="cross-entropy per window", ylim=(0, None))
    accuracy_axes.plot(epochs, [r.train_accuracy for r in history], label="training")
    accuracy_axes.plot(epochs, [r.test_accuracy for r in history], label="held out")
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy of windows", ylim=(0, 1.02))
    for axes in (loss_axes, accuracy_axes):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
