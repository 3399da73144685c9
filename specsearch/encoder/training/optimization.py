"""The parts of a step that are the same in every phase: schedule, weight decay, running average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from specsearch.encoder.training.recipe import LoopRecipe

_LOWEST_SHARE = 0.02
_WARM_AVERAGE = 10


def schedule(step: int, recipe: LoopRecipe) -> float:
    """Share of the learning rate at a step: linear warm-up, then linear decay to a fiftieth."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    left = recipe.n_steps - recipe.warmup_steps
    return max(_LOWEST_SHARE, 1.0 - (step - recipe.warmup_steps) / max(1, left))


def decayed(modules: Sequence[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of an optimizer: weight decay for matrices only."""
    parameters = [p for module in modules for p in module.parameters()]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def follow(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the running average towards the network after step `step`; early on it follows more closely."""
    decay = min(decay, (step + 1) / (step + _WARM_AVERAGE))
    with torch.no_grad():
        for kept, new in zip(average.parameters(), network.parameters(), strict=True):
            kept.lerp_(new, 1.0 - decay)


class Tally:
    """Means of named numbers over the steps since the last validation."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Take in one step."""
        self._count += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """The means, and nothing left to count."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means
