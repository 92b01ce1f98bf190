"""The history of a training: what each epoch came to. Written by training, drawn by evaluation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochResult:
    """The result of one pass over a member's training windows."""

    member: int
    """From 0: the network that is tested on the fold of this number."""
    epoch: int
    """From 1."""
    train_loss: float
    """Per window, with class weights and smoothed labels."""
    train_accuracy: float
    """Of windows, while the weights change: a little behind the accuracy after the epoch."""
    validation_loss: float | None
    """Per window, plain cross-entropy of the averaged weights; None without a validation fold."""
    validation_accuracy: float | None
    learning_rate: float
