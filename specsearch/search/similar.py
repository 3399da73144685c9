"""What looks like it: candidates from three vectors, scores fused, the shortlist rescored exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.tolerance import Tolerance, mass_error_ppm
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import token_input
from specsearch.search.contenders import find_contenders
from specsearch.search.fusion import FUSIONS, FusionWeights, fuse
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean, prepare
from specsearch.spectra.similarity import FRAGMENT_TOLERANCE, entropy_similarity, modified_cosine
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.filters import Filter
from specsearch.store.points import decode_peaks
from specsearch.store.queries import Hit, Record, ScoreRequest, VectorQuery
from specsearch.store.schema import Key, VectorName
from specsearch.store.store import Collection
from specsearch.store.vectors import contract_of, sparse_vectors

_ALL_VECTORS = (VectorName.EMBEDDING, VectorName.PEAKS, VectorName.LOSSES)
_BATCH = 256
NO_PRECURSOR = "no precursor m/z, so no precursor window"
NO_FRAGMENTS = "no peaks but the precursor's, so nothing to search by"


@dataclass(frozen=True)
class SearchSettings:
    """What to look for.

    Parameters
    ----------
    top : int
        Hits wanted per query.
    precursor : Tolerance or None
        Window around the query's precursor; None searches openly.
    same_ion_mode : bool
        Whether hits must share the query's ion mode, where it is known.
    filter : Filter
        Further conditions.
    weights : FusionWeights
        Which vectors give candidates and how their scores are fused.
    n_candidates : int
        Candidates taken from each vector, at least `top`.
    fragment : Tolerance
        For rescoring.
    """

    top: int = 10
    precursor: Tolerance | None = None
    same_ion_mode: bool = True
    filter: Filter = field(default_factory=Filter)
    weights: FusionWeights = FUSIONS["fused"]
    n_candidates: int = 50
    fragment: Tolerance = FRAGMENT_TOLERANCE


@dataclass(frozen=True, eq=False)
class SimilarHit:
    """One retrieved spectrum; larger scores are better.

    Parameters
    ----------
    rank : int
        From 1.
    score : float
        The fused score that ranks.
    embedding, peaks, losses : float
        Cosine of each vector.
    entropy_similarity, modified_cosine : float
        Exact rescoring, 0..1.
    matched_peaks : int
        Pairs behind the modified cosine.
    mass_error_ppm : float or None
        (query - hit) / hit x 1e6 of the precursors; None where one is unknown.
    spectrum : Peaks
        The hit's peaks as stored.
    payload : Mapping
        Values under `specsearch.store.schema.Key`.
    """

    rank: int
    score: float
    embedding: float
    peaks: float
    losses: float
    entropy_similarity: float
    modified_cosine: float
    matched_peaks: int
    mass_error_ppm: float | None
    spectrum: Peaks
    payload: Mapping[str, Any]

    @property
    def spectrum_id(self) -> str:
        """``library:accession``."""
        return str(self.payload[Key.SPECTRUM_ID])


@dataclass(frozen=True, eq=False)
class Answer:
    """The hits of one query, best first; `reason` says why there are none to look for."""

    query: Spectrum
    hits: list[SimilarHit]
    reason: str = ""


@dataclass(eq=False)
class _Question:
    """A query on its way: its vectors, its filter, and the candidates gathered so far."""

    spectrum: Spectrum
    filter: Filter
    vectors: dict[str, Any]
    candidates: list[str] = field(default_factory=list)
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    fused: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


class SimilaritySearch:
    """Search by spectrum over one or more libraries.

    Parameters
    ----------
    collections : sequence of Collection
    embedder : Embedder
        The encoder that filled them.
    settings : SearchSettings

    Raises
    ------
    ContractMismatch
        If a library was filled by another encoder or recipe.
    """

    def __init__(
        self, collections: Sequence[Collection], embedder: Embedder, settings: SearchSettings
    ) -> None:
        contract = contract_of(embedder.card)
        for collection in collections:
            collection.contract.require_same(contract, collection.name)
        self._collections = collections
        self._embedder = embedder
        self._settings = settings

    def search(
        self, spectra: Sequence[Spectrum], embeddings: NDArray[np.float32] | None = None
    ) -> Iterator[Answer]:
        """Answer queries in their order, batch by batch.

        Parameters
        ----------
        spectra : sequence of Spectrum
        embeddings : numpy.ndarray of shape (n_spectra, size), optional
            Theirs, by the same encoder, where they are known already.
        """
        for start in range(0, len(spectra), _BATCH):
            rows = slice(start, start + _BATCH)
            yield from self._answer(spectra[rows], None if embeddings is None else embeddings[rows])

    def _answer(self, spectra: Sequence[Spectrum], embeddings: NDArray[np.float32] | None) -> list[Answer]:
        questions = self._questions(spectra, embeddings)
        asked = [question for question in questions if isinstance(question, _Question)]
        hits: dict[int, list[SimilarHit]] = {id(question): [] for question in asked}
        for collection in self._collections:
            self._gather(collection, asked)
            for question, records in zip(asked, self._shortlists(collection, asked), strict=True):
                hits[id(question)] += self._rescored(question, records)
        return [
            Answer(spectrum, [], question)
            if isinstance(question, str)
            else Answer(spectrum, _ranked(hits[id(question)], self._settings.top))
            for spectrum, question in zip(spectra, questions, strict=True)
        ]

    def _questions(
        self, spectra: Sequence[Spectrum], embeddings: NDArray[np.float32] | None
    ) -> list[_Question | str]:
        """Vectors and filter of each query, or the reason why it cannot be asked."""
        inputs = [token_input(spectrum) for spectrum in spectra]
        if embeddings is None:
            embeddings = self._embedder.embed_inputs(inputs)
        peaks, losses = sparse_vectors([item.peaks for item in inputs])
        return [
            self._question(spectrum, dict(zip(_ALL_VECTORS, vectors, strict=True)))
            for spectrum, *vectors in zip(spectra, embeddings, peaks, losses, strict=True)
        ]

    def _question(self, spectrum: Spectrum, vectors: dict[str, Any]) -> _Question | str:
        if self._settings.precursor is not None and spectrum.precursor_mz is None:
            return NO_PRECURSOR
        vectors = {name: vector for name, vector in vectors.items() if len(vector)}
        if not vectors.keys() & self._settings.weights.by_vector().keys():
            return NO_FRAGMENTS
        return _Question(spectrum, self._filter(spectrum), vectors)

    def _filter(self, spectrum: Spectrum) -> Filter:
        chosen = self._settings.filter
        if self._settings.precursor is not None and spectrum.precursor_mz is not None:
            chosen = replace(chosen, precursor_mz=self._settings.precursor.window(spectrum.precursor_mz))
        if self._settings.same_ion_mode and chosen.ion_mode is None:
            chosen = replace(chosen, ion_mode=spectrum.ion_mode)
        return chosen

    def _gather(self, collection: Collection, questions: Sequence[_Question]) -> None:
        """Candidates of every vector that counts; those that can win get all their scores, and are fused."""
        weights, top = self._settings.weights.by_vector(), self._settings.top
        limit = max(self._settings.n_candidates, top)
        queries = [
            (question, VectorQuery(name, vector, limit, question.filter, None, False))
            for question in questions
            for name, vector in question.vectors.items()
            if name in weights
        ]
        lists: dict[int, dict[str, list[Hit]]] = {id(question): {} for question in questions}
        for (question, query), hits in zip(queries, collection.query([q for _, q in queries]), strict=True):
            lists[id(question)][query.vector_name] = hits
        for question in questions:
            found = find_contenders(lists[id(question)], weights, limit, top)
            question.candidates, question.scores = found.point_ids, found.scores
        self._complete_scores(collection, questions)
        for question in questions:
            question.fused = fuse(question.scores, self._settings.weights, frozenset(question.vectors))

    def _complete_scores(self, collection: Collection, questions: Sequence[_Question]) -> None:
        """Ask for the scores that no list told; a vector that the query has not scores 0."""
        requests = []
        for question in questions:
            for name in _ALL_VECTORS:
                start = np.full(len(question.candidates), np.nan if name in question.vectors else 0.0)
                scores = question.scores.setdefault(name, start)
                if len(missing := np.flatnonzero(np.isnan(scores))):
                    ids = [question.candidates[i] for i in missing]
                    requests.append((scores, missing, ScoreRequest(name, question.vectors[name], ids)))
        answers = collection.score([request for _, _, request in requests])
        for (scores, missing, _), found in zip(requests, answers, strict=True):
            scores[missing] = found

    def _shortlists(
        self, collection: Collection, questions: Sequence[_Question]
    ) -> list[list[tuple[int, Record]]]:
        """The best candidates of each question with what is stored of them, fetched in one call."""
        best = [np.argsort(-question.fused, kind="stable")[: self._settings.top] for question in questions]
        wanted = {q.candidates[row]: None for q, rows in zip(questions, best, strict=True) for row in rows}
        records = collection.fetch(list(wanted))
        return [
            [(int(row), records[q.candidates[row]]) for row in rows if q.candidates[row] in records]
            for q, rows in zip(questions, best, strict=True)
        ]

    def _rescored(self, question: _Question, shortlist: list[tuple[int, Record]]) -> list[SimilarHit]:
        query = clean(question.spectrum, RESCORING_RECIPE)
        stored = [_stored_peaks(record) for _, record in shortlist]
        prepared = [prepare(p.mz, p.intensity, p.precursor_mz, RESCORING_RECIPE) for p in stored]
        entropy = entropy_similarity(query, prepared, self._settings.fragment)
        cosine, n_matched = modified_cosine(query, prepared, self._settings.fragment)
        return [
            SimilarHit(
                rank=0,
                score=float(question.fused[row]),
                embedding=float(question.scores[VectorName.EMBEDDING][row]),
                peaks=float(question.scores[VectorName.PEAKS][row]),
                losses=float(question.scores[VectorName.LOSSES][row]),
                entropy_similarity=float(entropy[i]),
                modified_cosine=float(cosine[i]),
                matched_peaks=int(n_matched[i]),
                mass_error_ppm=_mass_error(question.spectrum, stored[i]),
                spectrum=stored[i],
                payload=record.payload,
            )
            for i, (row, record) in enumerate(shortlist)
        ]


def _stored_peaks(record: Record) -> Peaks:
    return Peaks(*decode_peaks(record.payload[Key.PEAKS]), record.payload.get(Key.PRECURSOR_MZ))


def _mass_error(query: Spectrum, hit: Peaks) -> float | None:
    if query.precursor_mz is None or hit.precursor_mz is None:
        return None
    return mass_error_ppm(query.precursor_mz, hit.precursor_mz)


def _ranked(hits: list[SimilarHit], top: int) -> list[SimilarHit]:
    """Best first; equal scores by exact similarity, then by name, so that an answer repeats exactly."""
    order = sorted(hits, key=lambda h: (-round(h.score, 6), -h.entropy_similarity, h.spectrum_id))
    return [replace(hit, rank=rank) for rank, hit in enumerate(order[:top], start=1)]
