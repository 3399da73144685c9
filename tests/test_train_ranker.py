"""``specsearch train ranker`` and what it leaves: a file that ranks, rates, and is evaluated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runner import Commands, small_model
from evaluation_material import ISOMERS, annotated_spectra, write_bank
from samples import TINY

from specsearch.encoder.checkpoint import read_card
from specsearch.encoder.training.recipe import Recipe
from specsearch.encoder.training.recipe_file import recipe_text
from specsearch.evaluation.decision_lists import JudgedList
from specsearch.evaluation.kept_lists import from_rows, to_rows
from specsearch.evaluation.well_known import MOLECULES
from specsearch.search.candidate_scores import CandidateScores
from specsearch.search.confidence import BANDS
from specsearch.search.decision import read_decision
from specsearch.search.ranking import EVIDENCE
from specsearch.spectra.writers.parquet import write_parquet


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, None)


def test_a_ranker_is_fitted_and_evaluated(commands: Commands, tmp_path: Path) -> None:
    write_parquet(tmp_path / "spectra.parquet", annotated_spectra(len(MOLECULES)))
    write_bank(tmp_path / "bank.parquet", [*MOLECULES.values(), *ISOMERS])
    recipe = replace(Recipe(), config=replace(TINY, fingerprint_bits=2048), n_steps=2, warmup_steps=1)
    (tmp_path / "small.toml").write_text(recipe_text(replace(recipe, n_molecules=4, n_decoys=2)))
    model = small_model(tmp_path / "model.safetensors")
    made = ("--bank", tmp_path / "bank.parquet", "--model", model)
    words = ("train", "ranker", tmp_path / "spectra.parquet", *made, "--recipe", tmp_path / "small.toml")
    told = commands.run(*words, "--out", tmp_path / "out", "--folds", 2)
    file = tmp_path / "out" / "ranker.json"
    layer = read_decision(file, read_card(model).digest)
    assert set(layer.rankers) == set(EVIDENCE)
    assert layer.card["n_molecules"] == len(MOLECULES) * 2 // 3  # train and val, never test
    assert [row["without"] for row in layer.card["ablations"]][:2] == ["nothing", "projection"]
    assert "ranker.json" in told.stderr

    first = file.read_bytes()
    commands.run(*words, "--out", tmp_path / "out", "--folds", 2)
    assert file.read_bytes() == first  # twice is once

    out = tmp_path / "report.json"
    data = ("--data", tmp_path / "spectra.parquet", *made, "--ranker", file)
    commands.run("evaluate", "candidates", *data, "--out", out)
    report = json.loads(out.read_text())
    figures = {(f["score"], f["measure"]): f["mean"] for f in report["figures"] if f["stratum"] == "all"}
    sizes = report["sizes"]["pools"]
    assert report["ranker"] == layer.digest
    assert sizes["pools"] == report["sizes"]["test"]["spectra"]
    # Chance has a closed form: one in as many as there are candidates.
    assert 0 < figures["random", "hit@1"] <= figures["random", "hit@5"] <= 1
    assert set(dict(figures)) >= {("spectrum masked: rule", "hit@1"), ("ranker: encoder", "MRR")}
    shares = [figures[f"band: {band}", "share of queries"] for band in BANDS]
    assert sum(shares) == pytest.approx(1.0)
    assert out.with_suffix(".svg").read_text().startswith("<svg")
    assert "hit@1" in commands.run("model", "ranker", file).stdout

    refused = commands.run("evaluate", "candidates", *data[:4], "--ranker", file, code=1)
    assert "another model" in refused.stderr
    assert "--ranker none" in refused.stderr


def test_kept_lists_come_back_as_they_were() -> None:
    rng = np.random.default_rng(0)

    def scores(n: int) -> CandidateScores:
        numbers = rng.normal(size=(9, n))
        numbers[5, 0] = np.nan
        return CandidateScores(
            np.arange(n),
            np.zeros(n, np.int64),
            np.ones(n, bool),
            *numbers[:6],
            -np.ones(n, np.int64),
            *numbers[6:],
        )

    lists = [JudgedList(scores(n), n // 2, 7 + n) for n in (1, 4, 3, 1)]
    for one, kept in zip(lists, from_rows(to_rows(lists)), strict=True):
        assert (one.truth, one.molecule) == (kept.truth, kept.molecule)
        for name, values in vars(one.scores).items():
            np.testing.assert_array_equal(values, getattr(kept.scores, name))
