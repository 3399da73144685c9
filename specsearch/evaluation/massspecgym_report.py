"""A model on MassSpecGym's retrieval task: scores, fusions, controls, and two ways to count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.errors import InputFileError
from specsearch.evaluation.candidate_fusion import fused
from specsearch.evaluation.candidate_scores import BLURRED, LOGITS, MASS, PROJECTION, Scores, random_score
from specsearch.evaluation.candidate_tasks import MASS_ONLY, CandidateTask, FusionFit, fit_fusions
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.controls import masked
from specsearch.evaluation.figures import Figure
from specsearch.evaluation.intervals import estimate_per_value
from specsearch.evaluation.massspecgym import Candidates, Fold, Track
from specsearch.evaluation.massspecgym_lists import Lists, candidate_lists
from specsearch.evaluation.massspecgym_official import find_evaluator, given_hits, official_hit_rates
from specsearch.evaluation.models import Model
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.ranking import HITS, ranking_figures
from specsearch.evaluation.spectrum_scores import MASKED, Seen
from specsearch.evaluation.strata import ALL

RANDOM = "random"
_SAME_FORMULA = 0.95  # of the candidates; not 1, for charges and isotopes are written in several ways


@dataclass(frozen=True)
class GymReport:
    """What was measured.

    Parameters
    ----------
    track : Track
    fold : str
    figures : list of Figure
        Lists deduplicated by first block and averages over molecules, ties expected, strict and official;
        and, per spectrum over the lists as given, what the public evaluator counts.
    fitted : dict
        Weights of fusions, with the fold they were fitted on.
    sizes : dict
    official : dict of str to dict of str to float
        By MassSpecGym's own evaluator; empty where it was not asked.
    evaluator : str or None
        Its name and version.
    """

    track: Track
    fold: str
    figures: list[Figure]
    fitted: dict[str, Any]
    sizes: dict[str, Any]
    official: dict[str, dict[str, float]]
    evaluator: str | None

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "track": asdict(self.track),
            "fold": self.fold,
            "fitted": self.fitted,
            "sizes": self.sizes,
            "official_evaluator": self.evaluator,
            "official": self.official,
            "figures": [figure.to_dict() for figure in self.figures],  # the track is their section
        }


def evaluate_on_gym(
    model: Model,
    fold: Fold,
    candidates: Candidates,
    track: Track,
    fitted_on: Fold | None = None,
    *,
    official: bool = True,
    cache: Path | None = None,
    progress: Progress = silent,
) -> GymReport:
    """Rank the candidates of a fold.

    Parameters
    ----------
    model : Model
    fold : Fold
        What is reported on.
    candidates : mapping of str to sequence of str
    track : Track
    fitted_on : Fold, optional
        Where the weights of fusions are fitted, e.g. the fold val; without it scores stay single.
    official : bool
        Whether MassSpecGym's own evaluator counts as well.
    cache : Path, optional
        Folder for states, names and fingerprints.
    progress : Progress

    Raises
    ------
    InputFileError
        If the lists are not of the formula track that they are said to be.
    SpecsearchError
        If the official evaluator is asked for and not installed.
    """
    fold, lists = candidate_lists(fold, candidates, cache, progress)
    _require_rule(track, lists)
    task = _task(model, fold, lists.given, progress)
    fits: dict[str, FusionFit] = {}
    if fitted_on is not None:
        fitted_on, own = candidate_lists(fitted_on, candidates, cache, progress)
        fits = fit_fusions(_task(model, fitted_on, own.deduplicated(), progress))
    scores = _scores(task, fits)
    return GymReport(
        track,
        fold.name,
        [*_strict_figures(track, scores, lists, fold), *_given_figures(track, scores, lists, fold)],
        {} if fitted_on is None else {"fold": fitted_on.name, **{n: asdict(fit) for n, fit in fits.items()}},
        {
            "spectra": len(fold),
            "molecules": len(np.unique(fold.molecule)),
            "left_out": dict(fold.left_out.most_common()),
            "lists": lists.describe(),
        },
        official_hit_rates(_drawn(scores), lists) if official else {},
        find_evaluator() if official else None,
    )


def _require_rule(track: Track, lists: Lists) -> None:
    if track.rule == "formula" and lists.has_formula_of_truth < _SAME_FORMULA:
        raise InputFileError(
            f"Only {lists.has_formula_of_truth:.0%} of the candidates have the formula of the true molecule: "
            "these are not lists of the formula track.",
            "Name the track with --track mass.",
        )


def _task(model: Model, fold: Fold, pools: Pools, progress: Progress) -> CandidateTask:
    without = [masked(item) for item in fold.inputs]
    seen = Seen(
        model.read(fold.inputs, f"fold {fold.name}", progress),
        model.read(without, f"fold {fold.name}, masked", progress),
        fold.precursor_mz,
    )
    return CandidateTask.of(model, seen, pools, fold.molecule, progress)


def _scores(task: CandidateTask, fits: Mapping[str, FusionFit]) -> Scores:
    """Controls, single scores and fusions, each for every entry of the lists as given."""
    single = {name: score for name, score in task.parts.items() if name not in (MASS, BLURRED)}
    blind = next(
        (task.masked_parts[name] for name in (PROJECTION, LOGITS) if name in task.masked_parts), None
    )
    return {
        RANDOM: random_score(task.pools),
        MASS_ONLY: task.parts[MASS],
        **({} if blind is None or fits else {MASKED: blind}),
        **single,
        **{n: fused(parts, fits[n].weights, task.pools) for n, parts in task.fusions().items() if n in fits},
    }


def _strict_figures(track: Track, scores: Scores, lists: Lists, fold: Fold) -> Iterator[Figure]:
    """Our count: one entry a molecule, averages over molecules, honest ties."""
    kept = {name: score[lists.kept] for name, score in scores.items()}
    yield from ranking_figures(str(track), lists.deduplicated(), kept, fold.molecule, _strata(fold))


def _given_figures(track: Track, scores: Scores, lists: Lists, fold: Fold) -> Iterator[Figure]:
    """The public count: lists as given, averages over spectra, ties by the order of the list."""
    for name, score in _drawn(scores).items():
        for k in HITS:
            value = estimate_per_value(given_hits(score, lists, k), fold.molecule)
            yield Figure(str(track), name, f"official hit@{k}, per spectrum", ALL, value)


def _drawn(scores: Scores) -> Scores:
    """The random control as numbers: ties would be broken by the order, which puts the truth first."""
    return {**scores, RANDOM: np.random.default_rng(0).random(len(scores[RANDOM]))}


def _strata(fold: Fold) -> dict[str, NDArray[np.bool_]]:
    """All spectra, then by adduct and by instrument."""
    strata = {ALL: np.ones(len(fold), dtype=bool)}
    for texts in (fold.adduct, fold.instrument_type):
        values = np.array(texts)
        strata |= {text: values == text for text in sorted(set(texts) - {""})}
    return strata
