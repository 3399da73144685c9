"""What the structure phase aims at, as one differentiable number with named parts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from specsearch.encoder.network import Encoder
from specsearch.encoder.training.contrast import contrastive
from specsearch.encoder.training.ranking import Decoys, ranking_losses
from specsearch.encoder.training.recipe import Weights
from specsearch.encoder.training.workplace import CPU

# Molecules that a spectrum is placed among: all where there are no more (the kernel's eigenvectors cost
# the cube of their number, a minute for this many), else so many of them at random.
MAX_LANDMARKS = 4096


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
    bits = torch.from_numpy(fingerprints).float()
    tanimoto = tanimoto_matrix(bits, bits).numpy()
    centred = tanimoto - tanimoto.mean(axis=0) - tanimoto.mean(axis=1)[:, None] + tanimoto.mean()
    values, vectors = np.linalg.eigh(centred.astype(np.float64))
    leading = np.argsort(-values)[:size]
    places = np.zeros((len(bits), size), dtype=np.float64)
    places[:, : len(leading)] = vectors[:, leading] * np.sqrt(np.maximum(values[leading], 0.0))
    places /= np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-9)
    return places.astype(np.float32), tanimoto


def tanimoto_matrix(some: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Tanimoto similarity of fingerprints (n, n_bits) and (m, n_bits), shape (n, m); 0 for two empty ones."""
    common = some @ others.T
    either = some.sum(dim=1)[:, None] + others.sum(dim=1)[None, :] - common
    return common / either.clamp(min=1.0)


class Objective:
    """The losses over one batch of spectra against the training molecules.

    Parameters
    ----------
    fingerprints : numpy.ndarray of shape (n_molecules, n_bits), uint8
    size : int
        Length of an embedding.
    weights : Weights
    device : torch.device
        Where the batches will be.
    max_landmarks : int
        Molecules that the structure loss places spectra among.
    """

    def __init__(
        self,
        fingerprints: NDArray[np.uint8],
        size: int,
        weights: Weights,
        device: torch.device = CPU,
        max_landmarks: int = MAX_LANDMARKS,
    ) -> None:
        landmarks = np.arange(len(fingerprints))
        if len(landmarks) > max_landmarks:
            landmarks = np.sort(np.random.default_rng(0).choice(landmarks, max_landmarks, replace=False))
        places, _ = structure_space(fingerprints[landmarks], size)
        self.landmark_rows = landmarks
        self.places = torch.from_numpy(places).to(device)
        self.landmarks = torch.from_numpy(fingerprints[landmarks]).float().to(device)
        self.fingerprints = torch.from_numpy(fingerprints).to(device)
        self.weights = weights

    def __call__(
        self, network: Encoder, state: torch.Tensor, molecule: torch.Tensor, decoys: Decoys | None = None
    ) -> dict[str, torch.Tensor]:
        """Weighted losses by name; ``total`` is their sum.

        Parameters
        ----------
        state : torch.Tensor of shape (n_spectra, hidden)
        molecule : torch.Tensor of shape (n_spectra,), int64
            Each at least twice.
        decoys : Decoys, optional
            Of the batch's molecules in ascending order.
        """
        weights = self.weights
        unique, label = torch.unique(molecule, return_inverse=True)
        truth, logits = self.fingerprints[unique].float(), network.fingerprint(state)
        losses = {
            "structure": weights.structure * self._structure(network.embed(state), truth, label),
            "fingerprint": weights.fingerprint * F.binary_cross_entropy_with_logits(logits, truth[label]),
            "projection": weights.projection * _projection(network, state, truth, label),
            "ssl": weights.ssl * contrastive(network.ssl(state), label, weights.ssl_temperature),
        }
        if decoys is not None:
            by_logit, by_projection = ranking_losses(
                network, state, logits, truth, label, decoys, weights.logit_temperature
            )
            losses["logit_ranking"] = weights.logit_ranking * by_logit
            losses["projection_ranking"] = weights.projection_ranking * by_projection
        losses["total"] = torch.stack(list(losses.values())).sum()
        return losses

    def _structure(self, embedding: torch.Tensor, truth: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Cross-entropy over the landmarks against labels softened by structural similarity."""
        similarity = tanimoto_matrix(truth, self.landmarks)
        soft_labels = torch.softmax(similarity / self.weights.label_temperature, dim=1)[label]
        logits = embedding @ self.places.T / self.weights.structure_temperature
        return -(soft_labels * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def _projection(
    network: Encoder, state: torch.Tensor, truth: torch.Tensor, label: torch.Tensor
) -> torch.Tensor:
    """InfoNCE of query projections against the target projections of the batch's molecules."""
    temperature = network.log_temperature.exp().clamp(min=0.01)
    return F.cross_entropy(
        network.project_query(state) @ network.project_target(truth).T / temperature, label
    )
