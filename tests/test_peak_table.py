"""The peak table: bins by plain loops, the fit by the other form of ridge regression."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from samples import TINY, examples, weights_equal
from training_material import FAST, TRAIN, VAL, metrics

from specsearch.encoder.checkpoint import Card, load_checkpoint, save_checkpoint
from specsearch.encoder.network import Encoder
from specsearch.encoder.peak_table import PeakTable, entries
from specsearch.encoder.tokens import TokenInput, collate
from specsearch.encoder.training.examples import Examples
from specsearch.encoder.training.objective import structure_space
from specsearch.encoder.training.table_fit import Tables, fit_tables
from specsearch.encoder.training.train import Run
from specsearch.errors import CheckpointError
from specsearch.spectra.cleaning import Peaks

LOSSES = 1 << 24
CONFIG = replace(TINY, n_bins=150)
SIZE = 10


def by_loops(item: TokenInput) -> dict[int, float]:
    """Weights by bin, from the description alone."""
    precursor = item.peaks.precursor_mz
    peaks, losses = [], []
    for mz, intensity in zip(item.peaks.mz, item.peaks.intensity, strict=True):
        if precursor is None or abs(precursor - mz) > 1.6:
            peaks.append((mz, intensity**0.25))
        if precursor is not None and precursor - mz > 1.6:
            losses.append((precursor - mz, intensity**0.25))
    found: dict[int, float] = defaultdict(float)
    for first, share, values in ((0, 2 / 3, peaks), (LOSSES, 1 / 3, losses)):
        spread = []
        for position, weight in values:
            own = int(np.floor(position / 0.01))
            beyond_centre = position / 0.01 - own - 0.5
            neighbour = own + 1 if beyond_centre >= 0 else own - 1
            spread += [(own, weight * (1 - abs(beyond_centre))), (neighbour, weight * abs(beyond_centre))]
        length = np.sqrt(sum(weight**2 for _, weight in spread))
        for place, weight in spread:
            found[first + place] += weight * np.sqrt(share) / length
    return found


def bins_of(part: Examples) -> list[int]:
    return sorted({place for item in part.inputs for place in by_loops(item)})


def matrix(inputs: list[TokenInput], bins: list[int]) -> NDArray[np.float64]:
    rows = [by_loops(item) for item in inputs]
    return np.array([[row.get(place, 0.0) for place in bins] for row in rows])


def odd_spectra() -> list[TokenInput]:
    mz, intensity = np.array([50.0, 71.234, 98.5, 100.0]), np.array([1.0, 0.02, 0.5, 0.3])
    return [
        TokenInput(Peaks(mz, intensity, 100.01), 1),
        TokenInput(Peaks(mz, intensity, None), 0),
        TokenInput(Peaks(mz[:1], intensity[:1], 51.0), -1),
    ]


@pytest.mark.parametrize("inputs", [TRAIN.inputs[:20], odd_spectra()], ids=["ordinary", "odd"])
def test_bins_and_weights_are_those_of_the_description(inputs: list[TokenInput]) -> None:
    bins, weight = (part.numpy() for part in entries(collate(inputs)))
    for item, own_bins, own_weight in zip(inputs, bins, weight, strict=True):
        found: dict[int, float] = defaultdict(float)
        for place, value in zip(own_bins.tolist(), own_weight.tolist(), strict=True):
            found[place] += value
        expected = by_loops(item)
        assert {p for p, value in found.items() if value} == {p for p, value in expected.items() if value}
        assert all(found[p] == pytest.approx(value, abs=1e-5) for p, value in expected.items())


def test_a_table_is_a_linear_function_of_the_binned_spectrum() -> None:
    bins, vectors = (
        bins_of(TRAIN)[::2],
        np.random.default_rng(0).normal(size=(len(bins_of(TRAIN)[::2]), SIZE)),
    )
    table = PeakTable(*vectors.shape)
    table.load_state_dict(
        {"bins": torch.tensor(bins, dtype=torch.int32), "vectors": torch.from_numpy(vectors)}
    )
    expected = matrix(TRAIN.inputs, bins) @ vectors
    assert np.allclose(table(collate(TRAIN.inputs)).numpy(), expected, atol=1e-4)


def fitted(part: Examples, n_bins: int) -> tuple[Tables, NDArray[np.float32]]:
    places, _ = structure_space(part.fingerprints, SIZE)
    return fit_tables(part, places, np.arange(len(part.inchikey14)), n_bins), places


def test_the_fit_is_ridge_regression() -> None:
    part = examples(12, per_molecule=3)
    bins = bins_of(part)
    tables, places = fitted(part, len(bins))
    assert tables.full.bins.tolist() == bins
    binned = matrix(part.inputs, bins)
    # Primal form with rows weighted by 1 / noise, where the fit solves the dual; noise is 1 x spectra.
    weighted = binned.T / np.bincount(part.molecule)[part.molecule]
    primal = np.linalg.solve(weighted @ binned + np.eye(len(bins)), weighted @ places[part.molecule])
    assert np.allclose(tables.full.vectors.numpy(), primal, atol=1e-4)


def test_a_fold_knows_nothing_of_its_molecules() -> None:
    part = examples(12, per_molecule=3)
    n_bins = len(bins_of(part))
    tables, places = fitted(part, n_bins)
    for number, table in enumerate(tables.without):
        left_out = tables.fold == number
        assert 0 < left_out.sum() < len(left_out)
        moved = places.copy()
        moved[left_out] *= -1.0
        again = fit_tables(part, moved, np.arange(len(left_out)), n_bins)
        assert torch.equal(again.without[number].vectors, table.vectors)
        assert not torch.allclose(again.full.vectors, tables.full.vectors)


def test_each_view_is_looked_up_where_its_molecule_was_left_out() -> None:
    part = examples(12, per_molecule=3)
    tables, _ = fitted(part, 100)
    recalled = tables.recall(part.inputs, part.molecule)
    for row, item in enumerate(part.inputs):
        expected = tables.without[tables.fold[part.molecule[row]]](collate([item]))[0]
        assert torch.allclose(recalled[row], expected, atol=1e-6)


def test_only_the_most_common_bins_are_kept_and_rare_ones_are_padding() -> None:
    part = examples(12, per_molecule=3)
    n_molecules = defaultdict(set)
    for item, molecule in zip(part.inputs, part.molecule, strict=True):
        for place, weight in by_loops(item).items():
            if weight:
                n_molecules[place].add(molecule)
    few, _ = fitted(part, 20)
    counts = sorted((len(found) for found in n_molecules.values()), reverse=True)
    assert sorted((len(n_molecules[p]) for p in few.full.bins.tolist()), reverse=True) == counts[:20]
    many, _ = fitted(part, len(n_molecules) + 50)
    assert torch.all(many.full.bins[1:] > many.full.bins[:-1])
    assert not many.full.vectors[-50:].any()


def test_tables_are_kept_and_read_back(tmp_path: Path) -> None:
    tables, _ = fitted(TRAIN, 100)
    tables.save(tmp_path / "tables.safetensors", CONFIG)
    again = Tables.load(tmp_path / "tables.safetensors")
    assert np.array_equal(again.fold, tables.fold)
    for one, other in zip([tables.full, *tables.without], [again.full, *again.without], strict=True):
        assert torch.equal(one.bins, other.bins)
        assert torch.equal(one.vectors, other.vectors)


def test_a_network_with_a_table_is_written_and_read(tmp_path: Path) -> None:
    made = Encoder(CONFIG)
    made.table.load_state_dict(fitted_for(CONFIG.hidden).full.state_dict())
    save_checkpoint(tmp_path / "a.safetensors", made, Card())
    loaded, _ = load_checkpoint(tmp_path / "a.safetensors")
    assert torch.equal(loaded.table.bins, made.table.bins)
    assert torch.equal(loaded.table.vectors, made.table.vectors.half().float())


def test_bins_that_are_no_whole_numbers_are_refused(tmp_path: Path) -> None:
    made = Encoder(CONFIG)
    made.table.bins = made.table.bins.float()
    save_checkpoint(tmp_path / "a.safetensors", made, Card())
    with pytest.raises(CheckpointError, match=r"table\.bins: expected int32"):
        load_checkpoint(tmp_path / "a.safetensors")


def fitted_for(size: int) -> Tables:
    places, _ = structure_space(TRAIN.fingerprints, size)
    return fit_tables(TRAIN, places, np.arange(len(TRAIN.inchikey14)), CONFIG.n_bins)


def test_training_uses_the_table_and_resumes_exactly(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, losses: dict[str, float]) -> None:
        if step == 6:
            raise Stopped

    recipe = replace(FAST, config=replace(CONFIG, dropout=0.1), n_steps=8)
    whole = Run(tmp_path / "whole", recipe, TRAIN, VAL, Card())
    whole.run()
    with pytest.raises(Stopped):
        Run(tmp_path / "killed", recipe, TRAIN, VAL, Card()).run(stop)
    resumed = Run(tmp_path / "killed", recipe, TRAIN, VAL, Card())
    assert resumed.step == 4
    resumed.run()
    assert weights_equal(resumed.network.parameters(), whole.network.parameters())
    assert metrics(tmp_path / "killed") == metrics(tmp_path / "whole")
    best, _ = load_checkpoint(tmp_path / "whole" / "best.safetensors")
    assert best.table.vectors.any()


def test_the_table_is_what_an_untrained_network_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = Encoder(CONFIG).eval()
    torch.nn.init.zeros_(made.norm.weight)
    tables = fitted_for(CONFIG.hidden)
    made.table.load_state_dict(tables.full.state_dict())
    batch = collate(TRAIN.inputs[:5])
    with torch.inference_mode():
        said = torch.nn.functional.normalize(made.table(batch), dim=-1)
        assert torch.allclose(made.embed(made(batch)), said, atol=1e-5)
        elsewhere = made(batch, tables.recall(TRAIN.inputs[:5], TRAIN.molecule[:5]))
    assert not torch.allclose(made.embed(elsewhere), said, atol=1e-3)
    assert weights_equal([made.recall.weight / CONFIG.hidden**0.5], [torch.eye(CONFIG.hidden)])
