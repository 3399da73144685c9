"""How molecules and their spectra are drawn into batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.training.examples import Examples


class MoleculeSampler:
    """Draws batches by molecule, so that a few heavily measured ones do not rule.

    Half of a batch is drawn at random, the other half are neighbours in mass of the first: hard to
    tell apart by mass alone. Batch k depends on the seed and k only, which makes resuming exact.

    Parameters
    ----------
    examples : Examples
    n_molecules : int
        Molecules of a batch; two spectra are drawn of each.
    seed : int
    """

    def __init__(self, examples: Examples, n_molecules: int, seed: int) -> None:
        self._spectra = examples.spectra_of()
        self._by_mass = np.argsort(examples.exact_mass, kind="stable")
        self._rank = np.argsort(self._by_mass, kind="stable")
        self._n_molecules = min(n_molecules, len(self._spectra))
        self._seed = seed

    def draw(self, number: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        """Spectra of a batch, two in a row of one molecule, and the generator for their augmentation."""
        generator = np.random.default_rng((self._seed, number))
        first = generator.choice(len(self._spectra), size=self._n_molecules // 2, replace=False)
        near = self._rank[first] + generator.choice([-4, -3, -2, -1, 1, 2, 3, 4], size=len(first))
        second = self._by_mass[np.clip(near, 0, len(self._by_mass) - 1)]
        molecules = np.unique(np.concatenate([first, second]))
        return np.concatenate([_two(self._spectra[m], generator) for m in molecules]), generator


def _two(spectra: Sequence[int] | NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Two spectra of one molecule; the same twice where there is only one (two views of it)."""
    return generator.choice(np.asarray(spectra), size=2, replace=len(spectra) < 2)
