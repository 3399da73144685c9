"""What the encoder is trained to do, as one differentiable number with named parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from specsearch.encoder.network import Encoder


@dataclass(frozen=True)
class Weights:
    """Shares of the parts, and the temperatures.

    Parameters
    ----------
    structure, fingerprint, projection, ssl : float
        Weight of each loss.
    structure_temperature, label_temperature, ssl_temperature : float
        Softmax temperatures of the structure loss, of its soft labels, of the SSL loss.
    """

    structure: float = 1.0
    fingerprint: float = 10.0
    projection: float = 0.5
    ssl: float = 0.2
    structure_temperature: float = 0.08
    label_temperature: float = 0.06
    ssl_temperature: float = 0.1


def structure_space(
    fingerprints: NDArray[np.uint8], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A place for every molecule such that dot products follow structural similarity.

    The Tanimoto kernel (positive definite; Ralaivola et al., Neural Networks 18, 1093 (2005)) is
    centred and its leading eigenvectors are taken (kernel PCA), then rows are scaled to unit length.

    Parameters
    ----------
    fingerprints : numpy.ndarray of shape (n_molecules, n_bits), uint8
    size : int
        Dimensions wanted; fewer molecules than that leave the rest zero.

    Returns
    -------
    places : numpy.ndarray of shape (n_molecules, size), float32
    tanimoto : numpy.ndarray of shape (n_molecules, n_molecules), float32
    """
    bits = fingerprints.astype(np.float32)
    common = bits @ bits.T
    count = bits.sum(axis=1)
    tanimoto = common / np.maximum(count[:, None] + count[None, :] - common, 1.0)
    centred = tanimoto - tanimoto.mean(axis=0) - tanimoto.mean(axis=1)[:, None] + tanimoto.mean()
    values, vectors = np.linalg.eigh(centred.astype(np.float64))
    leading = np.argsort(-values)[:size]
    places = np.zeros((len(bits), size), dtype=np.float64)
    places[:, : len(leading)] = vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0.0))
    places /= np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-9)
    return places.astype(np.float32), tanimoto


class Objective:
    """The losses over one batch of spectra against all training molecules.

    Parameters
    ----------
    fingerprints : numpy.ndarray of shape (n_molecules, n_bits), uint8
    size : int
        Length of an embedding.
    weights : Weights
    """

    def __init__(self, fingerprints: NDArray[np.uint8], size: int, weights: Weights) -> None:
        places, tanimoto = structure_space(fingerprints, size)
        self.places = torch.from_numpy(places)
        self.soft_labels = torch.softmax(torch.from_numpy(tanimoto) / weights.label_temperature, dim=1)
        self.fingerprints = torch.from_numpy(fingerprints).float()
        self.weights = weights

    def __call__(
        self, network: Encoder, state: torch.Tensor, molecule: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Weighted losses by name; ``total`` is their sum.

        Parameters
        ----------
        state : torch.Tensor of shape (n_spectra, hidden)
        molecule : torch.Tensor of shape (n_spectra,), int64
            Spectra of one molecule stand two by two.
        """
        losses = {
            "structure": self.weights.structure * self._structure(network.embed(state), molecule),
            "fingerprint": self.weights.fingerprint
            * F.binary_cross_entropy_with_logits(network.fingerprint(state), self.fingerprints[molecule]),
            "projection": self.weights.projection * self._projection(network, state, molecule),
            "ssl": self.weights.ssl * self._ssl(network.ssl(state), molecule),
        }
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def _structure(self, embedding: torch.Tensor, molecule: torch.Tensor) -> torch.Tensor:
        """Cross-entropy over all molecules against labels softened by structural similarity."""
        logits = embedding @ self.places.T / self.weights.structure_temperature
        return -(self.soft_labels[molecule] * F.log_softmax(logits, dim=1)).sum(dim=1).mean()

    def _projection(self, network: Encoder, state: torch.Tensor, molecule: torch.Tensor) -> torch.Tensor:
        """InfoNCE of query projections against the target projections of the batch's molecules."""
        unique, label = torch.unique(molecule, return_inverse=True)
        targets = network.project_target(self.fingerprints[unique])
        logits = network.project_query(state) @ targets.T / network.log_temperature.exp().clamp(min=0.01)
        return F.cross_entropy(logits, label)

    def _ssl(self, projected: torch.Tensor, molecule: torch.Tensor) -> torch.Tensor:
        """Supervised contrastive loss: spectra of one molecule together, all others apart."""
        unit = F.normalize(projected, dim=-1)
        logits = unit @ unit.T / self.weights.ssl_temperature
        itself = torch.eye(len(unit), dtype=torch.bool)
        logits = logits.masked_fill(itself, float("-inf"))
        same = (molecule[:, None] == molecule[None, :]) & ~itself
        log_p = F.log_softmax(logits, dim=1).masked_fill(~same, 0.0)
        return -(log_p.sum(dim=1) / same.sum(dim=1)).mean()
