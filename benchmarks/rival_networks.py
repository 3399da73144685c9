"""Two small networks that predict a fingerprint from a spectrum, after MassSpecGym's baselines.

Bushuiev et al., NeurIPS 2024 Datasets and Benchmarks (MassSpecGym): "Fingerprint FFN" on binned peaks and
"DeepSets + Fourier features". Widths are chosen here; both also see the precursor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from specsearch.chemistry.fingerprints import DEFAULT_MORGAN
from specsearch.encoder.tokens import TokenInput, collate

_BIN_WIDTH_DA = 0.1
_MAX_MZ = 1500.0
_N_BINS = int(_MAX_MZ / _BIN_WIDTH_DA)
_LONGEST_PERIOD_DA, _SHORTEST_PERIOD_DA, _N_FOURIER = 2000.0, 0.02, 64


def _head(n_in: int, hidden: int, dropout: float) -> nn.Sequential:
    """From a spectrum's vector to log-odds of the bits."""
    return nn.Sequential(
        nn.LayerNorm(n_in),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(n_in, hidden),
        nn.LayerNorm(hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, DEFAULT_MORGAN.n_bits),
    )


class BinnedFeedForward(nn.Module):
    """Square roots of intensities in bins of 0.1 Da, and the precursor's bin, through a feed-forward net."""

    def __init__(self, hidden: int = 1024, dropout: float = 0.3) -> None:
        super().__init__()
        # A sum of weighted rows is a product with the binned spectrum that skips its zeros.
        self.bins = nn.EmbeddingBag(2 * _N_BINS, hidden, mode="sum")
        nn.init.normal_(self.bins.weight, std=0.05)
        self.head = _head(hidden, hidden, dropout)

    def forward(self, inputs: Sequence[TokenInput]) -> torch.Tensor:
        """Log-odds of the bits, shape (n_spectra, n_bits)."""
        index, weight, start = [], [], []
        for item in inputs:
            start.append(sum(map(len, index)))
            precursor = torch.tensor([item.peaks.precursor_mz or 0.0], dtype=torch.float64)
            index += [_bin(torch.from_numpy(item.peaks.mz.copy())), _bin(precursor) + _N_BINS]
            weight += [torch.from_numpy(item.peaks.intensity.copy()).sqrt(), torch.ones(1)]
        weights = torch.cat(weight).to(self.bins.weight.dtype)
        return self.head(self.bins(torch.cat(index), torch.tensor(start), per_sample_weights=weights))


class FourierDeepSets(nn.Module):
    """Each peak through a net, with Fourier features of m/z and neutral loss; the mean through another."""

    def __init__(self, hidden: int = 512, dropout: float = 0.2) -> None:
        super().__init__()
        self.peak = nn.Sequential(
            nn.Linear(8 + 4 * _N_FOURIER, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.head = _head(hidden, 2 * hidden, dropout)

    def forward(self, inputs: Sequence[TokenInput]) -> torch.Tensor:
        """Log-odds of the bits, shape (n_spectra, n_bits)."""
        batch = collate(inputs)
        waves = [batch.features, _waves(batch.mz), _waves(batch.loss)]
        states = self.peak(torch.cat(waves, dim=-1)) * batch.mask.unsqueeze(-1)
        return self.head(states.sum(dim=1) / batch.mask.sum(dim=1, keepdim=True))


def _bin(mz: torch.Tensor) -> torch.Tensor:
    return (mz / _BIN_WIDTH_DA).long().clamp(max=_N_BINS - 1)


def _waves(values: torch.Tensor) -> torch.Tensor:
    """Sines and cosines at periods from 2000 to 0.02 Da, shape (..., 2 x 64)."""
    exponent = torch.linspace(0, 1, _N_FOURIER, dtype=torch.float64)
    period_da = _LONGEST_PERIOD_DA * (_SHORTEST_PERIOD_DA / _LONGEST_PERIOD_DA) ** exponent
    turns = values.unsqueeze(-1) / period_da
    angle = ((turns - turns.round()) * (2 * math.pi)).float()
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
