"""A training run as a person sees it: a bar, a line at every validation, the curves, what was left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from specsearch.cli.screen import progress_bar
from specsearch.cli.screen import say as say_on_stderr
from specsearch.encoder.training.loop import Loop
from specsearch.encoder.training.workplace import Workplace
from specsearch.errors import Skipped
from specsearch.report.curves import write_curves

CURVES_FILE = "metrics.svg"


class TrainScreen:
    """Speaks for one process of a run: the first; the others are silent.

    Parameters
    ----------
    folder : Path
        Of the run.
    place : Workplace
    """

    def __init__(self, folder: Path, place: Workplace) -> None:
        self._folder, self._place = folder, place
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, Skipped] = {}

    def say(self, sentence: str) -> None:
        """One line on stderr."""
        if self._place.is_first:
            say_on_stderr(sentence)

    def skipped(self, skipped: Skipped) -> None:
        """Count a record that was left out."""
        self._reasons[skipped.reason] += 1
        self._examples.setdefault(skipped.reason, skipped)

    def say_skipped(self) -> None:
        """Tell what was left out since the last time, by reason, each with an example."""
        for reason, count in self._reasons.most_common():
            self.say(f"Left out, {count:,}: {reason}; for example {self._examples[reason]}")
        self._reasons.clear()

    def run(self, loop: Loop) -> None:
        """Train with a bar on the screen; each step shows its loss."""
        self.say_skipped()
        self.say(f"Device: {loop.workplace}.")
        if loop.step:
            self.say(f"Going on from step {loop.step:,} in {self._folder}.")
        with progress_bar(is_shown=self._place.is_first) as bar:
            task = bar.add_task("training", total=loop.recipe.n_steps, completed=loop.step)

            def report(step: int, losses: dict[str, float]) -> None:
                bar.update(task, completed=step, description=f"training, loss {losses['total']:.3f}")

            def judged(line: dict[str, Any]) -> None:
                write_curves(self._folder / CURVES_FILE, loop.files.metrics.read())
                kept = " (the best so far)" if line["score"] == loop.best else ""
                self.say(f"Step {line['step']:,}: {_figures(line)}{kept}")

            best = loop.run(report, judged)
        self.say_skipped()
        self.say(f'The best checkpoint is {best}. Look at it: "specsearch model show {best}".')


def _figures(line: dict[str, Any]) -> str:
    """What a validation found: everything after the losses, whose last is ``total``."""
    names = list(line)
    return ", ".join(f"{name} {line[name]:.3f}" for name in names[names.index("total") :])
