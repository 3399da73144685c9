"""``specsearch train``: a model from annotated spectra."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from specsearch.encoder.checkpoint import Card
    from specsearch.encoder.training.examples import Examples
    from specsearch.encoder.training.train import Recipe
    from specsearch.errors import Skipped
    from specsearch.spectra.spectrum import Spectrum


@click.group()
def train() -> None:
    """Train models."""


@train.command()
@click.argument("file", metavar="PARQUET", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps metrics, the state to go on from, and best.safetensors.",
)
@click.option("--steps", "n_steps", type=click.IntRange(1), default=1600, show_default=True)
@click.option(
    "--warmup", "warmup_steps", type=click.IntRange(1), default=100, show_default=True, help="Steps."
)
@click.option(
    "--molecules", "n_molecules", type=click.IntRange(4), default=64, show_default=True, help="Per step."
)
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=5e-4, show_default=True)
@click.option("--validate-every", type=click.IntRange(1), default=200, show_default=True, help="Steps.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--config",
    "config_name",
    type=click.Choice(["fourier", "published"]),
    default="fourier",
    show_default=True,
    help="Network: as published, or with Fourier features of m/z and neutral loss.",
)
@click.option("--name", default="structure", show_default=True, help="Name on the model's card.")
def structure(file: Path, folder: Path, config_name: str, name: str, **numbers: int | float) -> None:
    """Train the structure encoder on spectra with known molecules.

    PARQUET needs the columns mz, intensity, precursor_mz, adduct, smiles, inchikey, exact_mass and split:
    "train" teaches, "val" chooses the checkpoint, nothing else is looked at. The same command again goes
    on where it was.
    """
    from specsearch.cli.screen import say
    from specsearch.encoder.config import CONFIGS
    from specsearch.encoder.training.examples import collect_examples
    from specsearch.encoder.training.train import Recipe

    recipe = Recipe(config=CONFIGS[config_name], **numbers)  # type: ignore[arg-type]
    say(f"Reading {file} ...")
    teaching = collect_examples(_records(file), "train")
    choosing = collect_examples(_records(file), "val")
    for part, examples in (("train", teaching), ("val", choosing)):
        say(f"{part}: {len(examples.inputs):,} clean spectra of {len(examples.inchikey14):,} molecules")
    best = _run(folder, recipe, teaching, choosing, _card(name, file, teaching))
    say(f'The best checkpoint is {best}. Look at it: "specsearch model show {best}".')


def _records(file: Path) -> Iterator[Spectrum | Skipped]:
    from specsearch.spectra.readers import read_spectra

    return read_spectra(file)


def _card(name: str, file: Path, teaching: Examples) -> Card:
    from ingest.plan import content_hash
    from specsearch.encoder.checkpoint import Card

    return Card(
        name=name,
        training={
            "data": file.name,
            "data_sha256": content_hash(file),
            "split": "train",
            "n_spectra": len(teaching.inputs),
            "n_molecules": len(teaching.inchikey14),
        },
        limits=["Molecules and instruments unlike the training data are placed less well."],
    )


def _run(folder: Path, recipe: Recipe, teaching: Examples, choosing: Examples, card: Card) -> Path:
    """Train with a bar on the screen; each step shows its loss."""
    from specsearch.cli.screen import progress_bar, say
    from specsearch.encoder.training.train import Run

    run = Run(folder, recipe, teaching, choosing, card)
    if run.step:
        say(f"Going on from step {run.step:,} in {folder}.")
    with progress_bar() as bar:
        task = bar.add_task("training", total=recipe.n_steps, completed=run.step)

        def report(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step, description=f"training, loss {losses['total']:.3f}")

        return run.run(report)
