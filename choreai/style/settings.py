"""How a style model is trained; without torch, so that a config file is read quickly."""

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from choreai.motion.windows import WindowSettings

WhenOneGroup = Literal["error", "blocks"]
NetworkKind = Literal["style", "report"]
Optimizer = Literal["adamw", "adam"]
Schedule = Literal["cosine", "stairs"]
LabelsFrom = Literal["catalog", "folders"]


@dataclass(frozen=True)
class TrainSettings:
    """The [training] section: with the keypoints and labels it decides the result."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012, pydantic's name for its settings

    seed: int = 0
    network: NetworkKind = "style"
    """`style`: the default; `report`: the student report's LSTM, for comparison."""
    hidden_size: int = 32
    dropout: float = 0.5
    num_epochs: int = 20
    """Per fold, at most."""
    patience_epochs: int = 0
    """A fold's training ends after this many epochs without a lower loss on its validation fold, and its best epoch is
    kept. 0: no validation fold; it trains too, all epochs through."""
    batch_size: int = 32
    """Windows per optimizer step over all workers together."""
    optimizer: Optimizer = "adamw"
    learning_rate: float = 0.003
    schedule: Schedule = "cosine"
    """`cosine`: down to 0 over the epochs; `stairs`: times `learning_rate_decay` every `decay_epochs`."""
    learning_rate_decay: float = 0.4
    decay_epochs: int = 15
    """In epochs and not in steps, so that small data sets come down to small steps too."""
    weight_decay: float = 0.01
    """AdamW's; with Adam the weight of sum(w^2) / 2 over all weights and biases in the loss."""
    max_gradient_norm: float = 1.0
    """Gradients longer than this are scaled down to it: an LSTM over many steps now and then has a cliff."""
    label_smoothing: float = 0.1
    balance_classes: bool = True
    """Weigh each window by the rarity of its class, so that each class counts the same."""
    average_decay: float = 0.99
    """Per step, of the exponential moving average of the weights that is the result; 0: the last weights are."""
    augment: bool = True
    """Train on variations of the windows (`choreai.style.training.augment`): mirrored, other camera, body and tempo."""
    num_folds: int = 5
    """Networks trained, each without one fold of the videos on which it is then tested; together they are the model."""
    when_one_group: WhenOneGroup = "error"
    """What to do with a class whose videos are all of one group: refuse, or cut it, and any group with most of a
    class, in blocks that follow each other in time (named in the metrics, for such figures are too good)."""
    target_precision: float = 0.9
    """Tags that are not "unknown" should be right this often."""
    compare_report_lstm: bool = False
    """Train the student report's LSTM on the same folds too, as a baseline."""
    leaky_split_too: bool = False
    """Train a second time with windows divided at random, neighbours on both sides, to show how flattering that is.
    Without it, a logistic regression shows it."""
    unseen_sources: bool = True
    """Train a network more for each group that was cut in blocks, without any of it, to say what to expect on sources
    never seen; one that has the only videos of a style is left in."""
    keep_copies_together: bool | Literal["pictures"] = "pictures"
    """Look for videos of one performance by their pictures, and keep their groups together in one fold. True: where
    there are no pictures by movement, which takes figures that two people repeat alike for copies now and then."""
    checkpoint_every_epochs: int = 20
    """A killed worker costs at most this many epochs."""
    windows: WindowSettings = field(default_factory=WindowSettings)

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_epochs", "batch_size", "decay_epochs", "checkpoint_every_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("seed", "patience_epochs"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.num_folds < 2:
            raise ValueError(f"num_folds must be at least 2, got {self.num_folds}")
        for name in ("learning_rate", "max_gradient_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.learning_rate_decay <= 1:
            raise ValueError(f"learning_rate_decay must be in (0, 1], got {self.learning_rate_decay}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay}")
        for name in ("dropout", "label_smoothing", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if not 0 < self.target_precision < 1:
            raise ValueError(f"target_precision must be in (0, 1), got {self.target_precision}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")

    def for_fit(self) -> "TrainSettings":
        """Return these settings without those that do not affect the networks: trainings that differ only there are the
        same."""
        fresh = TrainSettings()
        return replace(
            self,
            when_one_group=fresh.when_one_group,
            target_precision=fresh.target_precision,
            compare_report_lstm=False,
            leaky_split_too=False,
            unseen_sources=fresh.unseen_sources,
            keep_copies_together=fresh.keep_copies_together,
        )


_CHOICES = {
    "network": get_args(NetworkKind),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "when_one_group": get_args(WhenOneGroup),
}


def seed_settings(settings: TrainSettings) -> TrainSettings:
    """Return the student report's network and training, with the seed and folds of `settings`.

    Its sequences have 100 steps, and it has no remedy against few data. Learning rate, stairs and penalty are those
    that served it best on generated dancers, so that the comparison is fair to it.
    """
    return replace(
        settings,
        network="report",
        hidden_size=64,
        num_epochs=60,
        patience_epochs=0,
        batch_size=32,
        optimizer="adam",
        learning_rate=0.003,
        schedule="stairs",
        learning_rate_decay=0.4,
        decay_epochs=15,
        weight_decay=1e-4,
        label_smoothing=0.0,
        balance_classes=False,
        average_decay=0.0,
        augment=False,
        windows=replace(settings.windows, num_steps=100, window_seconds=max(3.0, settings.windows.min_seconds)),
    )
