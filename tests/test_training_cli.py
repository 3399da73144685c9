"""``specsearch train`` as a person uses it, and what it says when the material is not right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runner import Commands, small_model
from samples import TINY, mgf
from training_material import MOLECULES, annotated, metrics, unannotated, write_bank

from specsearch.encoder.checkpoint import load_checkpoint, read_card
from specsearch.encoder.training.recipe import Recipe
from specsearch.encoder.training.recipe_file import read_recipe, recipe_text
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

SMALL = replace(Recipe(), config=replace(TINY, fingerprint_bits=2048), n_steps=2, warmup_steps=1)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, None)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The parts of a recipe that both phases have: a small network and few steps."""
    text = recipe_text(SMALL)
    kept = [line for line in text.split("\n[augmentation]")[0].splitlines() if "decoy" not in line]
    file = tmp_path / "small.toml"
    file.write_text("\n".join(line for line in kept if not line.startswith("n_molecules")))
    return file


def measured(smiles: str, split: str, number: int) -> Spectrum:
    rng = np.random.default_rng(number)
    made = annotated(smiles, split=split, accession=f"{split}-{number}")
    return replace(made, mz=np.sort(rng.uniform(50, 100, 6)), intensity=rng.uniform(0.1, 1.0, 6))


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Two files: train and val; each molecule measured twice."""
    parts = {"train": (*MOLECULES[:2], *MOLECULES[3:6]), "val": (MOLECULES[2], *MOLECULES[6:])}
    for split, smiles in parts.items():
        spectra = [measured(text, split, i) for i, text in enumerate([*smiles, *smiles])]
        write_spectra(tmp_path / f"{split}.parquet", spectra)
    return [tmp_path / "train.parquet", tmp_path / "val.parquet"]


def test_foundation_then_structure(
    commands: Commands, tmp_path: Path, recipe: Path, shards: list[Path]
) -> None:
    (tmp_path / "more.mgf").write_text(mgf(unannotated(300)) + "\nBEGIN IONS\nPEPMASS=100\nEND IONS\n")
    first, second = tmp_path / "first", tmp_path / "second"
    told = commands.run(
        "train", "foundation", tmp_path / "more.mgf", shards[0], "--out", first, "--recipe", recipe,
        "--spectra", 20,
    ).stderr  # fmt: skip
    assert "Left out, 1: no peaks" in told
    assert "found_by_peaks" in told
    assert {f.name for f in first.iterdir()} == {
        "best.safetensors", "state.safetensors", "metrics.jsonl", "metrics.svg", "recipe.toml", "staging",
    }  # fmt: skip
    card = read_card(first / "best.safetensors")
    assert card.name == "foundation"
    assert set(card.training["data"]) == {"more.mgf", "train.parquet"}
    bank = write_bank(tmp_path / "bank.parquet", MOLECULES)
    told = commands.run(
        "train", "structure", *shards, "--out", second, "--from", first / "best.safetensors",
        "--bank", bank, "--molecules", 4, "--steps", 2, "--warmup", 1, "--name", "mine",
    ).stderr  # fmt: skip
    assert "train: 10 clean spectra of 5 molecules" in told
    assert "val: 6 clean spectra of 3 molecules" in told
    network, card = load_checkpoint(second / "best.safetensors")
    assert network.config == SMALL.config  # taken from the foundation checkpoint
    assert card.name == "mine"
    assert card.training["from"]["name"] == "foundation"
    assert set(card.training["bank"]) == {"bank.parquet"}
    [line] = metrics(second)
    assert {"logit_ranking", "projection_ranking", "mrr_logit", "mrr_projection"} <= set(line)


def test_a_recipe_repeats_a_run_and_options_override_it(
    commands: Commands, tmp_path: Path, recipe: Path, shards: list[Path]
) -> None:
    words = ("train", "structure", *shards, "--out")
    commands.run(*words, tmp_path / "one", "--recipe", recipe, "--molecules", 4, "--learning-rate", 0.01)
    commands.run(*words, tmp_path / "two", "--recipe", tmp_path / "one" / "recipe.toml")
    assert metrics(tmp_path / "one") == metrics(tmp_path / "two")
    kept = read_recipe(tmp_path / "one" / "recipe.toml", Recipe())
    assert kept == replace(SMALL, n_molecules=4, learning_rate=0.01)
    commands.run(*words, tmp_path / "three", "--recipe", tmp_path / "one" / "recipe.toml", "--seed", 2)
    assert metrics(tmp_path / "three") != metrics(tmp_path / "one")


def test_material_that_is_not_right(
    commands: Commands, tmp_path: Path, recipe: Path, shards: list[Path]
) -> None:
    def told(*words: object) -> str:
        out = ("--out", tmp_path / "out", "--recipe", recipe)
        return commands.run("train", "structure", *words, *out, code=1).stderr

    bare = tmp_path / "bare.parquet"
    write_spectra(bare, unannotated(5))
    assert "bare.parquet holds no spectrum with a target" in told(shards[0], bare, shards[1])
    assert "No clean, annotated spectra of the split 'val'" in told(shards[0])
    both = tmp_path / "both.parquet"
    write_spectra(both, [measured(MOLECULES[0], "val", 9)])
    assert "is in the split 'train' and in 'val'" in told(*shards, both)
    assert "none.parquet" in told(tmp_path / "none.parquet")
    other = small_model(tmp_path / "other.safetensors")
    assert "another architecture: " in told(*shards, "--from", other, "--config", "published")
    other.write_bytes(other.read_bytes()[:5000])
    assert "not a whole safetensors file" in told(*shards, "--from", other)
    assert "not a bank" in told(*shards, "--bank", bare)
    recipe.write_text("n_stepps = 3")
    assert "unknown entries: n_stepps" in told(*shards)


def test_help_shows_the_defaults_of_the_recipe(commands: Commands) -> None:
    told = " ".join(commands.run("train", "structure", "--help").stdout.split())
    for default in ("1600", "64", "0.0005", "32", "200"):
        assert f"[default: {default}]" in told
    assert "[default: 128]" in commands.run("train", "foundation", "--help").stdout
    heavy = "import sys; from specsearch.cli.train import train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", heavy], check=False).returncode == 0


@pytest.mark.slow
def test_torchrun(tmp_path: Path, recipe: Path, shards: list[Path]) -> None:
    """Two processes by ``torchrun``: one speaks, and the result is that of one process."""
    words = ["-m", "specsearch_cli"]
    script = tmp_path / "specsearch_cli.py"
    script.write_text("import torch; torch.set_num_threads(1)\nfrom specsearch.cli import main\nmain()\n")
    command = ["train", "structure", *map(str, shards), "--recipe", str(recipe), "--molecules", "4"]
    command += ["--micro-batches", "2"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    outputs = []
    for name, start in (("two", launch), ("one", [sys.executable])):
        line = [*start, *words, *command, "--out", str(tmp_path / name)]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        outputs.append(done.stderr)
    assert outputs[0].count("The best checkpoint is") == 1
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, rel=1e-3)
    assert json.loads((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 2
