"""One report for our checkpoint, a foreign one, and the rivals: every task, every control, every stratum.

What is fitted (fusion weights, the threshold of a bit) is fitted on val; the split in question is only
reported on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from specsearch.encoder.training.examples import require_disjoint
from specsearch.encoder.training.validation import at_most
from specsearch.evaluation.analogues import AnalogueTask, query_rows
from specsearch.evaluation.bank import Bank
from specsearch.evaluation.candidate_tasks import CandidateTask, candidate_figures, fit_fusions
from specsearch.evaluation.candidates import WINDOW, candidate_pools
from specsearch.evaluation.controls import masked
from specsearch.evaluation.correlation import correlation_figures
from specsearch.evaluation.figures import Figure
from specsearch.evaluation.fingerprint_quality import control_figures, fingerprint_figures, fit_threshold
from specsearch.evaluation.models import Model
from specsearch.evaluation.outputs import sigmoid
from specsearch.evaluation.partners import partner_pools
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.retrieval import tanimoto_matrix
from specsearch.evaluation.spectrum_scores import (
    MASKED,
    Seen,
    model_similarities,
    pairwise_similarities,
    peak_similarities,
)
from specsearch.evaluation.spectrum_tasks import analogue_figures, partner_figures
from specsearch.evaluation.splits import Split
from specsearch.evaluation.strata import only_rows, strata_of

TRAIN, VAL = "train", "val"
PREDICTED = "predicted bits"


@dataclass
class Report:
    """What was measured of one model.

    Parameters
    ----------
    split : str
        Whose molecules were asked about.
    figures : list of Figure
    fitted : dict
        Fusion weights and thresholds, all from val.
    sizes : dict
        Spectra, molecules and pools behind the figures, and what was left out.
    """

    split: str
    figures: list[Figure] = field(default_factory=list)
    fitted: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "split": self.split,
            "fitted_on": VAL,
            "fitted": self.fitted,
            "sizes": self.sizes,
            "figures": [figure.to_dict() for figure in self.figures],
        }


class Evaluation:
    """The tasks for one model on one split.

    Parameters
    ----------
    model : Model
    splits : mapping of str to Split
        ``train`` (the library of analogues), ``val`` (for what is fitted) and the one that is judged.
    name : str
        Of the split that is judged.
    bank : Bank
        Candidate molecules.
    cache : Path, optional
        Folder where fingerprints of candidates are kept.
    progress : Progress

    Raises
    ------
    TrainingError
        If two splits share a molecule.
    """

    def __init__(
        self,
        model: Model,
        splits: Mapping[str, Split],
        name: str,
        bank: Bank,
        cache: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        require_disjoint(*(splits[part].examples for part in dict.fromkeys((TRAIN, VAL, name))))
        self._model, self._bank, self._cache, self._progress = model, bank, cache, progress
        self._train, self._val, self._split = splits[TRAIN], splits[VAL], splits[name]
        self._seen = self._see(self._split)
        self._strata = strata_of(self._split)

    def run(self, *, peak_rivals: bool = True) -> Report:
        """All tasks that the model can do; `peak_rivals` adds those that need no model."""
        report = Report(self._split.name)
        report.sizes = {split.name: split.describe() for split in (self._train, self._val, self._split)}
        if self._seen.outputs.logits is not None:
            self._molecules(report)
        report.figures += self._analogues(peak_rivals)
        report.figures += self._partners(peak_rivals)
        report.figures += self._correlation(peak_rivals)
        return report

    def _see(self, split: Split) -> Seen:
        inputs = split.examples.inputs
        return Seen(
            self._model.read(inputs, split.name, self._progress),
            self._model.read([masked(item) for item in inputs], f"{split.name}, masked", self._progress),
            split.precursor_mz,
        )

    def _molecules(self, report: Report) -> None:
        """Fingerprints and candidates, with what has to be fitted for them on val."""
        is_val = self._val is self._split
        val_seen = self._seen if is_val else self._see(self._val)
        task = self._candidates(self._split, self._seen)
        val_task = task if is_val else self._candidates(self._val, val_seen)
        fits = fit_fusions(val_task)
        thresholds = _thresholds(self._val, val_seen)
        report.fitted = {
            "fusions": {name: asdict(fit) for name, fit in fits.items()},
            "bit_thresholds": thresholds,
        }
        report.sizes["pools"] = {"window": str(WINDOW), **task.pools.describe()}
        report.figures += self._fingerprints(thresholds)
        report.figures += candidate_figures(task, fits, self._strata)

    def _candidates(self, split: Split, seen: Seen) -> CandidateTask:
        pools = candidate_pools(split, self._bank, WINDOW, self._cache, self._progress)
        return CandidateTask.of(self._model, seen, pools, split.examples.molecule, self._progress)

    def _fingerprints(self, thresholds: Mapping[str, float]) -> Iterator[Figure]:
        molecule = self._split.examples.molecule
        truth = self._split.examples.fingerprints[molecule]
        mass = self._split.neutral_mass
        yield from control_figures(self._train.examples, truth, mass, molecule, self._strata)
        for name, outputs in _predictions(self._seen):
            predicted = {name: (sigmoid(outputs), thresholds[name])}
            yield from fingerprint_figures(predicted, truth, molecule, self._strata)

    def _analogues(self, peak_rivals: bool) -> Iterator[Figure]:
        train = self._train.examples
        rows = query_rows(self._split.examples, train)
        task = AnalogueTask(self._split.examples.only(rows), train)
        similarities = model_similarities(self._seen.only(rows), self._see(self._train))
        if peak_rivals:
            similarities |= peak_similarities(task.queries.inputs, train.inputs)
        yield from analogue_figures(task, similarities, only_rows(self._strata, rows), self._progress)

    def _partners(self, peak_rivals: bool) -> Iterator[Figure]:
        rows = np.flatnonzero(self._split.contributor >= 0)
        examples, seen = self._split.examples.only(rows), self._seen.only(rows)
        similarities = model_similarities(seen, seen)
        if peak_rivals:
            similarities |= pairwise_similarities(examples.inputs)
        contributor, molecule = self._split.contributor[rows], examples.molecule
        pools = partner_pools(seen.precursor_mz, examples.positive, contributor, molecule, WINDOW)
        strata = only_rows(self._strata, rows)
        yield from partner_figures(pools, similarities, molecule, strata, self._progress)

    def _correlation(self, peak_rivals: bool) -> Iterator[Figure]:
        rows = at_most(self._split.examples, 1)
        examples, seen = self._split.examples.only(rows), self._seen.only(rows)
        similarities = model_similarities(seen, seen)
        if peak_rivals:
            similarities |= peak_similarities(examples.inputs, examples.inputs)
        everything = np.arange(len(rows))
        scores = {name: similarity(everything, everything) for name, similarity in similarities.items()}
        scores["random"] = np.random.default_rng(0).random((len(rows), len(rows)))
        bits = examples.fingerprints[examples.molecule]
        structure, strata = tanimoto_matrix(bits, bits), only_rows(self._strata, rows)
        yield from correlation_figures(scores, structure, examples.positive, strata, self._progress)


def _predictions(seen: Seen) -> Iterator[tuple[str, Any]]:
    """Predicted log-odds of bits, from the spectrum and without it."""
    for name, outputs in ((PREDICTED, seen.outputs), (MASKED, seen.masked)):
        if outputs.logits is not None:
            yield name, outputs.logits


def _thresholds(val: Split, seen: Seen) -> dict[str, float]:
    """From which probability on a bit counts as set, fitted on val."""
    molecule = val.examples.molecule
    truth = val.examples.fingerprints[molecule]
    return {name: fit_threshold(sigmoid(logits), truth, molecule) for name, logits in _predictions(seen)}
