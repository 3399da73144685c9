"""Every score of every candidate of one query, side by side: what a ranker sees."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import unpack_bits
from specsearch.encoder.network import Encoder
from specsearch.store.candidates import target_projections

_BLOCK = 8192  # candidates unpacked at once, 80 MiB: a wide window may hold the whole bank


@dataclass(frozen=True, eq=False)
class CandidateScores:
    """The candidates of one query; every array has shape (n_candidates,), and NaN where nothing is known.

    Parameters
    ----------
    row : numpy.ndarray, int64
        In the bank.
    hypothesis : numpy.ndarray, int64
        Which of the query's readings (`specsearch.search.hypotheses`) a candidate fits best; -1 for none.
    adduct_fits : numpy.ndarray, bool
        Whether the molecule's charge is the one the adduct calls for: ``[M]+`` needs a cation.
    mass_error_ppm : numpy.ndarray, float64
        Neutral mass by the hypothesis against the candidate's, signed.
    projection : numpy.ndarray, float64
        Query projection times target projection, -1 to 1.
    logit : numpy.ndarray, float64
        Raw-logit dot f·z: log-likelihood of the candidate's bits, up to a constant of the query.
    cosine : numpy.ndarray, float64
        Of the bits with their predicted probabilities, 0 to 1.
    reranker : numpy.ndarray, float64
        Of the network's own head over both projections. Experimental.
    library_similarity : numpy.ndarray, float64
        Highest product of a library hit's score and the Tanimoto similarity to its molecule.
    library_hit : numpy.ndarray, int64
        Which hit that is; -1 for none.
    n_explained, explained_intensity, fragment_score : numpy.ndarray, float64
        Peaks and share of intensity that fragments of the molecule explain, and
        `specsearch.chemistry.fragment_matching.Explanation.score`; only of the first candidates.
    """

    row: NDArray[np.int64]
    hypothesis: NDArray[np.int64]
    adduct_fits: NDArray[np.bool_]
    mass_error_ppm: NDArray[np.float64]
    projection: NDArray[np.float64]
    logit: NDArray[np.float64]
    cosine: NDArray[np.float64]
    reranker: NDArray[np.float64]
    library_similarity: NDArray[np.float64]
    library_hit: NDArray[np.int64]
    n_explained: NDArray[np.float64]
    explained_intensity: NDArray[np.float64]
    fragment_score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    def only(self, places: NDArray[np.int64]) -> CandidateScores:
        """Some of the candidates."""
        return CandidateScores(**{one.name: getattr(self, one.name)[places] for one in fields(self)})


@dataclass(frozen=True, eq=False)
class Matches:
    """Candidates before they are scored, as the first fields of `CandidateScores`."""

    row: NDArray[np.int64]
    hypothesis: NDArray[np.int64]
    adduct_fits: NDArray[np.bool_]
    mass_error_ppm: NDArray[np.float64]

    def only(self, chosen: NDArray[np.bool_]) -> Matches:
        """Some of them."""
        return Matches(
            self.row[chosen], self.hypothesis[chosen], self.adduct_fits[chosen], self.mass_error_ppm[chosen]
        )


def score_candidates(
    matches: Matches,
    packed: NDArray[np.uint8],
    network: Encoder,
    logits: NDArray[np.float32],
    projection: NDArray[np.float32],
) -> CandidateScores:
    """Let the encoder judge candidates; library and fragments come later.

    Parameters
    ----------
    matches : Matches
    packed : numpy.ndarray of shape (n_candidates, n_bytes), uint8
        Their fingerprints.
    network : Encoder
        In evaluation mode, on the CPU.
    logits, projection : numpy.ndarray of shape (n_bits,) and (projection_size,), float32
        Of the query, see `specsearch.search.query_outputs`.
    """
    judged = np.empty((4, len(packed)))
    for start in range(0, len(packed), _BLOCK):
        block = slice(start, start + _BLOCK)
        judged[:, block] = _judged(packed[block], network, logits, projection)
    by_projection, by_logit, by_cosine, by_reranker = judged
    unknown = np.full(len(matches.row), np.nan)
    return CandidateScores(
        matches.row,
        matches.hypothesis,
        matches.adduct_fits,
        matches.mass_error_ppm,
        projection=by_projection,
        logit=by_logit,
        cosine=by_cosine,
        reranker=by_reranker,
        library_similarity=unknown,
        library_hit=np.full(len(matches.row), -1, dtype=np.int64),
        n_explained=unknown,
        explained_intensity=unknown,
        fragment_score=unknown,
    )


def _judged(
    packed: NDArray[np.uint8],
    network: Encoder,
    logits: NDArray[np.float32],
    projection: NDArray[np.float32],
) -> tuple[NDArray[np.float32], ...]:
    """Projection, logit, cosine and reranker of some candidates."""
    bits = unpack_bits(packed, len(logits)).astype(np.float32)
    target = target_projections(network, packed)
    probability = torch.sigmoid(torch.from_numpy(logits)).numpy()
    norms = np.sqrt(bits.sum(axis=1)) * np.linalg.norm(probability)
    with torch.inference_mode():
        query = torch.from_numpy(projection).expand(len(target), -1)
        reranker = network.rerank(query, torch.from_numpy(target)).numpy()
    cosine = bits @ probability / np.maximum(norms, np.finfo(np.float32).tiny)
    return target @ projection, bits @ logits, cosine, reranker


_MASS_SIGMA_PPM = 3.0  # about what routine high-resolution instruments do


def default_score(scores: CandidateScores) -> NDArray[np.float64]:
    """How candidates are ordered without a fitted ranker; larger is better.

    Projection and logit, each brought to mean 0 and deviation 1 within the list, plus a Gaussian of the mass
    error, which counts as much as one deviation; a mass that is not known counts nothing.
    """
    mass = np.exp(-0.5 * (scores.mass_error_ppm / _MASS_SIGMA_PPM) ** 2)
    return standardised(scores.projection) + standardised(scores.logit) + np.nan_to_num(mass, nan=0.0)


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with mean 0 and deviation 1; 0 throughout where all are equal."""
    centred = values - values.mean() if len(values) else values
    deviation = np.sqrt(np.mean(centred**2)) if len(values) else 0.0
    is_flat = deviation <= 1e-9 * max(1.0, float(np.abs(values).max(initial=0.0)))
    return np.zeros_like(values) if is_flat else centred / deviation
