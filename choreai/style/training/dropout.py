"""Dropout for training on several workers: what is dropped of a window does not hang on which worker has it."""

import torch
from torch import nn


class RowDropout(nn.Module):
    """As `nn.Dropout`, but the mask is drawn for the whole batch, and the worker's own rows of it are used."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._generator = torch.Generator()
        self._num_rows = 0
        self._own = slice(None)

    def draw_from(self, generator: torch.Generator, *, num_rows: int, own: slice) -> None:
        """Nothing; the next forward passes are over the `own` rows of a batch of `num_rows`."""
        self._generator, self._num_rows, self._own = generator, num_rows, own

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Of the values (own rows, ...) the share `p` zeroed and the rest scaled up; all of them outside training."""
        if not self.training or not self.p:
            return values
        shape = (self._num_rows, *values.shape[1:])
        kept = torch.rand(shape, generator=self._generator, device=values.device)[self._own] >= self.p
        return values * kept / (1 - self.p)


def with_row_dropout(network: nn.Module) -> nn.Module:
    """The network itself, each `nn.Dropout` in it replaced. Raises ValueError for dropout inside an LSTM."""
    for module in network.modules():
        if isinstance(module, nn.RNNBase) and module.dropout:
            raise ValueError("dropout between an LSTM's layers depends on the number of workers; use one layer each")
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, RowDropout(child.p))
    return network
