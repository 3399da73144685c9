"""Candidate pools and their scores against loops and closed forms."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluation_material import ISOMERS, pools, splits, write_bank
from rdkit import Chem

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.fingerprints import morgan_bits, pack_bits, unpack_bits
from specsearch.chemistry.structures import parse_structure
from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import InputFileError
from specsearch.evaluation.bank import Bank, packed_fingerprints, read_bank
from specsearch.evaluation.candidate_fusion import fit_weights, fused, standardised
from specsearch.evaluation.candidate_scores import (
    COSINE,
    LOGITS,
    fingerprint_scores,
    mass_score,
    projection_score,
)
from specsearch.evaluation.candidates import candidate_pools
from specsearch.evaluation.splits import Split
from specsearch.evaluation.well_known import MOLECULES

CHOLINE = "C[N+](C)(C)CCO"


@pytest.fixture(scope="module")
def test_split() -> Split:
    return splits()["test"]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    path = tmp_path_factory.mktemp("bank") / "bank.parquet"
    return read_bank(write_bank(path, [*MOLECULES.values(), *ISOMERS, CHOLINE]))


def test_a_bank_is_sorted_and_weighs_ions_as_adducts_do(bank: Bank) -> None:
    assert (np.diff(bank.exact_mass) >= 0).all()
    choline = int(np.flatnonzero(bank.smiles == CHOLINE)[0])
    # The cation as it flies, by RDKit, is what the adduct [M]+ makes of the bank's mass.
    flying = Chem.rdMolDescriptors.CalcExactMolWt(Chem.MolFromSmiles(CHOLINE))
    found = parse_adduct("[M]+").precursor_mz(float(bank.exact_mass[choline]))
    assert found == pytest.approx(flying, abs=1e-6)


def test_a_bank_keeps_one_row_a_name_and_counts_the_rest(tmp_path: Path) -> None:
    smiles = ["CCO", "OCC", "CCN"]  # the first two are one molecule
    bank = read_bank(write_bank(tmp_path / "bank.parquet", smiles))
    assert sorted(bank.smiles) == ["CCN", "CCO"]
    assert bank.n_left_out == 1


def test_what_is_no_bank_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("SMILES\nCCO\n")
    table = pq.read_table(write_bank(tmp_path / "bank.parquet", ["CCO"]))
    pq.write_table(table.drop_columns(["exact_mass"]), tmp_path / "massless.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    for name in ("text", "massless", "empty", "missing"):
        with pytest.raises(InputFileError, match=name):
            read_bank(tmp_path / f"{name}.parquet")


def test_masses_of_a_real_bank_are_those_of_its_structures(data_dir: Path) -> None:
    bank = read_bank(data_dir / "molecules.parquet")
    charged = np.flatnonzero(["+]" in text or "-]" in text for text in bank.smiles])[::800]
    rows = np.concatenate([charged, np.arange(0, len(bank), 20_000)])
    expected = [parse_structure(bank.smiles[row]).exact_mass for row in rows]
    np.testing.assert_allclose(bank.exact_mass[rows], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("ppm", [10.0, 80_000.0])
def test_pools_are_what_a_loop_finds(test_split: Split, bank: Bank, ppm: float) -> None:
    made = candidate_pools(test_split, bank, Tolerance(ppm, "ppm"))
    names = test_split.examples.inchikey14
    for i, mass in enumerate(test_split.neutral_mass):
        expected = [j for j in range(len(bank)) if abs(bank.exact_mass[j] - mass) <= ppm * 1e-6 * mass]
        rows = made.rows(i)
        np.testing.assert_array_equal(made.bits(i), morgan_bits(bank.smiles[expected].tolist()))
        errors = [(mass - bank.exact_mass[j]) / bank.exact_mass[j] * 1e6 for j in expected]
        assert made.mass_error_ppm[rows] == pytest.approx(errors)
        true = expected[int(made.truth[i]) - rows.start]
        assert bank.inchikey14[true] == names[test_split.examples.molecule[i]]
    assert not made.is_added.any()
    assert (made.size.max() > 2) == (ppm > 1000)


def test_a_truth_that_the_bank_lacks_is_put_first(test_split: Split, bank: Bank) -> None:
    lacking = test_split.examples.inchikey14[0]
    kept = bank.inchikey14 != lacking
    poorer = Bank(bank.smiles[kept], bank.inchikey14[kept], bank.exact_mass[kept])
    wide = Tolerance(80_000.0, "ppm")
    full, made = candidate_pools(test_split, bank, wide), candidate_pools(test_split, poorer, wide)
    np.testing.assert_array_equal(made.is_added, test_split.examples.molecule == 0)
    np.testing.assert_array_equal(made.size[made.is_added], full.size[made.is_added])
    for i in np.flatnonzero(made.is_added):
        assert made.truth[i] == made.start[i]
        np.testing.assert_array_equal(made.bits(i)[0], test_split.examples.fingerprints[0])
        assert made.mass_error_ppm[made.truth[i]] == pytest.approx(full.mass_error_ppm[full.truth[i]])


def test_the_truth_is_written_as_the_bank_writes_it(test_split: Split, bank: Bank) -> None:
    """A tautomer has another fingerprint: a truth in the query's own spelling could be told by that."""
    odd = replace(test_split, smiles=["C"] * len(test_split.smiles))
    one, other = candidate_pools(test_split, bank), candidate_pools(odd, bank)
    np.testing.assert_array_equal(one.packed, other.packed)


