"""How well a decision layer ranks, how true its confidence is, and what it says without the truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import tanimoto
from specsearch.evaluation.calibration import (
    ReliabilityBin,
    bin_numbers,
    calibration_figures,
    reliability_curve,
)
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.conformal import Beliefs, shortlist_figures
from specsearch.evaluation.decision_lists import JudgedList, LaidLists
from specsearch.evaluation.figures import Figure, by_stratum
from specsearch.evaluation.ranker_fit import FeatureTable, seen_with
from specsearch.evaluation.ranking import places, ranking_figures
from specsearch.evaluation.selective import (
    AbsentCurve,
    RiskCoverage,
    absent_curve,
    rated_figures,
    risk_coverage,
    selective_figures,
)
from specsearch.evaluation.strata import ALL, Strata
from specsearch.search.candidate_scores import CandidateScores, default_score
from specsearch.search.confidence import BANDS, Confidence, spread
from specsearch.search.decision import DecisionLayer
from specsearch.search.list_features import list_features
from specsearch.search.ranking import EVIDENCE

RANKING, CONFIDENCE = "candidate ranking", "confidence"
RULE = "rule: projection + logits + mass"
MASKED = "spectrum masked"
RANDOM, MASS_ONLY = "random", "mass error only"
WHOLE = list(EVIDENCE)[-1]


@dataclass(frozen=True, eq=False)
class Rated:
    """Lists with their confidence, the truth in the bank and taken out of it.

    Parameters
    ----------
    right : numpy.ndarray of shape (n_lists,)
        Chance that the first candidate is right, ties drawn at random.
    probability, confidence : numpy.ndarray of shape (n_lists,)
        Of the first candidate, and of the list.
    absent : numpy.ndarray of shape (n_lists,)
        Confidence without the truth; 0 for lists that this leaves empty.
    molecule : numpy.ndarray of shape (n_lists,), int64
    beliefs : Beliefs
        Of all candidates.
    """

    right: NDArray[np.float64]
    probability: NDArray[np.float64]
    confidence: NDArray[np.float64]
    absent: NDArray[np.float64]
    molecule: NDArray[np.int64]
    beliefs: Beliefs


@dataclass(frozen=True, eq=False)
class Curves:
    """What is drawn."""

    reliability: list[ReliabilityBin]
    risk: RiskCoverage
    absent: AbsentCurve


def ranked_by(layer: DecisionLayer, evidence: str, lists: Sequence[CandidateScores]) -> NDArray[np.float64]:
    """Log-odds of all candidates, lists laid end to end, as if only some evidence were at hand."""
    table = FeatureTable.of((seen_with(evidence, scores) for scores in lists), EVIDENCE[evidence])
    return layer.rankers[evidence].log_odds(table.rows)


def candidate_scores(
    layer: DecisionLayer, lists: Sequence[JudgedList], masked: Sequence[JudgedList]
) -> dict[str, NDArray[np.float64]]:
    """Controls, single scores, the fixed rule and the rankers, each shape (n_candidates,).

    Parameters
    ----------
    layer : DecisionLayer
    lists, masked : sequence of JudgedList
        From the spectra, and from their precursors alone.
    """
    own, blind = [one.scores for one in lists], [one.scores for one in masked]
    mass = np.concatenate([-np.abs(scores.mass_error_ppm) for scores in own])
    return {
        RANDOM: np.zeros(len(mass)),
        MASS_ONLY: mass,
        f"{MASKED}: rule": np.concatenate([default_score(scores) for scores in blind]),
        f"{MASKED}: ranker": ranked_by(layer, next(iter(EVIDENCE)), blind),
        "projection": np.concatenate([scores.projection for scores in own]),
        RULE: np.concatenate([default_score(scores) for scores in own]),
        **{f"ranker: {name}": ranked_by(layer, name, own) for name in EVIDENCE},
    }


def ranking_report(
    lists: Sequence[JudgedList],
    scores: Mapping[str, NDArray[np.float64]],
    pools: Pools,
    strata: Strata,
) -> Iterator[Figure]:
    """Hit rates with honest ties, and the likeness of what stands first to the truth."""
    laid = LaidLists.of(lists)
    yield from ranking_figures(RANKING, laid, scores, laid.molecule, strata)
    for name, score in scores.items():
        found = [
            _likeness(score[start : start + size], truth - start, pools.packed[one.scores.row])
            for one, start, size, truth in zip(lists, laid.start, laid.size, laid.truth, strict=True)
        ]
        yield from by_stratum(RANKING, name, "Tanimoto@1", found, laid.molecule, {ALL: strata[ALL]})


def rate(layer: DecisionLayer, lists: Sequence[JudgedList], evidence: str = WHOLE) -> Rated:
    """Rate all lists, with the truth and without."""
    laid, confidence = LaidLists.of(lists), layer.confidences[evidence]
    seen = [replace(one, scores=seen_with(evidence, one.scores)) for one in lists]
    odds = np.split(ranked_by(layer, evidence, [one.scores for one in seen]), laid.start[1:])
    features = np.stack([list_features(one.scores, own) for one, own in zip(seen, odds, strict=True)])
    probability = confidence.right(features)
    placed = places(laid, np.concatenate(odds))
    beliefs = [spread(float(first), own) for first, own in zip(probability, odds, strict=True)]
    return Rated(
        placed.hit(1),
        probability,
        confidence.confidence(features),
        _without_truth(layer, confidence, [one.without_truth() for one in seen], evidence),
        laid.molecule,
        Beliefs(np.concatenate(beliefs), laid.start, laid.truth, laid.molecule),
    )


def confidence_report(rated: Rated, confidence: Confidence, strata: Strata) -> Iterator[Figure]:
    """Calibration, bands, abstention, shortlists; with the truth in the bank and without."""
    wrong, molecule = 1.0 - rated.right, rated.molecule
    for stratum, members in strata.items():
        for figure in calibration_figures(
            CONFIDENCE, "probability", rated.probability[members], rated.right[members], molecule[members]
        ):
            yield replace(figure, stratum=stratum)
    yield from selective_figures(CONFIDENCE, "confidence", rated.confidence, wrong, molecule)
    band, band_absent = (
        np.array([confidence.band_of(value) for value in values])
        for values in (rated.confidence, rated.absent)
    )
    for name in BANDS:
        absent = band_absent == name, molecule
        yield from rated_figures(CONFIDENCE, f"band: {name}", band == name, wrong, molecule, absent)
    for risk, least in confidence.risks.items():
        answered, answered_absent = rated.confidence > least, rated.absent > least
        yield from rated_figures(
            CONFIDENCE, f"risk {risk}", answered, wrong, molecule, (answered_absent, molecule)
        )
    for coverage, least in confidence.shortlists.items():
        yield from shortlist_figures(CONFIDENCE, f"{coverage} shortlist", rated.beliefs, least)


def curves(rated: Rated) -> Curves:
    """The curves behind the figures."""
    wrong, molecule = 1.0 - rated.right, rated.molecule
    bins = bin_numbers(rated.probability, molecule)
    return Curves(
        reliability_curve(rated.probability, rated.right, molecule, bins),
        risk_coverage(rated.confidence, wrong, molecule),
        absent_curve(rated.confidence, wrong, molecule, rated.absent, molecule),
    )


def _without_truth(
    layer: DecisionLayer, confidence: Confidence, lists: Sequence[CandidateScores], evidence: str
) -> NDArray[np.float64]:
    """Confidence of lists from a bank that lacks the truth, shape (n_lists,)."""
    filled = np.array([len(scores) > 0 for scores in lists])
    kept = [scores for scores in lists if len(scores)]
    found = np.zeros(len(lists))
    if kept:
        ends = np.cumsum([len(scores) for scores in kept])[:-1]
        odds = np.split(ranked_by(layer, evidence, kept), ends)
        features = np.stack([list_features(scores, own) for scores, own in zip(kept, odds, strict=True)])
        found[filled] = confidence.confidence(features)
    return found


def _likeness(score: NDArray[np.float64], truth: int, packed: NDArray[np.uint8]) -> float:
    """Mean Tanimoto similarity to the truth of what stands first; ties are drawn at random."""
    best = packed[score == score.max()]
    return float(tanimoto(packed[truth], best).mean())
