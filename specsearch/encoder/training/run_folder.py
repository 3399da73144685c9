"""The folder of a run: its recipe, metrics, resumable state and best checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from specsearch.encoder.checkpoint import Card, save_checkpoint
from specsearch.encoder.network import Encoder
from specsearch.encoder.training.metrics import Metrics
from specsearch.encoder.training.recipe import LoopRecipe
from specsearch.encoder.training.recipe_file import recipe_text
from specsearch.encoder.training.state import load_state, require_space, save_state
from specsearch.errors import TrainingError

BEST_FILE = "best.safetensors"
STATE_FILE = "state.safetensors"
METRICS_FILE = "metrics.jsonl"
RECIPE_FILE = "recipe.toml"
STOPPED_FILE = "stopped.json"
_NAMED_SPECTRA = 5
# How long a run lasts and how often it is judged may change within it.
_FREE_TO_CHANGE = frozenset({"n_steps", "validate_every"})


class RunFolder:
    """Files of one run; made where there is none.

    Parameters
    ----------
    path : Path
    recipe : LoopRecipe
    card : Card
        Its ``training`` names the material: a run does not go on with other material.
    """

    def __init__(self, path: Path, recipe: LoopRecipe, card: Card) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.recipe, self.card = path, recipe, card
        self.metrics = Metrics(path / METRICS_FILE)
        self._identity = _plain({"recipe": _decisive(recipe), "material": card.training})

    def begin(self, step: int) -> None:
        """Write the recipe, and take back what was reported after `step`."""
        self.metrics.rewind(step)
        (self.path / RECIPE_FILE).write_text(recipe_text(self.recipe), encoding="utf-8")

    def read_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and facts to go on from; None where there are none.

        Raises
        ------
        TrainingError
            If they are damaged or belong to another run.
        """
        if not (self.path / STATE_FILE).exists():
            return None
        tensors, facts = load_state(self.path / STATE_FILE)
        if changed := list(_differences(facts, self._identity)):
            raise TrainingError(
                f"{self.path} holds a run with another recipe or other material ({'; '.join(changed)}).",
                "Use another folder, or the same options.",
            )
        return tensors, facts

    def write_state(self, tensors: Mapping[str, torch.Tensor], step: int, best: float) -> None:
        """Replace the state."""
        facts = {**self._identity, "step": step, "best": best}
        save_state(self.path / STATE_FILE, self.recipe.config, tensors, facts)

    def keep(self, network: Encoder, step: int, figures: dict[str, float]) -> None:
        """Make a network the best checkpoint.

        Raises
        ------
        TrainingError
            If there is no room, or the disk refuses.
        """
        training = {**self.card.training, "recipe": asdict(self.recipe), "step": step}
        card = replace(self.card, config=self.recipe.config, training=training, figures={"val": figures})
        require_space(self.path, 2 * network.n_parameters())
        try:
            save_checkpoint(self.path / BEST_FILE, network, card)
        except (OSError, SafetensorError) as error:
            message = f"{self.path / BEST_FILE} cannot be written ({error})."
            raise TrainingError(message, "The one before it is kept.") from error

    def stopped(self, what: str, step: int, names: Sequence[str], values: list[list[float]]) -> TrainingError:
        """The error for a step whose loss or gradient is not finite; its spectra go to a file."""
        found = {"step": step, "reason": f"{what} not finite", "losses": str(values), "spectra": list(names)}
        where = self.path / STOPPED_FILE
        where.write_text(json.dumps(found, indent=1), encoding="utf-8")
        return TrainingError(
            f"The {what} is not finite at step {step}, in a batch of the {len(names)} spectra "
            f"{', '.join(names[:_NAMED_SPECTRA])}, ... (all of them are in {where}).",
            "The last good checkpoint and state stay. Lower the learning rate, or leave these spectra out.",
        )


def _decisive(recipe: LoopRecipe) -> dict[str, Any]:
    return {name: value for name, value in asdict(recipe).items() if name not in _FREE_TO_CHANGE}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as they come back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """What is not as wanted, by dotted names."""
    for name in sorted(wanted.keys() | (found.keys() if prefix else set())):
        have, want = found.get(name), wanted.get(name)
        if isinstance(have, Mapping) and isinstance(want, Mapping):
            yield from _differences(have, want, f"{prefix}{name}.")
        elif have != want:
            yield f"{prefix}{name} was {have}, is {want}"
