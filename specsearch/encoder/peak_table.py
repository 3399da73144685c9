"""A stored vector for every m/z and neutral loss that matters: what a spectrum's peaks say one by one.

The sum of these vectors, weighted by intensity, is a linear function of the binned spectrum. A few
thousand training molecules suffice to fit it in closed form (`training/table_fit.py`), and they do not
suffice to teach the transformer as much: it adds what peaks say together.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from specsearch.encoder.tokens import TokenBatch

# Half the width of the store's sparse vectors (spectra/binned.py), whose other settings are these: on
# molecules held out of train, 0.01 Da found better analogues than 0.02, and 0.05 worse.
_BIN_WIDTH_DA = 0.01
_PRECURSOR_MARGIN_DA = 1.6
# Losses count half as much as peaks in a dot product of two spectra, as fusion found on val.
_PEAK_SHARE = math.sqrt(2 / 3)
_LOSS_SHARE = math.sqrt(1 / 3)
# Bins of losses are numbered from here; no m/z comes near.
_FIRST_LOSS = 1 << 24


class PeakTable(nn.Module):
    """Bins of m/z and of neutral loss, each with a vector; empty (all zeros) until it is fitted.

    Parameters
    ----------
    n_bins : int
    size : int
        Length of a vector.
    """

    bins: torch.Tensor
    vectors: torch.Tensor

    def __init__(self, n_bins: int, size: int) -> None:
        super().__init__()
        # Buffers: they are fitted, not trained.
        self.register_buffer("bins", torch.arange(n_bins, dtype=torch.int32))
        self.register_buffer("vectors", torch.zeros(n_bins, size))

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """Weighted sum of the vectors of each spectrum's bins, shape (n_spectra, size)."""
        place, weight = self.places(batch)
        return F.embedding_bag(
            place, self.vectors, per_sample_weights=weight.to(self.vectors.dtype), mode="sum"
        )

    def places(self, batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the table for each spectrum's bins, and their weights, both (n_spectra, n_entries)."""
        found, weight = entries(batch)
        place = torch.searchsorted(self.bins, found).clamp(max=len(self.bins) - 1)
        return place, weight * (self.bins[place] == found)


def entries(batch: TokenBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Bins of a batch's peaks and losses with their weights.

    Each value is shared between its bin and the nearer neighbour. The weights of a spectrum's peaks have
    the L2 norm sqrt(2/3), those of its losses sqrt(1/3); a spectrum without precursor has no losses.

    Returns
    -------
    bins : torch.Tensor of shape (n_spectra, 4 * n_tokens), int32
    weight : torch.Tensor of shape (n_spectra, 4 * n_tokens), float32
        0 for padding.
    """
    weight = batch.features[..., 1].float().sqrt()  # relative intensity to the power 1/4
    has_precursor = batch.features[..., 6] > 0
    is_fragment = ~has_precursor | (batch.loss.abs() > _PRECURSOR_MARGIN_DA)
    is_loss = has_precursor & (batch.loss > _PRECURSOR_MARGIN_DA)
    peak_bins, peak_weight = _spread(batch.mz, weight * is_fragment, _PEAK_SHARE)
    loss_bins, loss_weight = _spread(batch.loss.clamp(min=0), weight * is_loss, _LOSS_SHARE)
    bins = torch.cat([peak_bins, loss_bins + _FIRST_LOSS], dim=1)
    return bins, torch.cat([peak_weight, loss_weight], dim=1)


def _spread(
    position_da: torch.Tensor, weight: torch.Tensor, norm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each value in its bin and the nearer neighbour, rows scaled to one L2 norm."""
    place = position_da / _BIN_WIDTH_DA
    own = place.floor()
    off_centre = place - own - 0.5
    neighbour = own + torch.where(off_centre >= 0, 1.0, -1.0)
    share = off_centre.abs().float()
    weights = torch.cat([weight * (1.0 - share), weight * share], dim=1)
    length = weights.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return torch.cat([own, neighbour], dim=1).to(torch.int32), weights * (norm / length)
