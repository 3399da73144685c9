"""Spectra to tensors: one token for the precursor, one for each peak, eight features each.

The eight features of a token, all of order one:

0. m/z / 1000
1. square root of the relative intensity (the precursor's token: 0)
2. natural logarithm of the relative intensity / 5 + 1 (the precursor's token: 0)
3. neutral loss / 1000, precursor minus m/z
4. mass defect of the m/z: m/z minus the nearest integer
5. mass defect of the neutral loss
6. precursor m/z / 1000
7. sign of the charge: +1, -1, or 0 where unknown

Without a precursor there is no precursor token and features 3, 5 and 6 are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.encoder.config import N_PEAK_FEATURES
from specsearch.spectra.cleaning import ENCODER_RECIPE, Peaks, clean
from specsearch.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class TokenInput:
    """What the encoder is told about one spectrum.

    Parameters
    ----------
    peaks : Peaks
        Prepared by the encoder's recipe.
    charge_sign : int
        +1, -1, or 0 where unknown.
    """

    peaks: Peaks
    charge_sign: int

    @property
    def n_tokens(self) -> int:
        """Tokens of this spectrum, the precursor's included."""
        return len(self.peaks.mz) + (self.peaks.precursor_mz is not None)


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """A padded batch.

    Parameters
    ----------
    features : torch.Tensor of shape (n_spectra, n_tokens, 8), float32
    mz : torch.Tensor of shape (n_spectra, n_tokens), float64
        Kept beside the features because a float32 cannot hold the phase of fast Fourier features.
    loss : torch.Tensor of shape (n_spectra, n_tokens), float64
        Precursor minus m/z; 0 where there is no precursor.
    mask : torch.Tensor of shape (n_spectra, n_tokens), bool
        True where there is a token, False where there is padding.
    """

    features: torch.Tensor
    mz: torch.Tensor
    loss: torch.Tensor
    mask: torch.Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """The same batch on another device."""
        return TokenBatch(
            self.features.to(device), self.mz.to(device), self.loss.to(device), self.mask.to(device)
        )


def token_input(spectrum: Spectrum) -> TokenInput:
    """Prepare one spectrum by the encoder's recipe."""
    charge_sign = 0 if spectrum.charge is None else (1 if spectrum.charge > 0 else -1)
    return TokenInput(clean(spectrum, ENCODER_RECIPE), charge_sign)


def collate(inputs: Sequence[TokenInput]) -> TokenBatch:
    """Pad prepared spectra to the longest of them."""
    lengths = np.array([item.n_tokens for item in inputs], dtype=np.int64)
    precursor = np.array([item.peaks.precursor_mz or 0.0 for item in inputs])
    has_precursor = precursor > 0
    mz = np.concatenate([_with_precursor(item.peaks.mz, item.peaks.precursor_mz) for item in inputs])
    # The precursor's token is marked by intensity 0, which no peak has.
    intensity = np.concatenate(
        [
            _with_precursor(item.peaks.intensity, 0.0 if known else None)
            for item, known in zip(inputs, has_precursor, strict=True)
        ]
    )
    rows = np.repeat(np.arange(len(inputs)), lengths)
    sign = np.array([item.charge_sign for item in inputs], dtype=np.float64)[rows]
    known = has_precursor[rows]
    loss = np.where(known, precursor[rows] - mz, 0.0)
    features = _features(mz, intensity, loss, precursor[rows], sign)
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]
    padded = np.zeros((*mask.shape, N_PEAK_FEATURES), dtype=np.float32)
    padded[mask] = features
    return TokenBatch(
        torch.from_numpy(padded),
        torch.from_numpy(_padded(mz, mask)),
        torch.from_numpy(_padded(loss, mask)),
        torch.from_numpy(mask),
    )


def _with_precursor(values: NDArray[np.float64], first: float | None) -> NDArray[np.float64]:
    return values if first is None else np.concatenate(([first], values))


def _features(
    mz: NDArray[np.float64],
    intensity: NDArray[np.float64],
    loss: NDArray[np.float64],
    precursor_mz: NDArray[np.float64],
    sign: NDArray[np.float64],
) -> NDArray[np.float32]:
    """The eight features, in the order of the module's docstring; shape (n_tokens, 8)."""
    is_peak = intensity > 0
    log_intensity = np.log(np.where(is_peak, intensity, 1.0)) / 5.0 + 1.0
    return np.stack(
        [
            mz / 1000.0,
            np.sqrt(intensity),
            np.where(is_peak, log_intensity, 0.0),
            loss / 1000.0,
            mz - np.rint(mz),
            loss - np.rint(loss),
            precursor_mz / 1000.0,
            sign,
        ],
        axis=-1,
    ).astype(np.float32)


def _padded(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    out = np.zeros(mask.shape, dtype=np.float64)
    out[mask] = values
    return out
