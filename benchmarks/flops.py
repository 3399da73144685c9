"""Work of the encoder, counted, and the rate at which this machine can do such work, measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike

from benchmarks.timing import timed
from specsearch.encoder.config import N_PEAK_FEATURES, EncoderConfig

FORMULA = (
    "sum over spectra of n_layers * (2 * (4*hidden^2 + 2*hidden*feed_forward) * length + 4*length^2*hidden)"
    " + 2 * n_features*hidden * (length - 1); length = peaks + precursor token + CLS; no padding, biases,"
    " norms, activations, softmax or Fourier features"
)
_SQUARE = 2048
_BATCH_TOKENS = 2048


def embedding_flops(config: EncoderConfig, lengths: ArrayLike) -> float:
    """Floating-point operations (multiply and add: two) of embedding spectra, by `FORMULA`.

    Parameters
    ----------
    config : EncoderConfig
    lengths : array-like of shape (n_spectra,)
        Real tokens of each spectrum, CLS included.
    """
    length = np.asarray(lengths, dtype=np.float64)
    hidden = config.hidden
    weights = 4 * hidden**2 + 2 * hidden * config.feed_forward
    layers = config.n_layers * (2 * weights * length + 4 * length**2 * hidden)
    features = N_PEAK_FEATURES + 4 * config.n_fourier
    return float(np.sum(layers + 2 * features * hidden * (length - 1)))


def square_rate(repeats: int) -> list[float]:
    """Operations per second of float32 matrix products of 2048 x 2048 by 2048 x 2048, one per repeat."""
    return _rates([_SQUARE, _SQUARE], _SQUARE, repeats)


def network_rate(config: EncoderConfig, repeats: int) -> list[float]:
    """Operations per second over one layer's four products for a batch of 2048 tokens, one per repeat."""
    h, f = config.hidden, config.feed_forward
    rates = [_rates(shape, _BATCH_TOKENS, repeats) for shape in ([h, 3 * h], [h, h], [h, f], [f, h])]
    work = [3 * h * h, h * h, h * f, h * f]
    return [
        sum(work) / sum(w / r for w, r in zip(work, turn, strict=True)) for turn in zip(*rates, strict=True)
    ]


def median_rate(*measured: Sequence[float]) -> float:
    """Median over all repeats of several measurements."""
    return statistics.median([rate for rates in measured for rate in rates])


def _rates(sizes: Sequence[int], n_rows: int, repeats: int) -> list[float]:
    weights = [torch.randn(n_in, n_out) for n_in, n_out in pairwise(sizes)]
    rows = torch.randn(n_rows, sizes[0])
    work = sum(2.0 * n_rows * weight.numel() for weight in weights)

    def multiply() -> None:
        for weight in weights:
            torch.mm(rows, weight)

    with torch.inference_mode():
        multiply()
        return [work / timed(multiply)[1] for _ in range(repeats)]
