"""The decision layer as a file: rankers and models of confidence, one pair for each kind of evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT
from specsearch.errors import CheckpointError
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.confidence import BANDS, CANNOT_SAY, Confidence, Logistic, Rating
from specsearch.search.list_features import LIST_FEATURES
from specsearch.search.ranking import EVIDENCE, Ranker, evidence_of

DEFAULT_RANKER = DEFAULT_CHECKPOINT.parent / "ranker.json"
_FORMAT = "specsearch decision layer 1"
_THRESHOLDS = ("bands", "shortlists", "risks")
_OTHERWISE = "Use --ranker none, or the ranker that came with the model."


@dataclass(frozen=True)
class DecisionLayer:
    """What ranks candidates and says how sure that is.

    Parameters
    ----------
    rankers : mapping of str to Ranker
        By the names in `specsearch.search.ranking.EVIDENCE`; all of them.
    confidences : mapping of str to Confidence
        By the same names.
    encoder : str
        Digest of the model whose scores it was fitted for.
    card : mapping
        What it was fitted on, and how well it did.
    """

    rankers: Mapping[str, Ranker]
    confidences: Mapping[str, Confidence]
    encoder: str
    card: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, scores: CandidateScores) -> NDArray[np.float64]:
        """Log-odds of each candidate, shape (n_candidates,), from all that is known of the list."""
        return self.rankers[evidence_of(scores)](scores)

    def contributions(self, scores: CandidateScores) -> dict[str, NDArray[np.float64]]:
        """What each kind of evidence adds to a candidate's log-odds; see `Ranker.contributions`."""
        return self.rankers[evidence_of(scores)].contributions(scores)

    def rate(self, scores: CandidateScores, log_odds: NDArray[np.float64], risk: str | None = None) -> Rating:
        """How sure a list of at least one candidate is.

        Parameters
        ----------
        scores : CandidateScores
        log_odds : numpy.ndarray of shape (n_candidates,)
            From calling this layer.
        risk : str, optional
            A name in `risks`: of all answers given, so many may be wrong; less sure lists "cannot say".
        """
        confidence = self.confidences[evidence_of(scores)]
        rating = confidence(scores, log_odds)
        if risk is None or rating.confidence > confidence.risks[risk]:
            return rating
        return rating.at_most(CANNOT_SAY)

    @property
    def risks(self) -> tuple[str, ...]:
        """Shares of wrong answers that thresholds are known for, such as ``"10%"``."""
        return tuple(next(iter(self.confidences.values())).risks)

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content."""
        return sha256(_text(self).encode()).hexdigest()


def write_decision(path: Path, layer: DecisionLayer) -> None:
    """Write a decision layer as JSON."""
    path.write_text(_text(layer), encoding="utf-8")


def read_decision(path: Path, encoder: str | None = None) -> DecisionLayer:
    """Read a decision layer.

    Parameters
    ----------
    path : Path
    encoder : str, optional
        Digest of the model whose candidates will be ranked; without it, the layer's own is not checked.

    Raises
    ------
    CheckpointError
        If the file is no decision layer, or one for another model.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != _FORMAT:
            raise ValueError(f"its format is {values['format']!r}")
        layer = DecisionLayer(
            {name: Ranker(name, str(values["rankers"][name])) for name in EVIDENCE},
            {name: _confidence(values["confidences"][name]) for name in EVIDENCE},
            str(values["encoder"]),
            dict(values["card"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else error
        raise CheckpointError(f"{path} is no ranker ({what}).", _OTHERWISE) from None
    if encoder is not None and layer.encoder != encoder:
        raise CheckpointError(
            f"The ranker {path} was fitted on the scores of another model "
            f"({layer.encoder[:12]}, not {encoder[:12]}).",
            _OTHERWISE,
        )
    return layer


def _text(layer: DecisionLayer) -> str:
    content = {
        "format": _FORMAT,
        "encoder": layer.encoder,
        "card": dict(layer.card),
        "confidences": {name: _written(one) for name, one in layer.confidences.items()},
        "rankers": {name: ranker.trees for name, ranker in layer.rankers.items()},
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _written(confidence: Confidence) -> dict[str, Any]:
    """JSON has no infinity: a threshold that nothing reaches is written as null."""
    values = asdict(confidence)
    for name in _THRESHOLDS:
        values[name] = {of: least if np.isfinite(least) else None for of, least in values[name].items()}
    return values


def _confidence(values: Mapping[str, Any]) -> Confidence:
    thresholds = {name: _thresholds(values[name]) for name in _THRESHOLDS}
    if missing := set(BANDS[:-1]) - set(thresholds["bands"]):
        raise ValueError(f"no threshold for {', '.join(sorted(missing))}")
    return Confidence(_logistic(values["right"]), str(values["sure"]), **thresholds)


def _thresholds(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): np.inf if least is None else float(least) for name, least in values.items()}


def _logistic(values: Mapping[str, Any]) -> Logistic:
    weights = tuple(float(weight) for weight in values["weights"])
    bias = float(values["bias"])
    if len(weights) != len(LIST_FEATURES) or not np.isfinite([*weights, bias]).all():
        raise ValueError(f"a confidence needs {len(LIST_FEATURES)} finite weights")
    return Logistic(weights, bias)
