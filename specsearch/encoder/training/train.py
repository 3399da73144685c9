"""The training loop: deterministic batches, exact resume, the checkpoint chosen by validation."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from specsearch.encoder.checkpoint import Card, save_checkpoint
from specsearch.encoder.config import FOURIER, EncoderConfig
from specsearch.encoder.network import Encoder
from specsearch.encoder.tokens import collate
from specsearch.encoder.training.augment import Augmentation, augment
from specsearch.encoder.training.examples import Examples, MoleculeSampler, require_disjoint
from specsearch.encoder.training.objective import Objective, Weights
from specsearch.encoder.training.validation import validate
from specsearch.errors import TrainingError

_STATE_FILE = "state.pt"
_METRICS_FILE = "metrics.jsonl"
BEST_FILE = "best.safetensors"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run.

    Parameters
    ----------
    config : EncoderConfig
    n_steps, warmup_steps : int
        Linear warm-up, then linear decay to zero.
    n_molecules : int
        Molecules of a batch, two spectra of each.
    learning_rate, weight_decay, clip_norm : float
    average : float
        Decay of the running average of the weights; the average is what is validated and kept.
    validate_every : int
        Steps between validations; the state for resuming is written then, too.
    seed : int
    augmentation : Augmentation
    weights : Weights
    """

    config: EncoderConfig = FOURIER
    n_steps: int = 1600
    warmup_steps: int = 100
    n_molecules: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: float = 0.995
    validate_every: int = 200
    seed: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: Weights = field(default_factory=Weights)


class Run:
    """One training run in a folder; made again over the same folder it goes on where it was killed.

    Parameters
    ----------
    folder : Path
        Holds metrics (JSON Lines), the resumable state and the best checkpoint.
    recipe : Recipe
    train, val : Examples
        Must share no molecule.
    card : Card
        What the checkpoint will say of itself.
    """

    def __init__(self, folder: Path, recipe: Recipe, train: Examples, val: Examples, card: Card) -> None:
        require_disjoint(train, val)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.recipe, self.train, self.val, self.card = folder, recipe, train, val, card
        torch.manual_seed(recipe.seed)
        self.network = Encoder(recipe.config)
        self.average = Encoder(recipe.config)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            _decayed(self.network, recipe.weight_decay), lr=recipe.learning_rate, betas=(0.9, 0.98)
        )
        self.objective = Objective(train.fingerprints, recipe.config.hidden, recipe.weights)
        self.sampler = MoleculeSampler(train, recipe.n_molecules, recipe.seed)
        self.step, self.best = 0, float("-inf")
        if (folder / _STATE_FILE).exists():
            self._resume()

    def run(self, report: Callable[[int, dict[str, float]], None] = lambda step, losses: None) -> Path:
        """Train to the end; return the best checkpoint's path.

        Raises
        ------
        TrainingError
            If the loss is not finite; the last good checkpoint stays.
        """
        started = time.monotonic()
        while self.step < self.recipe.n_steps:
            losses = self._train_step()
            self.step += 1
            report(self.step, losses)
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.n_steps:
                self._checkpoint(losses, time.monotonic() - started)
        return self.folder / BEST_FILE

    def _train_step(self) -> dict[str, float]:
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # dropout, too, resumes exactly
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * self._schedule()
        rows, generator = self.sampler.draw(self.step)
        views = [augment(self.train.inputs[r], self.recipe.augmentation, generator) for r in rows]
        self.network.train()
        losses = self.objective(
            self.network, self._states(views), torch.from_numpy(self.train.molecule[rows])
        )
        total = losses["total"]
        if not torch.isfinite(total):
            raise TrainingError(f"The loss is not finite at step {self.step}.", "Lower the learning rate.")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        decay = min(self.recipe.average, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(new, 1.0 - decay)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _states(self, views: list) -> torch.Tensor:
        """Pooled states in the order of the views; four buckets by length keep padding small."""
        order = sorted(range(len(views)), key=lambda i: views[i].n_tokens)
        size = -(-len(order) // 4)
        buckets = [order[i : i + size] for i in range(0, len(order), size)]
        states = torch.cat([self.network(collate([views[i] for i in bucket])) for bucket in buckets])
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor([i for bucket in buckets for i in bucket])] = torch.arange(len(order))
        return states[back]

    def _schedule(self) -> float:
        if self.step < self.recipe.warmup_steps:
            return (self.step + 1) / self.recipe.warmup_steps
        left = self.recipe.n_steps - self.recipe.warmup_steps
        return max(0.02, 1.0 - (self.step - self.recipe.warmup_steps) / max(1, left))

    def _checkpoint(self, losses: dict[str, float], seconds: float) -> None:
        """Validate the averaged weights, keep them if they are the best, write the state for resuming."""
        figures = validate(self.average, self.val, self.train)
        score = figures["analogue"] + 0.5 * figures["partner"]
        line: dict[str, Any] = {"step": self.step, "seconds": round(seconds, 1), **losses, **figures}
        with (self.folder / _METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if score > self.best:
            self.best = score
            training = {**self.card.training, "recipe": asdict(self.recipe), "step": self.step}
            card = Card(self.card.name, self.recipe.config, training, {"val": figures}, self.card.limits)
            save_checkpoint(self.folder / BEST_FILE, self.average, card)
        partial = self.folder / (_STATE_FILE + ".partial")
        torch.save(
            {
                "step": self.step,
                "best": self.best,
                "recipe": asdict(self.recipe),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            partial,
        )
        os.replace(partial, self.folder / _STATE_FILE)

    def _resume(self) -> None:
        state = torch.load(self.folder / _STATE_FILE, weights_only=True)
        if _decisive(state["recipe"]) != _decisive(asdict(self.recipe)):
            raise TrainingError(
                f"{self.folder} holds a run with another recipe.", "Use another folder, or the same options."
            )
        self.step, self.best = state["step"], state["best"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def _decisive(recipe: dict[str, Any]) -> dict[str, Any]:
    """What must not change within a run; how long it lasts and how often it is judged may."""
    return {name: value for name, value in recipe.items() if name not in {"n_steps", "validate_every"}}


def _decayed(network: Encoder, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
