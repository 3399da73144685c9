"""The decision layer: one number from all scores of a list, by a small fitted ranker.

A conditional logit (McFadden 1974, the choice among a list's candidates): the chance that a candidate is the
right one is the softmax, over its list, of a weighted sum of its features. Features are scores brought to
mean 0 and deviation 1 within the list, so that a score counts by how far it parts the candidates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import CheckpointError
from specsearch.search.candidate_scores import CandidateScores, standardised

_SIGMAS_PPM = {"mass within 1 ppm": 1.0, "mass within 3 ppm": 3.0}
FEATURES = (
    "projection",
    "logit",
    "cosine",
    *_SIGMAS_PPM,
    "library similarity",
    "fragment score",
    "explained intensity",
)


def features(scores: CandidateScores) -> NDArray[np.float64]:
    """What a ranker sees of a list, shape (n_candidates, n_features), columns as `FEATURES`.

    What is known of no candidate is 0 for all; what is known of some counts for the others as the lowest.
    """
    mass = [np.exp(-0.5 * (scores.mass_error_ppm / sigma) ** 2) for sigma in _SIGMAS_PPM.values()]
    columns = (
        scores.projection,
        scores.logit,
        scores.cosine,
        *mass,
        scores.library_similarity,
        scores.fragment_score,
        scores.explained_intensity,
    )
    return np.stack([standardised(_filled(column)) for column in columns], axis=1)


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker; called with a list's scores it gives what to rank by, larger is better.

    Parameters
    ----------
    weights : mapping of str to float
        Of features by name; those left out weigh nothing.
    encoder : str
        Digest of the model whose scores it was fitted on.
    card : mapping
        What it was fitted on, and how well it did.

    Raises
    ------
    CheckpointError
        If a weight is of no known feature, or not a finite number.
    """

    weights: Mapping[str, float]
    encoder: str
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.weights) - set(FEATURES)):
            raise CheckpointError(f"The ranker weighs unknown features: {', '.join(unknown)}.")
        if not all(np.isfinite(weight) for weight in self.weights.values()):
            raise CheckpointError("A weight of the ranker is not a finite number.")

    def __call__(self, scores: CandidateScores) -> NDArray[np.float64]:
        """Log-odds of each candidate up to a constant of the list, shape (n_candidates,)."""
        return features(scores) @ np.array([self.weights.get(name, 0.0) for name in FEATURES])

    def probabilities(self, scores: CandidateScores) -> NDArray[np.float64]:
        """Chance of each candidate, if one of them is right; shape (n_candidates,), sum 1."""
        return softmax(self(scores))


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponentials scaled to the sum 1; empty for an empty list."""
    if not len(values):
        return values
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def write_ranker(path: Path, ranker: Ranker) -> None:
    """Write a ranker as JSON."""
    path.write_text(json.dumps(asdict(ranker), indent=1) + "\n", encoding="utf-8")


def read_ranker(path: Path, encoder: str) -> Ranker:
    """Read a ranker for a model.

    Parameters
    ----------
    path : Path
    encoder : str
        Digest of the model whose scores will be ranked.

    Raises
    ------
    CheckpointError
        If the file is no ranker, or one for the scores of another model.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        weights = {name: float(weight) for name, weight in values["weights"].items()}
        ranker = Ranker(weights, str(values["encoder"]), dict(values["card"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not a ranker ({error}).", "Use --ranker none, or another file."
        ) from None
    if ranker.encoder != encoder:
        raise CheckpointError(
            f"The ranker {path} was fitted on the scores of another model "
            f"({ranker.encoder[:12]}, not {encoder[:12]}).",
            "Use --ranker none, or the ranker that came with the model.",
        )
    return ranker


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest known value where nothing is known; 0 throughout where nothing is known at all."""
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, known.min() if len(known) else 0.0)
