"""A run of the structure phase, as one object."""

from __future__ import annotations

from pathlib import Path

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.network import Encoder
from specsearch.encoder.training.decoys import Peers
from specsearch.encoder.training.examples import Examples
from specsearch.encoder.training.loop import Loop
from specsearch.encoder.training.recipe import Recipe
from specsearch.encoder.training.run_folder import BEST_FILE
from specsearch.encoder.training.structure import StructurePhase
from specsearch.encoder.training.workplace import Workplace

__all__ = ["BEST_FILE", "Recipe", "Run"]


class Run(Loop):
    """One run of the structure phase in a folder; see `Loop`.

    Parameters
    ----------
    folder : Path
    recipe : Recipe
    train, val : Examples
        Must share no molecule.
    card : Card
    start : Encoder, optional
        Weights to begin with.
    decoys, val_peers : Peers, optional
        Bank molecules of the same mass as those of `train` and `val`.
    workplace : Workplace, optional
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        train: Examples,
        val: Examples,
        card: Card,
        start: Encoder | None = None,
        decoys: Peers | None = None,
        val_peers: Peers | None = None,
        workplace: Workplace | None = None,
    ) -> None:
        place = workplace or Workplace()
        folder.mkdir(parents=True, exist_ok=True)
        phase = StructurePhase(recipe, train, val, decoys, val_peers, place.device, folder)
        super().__init__(folder, recipe, phase, card, start, place)
