"""Open analogue search: how similar is the molecule of the best hit, where the right one is not there?

Protocol B of the project: clean queries of one split, at most four a molecule, against all clean spectra
of another split; same ion mode, no precursor filter; Morgan Tanimoto of the top hit, averaged per molecule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.training.examples import Examples, require_disjoint
from specsearch.encoder.training.validation import at_most
from specsearch.evaluation.retrieval import best_allowed, tanimoto_matrix

QUERIES_PER_MOLECULE = 4
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class AnalogueBlock:
    """Some of the queries, against the whole library.

    Parameters
    ----------
    rows : slice
        Of the task's queries.
    allowed : numpy.ndarray of shape (n_rows, n_library), bool
        Same ion mode.
    similarity : numpy.ndarray of shape (n_rows, n_library), float32
        Tanimoto of the molecules.
    """

    rows: slice
    allowed: NDArray[np.bool_]
    similarity: NDArray[np.float32]

    def top(self, score: NDArray[np.floating]) -> NDArray[np.int64]:
        """Library row of each query's best hit by a score of shape (n_rows, n_library)."""
        return best_allowed(score, self.allowed)

    def judged(self, top: NDArray[np.int64]) -> NDArray[np.float64]:
        """Similarity of each query's hit, shape (n_rows,)."""
        return np.take_along_axis(self.similarity, top[:, None], axis=1)[:, 0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class AnalogueTask:
    """Queries and library of one evaluation; build it with `analogue_task`.

    Parameters
    ----------
    queries, library : Examples
        Without a molecule in common.
    """

    queries: Examples
    library: Examples

    def blocks(self, size: int = _BLOCK) -> Iterator[AnalogueBlock]:
        """The queries in their order, so many at a time."""
        molecules = tanimoto_matrix(self.queries.fingerprints, self.library.fingerprints)
        for start in range(0, len(self.queries.inputs), size):
            rows = slice(start, min(start + size, len(self.queries.inputs)))
            yield AnalogueBlock(
                rows,
                self.queries.positive[rows, None] == self.library.positive[None, :],
                molecules[self.queries.molecule[rows]][:, self.library.molecule],
            )


def analogue_task(
    queries: Examples, library: Examples, *, per_molecule: int = QUERIES_PER_MOLECULE, seed: int = 0
) -> AnalogueTask:
    """Draw the queries with a fixed seed.

    Queries in an ion mode that the library lacks are left out: there is nothing to find.

    Raises
    ------
    TrainingError
        If queries and library share a molecule.
    """
    require_disjoint(queries, library)
    return AnalogueTask(queries.only(query_rows(queries, library, per_molecule, seed)), library)


def query_rows(
    queries: Examples, library: Examples, per_molecule: int = QUERIES_PER_MOLECULE, seed: int = 0
) -> NDArray[np.int64]:
    """Which spectra `analogue_task` draws as queries, in their order."""
    rows = at_most(queries, per_molecule, seed)
    return rows[np.isin(queries.positive[rows], library.positive)]
