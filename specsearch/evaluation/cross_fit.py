"""Lists of molecules that an encoder has not seen: every molecule of train is held out once.

An encoder knows the molecules it was trained on, and scores them as it will score no unknown. So encoders
like the one to be shipped are trained, each without one fold of the molecules of train, and each judges the
molecules it lacks. The shipped encoder itself judges those of val.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.checkpoint import Card, load_checkpoint
from specsearch.encoder.network import Encoder
from specsearch.encoder.training.examples import Examples
from specsearch.encoder.training.validation import at_most
from specsearch.evaluation.bank import Bank
from specsearch.evaluation.candidates import WINDOW, candidate_pools
from specsearch.evaluation.decision_lists import JudgedList, judged_lists
from specsearch.evaluation.folds import cluster_folds, parted
from specsearch.evaluation.kept_lists import kept_lists
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.splits import Split

PER_MOLECULE = 4

TrainEncoder = Callable[[Path, Examples, Examples], Path]
"""Train in a folder on some examples, without those held out; gives the checkpoint. Twice is once."""


@dataclass(frozen=True)
class CrossFit:
    """What lists of unseen molecules are made with.

    Parameters
    ----------
    bank : Bank
    folder : Path
        Keeps encoders, states and lists.
    n_workers : int
    progress : Progress
    """

    bank: Bank
    folder: Path
    n_workers: int = 1
    progress: Progress = silent

    def of_train(self, train: Split, n_folds: int, encoder_without: TrainEncoder) -> list[JudgedList]:
        """Lists of all molecules of train, each by an encoder that was trained without it.

        The library of each is the rest of train.
        """
        examples = train.examples
        fold = cluster_folds(examples.fingerprints, n_folds)
        found = []
        for k in range(n_folds):
            stay, held = parted(examples, fold == k)
            network, card = load_checkpoint(encoder_without(self.folder / f"fold-{k}", stay, held))
            is_held = (fold == k)[examples.molecule]
            queries = train.only(_drawn(examples, PER_MOLECULE, is_held))
            found += self.lists(network, card, queries, examples.only(np.flatnonzero(~is_held)))
        return found

    def of_val(self, val: Split, train: Split, network: Encoder, card: Card) -> list[JudgedList]:
        """Lists of the molecules of val, numbered on from those of train."""
        queries = val.only(_drawn(val.examples, PER_MOLECULE, np.ones(len(val), dtype=bool)))
        first = len(train.examples.inchikey14)
        lists = self.lists(network, card, queries, train.examples)
        return [replace(one, molecule=one.molecule + first) for one in lists]

    def lists(self, network: Encoder, card: Card, queries: Split, library: Examples) -> list[JudgedList]:
        """Lists of some spectra, kept in the folder."""
        pools = candidate_pools(queries, self.bank, WINDOW, self.folder, self.progress)
        depends_on = (
            card.digest,
            *queries.examples.accession,
            len(library.inputs),
            *library.inchikey14,
            pools.size.tolist(),
        )
        return kept_lists(
            self.folder,
            depends_on,
            lambda: judged_lists(
                network,
                card,
                queries,
                pools,
                library,
                cache=self.folder,
                n_workers=self.n_workers,
                progress=self.progress,
            ),
        )


def _drawn(examples: Examples, per_molecule: int, is_asked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of at most so many spectra a molecule, ascending."""
    rows = at_most(examples, per_molecule)
    return np.sort(rows[is_asked[rows]])
