"""The answer to one query: its candidates, best first, and what speaks for each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.confidence import Rating
from specsearch.search.fragment_support import FragmentSupport
from specsearch.search.hypotheses import Hypothesis
from specsearch.search.library_evidence import Neighbours
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Molecule

NOT_AN_IDENTIFICATION = (
    "A candidate shortlist, not an identification: the true molecule may not be in the bank."
)
_WORTH_WIDENING_PPM = 200.0


@dataclass(frozen=True, eq=False)
class Candidate:
    """One molecule of a shortlist.

    Parameters
    ----------
    rank : int
        From 1.
    score : float
        What it is ranked by; larger is better.
    place : int
        In the arrays of `Shortlist.scores`.
    molecule : Molecule
    hypothesis : Hypothesis or None
        The reading of the precursor that it fits; None where it fits none, or there is no precursor.
    support : FragmentSupport or None
        None where its fragments were not looked at.
    n_same_fingerprint, n_same_formula : int
        Candidates of the whole list with its fingerprint, and with its formula (by mass), itself included.
    """

    rank: int
    score: float
    place: int
    molecule: Molecule
    hypothesis: Hypothesis | None
    support: FragmentSupport | None
    n_same_fingerprint: int = 1
    n_same_formula: int = 1


@dataclass(frozen=True, eq=False)
class Shortlist:
    """The answer to one query.

    Parameters
    ----------
    query : Spectrum
    hypotheses : tuple of Hypothesis
        Readings of its precursor.
    scores : CandidateScores or None
        Of every candidate considered, not only of those below; None where there is none.
    ranking : numpy.ndarray of shape (n_candidates,), float64
        What they are ranked by.
    candidates : list of Candidate
        The first of them, best first.
    neighbours : Neighbours or None
        Hits of the libraries, where any took part.
    rating : Rating or None
        How sure the list is; None where nothing was fitted that could say so.
    reason, detail : str
        Why the query could not be asked: short and countable, and what exactly was found.
    advice : str
        What would find something, where nothing was found.
    notes : tuple of str
        What was noticed about the query and did not stop it.
    """

    query: Spectrum
    hypotheses: tuple[Hypothesis, ...] = ()
    scores: CandidateScores | None = None
    ranking: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    candidates: list[Candidate] = field(default_factory=list)
    neighbours: Neighbours | None = None
    rating: Rating | None = None
    reason: str = ""
    detail: str = ""
    advice: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many candidates were considered."""
        return 0 if self.scores is None else len(self.scores)


def advice_for(nearest: tuple[Hypothesis, float] | None, is_constrained: bool) -> str:
    """One sentence for a query without candidates: the tolerance that would find some."""
    if nearest is None:
        wanted = " of the formula or elements asked for" if is_constrained else " that an adduct explains"
        return f"No molecule{wanted} is near this mass: is it the right bank?"
    hypothesis, error_ppm = nearest
    mass = hypothesis.exact_mass
    if error_ppm <= _WORTH_WIDENING_PPM:
        return (
            f"The nearest is {error_ppm:.1f} ppm away, as {hypothesis.adduct}: "
            f"--mass {_rounded_up(error_ppm)}ppm would find it."
        )
    return (
        f"The nearest is {mass * error_ppm * 1e-6:.3f} Da away, as {hypothesis.adduct}: "
        "another adduct (--adduct) or another bank is likelier to help than a wider window."
    )


def _rounded_up(ppm: float) -> int:
    return int(np.floor(ppm)) + 1
