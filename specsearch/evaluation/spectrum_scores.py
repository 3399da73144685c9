"""Similarity of query spectra to library spectra, by whatever means: the model, its controls, the rivals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.tokens import TokenInput
from specsearch.evaluation.outputs import Outputs
from specsearch.evaluation.rivals import EntropyLibrary, ModifiedCosineLibrary
from specsearch.spectra.similarity import entropy_similarity, modified_cosine

EMBEDDING, MASKED, MASS = "embedding", "spectrum masked", "mass error only"


@dataclass(frozen=True, eq=False)
class Seen:
    """Spectra as a model sees them.

    Parameters
    ----------
    outputs : Outputs
    masked : Outputs
        With the peaks withheld.
    precursor_mz : numpy.ndarray of shape (n_spectra,)
    """

    outputs: Outputs
    masked: Outputs
    precursor_mz: NDArray[np.float64]

    def only(self, rows: NDArray[np.int64]) -> Seen:
        """A choice of the spectra."""
        return Seen(self.outputs.only(rows), self.masked.only(rows), self.precursor_mz[rows])


Similarity = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]
"""Scores (n_queries, n_library) of chosen query rows with chosen library rows; larger is better."""


def embedding_similarity(queries: NDArray[np.float32], library: NDArray[np.float32]) -> Similarity:
    """Dot products of unit rows."""
    return lambda asked, among: queries[asked] @ library[among].T


def precursor_similarity(queries: NDArray[np.float64], library: NDArray[np.float64]) -> Similarity:
    """The control that sees the precursor m/z alone: the nearer, the better."""
    return lambda asked, among: -np.abs(queries[asked][:, None] - library[among][None, :])


def model_similarities(queries: Seen, library: Seen) -> dict[str, Similarity]:
    """The model's own similarity, and the two controls that it has to beat."""
    return {
        EMBEDDING: embedding_similarity(queries.outputs.embedding, library.outputs.embedding),
        MASKED: embedding_similarity(queries.masked.embedding, library.masked.embedding),
        MASS: precursor_similarity(queries.precursor_mz, library.precursor_mz),
    }


def peak_similarities(queries: Sequence[TokenInput], library: Sequence[TokenInput]) -> dict[str, Similarity]:
    """The rivals that need no training, over a whole library."""
    peaks = [item.peaks for item in library]
    entropy, cosine = EntropyLibrary(peaks), ModifiedCosineLibrary(peaks)
    return {
        "open entropy search": lambda asked, among: np.stack(
            [entropy.scores(queries[row].peaks, "open")[among] for row in asked]
        ),
        "hybrid entropy search": lambda asked, among: np.stack(
            [entropy.scores(queries[row].peaks, "hybrid")[among] for row in asked]
        ),
        "modified cosine": lambda asked, among: np.stack(
            [cosine.scores(queries[row].peaks)[among] for row in asked]
        ),
    }


def pairwise_similarities(spectra: Sequence[TokenInput]) -> dict[str, Similarity]:
    """The same rivals pair by pair, for small pools; at one precursor hybrid search is open search."""
    return {
        "entropy similarity": lambda asked, among: np.stack(
            [entropy_similarity(spectra[row].peaks, [spectra[i].peaks for i in among]) for row in asked]
        ),
        "modified cosine": lambda asked, among: np.stack(
            [modified_cosine(spectra[row].peaks, [spectra[i].peaks for i in among])[0] for row in asked]
        ),
    }
