"""What could it be: candidates from a bank, scored by the encoder, the libraries and their fragments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import Adduct
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.errors import InvalidSpectrum, StoreError
from specsearch.search.candidate_scores import (
    CandidateScores,
    Matches,
    default_score,
    score_candidates,
)
from specsearch.search.confidence import MEDIUM, Rating
from specsearch.search.constraints import Constraints
from specsearch.search.decision import DecisionLayer
from specsearch.search.fragment_support import FragmentSupport, fragment_support, with_fragments
from specsearch.search.hypotheses import NO_PRECURSOR, Hypothesis, common_adducts, find_hypotheses
from specsearch.search.library_evidence import Neighbours, find_neighbours, propagate
from specsearch.search.list_features import same_formula
from specsearch.search.pools import by_formula, in_window, nearest_hypothesis, nearest_outside
from specsearch.search.query_outputs import QueryOutputs, read_queries
from specsearch.search.shortlists import Candidate, Shortlist, advice_for
from specsearch.search.similar import SimilaritySearch
from specsearch.search.whole_bank import best_by_fingerprint, best_by_projection
from specsearch.spectra.cleaning import RESCORING_RECIPE, clean
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Bank
from specsearch.store.store import Collection

_BATCH = 64
WINDOW = Tolerance(10.0, "ppm")


@dataclass(frozen=True)
class CandidateSettings:
    """What to look for.

    Parameters
    ----------
    top : int
        Candidates wanted per query.
    window : Tolerance or None
        Around the neutral mass; None asks the whole bank.
    adduct : str, optional
        Instead of the records' own.
    constraints : Constraints
        On the formula.
    n_from_bank : int
        Without a window: candidates taken by projections, and as many by fingerprints.
    n_fragmented : int
        The first candidates whose fragments are compared with the peaks; 0 for none.
    fragment : Tolerance
        Of these peaks.
    decision : DecisionLayer, optional
        What ranks and rates; without it, `default_score` ranks and nothing is rated.
    risk : str, optional
        Share of wrong answers allowed, one of ``decision.risks``; less sure lists "cannot say".
    """

    top: int = 20
    window: Tolerance | None = WINDOW
    adduct: str | None = None
    constraints: Constraints = field(default_factory=Constraints)
    n_from_bank: int = 200
    n_fragmented: int = 50
    fragment: Tolerance = WINDOW
    decision: DecisionLayer | None = None
    risk: str | None = None


class CandidateSearch:
    """Candidates for spectra from one bank.

    Parameters
    ----------
    bank : Bank
        Opened for this encoder.
    embedder : Embedder
    network : Encoder
        The embedder's, on the CPU, in evaluation mode.
    settings : CandidateSettings
    libraries : SimilaritySearch, optional
        Whose hits take part; its own settings say how they are found.
    collection : Collection, optional
        The bank's projections; needed without a window.

    Raises
    ------
    StoreError
        If the whole bank is to be asked and `collection` is missing.
    """

    def __init__(
        self,
        bank: Bank,
        embedder: Embedder,
        network: Encoder,
        settings: CandidateSettings,
        libraries: SimilaritySearch | None = None,
        collection: Collection | None = None,
    ) -> None:
        if settings.window is None and collection is None:
            raise StoreError("A search of the whole bank needs the collection of its projections.")
        self._bank = bank
        self._embedder = embedder
        self._network = network
        self._settings = settings
        self._libraries = libraries
        self._collection = collection

    def search(self, spectra: Sequence[Spectrum]) -> Iterator[Shortlist]:
        """Answer queries in their order, batch by batch."""
        for start in range(0, len(spectra), _BATCH):
            yield from self._answer(spectra[start : start + _BATCH])

    def _answer(self, spectra: Sequence[Spectrum]) -> Iterator[Shortlist]:
        outputs = read_queries(self._embedder, self._network, spectra)
        neighbours: list[Neighbours | None] = [None] * len(spectra)
        if self._libraries is not None:
            neighbours = [find_neighbours(answer.hits) for answer in self._libraries.search(spectra)]
        whole = self._best_of_all(outputs) if self._settings.window is None else None
        for i, spectrum in enumerate(spectra):
            try:
                hypotheses = self._hypotheses(spectrum)
            except InvalidSpectrum as fault:
                yield Shortlist(spectrum, reason=fault.reason, detail=fault.detail)
                continue
            matches = self._matches(hypotheses, None if whole is None else whole[i])
            yield self._shortlist(spectrum, hypotheses, matches, neighbours[i], outputs, i)

    def _hypotheses(self, spectrum: Spectrum) -> tuple[Hypothesis, ...]:
        """Readings of the precursor; none for a query that can do without."""
        try:
            return find_hypotheses(spectrum, self._settings.adduct)
        except InvalidSpectrum as fault:
            needs_mass = self._settings.window is not None and not self._settings.constraints.formulas
            if fault.reason != NO_PRECURSOR or needs_mass:
                raise
            return ()

    def _best_of_all(self, outputs: QueryOutputs) -> list[NDArray[np.int64]]:
        """Rows of the whole bank's best by either road, for each query."""
        limit = min(self._settings.n_from_bank, len(self._bank))
        by_bits = best_by_fingerprint(self._bank, outputs.logits, limit)
        assert self._collection is not None  # required on construction
        by_vector = best_by_projection(self._bank, self._collection, outputs.projection, limit)
        return [np.union1d(*pair) for pair in zip(by_bits, by_vector, strict=True)]

    def _matches(self, hypotheses: tuple[Hypothesis, ...], whole: NDArray[np.int64] | None) -> Matches:
        constraints = self._settings.constraints
        if whole is not None and not constraints.formulas:
            found = nearest_hypothesis(self._bank, whole, hypotheses)
            formulas = [molecule.formula for molecule in self._bank.molecules(found.row)]
            return found.only(constraints.allows(formulas))
        if self._settings.window is None or not hypotheses:
            return by_formula(self._bank, hypotheses, constraints)
        return in_window(self._bank, hypotheses, self._settings.window, constraints)

    def _shortlist(
        self,
        spectrum: Spectrum,
        hypotheses: tuple[Hypothesis, ...],
        matches: Matches,
        neighbours: Neighbours | None,
        outputs: QueryOutputs,
        i: int,
    ) -> Shortlist:
        notes = _notes(spectrum, hypotheses)
        if not len(matches.row):
            advice = self._advice(hypotheses)
            return Shortlist(spectrum, hypotheses, neighbours=neighbours, advice=advice, notes=notes)
        packed = self._bank.packed[matches.row]
        scores = score_candidates(matches, packed, self._network, outputs.logits[i], outputs.projection[i])
        if neighbours is not None:
            similarity, hit = propagate(neighbours.likeness, neighbours.packed, packed)
            scores = replace(scores, library_similarity=similarity, library_hit=hit)
        scores, supports = self._fragmented(spectrum, hypotheses, scores)
        decision = self._settings.decision
        ranking = default_score(scores) if decision is None else decision(scores)
        places = best_first(ranking, scores)[: self._settings.top]
        molecules = self._bank.molecules(scores.row[places])
        candidates = [
            Candidate(
                rank,
                float(ranking[place]),
                place,
                molecule,
                hypotheses[scores.hypothesis[place]] if scores.hypothesis[place] >= 0 else None,
                supports.get(place),
                int((packed == packed[place]).all(axis=1).sum()),
                int(same_formula(scores.mass_error_ppm, scores.mass_error_ppm[place]).sum()),
            )
            for rank, (place, molecule) in enumerate(zip(places.tolist(), molecules, strict=True), start=1)
        ]
        rating = self._rating(hypotheses, scores, ranking)
        return Shortlist(spectrum, hypotheses, scores, ranking, candidates, neighbours, rating, notes=notes)

    def _rating(
        self, hypotheses: tuple[Hypothesis, ...], scores: CandidateScores, ranking: NDArray[np.float64]
    ) -> Rating | None:
        """How sure a list is; lists that are not picked by mass are of a kind that nothing was fitted on."""
        if self._settings.decision is None or self._settings.window is None or not hypotheses:
            return None
        rating = self._settings.decision.rate(scores, ranking, self._settings.risk)
        # Fitted where the adduct is known: a guessed one may put the right molecule out of the window.
        return rating if hypotheses[0].is_given else rating.at_most(MEDIUM)

    def _fragmented(
        self, spectrum: Spectrum, hypotheses: tuple[Hypothesis, ...], scores: CandidateScores
    ) -> tuple[CandidateScores, dict[int, FragmentSupport | None]]:
        """The scores with the fragments of those that come first without them."""
        places = best_first(default_score(scores), scores)[: self._settings.n_fragmented]
        peaks = clean(spectrum, RESCORING_RECIPE)
        fallback = common_adducts(spectrum.charge)[0]
        supports = [
            fragment_support(
                molecule.smiles,
                peaks,
                _adduct(hypotheses, int(scores.hypothesis[place]), fallback),
                self._settings.fragment,
            )
            for place, molecule in zip(places, self._bank.molecules(scores.row[places]), strict=True)
        ]
        found = dict(zip(places.tolist(), supports, strict=True))
        return with_fragments(scores, places, supports), found

    def _advice(self, hypotheses: tuple[Hypothesis, ...]) -> str:
        if self._settings.window is None or not hypotheses:
            return "No molecule of the bank has the formula or the elements asked for."
        nearest = nearest_outside(self._bank, hypotheses, self._settings.constraints)
        return advice_for(nearest, bool(self._settings.constraints))


def best_first(ranking: NDArray[np.float64], scores: CandidateScores) -> NDArray[np.int64]:
    """Places by falling score; equal ones by mass error, then by row, so that an answer repeats exactly."""
    error = np.nan_to_num(np.abs(scores.mass_error_ppm), nan=np.inf)
    return np.lexsort((scores.row, error, -ranking))


def _adduct(hypotheses: tuple[Hypothesis, ...], which: int, fallback: Adduct) -> Adduct:
    return hypotheses[which].adduct if which >= 0 else fallback


def _notes(spectrum: Spectrum, hypotheses: tuple[Hypothesis, ...]) -> tuple[str, ...]:
    """What the reader of an answer should know about its query."""
    notes = tuple(note for note in spectrum.notes if note.startswith("adduct contradicts"))
    if spectrum.adduct and hypotheses and not hypotheses[0].is_given:
        return (*notes, "adduct not understood: common ones tried")
    return notes
