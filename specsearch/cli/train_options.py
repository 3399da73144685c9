"""Options of ``specsearch train``: every number of a recipe that is often changed, and nothing twice.

Defaults shown are those of the recipe classes; what is given on the command line overrides a recipe file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from specsearch.encoder.config import CONFIGS, EncoderConfig
from specsearch.encoder.training.recipe import FoundationRecipe, LoopRecipe, Recipe, require_same_shape

Command = TypeVar("Command", bound=Callable[..., Any])
AnyRecipe = TypeVar("AnyRecipe", bound=LoopRecipe)

_ABOVE_ZERO = click.FloatRange(0, min_open=True)
_OPTIONS: dict[str, tuple[str, click.ParamType, str]] = {
    "n_steps": ("--steps", click.IntRange(1), "Steps in all."),
    "warmup_steps": ("--warmup", click.IntRange(1), "Steps of rising learning rate."),
    "n_molecules": ("--molecules", click.IntRange(4), "Of a batch, two spectra each."),
    "n_spectra": ("--spectra", click.IntRange(2), "Of a batch, two views each."),
    "micro_batches": (
        "--micro-batches",
        click.IntRange(1),
        "Batches whose gradients make one step; several GPUs share them.",
    ),
    "learning_rate": ("--learning-rate", _ABOVE_ZERO, "At its highest."),
    "n_decoys": ("--decoys", click.IntRange(1), "For each molecule, from the bank."),
    "decoy_ppm": ("--decoy-ppm", _ABOVE_ZERO, "How near in mass a decoy is."),
    "pool_rows": ("--pool", click.IntRange(1), "Spectra in memory at a time."),
    "bf16": ("--bf16/--no-bf16", click.BOOL, "Compute in bfloat16 where the device has it."),
    "validate_every": ("--validate-every", click.IntRange(1), "Steps; the state is saved then, too."),
    "seed": ("--seed", click.INT, "Of everything that is drawn."),
}


def recipe_options(default: FoundationRecipe | Recipe) -> Callable[[Command], Command]:
    """Add ``--recipe``, ``--config`` and the numbers that this kind of recipe has."""

    def add(command: Command) -> Command:
        for name, (flag, kind, told) in reversed(_OPTIONS.items()):
            if hasattr(default, name):
                text = f"{told}  [default: {getattr(default, name)}]"
                command = click.option(flag, name, type=kind, default=None, help=text)(command)
        config = click.option(
            "--config",
            "config_name",
            type=click.Choice(list(CONFIGS)),
            help="Network: as published, or with Fourier features of m/z and neutral loss.  "
            "[default: fourier, or that of --from]",
        )
        file = click.option(
            "--recipe",
            "recipe_path",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="TOML file with the numbers below and more; every run leaves one in its folder.",
        )
        return file(config(command))

    return add


def chosen_recipe(
    default: AnyRecipe, path: Path | None, config_name: str | None, start: EncoderConfig | None, **given: Any
) -> AnyRecipe:
    """The recipe of the file, over it what was given on the command line.

    Parameters
    ----------
    default : LoopRecipe
    path : Path, optional
    config_name : str, optional
    start : EncoderConfig, optional
        Shape of the checkpoint that is trained further; taken where nothing else is said.
    **given
        Numbers by their names, None where not given.

    Raises
    ------
    TrainingError
        If the file cannot be read as a recipe.
    CheckpointError
        If the recipe's network is not that of the checkpoint.
    """
    from specsearch.encoder.training.recipe_file import read_recipe

    recipe = default if start is None else replace(default, config=start)
    if path is not None:
        recipe = read_recipe(path, recipe)
    changed = {name: value for name, value in given.items() if value is not None}
    if config_name is not None:
        changed["config"] = CONFIGS[config_name]
    recipe = replace(recipe, **changed)
    if start is not None:
        require_same_shape(start, recipe.config)
    return recipe


def run_options(command: Command) -> Command:
    """Add ``--out``, ``--from`` and ``--name``."""
    out = click.option(
        "--out",
        "folder",
        required=True,
        metavar="FOLDER",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keeps recipe, metrics, curves, the state to go on from, and best.safetensors.",
    )
    start = click.option(
        "--from",
        "start_path",
        metavar="CHECKPOINT",
        type=click.Path(path_type=Path),
        help="Begin with the weights of this model file.  [default: random weights]",
    )
    name = click.option("--name", help="Name on the model's card.  [default: that of the command]")
    return out(start(name(command)))
