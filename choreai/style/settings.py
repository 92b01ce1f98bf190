"""How a style model is trained: apart from torch, so that a config file can be read fast."""

from dataclasses import dataclass, field
from typing import Literal

from choreai.motion.windows import WindowSettings

WhenOneGroup = Literal["error", "blocks"]


@dataclass(frozen=True)
class TrainSettings:
    """The [training] section: with the keypoints and labels it decides the result."""

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012, pydantic's name for its settings

    seed: int = 0
    hidden_size: int = 64
    """Width of the first linear layer and of both LSTM layers."""
    num_epochs: int = 60
    batch_size: int = 32
    """Windows per optimizer step over all workers together."""
    learning_rate: float = 0.003
    learning_rate_decay: float = 0.4
    """Factor on the learning rate at each stair."""
    decay_epochs: int = 15
    """Epochs per stair. In epochs and not in steps, so that small data sets come down to small steps too."""
    l2_penalty: float = 1e-4
    """Weight of sum(w^2) / 2 over all weights and biases in the loss."""
    max_gradient_norm: float = 1.0
    """Gradients longer than this are scaled down to it: an LSTM over 100 steps now and then has a cliff."""
    augment: bool = True
    """Train on variations of the windows (`choreai.style.augment`): mirrored, other camera, body and tempo."""
    test_fraction: float = 0.25
    """Share of the videos of each class that is held out, as near as whole groups allow."""
    when_one_group: WhenOneGroup = "error"
    """What to do with a class whose videos are all of one group: refuse, or cut that group in two blocks that
    follow each other in time (named in the metrics, for such a test accuracy is too good)."""
    checkpoint_every_epochs: int = 20
    """A killed worker costs at most this many epochs."""
    windows: WindowSettings = field(default_factory=WindowSettings)

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_epochs", "batch_size", "decay_epochs", "checkpoint_every_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        for name in ("learning_rate", "max_gradient_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.learning_rate_decay <= 1:
            raise ValueError(f"learning_rate_decay must be in (0, 1], got {self.learning_rate_decay}")
        if not 0 <= self.l2_penalty < float("inf"):
            raise ValueError(f"l2_penalty must not be negative, got {self.l2_penalty}")
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"test_fraction must be in (0, 1), got {self.test_fraction}")
        if self.when_one_group not in ("error", "blocks"):
            raise ValueError(f'when_one_group must be "error" or "blocks", got {self.when_one_group!r}')
