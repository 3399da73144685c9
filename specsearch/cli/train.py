"""``specsearch train``: models from spectra, with or without known molecules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from specsearch.cli.train_options import chosen_recipe, recipe_options, run_options
from specsearch.cli.train_ranker import ranker
from specsearch.encoder.training.recipe import FoundationRecipe, Recipe

_LIMITS = {
    "structure": "Molecules and instruments unlike the training data are placed less well.",
    "foundation": "Trained without molecules: a start for the structure phase, not a search model.",
}


@click.group()
def train() -> None:
    """Train models.

    The same command again goes on where it was, also after a kill. With several GPUs:
    "torchrun --nproc-per-node 4 --no-python specsearch train ... --micro-batches 4".
    """


@train.command()
@click.argument("files", metavar="FILES...", nargs=-1, required=True)
@run_options
@recipe_options(FoundationRecipe())
def foundation(
    files: tuple[str, ...],
    folder: Path,
    recipe_path: Path | None,
    config_name: str | None,
    start_path: Path | None,
    name: str | None,
    **numbers: Any,
) -> None:
    """Train on any spectra, without annotation: views of one spectrum are to be recognised as one.

    FILES are files, folders or patterns in any format that "specsearch index" reads; all but Parquet are
    first copied into Parquet in the run's folder. Where spectra have a column "split", only "train"
    teaches and "val" judges; otherwise a share of the precursor masses is held out.
    """
    from specsearch.cli.train_material import load_start, make_card, tables_of
    from specsearch.cli.train_screen import TrainScreen
    from specsearch.encoder.training.foundation import FoundationPhase
    from specsearch.encoder.training.loop import Loop
    from specsearch.encoder.training.pools import Pools
    from specsearch.encoder.training.workplace import Workplace

    start, origin = load_start(start_path)
    shape = None if start is None else start.config
    recipe = chosen_recipe(FoundationRecipe(), recipe_path, config_name, shape, **numbers)
    with Workplace.joined() as place:
        screen = TrainScreen(folder, place)
        with place.first_goes_first():
            tables, data = tables_of(files, folder, screen)
        card = make_card(name or "foundation", _LIMITS["foundation"], data=data, **origin)
        phase = FoundationPhase(recipe, Pools(tables, recipe, screen.skipped), place.device)
        screen.run(Loop(folder, recipe, phase, card, start, place))


@train.command()
@click.argument("files", metavar="PARQUET...", nargs=-1, required=True, type=click.Path(path_type=Path))
@run_options
@click.option(
    "--bank",
    "bank_path",
    metavar="PARQUET",
    type=click.Path(path_type=Path),
    help="Molecules (smiles, inchikey, exact_mass) to rank the true one against.",
)
@recipe_options(Recipe())
def structure(
    files: tuple[Path, ...],
    folder: Path,
    bank_path: Path | None,
    recipe_path: Path | None,
    config_name: str | None,
    start_path: Path | None,
    name: str | None,
    **numbers: Any,
) -> None:
    """Train the structure encoder on spectra with known molecules.

    PARQUET needs the columns mz, intensity, precursor_mz, adduct, smiles, inchikey, exact_mass and split:
    "train" teaches, "val" chooses the checkpoint, nothing else is looked at. The same command again goes
    on where it was.
    """
    from specsearch.cli.train_material import collect, digests, find_decoys, load_start, make_card
    from specsearch.cli.train_screen import TrainScreen
    from specsearch.encoder.training.train import Run
    from specsearch.encoder.training.workplace import Workplace

    start, origin = load_start(start_path)
    shape = None if start is None else start.config
    recipe = chosen_recipe(Recipe(), recipe_path, config_name, shape, **numbers)
    with Workplace.joined() as place:
        screen = TrainScreen(folder, place)
        collector = collect(files, screen)
        parts = {split: collector.examples(split) for split in ("train", "val")}
        for split, part in parts.items():
            n_molecules = len(part.inchikey14)
            screen.say(f"{split}: {len(part.inputs):,} clean spectra of {n_molecules:,} molecules")
        with place.first_goes_first():
            decoys, peers = find_decoys(bank_path, recipe, collector.split_of, parts, folder, screen)
        material = {"data": digests(files), "split": "train", "n_spectra": len(parts["train"].inputs)}
        material |= {"n_molecules": len(parts["train"].inchikey14), **origin}
        material |= {} if bank_path is None else {"bank": digests([bank_path])}
        card = make_card(name or "structure", _LIMITS["structure"], **material)
        run = Run(folder, recipe, parts["train"], parts["val"], card, start, decoys, peers, place)
        screen.run(run)


train.add_command(ranker)
