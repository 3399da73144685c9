"""Candidate ranking as figures: a model's scores, their fusions with weights from val, and the controls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.candidate_fusion import Weights, fit_weights, fused
from specsearch.evaluation.candidate_scores import (
    BLUR_PPM,
    BLURRED,
    LOGITS,
    MASS,
    PROJECTION,
    Scores,
    fingerprint_scores,
    mass_score,
    projection_score,
    random_score,
)
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.figures import Figure
from specsearch.evaluation.models import Model
from specsearch.evaluation.outputs import Outputs
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.ranking import ranking_figures
from specsearch.evaluation.spectrum_scores import MASKED, Seen
from specsearch.evaluation.strata import Strata

SECTION = "candidate ranking"
MASS_ONLY = "mass error only"


@dataclass(frozen=True, eq=False)
class CandidateTask:
    """Pools of one split with what a model thinks of every candidate.

    Parameters
    ----------
    pools : Pools
    molecule : numpy.ndarray of shape (n_pools,), int64
        Of each query.
    parts, masked_parts : dict of str to numpy.ndarray of shape (n_candidates,)
        Single scores, from the spectrum and from its precursor alone; the mass is among both.
    """

    pools: Pools
    molecule: NDArray[np.int64]
    parts: Scores
    masked_parts: Scores

    @classmethod
    def of(
        cls, model: Model, seen: Seen, pools: Pools, molecule: NDArray[np.int64], progress: Progress = silent
    ) -> CandidateTask:
        """Score all candidates; the model must predict fingerprints."""
        target = model.targets(pools.packed)
        return cls(
            pools,
            molecule,
            _parts(seen.outputs, target, pools, progress),
            _parts(seen.masked, target, pools, progress),
        )

    def fusions(self) -> dict[str, Scores]:
        """The parts that are fused, by the name of the fusion."""
        spectrum, without = _readings(self.parts), _readings(self.masked_parts)
        name = " + ".join(spectrum)
        fusions = {
            f"{name} + {MASS}": spectrum | {MASS: self.parts[MASS]},
            f"{name} + {BLURRED}": spectrum | {BLURRED: self.parts[BLURRED]},
            MASKED: without,
            f"{MASKED} + {MASS}": without | {MASS: self.parts[MASS]},
            f"{MASKED} + {BLURRED}": without | {BLURRED: self.parts[BLURRED]},
        }
        # A single score needs no fusion.
        return fusions if len(spectrum) == 1 else {name: spectrum, **fusions}


@dataclass(frozen=True)
class FusionFit:
    """Weights of a fusion, and what they reached where they were fitted."""

    weights: Weights
    mrr_on_val: float


def fit_fusions(task: CandidateTask) -> dict[str, FusionFit]:
    """Fit the weights of every fusion on the pools of the validation split."""
    return {
        name: FusionFit(*fit_weights(parts, task.pools, task.molecule))
        for name, parts in task.fusions().items()
    }


def candidate_figures(task: CandidateTask, fits: dict[str, FusionFit], strata: Strata) -> Iterator[Figure]:
    """Controls, single scores and fusions on one split."""
    single = {name: score for name, score in task.parts.items() if name not in (MASS, BLURRED)}
    fusions = {name: fused(parts, fits[name].weights, task.pools) for name, parts in task.fusions().items()}
    scores: dict[str, NDArray[Any]] = {
        "random": random_score(task.pools),
        MASS_ONLY: task.parts[MASS],
        f"{MASS_ONLY}, blurred": task.parts[BLURRED],
        **single,
        **fusions,
    }
    yield from ranking_figures(SECTION, task.pools, scores, task.molecule, strata)


def _parts(outputs: Outputs, target: NDArray[np.float32] | None, pools: Pools, progress: Progress) -> Scores:
    """Every single score that the outputs allow, and the mass."""
    parts: Scores = {}
    if outputs.projection is not None and target is not None:
        parts[PROJECTION] = projection_score(outputs.projection, target, pools)
    if outputs.logits is not None:
        parts |= fingerprint_scores(outputs.logits, pools, progress)
    return parts | {MASS: mass_score(pools), BLURRED: mass_score(pools, BLUR_PPM)}


def _readings(parts: Scores) -> Scores:
    """What is fused: projection and logits, as far as the model has them."""
    return {name: parts[name] for name in (PROJECTION, LOGITS) if name in parts}
