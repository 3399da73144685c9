"""The loop of every phase: deterministic batches, exact resume, the checkpoint chosen by validation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.config import EncoderConfig
from specsearch.encoder.network import Encoder
from specsearch.encoder.training.batch import Batch
from specsearch.encoder.training.loader import batches_ahead
from specsearch.encoder.training.optimization import Tally, decayed, follow, schedule
from specsearch.encoder.training.recipe import LoopRecipe, require_same_shape
from specsearch.encoder.training.run_folder import BEST_FILE, RunFolder
from specsearch.encoder.training.state import (
    load_optimizer,
    optimizer_tensors,
    prefixed,
    require_space,
    under,
)
from specsearch.encoder.training.workplace import Workplace
from specsearch.errors import TrainingError


class Phase(Protocol):
    """What a phase of training brings to the loop."""

    @property
    def head(self) -> nn.Module:
        """What is trained beside the network and left behind with the phase."""

    def prepare(self, network: Encoder) -> None:
        """Put into a network what is not learnt step by step."""

    def batch(self, number: int) -> Batch:
        """Batch `number`, a function of that number and the recipe's seed alone; called in a thread."""

    def losses(self, network: Encoder, state: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Weighted losses by name; ``total`` is their sum."""

    def judge(self, network: Encoder, is_last: bool) -> dict[str, float]:
        """Figures on what is held out; the checkpoint with the highest ``score`` is kept."""


class Loop:
    """One training run in a folder; made again over the same folder it goes on where it was killed.

    Parameters
    ----------
    folder : Path
        Holds the recipe, metrics (JSON Lines), the resumable state and the best checkpoint.
    recipe : LoopRecipe
    phase : Phase
    card : Card
        What the checkpoint will say of itself; its ``training`` names the material.
    start : Encoder, optional
        Weights to begin with, instead of random ones.
    workplace : Workplace, optional

    Raises
    ------
    CheckpointError
        If `start` is a network of another shape.
    TrainingError
        If the folder holds another run or a damaged state, if its disk has no room for a checkpoint, or
        if the processes cannot share a step evenly.
    """

    def __init__(
        self,
        folder: Path,
        recipe: LoopRecipe,
        phase: Phase,
        card: Card,
        start: Encoder | None = None,
        workplace: Workplace | None = None,
    ) -> None:
        self.recipe, self.phase, self.workplace = recipe, phase, workplace or Workplace()
        if recipe.micro_batches % self.workplace.n_ranks:
            raise TrainingError(
                f"{self.workplace.n_ranks} processes cannot share {recipe.micro_batches} micro-batches.",
                "Set --micro-batches to a multiple of the number of processes.",
            )
        self.folder, self.files = folder, RunFolder(folder, recipe, card)
        torch.manual_seed(recipe.seed)
        self.network = Encoder(recipe.config) if start is None else _copy(start, recipe.config)
        phase.prepare(self.network)
        self.average = _copy(self.network, recipe.config)
        for module in (self.network, self.average, phase.head):
            module.to(self.workplace.device)
        self.optimizer = torch.optim.AdamW(
            decayed([self.network, phase.head], recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
        )
        self.step, self.best = 0, float("-inf")
        self._resume()
        require_space(folder, 4 * sum(p.nbytes for p in self.network.parameters()))

    def run(
        self,
        report: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
        judged: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> Path:
        """Train to the end; return the best checkpoint's path.

        Parameters
        ----------
        report : callable
            Told the losses after every step.
        judged : callable
            Told the line of the metrics file after every validation, in the first process.

        Raises
        ------
        TrainingError
            If a loss is not finite (the last good checkpoint stays, the batch is named), or the disk is
            full.
        """
        if self.workplace.is_first:
            self.files.begin(self.step)
        begun, tally = time.monotonic(), Tally()
        with closing(batches_ahead(self.phase.batch, self._numbers())) as batches:
            while self.step < self.recipe.n_steps:
                losses = self._train_step(batches)
                self.step += 1
                tally.add(losses)
                report(self.step, losses)
                if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.n_steps:
                    means = self.workplace.average_numbers(tally.means())
                    if self.workplace.is_first:
                        judged(self._validate(time.monotonic() - begun, means))
                    self.workplace.wait()
        return self.folder / BEST_FILE

    def _numbers(self) -> Iterator[int]:
        """Numbers of the batches that this process takes, to the end of the run."""
        for step in range(self.step, self.recipe.n_steps):
            yield from self._numbers_of(step)

    def _numbers_of(self, step: int) -> range:
        """Every process takes each n-th of a step's micro-batches."""
        first = step * self.recipe.micro_batches
        return range(first + self.workplace.rank, first + self.recipe.micro_batches, self.workplace.n_ranks)

    def _train_step(self, batches: Iterator[Batch]) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * schedule(self.step, self.recipe)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        numbers = self._numbers_of(self.step)
        names, parts = [], []
        for number in numbers:
            batch = next(batches)
            losses = self._losses(batch.to(self.workplace.device), number)
            (losses["total"] / len(numbers)).backward()
            names.append(batch.names)
            parts.append(torch.stack(tuple(losses.values())).detach())
        norm = self._average_and_clip()
        values = torch.stack(parts).cpu()  # the only wait for the device in a step
        self._require_finite(values, norm, names)
        self.optimizer.step()
        follow(self.average, self.network, self.step, self.recipe.average)
        return dict(zip(losses, values.mean(dim=0).tolist(), strict=True))

    def _losses(self, batch: Batch, number: int) -> dict[str, torch.Tensor]:
        # Dropout, too, resumes exactly, and is the same whichever process takes the batch.
        torch.manual_seed(self.recipe.seed * 1_000_003 + number)
        with self.workplace.arithmetic(self.recipe.bf16):
            state = batch.states(self.network)
        return self.phase.losses(self.network, state.float(), batch)

    def _average_and_clip(self) -> torch.Tensor:
        """Gradients of all processes averaged, then shortened; their length before that."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.workplace.average_gradients(parameters)
        return nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm)

    def _require_finite(self, values: torch.Tensor, norm: torch.Tensor, names: list[list[str]]) -> None:
        """Raise before a step would spoil the weights."""
        is_good = values.isfinite().all(dim=1).tolist()
        if all(is_good) and norm.isfinite():
            return
        bad = [batch for batch, good in zip(names, is_good, strict=True) if not good] or names
        what = "gradient" if all(is_good) else "loss"
        raise self.files.stopped(what, self.step + 1, [n for batch in bad for n in batch], values.tolist())

    def _validate(self, seconds: float, losses: dict[str, float]) -> dict[str, Any]:
        """Judge the averaged weights, keep them if they are the best, write the state for resuming."""
        figures = self.phase.judge(self.average.eval(), self.step == self.recipe.n_steps)
        rate = self.optimizer.param_groups[0]["lr"]
        line = {"step": self.step, "seconds": round(seconds, 1), "learning_rate": rate, **losses, **figures}
        self.files.metrics.append(line)
        if figures["score"] > self.best:
            self.best = figures["score"]
            self.files.keep(self.average, self.step, figures)
        tensors = {
            **prefixed("network", self.network.state_dict()),
            **prefixed("average", self.average.state_dict()),
            **prefixed("head", self.phase.head.state_dict()),
            **prefixed("optimizer", optimizer_tensors(self.optimizer)),
        }
        self.files.write_state(tensors, self.step, self.best)
        return line

    def _resume(self) -> None:
        if (found := self.files.read_state()) is None:
            return
        tensors, facts = found
        self.step, self.best = facts["step"], facts["best"]
        self.network.load_state_dict(under("network", tensors))
        self.average.load_state_dict(under("average", tensors))
        self.phase.head.load_state_dict(under("head", tensors))
        load_optimizer(self.optimizer, under("optimizer", tensors))


def _copy(network: Encoder, config: EncoderConfig) -> Encoder:
    """A network with the same weights; an error where `config` is not its own."""
    require_same_shape(network.config, config)
    copy = Encoder(config)
    copy.load_state_dict(network.state_dict())
    return copy
