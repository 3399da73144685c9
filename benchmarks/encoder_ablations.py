"""What each part of the encoder and of its training is worth: short runs that differ in one thing.

All runs train on train and are judged on val; test molecules are never read. A run that was stopped goes
on where it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.circumstances import write_result
from benchmarks.massbank import FILE
from benchmarks.script import arguments, print_table
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.checkpoint import Card, load_checkpoint, read_card
from specsearch.encoder.config import PUBLISHED
from specsearch.encoder.training.decoys import find_peers, read_bank
from specsearch.encoder.training.examples import Collector
from specsearch.encoder.training.recipe import Recipe
from specsearch.encoder.training.recipe_file import read_recipe
from specsearch.encoder.training.train import Run
from specsearch.spectra.readers.parquet import read_parquet

_FIGURES = ("analogue", "partner", "fingerprint_cosine", "mrr_logit", "mrr_projection", "score")


def variants(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe, and what it becomes with one thing changed."""
    config, weights = recipe.config, recipe.weights
    return {
        "reference": recipe,
        "no peak table": replace(recipe, config=replace(config, n_bins=0)),
        "8 features, no Fourier": replace(recipe, config=replace(config, n_fourier=0)),
        "8 features, no peak table": replace(recipe, config=replace(config, n_fourier=0, n_bins=0)),
        "no structure loss": replace(recipe, weights=replace(weights, structure=0.0)),
        "no fingerprint loss": replace(recipe, weights=replace(weights, fingerprint=0.0)),
        "no ranking losses": replace(
            recipe, weights=replace(weights, logit_ranking=0.0, projection_ranking=0.0)
        ),
        "no contrastive projection loss": replace(recipe, weights=replace(weights, projection=0.0)),
        "no SSL loss": replace(recipe, weights=replace(weights, ssl=0.0)),
        "published architecture (14,106,690)": replace(recipe, config=PUBLISHED),
    }


def main() -> None:
    """Train, judge and write `encoder_ablations.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="TOML; the reference")
    parser.add_argument("--steps", type=int, default=300, help="of every run")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--only", nargs="*", help="names of variants; others are taken from finished runs")
    parser.add_argument("--foundation", type=Path, help="checkpoint of the foundation phase to start from")
    asked = parser.parse_args()
    reference = read_recipe(asked.recipe, Recipe())
    reference = replace(reference, n_steps=asked.steps, validate_every=asked.steps)
    collector = Collector(("train", "val"))
    collector.add(read_parquet(asked.data / FILE), FILE)
    train, val = collector.examples("train"), collector.examples("val")
    bank = read_bank(asked.data / "molecules.parquet")
    others = {name for name, split in collector.split_of.items() if split != "train"}
    decoys = find_peers(bank, train, Tolerance(reference.decoy_ppm, "ppm"), asked.work / "cache", others)
    peers = find_peers(bank, val, Tolerance(10.0, "ppm"), asked.work / "cache")
    starts = {name: None for name in variants(reference)} | {"from the foundation phase": asked.foundation}
    recipes = variants(reference) | {"from the foundation phase": reference}
    for name, start in starts.items():
        if (asked.only and name not in asked.only) or (name not in variants(reference) and start is None):
            continue
        folder = asked.work / name.replace(" ", "_")
        network = None if start is None else load_checkpoint(start)[0]
        run = Run(folder, recipes[name], train, val, Card(name), network, decoys, peers)
        run.run(judged=lambda line, name=name: print(name, line, flush=True))
    rows = [line for name in starts if (line := _finished(asked.work / name.replace(" ", "_"), name))]
    print_table(f"After {asked.steps} steps, on val", rows)
    write_result("encoder_ablations", asked, {"split": "val", "steps": asked.steps, "rows": rows})


def _finished(folder: Path, name: str) -> dict[str, Any] | None:
    if not (folder / "best.safetensors").exists():
        return None
    card = read_card(folder / "best.safetensors")
    return {"variant": name, **{figure: card.figures["val"][figure] for figure in _FIGURES}}


if __name__ == "__main__":
    main()
