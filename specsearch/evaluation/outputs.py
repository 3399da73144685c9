"""What a model says of spectra: one pass, read by every task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Outputs:
    """A model's answers about some spectra; what it cannot say is None, and those tasks are left out.

    Parameters
    ----------
    embedding : numpy.ndarray of shape (n_spectra, size), float32
        Unit rows: their dot products are the similarity of spectra.
    logits : numpy.ndarray of shape (n_spectra, n_bits), float32, or None
        Log-odds of each Morgan bit.
    projection : numpy.ndarray of shape (n_spectra, projection_size), float32, or None
        Unit rows, to be compared with target projections of molecules.
    """

    embedding: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None
    projection: NDArray[np.float32] | None = None

    def only(self, rows: NDArray[np.int64]) -> Outputs:
        """A choice of the spectra."""
        return Outputs(
            self.embedding[rows],
            None if self.logits is None else self.logits[rows],
            None if self.projection is None else self.projection[rows],
        )


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of log-odds, without overflow; any shape."""
    return torch.sigmoid(torch.from_numpy(logits)).numpy()
