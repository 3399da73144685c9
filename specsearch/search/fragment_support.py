"""What of a query's peaks the fragments of the first candidates explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import Adduct
from specsearch.chemistry.fragment_matching import Explanation, match_fragments
from specsearch.chemistry.fragments import Fragments, find_fragments
from specsearch.chemistry.structures import parse_molecule
from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import ParseError
from specsearch.search.candidate_scores import CandidateScores
from specsearch.spectra.cleaning import Peaks

MAX_DEPTH = 2
_N_NAMED = 3


@dataclass(frozen=True)
class FragmentSupport:
    """How one molecule explains one spectrum.

    Parameters
    ----------
    n_explained : int
        Peaks with a fragment.
    explained_intensity : float
        Share of the intensity they hold, 0 to 1.
    score : float
        0 to 1, see `specsearch.chemistry.fragment_matching.Explanation.score`.
    note : str
        The strongest explained peaks with the formulas of their ions.
    """

    n_explained: int
    explained_intensity: float
    score: float
    note: str


def fragment_support(
    smiles: str, peaks: Peaks, adduct: Adduct, tolerance: Tolerance
) -> FragmentSupport | None:
    """Explain a spectrum by the fragments of a molecule; None for one whose atoms have no known mass."""
    fragments = _fragments(smiles)
    if fragments is None:
        return None
    found = match_fragments(fragments, peaks.mz, peaks.intensity, adduct, tolerance)
    return FragmentSupport(
        int(found.explained.sum()), found.explained_intensity, found.score, _note(found, peaks)
    )


def explained_ions(smiles: str, peaks: Peaks, adduct: Adduct, tolerance: Tolerance) -> dict[int, str]:
    """Formulas of the ions that explain peaks, by the number of the peak."""
    fragments = _fragments(smiles)
    if fragments is None:
        return {}
    found = match_fragments(fragments, peaks.mz, peaks.intensity, adduct, tolerance)
    return {peak: str(found.formula(peak)) for peak in np.flatnonzero(found.explained).tolist()}


def with_fragments(
    scores: CandidateScores, places: NDArray[np.int64], supports: Sequence[FragmentSupport | None]
) -> CandidateScores:
    """The scores with the support of the candidates at `places`."""
    count, share, score = (np.full(len(scores), np.nan) for _ in range(3))
    for place, support in zip(places.tolist(), supports, strict=True):
        if support is not None:
            count[place] = support.n_explained
            share[place] = support.explained_intensity
            score[place] = support.score
    return replace(scores, n_explained=count, explained_intensity=share, fragment_score=score)


@lru_cache(maxsize=128)  # queries of one mass share their candidates
def _fragments(smiles: str) -> Fragments | None:
    """Fragments of a molecule; None for one whose atoms have no known mass."""
    try:
        return find_fragments(parse_molecule(smiles), MAX_DEPTH)
    except ParseError:
        return None


def _note(found: Explanation, peaks: Peaks) -> str:
    explained = np.flatnonzero(found.explained)
    strongest = explained[np.argsort(-peaks.intensity[explained], kind="stable")][:_N_NAMED]
    return ", ".join(f"{peaks.mz[peak]:.4f} {found.formula(peak)}" for peak in strongest)
