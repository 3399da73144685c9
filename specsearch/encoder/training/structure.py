"""The structure phase: spectra with known molecules, which are to be told apart from others of their mass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from specsearch.encoder.network import Encoder
from specsearch.encoder.training.augment import augment
from specsearch.encoder.training.batch import Batch
from specsearch.encoder.training.decoys import Peers
from specsearch.encoder.training.examples import Examples, require_disjoint
from specsearch.encoder.training.objective import Objective
from specsearch.encoder.training.ranking import Decoys
from specsearch.encoder.training.recipe import Recipe
from specsearch.encoder.training.sampler import MoleculeSampler
from specsearch.encoder.training.table_fit import Tables, fit_tables
from specsearch.encoder.training.validation import validate
from specsearch.encoder.training.workplace import CPU
from specsearch.errors import TrainingError

# Two at random and their neighbours in mass: with fewer there is nothing to tell apart.
_MIN_MOLECULES = 4
_TABLES_FILE = "tables.safetensors"


class StructurePhase:
    """What the loop asks of the structure phase.

    Parameters
    ----------
    recipe : Recipe
    train, val : Examples
        Must share no molecule.
    decoys, val_peers : Peers, optional
        Bank molecules of the same mass as those of `train` and `val`.
    device : torch.device
    folder : Path, optional
        Where the fitted peak tables are kept for the next start.

    Raises
    ------
    TrainingError
        If the two parts share a molecule, if fewer than four teach, or if the network predicts
        fingerprints of another length.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Examples,
        val: Examples,
        decoys: Peers | None = None,
        val_peers: Peers | None = None,
        device: torch.device = CPU,
        folder: Path | None = None,
    ) -> None:
        require_disjoint(train, val)
        if len(train.inchikey14) < _MIN_MOLECULES:
            raise TrainingError(
                f"There are {len(train.inchikey14)} molecules to train on; a batch needs {_MIN_MOLECULES}.",
                "Use more annotated spectra.",
            )
        n_bits = train.fingerprints.shape[1]
        if n_bits != recipe.config.fingerprint_bits:
            raise TrainingError(
                f"The network predicts {recipe.config.fingerprint_bits} bits, the targets have {n_bits}.",
                "Set fingerprint_bits in the recipe's [config].",
            )
        self.head = nn.Identity()
        self._recipe, self._train, self._val = recipe, train, val
        self._decoys, self._val_peers = decoys, val_peers
        self._objective = Objective(train.fingerprints, recipe.config.hidden, recipe.weights, device)
        self._sampler = MoleculeSampler(train, recipe.n_molecules, recipe.seed)
        self._tables = self._fitted_tables(folder) if recipe.config.n_bins else None

    def prepare(self, network: Encoder) -> None:
        """Give a network the peak table of all training molecules."""
        if self._tables is not None:
            network.table.load_state_dict(self._tables.full.state_dict())

    def batch(self, number: int) -> Batch:
        """Two augmented spectra of each of some molecules, and newly drawn decoys of those."""
        rows, generator = self._sampler.draw(number)
        views = [augment(self._train.inputs[row], self._recipe.augmentation, generator) for row in rows]
        molecule = self._train.molecule[rows]
        targets = {"molecule": torch.from_numpy(molecule)}
        if self._decoys is not None:
            drawn = self._decoys.draw(np.unique(molecule), self._recipe.n_decoys, generator)
            targets |= drawn._asdict()
        recalled = None if self._tables is None else self._tables.recall(views, molecule)
        return Batch.of(self._train.names(rows), views, targets, recalled)

    def losses(self, network: Encoder, state: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """The objective's, with ranking where there are decoys."""
        targets = batch.targets
        decoys = None if self._decoys is None else Decoys(targets["bits"], targets["present"])
        return self._objective(network, state, targets["molecule"], decoys)

    def judge(self, network: Encoder, is_last: bool) -> dict[str, float]:
        """Retrieval and similarity on `val`; ``score`` weighs the library's use and the bank's alike."""
        figures = validate(network, self._val, self._train, self._val_peers)
        score = figures["analogue"] + 0.5 * figures["partner"]
        if self._val_peers is not None:
            score += 0.5 * (figures["mrr_logit"] + figures["mrr_projection"])
        return figures | {"score": score}

    def _fitted_tables(self, folder: Path | None) -> Tables:
        """From `folder` where they are: a fit on another number of threads differs in the last digits."""
        path = None if folder is None else folder / _TABLES_FILE
        if path is not None and path.exists():
            return Tables.load(path)
        config, objective = self._recipe.config, self._objective
        places = objective.places.cpu().numpy()
        tables = fit_tables(self._train, places, objective.landmark_rows, config.n_bins)
        if path is not None:
            tables.save(path, config)
        return tables
