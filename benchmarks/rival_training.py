"""Training of the rival networks: bits from spectra on train, stopped by val."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.examples import Examples
from specsearch.evaluation.fingerprint_quality import cosines
from specsearch.evaluation.intervals import mean_per_molecule
from specsearch.evaluation.outputs import Outputs, sigmoid
from specsearch.evaluation.progress import Progress, silent

_BATCH = 128


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Parameters
    ----------
    n_epochs : int
        At most; an epoch draws `per_molecule` spectra of each molecule.
    patience : int
        Epochs without a better val before training stops.
    per_molecule : int
    learning_rate, weight_decay : float
        Of AdamW.
    seed : int
    """

    n_epochs: int = 100
    patience: int = 8
    per_molecule: int = 2
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    seed: int = 1


class TrainedRival:
    """A network that predicts bits, as a model under evaluation: its embedding is the predicted fingerprint.

    Parameters
    ----------
    network : torch.nn.Module
        From prepared spectra to log-odds of bits.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def read(self, inputs: Sequence[TokenInput], what: str, progress: Progress = silent) -> Outputs:
        """Log-odds of bits; probabilities of unit length serve as embedding."""
        logits = predict(self._network, inputs)
        probability = sigmoid(logits)
        return Outputs(probability / np.linalg.norm(probability, axis=1, keepdims=True), logits)

    def targets(self, packed: NDArray[np.uint8]) -> None:
        """It has no projections."""


def predict(network: nn.Module, inputs: Sequence[TokenInput]) -> NDArray[np.float32]:
    """Log-odds of bits, shape (n_spectra, n_bits), in the order of the input."""
    network.eval()
    order = np.argsort([item.n_tokens for item in inputs], kind="stable")
    out: NDArray[np.float32] | None = None
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            found = network([inputs[row] for row in rows]).numpy()
            out = np.empty((len(inputs), found.shape[1]), dtype=np.float32) if out is None else out
            out[rows] = found
    assert out is not None
    return out


def train(network: nn.Module, train: Examples, val: Examples, how: Schedule) -> list[float]:
    """Train in place and keep the epoch with the best val; return val's cosine after each epoch."""
    generator = np.random.default_rng(how.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay)
    history: list[float] = []
    best = deepcopy(network.state_dict())
    for _ in range(how.n_epochs):
        _epoch(network, optimizer, train, how.per_molecule, generator)
        history.append(_val_cosine(network, val))
        if history[-1] == max(history):
            best = deepcopy(network.state_dict())
        if len(history) - int(np.argmax(history)) > how.patience:
            break
    network.load_state_dict(best)
    return history


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    per_molecule: int,
    generator: np.random.Generator,
) -> None:
    """One pass over the molecules, a few spectra of each drawn anew."""
    network.train()
    drawn = [generator.permutation(spectra)[:per_molecule] for spectra in examples.spectra_of()]
    rows = generator.permutation(np.concatenate(drawn))
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        truth = torch.from_numpy(examples.fingerprints[examples.molecule[batch]]).float()
        loss = F.binary_cross_entropy_with_logits(network([examples.inputs[row] for row in batch]), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _val_cosine(network: nn.Module, val: Examples) -> float:
    predicted = sigmoid(predict(network, val.inputs))
    values = cosines(predicted, val.fingerprints[val.molecule])
    return float(mean_per_molecule(values, val.molecule).mean())
