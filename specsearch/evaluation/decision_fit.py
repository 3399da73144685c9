"""A decision layer from judged lists: rankers and confidence for every kind of evidence, with their card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.confidence_fit import fit_confidence
from specsearch.evaluation.decision_lists import JudgedList, LaidLists
from specsearch.evaluation.intervals import estimate
from specsearch.evaluation.progress import Progress, silent, told
from specsearch.evaluation.ranker_fit import OutOfFold, fit_ranker, out_of_fold, seen_with
from specsearch.evaluation.ranking import HITS, places
from specsearch.search.decision import DecisionLayer
from specsearch.search.list_features import FORMULA, LENGTH, MASS
from specsearch.search.ranking import EVIDENCE

ALL_EVIDENCE = list(EVIDENCE)[-1]
LIMITS = (
    "Probabilities hold if the bank has the right molecule; no ranker knows whether it has.",
    "Fitted on MassBank: spectra of other instruments and other kinds of molecules are rated less truly.",
    "Many MassBank spectra are recalibrated, stripped of peaks that the molecule's formula cannot explain, "
    "and give a calculated precursor: fragments and mass say less of raw spectra.",
    "Fitted with the adduct known, a window of 10 ppm and, as library, MassBank without the molecule.",
)


def fit_decision(
    lists: Sequence[JudgedList], encoder: str, card: dict[str, Any], progress: Progress = silent
) -> DecisionLayer:
    """Fit a decision layer.

    Parameters
    ----------
    lists : sequence of JudgedList
        With library and fragments, of molecules that their encoders were not trained on.
    encoder : str
        Digest of the model whose candidates it will rank.
    card : dict
        What the lists were made of.
    progress : Progress
    """
    rankers, confidences, figures = {}, {}, {}
    for evidence in told(list(EVIDENCE), "fitting rankers", progress):
        seen = [replace(one, scores=seen_with(evidence, one.scores)) for one in lists]
        ranked = out_of_fold(seen, evidence)
        rankers[evidence] = fit_ranker(seen, evidence)
        confidences[evidence] = fit_confidence(seen, ranked)
        figures[evidence] = hit_rates(lists, ranked)
    whole = {
        **card,
        "n_lists": len(lists),
        "n_molecules": len({one.molecule for one in lists}),
        "cross_fitted": figures,
        "limits": list(LIMITS),
    }
    return DecisionLayer(rankers, confidences, encoder, whole)


def ablations(lists: Sequence[JudgedList], progress: Progress = silent) -> Iterator[dict[str, Any]]:
    """Each kind of feature left out in turn, cross-fitted: what it adds to all the others."""
    names = ("", *EVIDENCE[ALL_EVIDENCE], MASS, FORMULA, LENGTH)
    for name in told(names, "ablations", progress):
        ranked = out_of_fold(lists, ALL_EVIDENCE, without=name)
        yield {"without": name or "nothing", **hit_rates(lists, ranked)}


def hit_rates(lists: Sequence[JudgedList], ranked: OutOfFold) -> dict[str, Any]:
    """Hit rates and mean reciprocal rank, per molecule, with intervals."""
    laid = LaidLists.of(lists)
    placed = places(laid, np.concatenate(ranked.present))
    measures: dict[str, NDArray[np.float64]] = {f"hit@{k}": placed.hit(k) for k in HITS}
    measures["MRR"] = placed.reciprocal_rank()
    return {name: estimate(values, laid.molecule).to_dict() for name, values in measures.items()}
