"""Candidate lists scored as in `specsearch identify`, the truth known: what a decision layer learns from.

The scores are those of `specsearch.search`; only the candidates come from an evaluation's pools, which always
hold the truth, and the library's hits from plain matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.fingerprints import pack_bits
from specsearch.encoder.checkpoint import Card
from specsearch.encoder.network import Encoder
from specsearch.encoder.training.examples import Examples
from specsearch.evaluation.candidates import Pools
from specsearch.evaluation.controls import masked
from specsearch.evaluation.direct_scores import ALL_VECTORS, DirectScores, Vectors
from specsearch.evaluation.models import EncoderModel
from specsearch.evaluation.progress import Progress, silent, told
from specsearch.evaluation.splits import Split
from specsearch.search import fragment_support as fragments
from specsearch.search.candidate_scores import CandidateScores, Matches, default_score, score_candidates
from specsearch.search.candidates import WINDOW, best_first
from specsearch.search.fusion import FusionWeights, fuse
from specsearch.search.library_evidence import N_NEIGHBOURS, propagate
from specsearch.spectra.cleaning import Peaks

N_FRAGMENTED = 50
_BLOCK = 128
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class JudgedList:
    """The candidates of one query, and which of them is right.

    Parameters
    ----------
    scores : CandidateScores
        Their rows count in the pools' molecules.
    truth : int
        Place of the right one.
    molecule : int
        Number of the query's molecule.
    """

    scores: CandidateScores
    truth: int
    molecule: int

    def without_truth(self) -> CandidateScores:
        """The same list from a bank that lacks the right molecule."""
        return self.scores.only(np.delete(np.arange(len(self.scores)), self.truth))


@dataclass(frozen=True, eq=False)
class LaidLists:
    """Judged lists laid end to end.

    Parameters
    ----------
    start, truth, size, molecule : numpy.ndarray of shape (n_lists,), int64
        First candidate, place of the right one among all candidates, number of candidates, and whose it is.
    """

    start: NDArray[np.int64]
    truth: NDArray[np.int64]
    size: NDArray[np.int64]
    molecule: NDArray[np.int64]

    @classmethod
    def of(cls, lists: Sequence[JudgedList]) -> LaidLists:
        """Lay lists end to end in their order."""
        size = np.array([len(one.scores) for one in lists], dtype=np.int64)
        start = np.cumsum(size) - size
        truth = start + np.array([one.truth for one in lists], dtype=np.int64)
        return cls(start, truth, size, np.array([one.molecule for one in lists], dtype=np.int64))


def judged_lists(
    network: Encoder,
    card: Card,
    split: Split,
    pools: Pools,
    library: Examples | None,
    *,
    with_fragments: bool = True,
    cache: Path | None = None,
    n_workers: int = 1,
    progress: Progress = silent,
) -> list[JudgedList]:
    """Score the pools of a split as `identify` would.

    Parameters
    ----------
    network : Encoder
        On the CPU, in evaluation mode.
    card : Card
    split : Split
        The queries.
    pools : Pools
        One of each spectrum of the split, with SMILES.
    library : Examples, optional
        Spectra whose molecules are known; they must not be those of the queries.
    with_fragments : bool
        Whether to look for fragments, which takes longest.
    cache : Path, optional
        Folder where the encoder's states are kept.
    n_workers : int
        Processes that look for fragments.
    progress : Progress
    """
    model = EncoderModel(network, card, cache)
    outputs = model.read(split.examples.inputs, split.name, progress)
    assert outputs.logits is not None  # every encoder of ours has both heads
    assert outputs.projection is not None
    scored = []
    for i in told(range(len(pools)), "scoring candidates", progress):
        rows = pools.rows(i)
        row = pools.candidate[rows]
        none, fits = np.zeros(len(row), dtype=np.int64), np.ones(len(row), dtype=bool)
        matches = Matches(row, none, fits, pools.mass_error_ppm[rows])
        packed = pools.packed[row]
        scored.append(score_candidates(matches, packed, network, outputs.logits[i], outputs.projection[i]))
    if library is not None:
        known = model.read(library.inputs, "library", progress)
        hits = _library_hits(split.examples, outputs.embedding, library, known.embedding, progress)
        bits = pack_bits(library.fingerprints)
        for i, (likeness, found) in enumerate(hits):
            similarity, hit = propagate(likeness, bits[library.molecule[found]], pools.packed[scored[i].row])
            scored[i] = replace(scored[i], library_similarity=similarity, library_hit=hit)
    if with_fragments:
        scored = _fragmented(split, pools, scored, n_workers, progress)
    truth = pools.truth - pools.start
    return [
        JudgedList(*one) for one in zip(scored, truth.tolist(), split.examples.molecule.tolist(), strict=True)
    ]


def _library_hits(
    queries: Examples,
    embedding: NDArray[np.float32],
    library: Examples,
    known: NDArray[np.float32],
    progress: Progress,
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Scores and library rows of each query's first hits in its ion mode."""
    asked, direct = Vectors.of(queries.inputs, embedding), DirectScores(Vectors.of(library.inputs, known))
    for start in told(range(0, len(queries.inputs), _BLOCK), "library search", progress):
        rows = slice(start, start + _BLOCK)
        score = fuse(direct(asked[rows]), FusionWeights(), ALL_VECTORS)
        score[queries.positive[rows, None] != library.positive[None, :]] = -np.inf
        limit = min(N_NEIGHBOURS, score.shape[1])
        found = np.argpartition(-score, limit - 1, axis=1)[:, :limit]
        for own, values in zip(found, np.take_along_axis(score, found, axis=1), strict=True):
            is_allowed = np.isfinite(values)
            yield values[is_allowed].astype(np.float64), own[is_allowed]


Task = tuple[Sequence[str], Peaks, str]


def _fragmented(
    split: Split, pools: Pools, scored: Sequence[CandidateScores], n_workers: int, progress: Progress
) -> list[CandidateScores]:
    """The scores with the fragments of the first candidates of each list."""
    order = np.argsort(split.examples.molecule, kind="stable")  # lists of one molecule share candidates
    places = [best_first(default_score(one), one)[:N_FRAGMENTED] for one in scored]
    tasks = [
        (pools.smiles[scored[i].row[places[i]]].tolist(), split.examples.inputs[i].peaks, split.adduct[i])
        for i in order
    ]
    chunks = [tasks[start : start + _CHUNK] for start in range(0, len(tasks), _CHUNK)]
    found = list(scored)
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        answers = (one for chunk in pool.map(_supports, chunks) for one in chunk)
        for i in told(order.tolist(), "fragments", progress):
            found[i] = fragments.with_fragments(scored[i], places[i], next(answers))
    return found


def _supports(tasks: Sequence[Task]) -> list[list[fragments.FragmentSupport | None]]:
    return [
        [fragments.fragment_support(text, peaks, parse_adduct(adduct), WINDOW) for text in smiles]
        for smiles, peaks, adduct in tasks
    ]


def masked_split(split: Split) -> Split:
    """The same queries with their peaks withheld: the control that shows what the precursor alone says."""
    inputs = [masked(item) for item in split.examples.inputs]
    return replace(split, examples=replace(split.examples, inputs=inputs), name=f"{split.name}, masked")
