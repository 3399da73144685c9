"""``specsearch train ranker``: what ranks candidates, and says how sure that is."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specsearch.cli.settings import ModelAt, model_options
from specsearch.cli.train_options import chosen_recipe, recipe_options
from specsearch.encoder.training.recipe import Recipe

if TYPE_CHECKING:
    from specsearch.encoder.training.examples import Examples
    from specsearch.evaluation.cross_fit import TrainEncoder

RANKER_FILE = "ranker.json"


@click.command()
@click.argument("file", metavar="PARQUET", type=click.Path(path_type=Path))
@click.option(
    "--bank",
    "bank_path",
    required=True,
    metavar="PARQUET",
    type=click.Path(path_type=Path),
    help="Molecules (smiles, inchikey, formula, exact_mass): decoys and candidates.",
)
@click.option(
    "--out",
    "folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Keeps the encoders of the folds, their lists, and {RANKER_FILE}.",
)
@click.option("--folds", "n_folds", type=click.IntRange(2, 20), default=4, show_default=True)
@click.option("--ablate/--no-ablate", default=True, help="Also leave out each kind of feature in turn.")
@model_options
@recipe_options(Recipe())
def ranker(
    file: Path,
    bank_path: Path,
    folder: Path,
    n_folds: int,
    ablate: bool,
    model_path: Path | None,
    key_map_path: Path | None,
    recipe_path: Path | None,
    config_name: str | None,
    **numbers: Any,
) -> None:
    """Fit what ranks candidates for a model, and says how sure that is.

    PARQUET is what the model was trained on, with the column split. A model knows the molecules it was
    trained on, so the molecules of "train" are judged by other encoders, trained by --recipe without a fold
    of them; those of "val" by the model itself. Nothing else is looked at. The same command again goes on
    where it was.
    """
    from specsearch.cli.screen import progress_bar
    from specsearch.cli.train_material import collect, digests
    from specsearch.cli.train_screen import TrainScreen
    from specsearch.encoder.training.workplace import Workplace
    from specsearch.evaluation.bank import read_bank
    from specsearch.evaluation.cross_fit import CrossFit
    from specsearch.evaluation.decision_fit import ablations, fit_decision
    from specsearch.evaluation.splits import collect_splits
    from specsearch.search.decision import write_decision
    from specsearch.spectra.readers import read_spectra

    recipe = chosen_recipe(Recipe(), recipe_path, config_name, None, **numbers)
    network, card = ModelAt(model_path, key_map_path).read()
    folder.mkdir(parents=True, exist_ok=True)
    screen = TrainScreen(folder, Workplace())
    screen.say(f"Reading {file} ...")
    splits = collect_splits(read_spectra(file), ("train", "val"))
    of_val = splits["val"].examples
    others = {name for name, split in collect([file], screen).split_of.items() if split != "train"}
    train_encoder = _training(recipe, bank_path, folder, of_val, others)
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)

        def tell(what: str, n_done: int, n_all: int) -> None:
            bar.update(task, description=what, completed=n_done, total=n_all)

        fit = CrossFit(read_bank(bank_path), folder, os.cpu_count() or 1, tell)
        lists = fit.of_train(splits["train"], n_folds, train_encoder)
        lists += fit.of_val(splits["val"], splits["train"], network, card)
        made_of = {"data": digests([file]), "bank": digests([bank_path]), "n_folds": n_folds}
        made_of |= {"n_steps": recipe.n_steps, "model": card.name}
        made_of |= {"ablations": list(ablations(lists, tell))} if ablate else {}
        layer = fit_decision(lists, card.digest, made_of, tell)
    write_decision(folder / RANKER_FILE, layer)
    for evidence, figures in layer.card["cross_fitted"].items():
        screen.say(f"{evidence}: " + ", ".join(f"{k} {v['mean']:.3f}" for k, v in figures.items()))
    screen.say(f'The ranker is {folder / RANKER_FILE}; use it with "specsearch identify --ranker FILE".')


def _training(
    recipe: Recipe, bank_path: Path, folder: Path, val: Examples, others: Collection[str]
) -> TrainEncoder:
    """Trains one encoder of a fold; one that is finished is only found. `others` are no decoys."""
    from specsearch.chemistry.tolerance import Tolerance
    from specsearch.cli.train_material import make_card
    from specsearch.encoder.training.decoys import find_peers, read_bank
    from specsearch.encoder.training.train import Run

    bank = read_bank(bank_path)
    peers = find_peers(bank, val, Tolerance(10.0, "ppm"), folder / "cache")

    def train(own: Path, stay: Examples, held: Examples) -> Path:
        barred = {*others, *held.inchikey14}
        decoys = find_peers(bank, stay, Tolerance(recipe.decoy_ppm, "ppm"), folder / "cache", barred)
        card = make_card(own.name, "Made to judge the molecules it lacks.")
        return Run(own, recipe, stay, val, card, None, decoys, peers).run()

    return train