def test_molecules_that_rdkit_refuses_are_left_out_and_counted(test_split: Split, bank: Bank) -> None:
    truths = set(test_split.examples.inchikey14)
    broken = next(i for i in range(len(bank)) if bank.inchikey14[i] not in truths)
    smiles = bank.smiles.copy()
    smiles[broken] = "C(C)(C)(C)(C)C"
    wide = Tolerance(900_000.0, "ppm")
    full = candidate_pools(test_split, bank, wide)
    made = candidate_pools(test_split, replace(bank, smiles=smiles), wide)
    assert (full.n_unreadable, made.n_unreadable) == (0, 1)
    for i in range(len(made)):
        mass = test_split.neutral_mass[i]
        was_there = abs(bank.exact_mass[broken] - mass) <= 0.9 * mass
        assert made.size[i] == full.size[i] - was_there
        np.testing.assert_array_equal(
            made.bits(i)[made.truth[i] - made.start[i]], full.bits(i)[full.truth[i] - full.start[i]]
        )
    assert made.size.sum() < full.size.sum()


def test_fingerprints_are_kept_and_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    smiles = list(MOLECULES.values())[:5]
    expected = pack_bits(morgan_bits(smiles))
    np.testing.assert_array_equal(packed_fingerprints(smiles, tmp_path), expected)
    (file,) = tmp_path.iterdir()
    told: list[int] = []
    packed_fingerprints(smiles, tmp_path, lambda what, done, total: told.append(done))
    assert told == []  # nothing was computed
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(packed_fingerprints(smiles, tmp_path), expected)
    packed_fingerprints(smiles[:4], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # others are others


def test_logit_dot_orders_as_the_likelihood_of_independent_bits(test_split: Split, bank: Bank) -> None:
    made = candidate_pools(test_split, bank, Tolerance(80_000.0, "ppm"))
    logits = np.random.default_rng(1).normal(0, 2, (len(made), 2048)).astype(np.float32)
    found = fingerprint_scores(logits, made)
    for i in range(len(made)):
        bits = unpack_bits(made.packed[made.candidate[made.rows(i)]], 2048).astype(np.float64)
        p = 1 / (1 + np.exp(-logits[i].astype(np.float64)))
        likelihood = (bits * np.log(p) + (1 - bits) * np.log(1 - p)).sum(axis=1)
        own = found[LOGITS][made.rows(i)]
        assert own - own[0] == pytest.approx(likelihood - likelihood[0], abs=1e-2)
        cosine = [b @ p / np.linalg.norm(b) / np.linalg.norm(p) for b in bits]
        assert found[COSINE][made.rows(i)] == pytest.approx(cosine, rel=1e-5)


def test_projection_score_is_a_dot_product_of_the_right_pair() -> None:
    made = pools([2, 3], [0, 0])
    generator = np.random.default_rng(2)
    query, target = generator.normal(size=(2, 4)), generator.normal(size=(5, 4))
    expected = [query[0 if c < 2 else 1] @ target[c] for c in range(5)]
    assert projection_score(query.astype(np.float32), target.astype(np.float32), made) == pytest.approx(
        expected, rel=1e-5
    )


def test_mass_score_prefers_the_nearest_and_a_blur_moves_a_list_as_one() -> None:
    made = pools([3, 2], [1, 0], [-4.0, 1.0, 3.0, 2.0, -2.0])
    assert mass_score(made).tolist() == [-4.0, -1.0, -3.0, -2.0, -2.0]
    blurred = mass_score(made, blur_ppm=2.0, seed=3)
    shift = np.random.default_rng(3).normal(0, 2.0, 2)
    assert blurred == pytest.approx(-np.abs(made.mass_error_ppm + shift[[0, 0, 0, 1, 1]]))


def test_standardised_scores_have_mean_0_and_deviation_1_in_each_list() -> None:
    made = pools([5, 1, 4], [0, 0, 0])
    score = np.random.default_rng(4).normal(1000, 3, 10)
    score[6:] = 7.0  # a list that the score says nothing about
    found = standardised(score, made)
    own = score[:5]
    assert found[:5] == pytest.approx((own - own.mean()) / own.std())
    assert found[5:].tolist() == [0.0] * 5
    assert fused({"a": score, "b": -score}, {"a": 2.0, "b": 1.0}, made) == pytest.approx(found)


def test_fitted_weights_are_the_best_of_the_grid() -> None:
    generator = np.random.default_rng(5)
    sizes = [8] * 150
    made = pools(sizes, [int(generator.integers(8)) for _ in sizes])
    is_true = np.zeros(8 * 150)
    is_true[made.truth] = 1.0
    parts = {
        "noisy": is_true * 0.5 + generator.normal(size=len(is_true)),
        "good": is_true * 1.5 + generator.normal(size=len(is_true)),
        "useless": generator.normal(size=len(is_true)),
    }
    molecule = generator.integers(0, 60, 150)
    grid = (0.0, 1.0, 3.0)
    weights, mrr = fit_weights(parts, made, molecule, grid)
    tried = {}
    for good, useless in product(grid, grid):
        score = fused(parts, {"noisy": 1.0, "good": good, "useless": useless}, made)
        reciprocal = []
        for i in range(150):
            own = score[made.rows(i)]
            reciprocal.append(1 / (1 + int((own > own[made.truth[i] - made.start[i]]).sum())))
        by_molecule = [np.mean(np.array(reciprocal)[molecule == m]) for m in np.unique(molecule)]
        tried[good, useless] = float(np.mean(by_molecule))
    best = max(tried, key=lambda key: tried[key])
    assert (weights["good"], weights["useless"]) == best
    assert best[0] == 3.0
    assert mrr == pytest.approx(tried[best])
