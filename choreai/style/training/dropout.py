"""Dropout for training on several workers: the mask does not depend on how the batch is split across workers."""

import torch
from torch import nn


class RowDropout(nn.Module):
    """As `nn.Dropout`, but the mask is drawn for the whole batch, of which the worker's own rows are used."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._generator = torch.Generator()
        self._num_rows = 0
        self._own = slice(None)

    def draw_from(self, generator: torch.Generator, *, num_rows: int, own: slice) -> None:
        """Draw the next masks from `generator`, for the `own` rows of a batch of `num_rows`."""
        self._generator, self._num_rows, self._own = generator, num_rows, own

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values (own rows, ...) with the share `p` zeroed and the rest scaled up; unchanged outside
        training."""
        if not self.training or not self.p:
            return values
        shape = (self._num_rows, *values.shape[1:])
        kept = torch.rand(shape, generator=self._generator, device=values.device)[self._own] >= self.p
        return values * kept / (1 - self.p)


def with_row_dropout(network: nn.Module) -> nn.Module:
    """Return the network itself, each `nn.Dropout` in it replaced. Raises ValueError for dropout inside an LSTM."""
    for module in network.modules():
        if isinstance(module, nn.RNNBase) and module.dropout:
            raise ValueError("dropout between an LSTM's layers depends on the number of workers; use one layer each")
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, RowDropout(child.p))
    return network
