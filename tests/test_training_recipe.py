"""Recipes: what a file says is what is meant, and a wrong word is not passed over."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from samples import TINY

from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT, read_card
from specsearch.encoder.config import FOURIER, PUBLISHED
from specsearch.encoder.training.recipe import (
    Augmentation,
    FoundationRecipe,
    LoopRecipe,
    Recipe,
    Weights,
)
from specsearch.encoder.training.recipe_file import read_recipe, recipe_text
from specsearch.errors import TrainingError


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(TINY, bf16=False, learning_rate=1e-7, weights=Weights(ssl=0.0), n_decoys=3),
        FoundationRecipe(PUBLISHED, augmentation=Augmentation(mz_noise_ppm=1 / 3), held_out=1e-20),
    ],
)
def test_a_recipe_comes_back_from_its_file(tmp_path: Path, recipe: LoopRecipe) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_text(recipe))
    assert read_recipe(file, type(recipe)()) == recipe


def test_what_a_file_leaves_out_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('n_steps = 7\nlearning_rate = 1\nconfig = "published"\n[weights]\nssl = 3\n')
    found = read_recipe(file, Recipe(seed=5))
    assert found == Recipe(PUBLISHED, 7, learning_rate=1.0, seed=5, weights=Weights(ssl=3.0))
    file.write_text("[config]\nhidden = 64\n")
    assert read_recipe(file, Recipe()).config == replace(FOURIER, hidden=64)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps = 7", "unknown entries: steps"),
        ("[weights]\nnonsense = 1", "weights has unknown entries: nonsense"),
        ("[config]\nlayers = 1", "config has unknown entries: layers"),
        ("n_steps = 7.5", "n_steps is 7.5, where int is expected"),
        ("n_steps = true", "n_steps is True, where int is expected"),
        ("bf16 = 1", "bf16 is 1, where bool is expected"),
        ('learning_rate = "fast"', "where float is expected"),
        ("weights = 3", "where Weights is expected"),
        ('config = "huge"', "no config 'huge'"),
        ("n_steps = 0", "n_steps is 0; it must be above zero"),
        ("learning_rate = nan", "learning_rate is nan"),
        ("n_steps = ", "cannot be read"),
        ("[config]\nhidden = 30", "not divisible"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises((TrainingError, Exception), match=told):
        read_recipe(file, Recipe())
    with pytest.raises(TrainingError, match="cannot be read"):
        read_recipe(tmp_path / "none.toml", Recipe())


def test_the_shipped_recipe_is_that_of_the_shipped_checkpoint() -> None:
    card = read_card(DEFAULT_CHECKPOINT)
    recipe = read_recipe(DEFAULT_CHECKPOINT.with_suffix(".toml"), Recipe())
    assert recipe.config == card.config
    now, then = asdict(recipe), card.training["recipe"]
    for name, value in then.items():
        if isinstance(value, dict):
            assert {key: now[name][key] for key in value} == value
        else:
            assert now[name] == value
