"""The tasks between spectra as figures: analogues, and the same molecule from another laboratory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from specsearch.evaluation.analogues import AnalogueTask
from specsearch.evaluation.controls import best_analogue, random_analogue
from specsearch.evaluation.figures import Figure, by_stratum
from specsearch.evaluation.partners import Pool, partner_first
from specsearch.evaluation.progress import Progress, silent, told
from specsearch.evaluation.spectrum_scores import Similarity
from specsearch.evaluation.strata import ALL, Strata, only_rows

ANALOGUES, PARTNERS = "analogue search", "same molecule, another laboratory"


def analogue_figures(
    task: AnalogueTask,
    similarities: Mapping[str, Similarity],
    strata: Strata,
    progress: Progress = silent,
) -> Iterator[Figure]:
    """Mean Tanimoto of the best hit, where the right molecule is not there; beside chance and the limit.

    Parameters
    ----------
    task : AnalogueTask
    similarities : mapping of str to Similarity
        Of the task's queries with its library.
    strata : Strata
        Of the task's queries.
    progress : Progress
    """
    found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    everything = np.arange(len(task.library.inputs))
    for block in task.blocks():
        found["random"].append(random_analogue(block.similarity, block.allowed))
        found["best possible"].append(best_analogue(block.similarity, block.allowed))
        asked = np.arange(block.rows.start, block.rows.stop)
        for name, similarity in similarities.items():
            found[name].append(block.judged(block.top(similarity(asked, everything))))
        progress(ANALOGUES, block.rows.stop, len(task.queries.inputs))
    for name, values in found.items():
        judged = np.concatenate(values)
        yield from by_stratum(ANALOGUES, name, "Tanimoto@1", judged, task.queries.molecule, strata)


def partner_figures(
    pools: list[Pool],
    similarities: Mapping[str, Similarity],
    molecule: NDArray[np.int64],
    strata: Strata,
    progress: Progress = silent,
) -> Iterator[Figure]:
    """Share of queries with their own molecule at rank 1, among other laboratories' spectra of the same mass.

    Strata are those of the contested pools, which hold another molecule, too; all pools are given beside.

    Parameters
    ----------
    pools : list of Pool
        Rows are those of `similarities`, `molecule` and `strata`.
    similarities : mapping of str to Similarity
    molecule : numpy.ndarray of shape (n_spectra,), int64
    strata : Strata
    progress : Progress
    """
    if not pools:
        return
    found: dict[str, list[float]] = defaultdict(list)
    for pool in told(pools, "other laboratories", progress):
        found["random"].append(pool.random_hit)
        for name, similarity in similarities.items():
            score = similarity(np.array([pool.query]), pool.candidates)[0]
            found[name].append(partner_first(score, pool.is_partner))
    query = np.array([pool.query for pool in pools])
    contested = np.flatnonzero([pool.is_contested for pool in pools])
    of_contested = only_rows(strata, query[contested])
    everything = {ALL: np.ones(len(pools), dtype=bool)}
    for name, hits in found.items():
        values = np.array(hits)
        yield from by_stratum(
            PARTNERS, name, "hit@1", values[contested], molecule[query[contested]], of_contested
        )
        yield from by_stratum(PARTNERS, name, "hit@1, easy pools too", values, molecule[query], everything)
