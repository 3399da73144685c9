"""Matched peaks against a search through every ion, against chemistry of record, and real spectra."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.fragment_matching import Explanation, fragment_carriers, match_fragments
from specsearch.chemistry.fragments import Fragments, find_fragments
from specsearch.chemistry.masses import ATOM_MASSES, ELECTRON_MASS, Formula
from specsearch.chemistry.structures import parse_molecule
from specsearch.chemistry.tolerance import Tolerance

CAFFEINE = "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"
TEN_PPM = Tolerance(10, "ppm")


def _explain(smiles: str, mz: list[float], adduct: str, max_depth: int = 2) -> Explanation:
    fragments = find_fragments(parse_molecule(smiles), max_depth)
    return match_fragments(fragments, np.array(mz), np.ones(len(mz)), parse_adduct(adduct), TEN_PPM)


def _ion_mz(formula: Formula) -> float:
    return (formula.mass - formula.charge * ELECTRON_MASS) / abs(formula.charge)


@pytest.mark.parametrize(
    ("smiles", "adduct", "ions"),
    [
        (CAFFEINE, "[M+H]+", {195.0877: "C8H11N4O2", 138.0662: "C6H8N3O", 110.0713: "C5H8N3"}),
        ("OC(=O)c1ccccc1O", "[M-H]-", {137.0244: "C7H5O3", 93.0346: "C6H5O"}),
        ("C[N+](C)(C)CCO", "[M]+", {104.1070: "C5H14NO", 60.0808: "C3H10N", 58.0651: "C3H8N"}),
        ("OCC1OC(O)C(O)C(O)C1O", "[M+Na]+", {203.0526: "C6H12O6Na"}),
    ],
)
def test_ions_of_record(smiles: str, adduct: str, ions: dict[float, str]) -> None:
    explanation = _explain(smiles, list(ions), adduct)
    assert explanation.explained.all()
    for peak, (mz, text) in enumerate(ions.items()):
        formula = explanation.formula(peak)
        assert formula is not None
        assert _written(formula) == text
        assert _ion_mz(formula) == pytest.approx(mz, rel=1e-5)


def _written(formula: Formula) -> str:
    """Hill notation: carbon, hydrogen, then the alphabet; the metal last, as chemists write adducts."""
    order = sorted(formula.counts, key=lambda symbol: ("CHNO".find(symbol) % 9, symbol))
    return "".join(f"{symbol}{n if n > 1 else ''}" for symbol in order if (n := formula.counts[symbol]))


def test_what_no_fragment_weighs_stays_open() -> None:
    explanation = _explain(CAFFEINE, [138.0662, 138.0700, 500.0], "[M+H]+")
    assert explanation.explained.tolist() == [True, False, False]
    assert explanation.explained_intensity == pytest.approx(1 / 3)
    assert explanation.formula(1) is None
    assert explanation.atoms(1) == ()
    assert np.isinf(explanation.cost[1:]).all()
    assert np.isnan(explanation.mass_error_ppm[1:]).all()
    assert explanation.score == pytest.approx(np.exp(-explanation.cost[0] / 2) / 3)


def test_no_peaks_explain_nothing() -> None:
    explanation = _explain(CAFFEINE, [], "[M+H]+")
    assert (len(explanation.fragment), explanation.explained_intensity, explanation.score) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("adduct", "carriers"),
    [
        ("[M+H]+", ["[M+H]+"]),
        ("[M+Na]+", ["[M+Na]+", "[M+H]+"]),
        ("[M+2H]2+", ["[M+2H]2+", "[M+H]+"]),
        ("[M+Cl]-", ["[M+Cl]-", "[M-H]-"]),
        ("[M+NH4]+", ["[M+H]+"]),
        ("[M+H-H2O]+", ["[M+H]+"]),
        ("[M-Cl]+", ["[M+H]+"]),
        ("[2M+Na]+", ["[M+H]+"]),
        ("[M+HCOO]-", ["[M-H]-"]),
        ("[M]+", ["[M]+"]),
    ],
)
def test_what_stays_on_a_fragment(adduct: str, carriers: list[str]) -> None:
    assert [carrier.text for carrier in fragment_carriers(parse_adduct(adduct))] == carriers


def _cheapest(
    fragments: Fragments, mz: float, adduct: str, tolerance: Tolerance, max_hydrogens: int
) -> tuple[float, float] | None:
    """Cost and mass error of the best ion, by looking at all of them one by one."""
    ions = []
    for carrier in fragment_carriers(parse_adduct(adduct)):
        for row in range(len(fragments)):
            most = max_hydrogens * int(fragments.n_bonds[row])
            for moved in range(-most, most + 1):
                if fragments.counts[row, 0] + moved + dict(carrier.groups).get("H", 0) < 0:
                    continue
                neutral = fragments.mass[row] + moved * ATOM_MASSES["H"]
                ion_mz = carrier.precursor_mz(float(neutral))
                if not tolerance.contains(ion_mz, mz):
                    continue
                atomic_numbers = {"H": 1, "C": 6, "N": 7, "O": 8, "Na": 11, "S": 16}
                electrons = int(fragments.n_electrons[row]) + moved - carrier.charge
                electrons += sum(atomic_numbers[name] * n for name, n in carrier.groups)
                cost = fragments.breaking_score[row] + 0.5 * abs(moved) + 0.5 * (electrons % 2)
                ions.append((float(cost), abs(mz / ion_mz - 1) * 1e6))
    return min(ions, default=None)


@pytest.mark.parametrize(
    ("smiles", "adduct"),
    [(CAFFEINE, "[M+H]+"), ("CSCC(N)C(=O)NCc1ccccc1", "[M+Na]+"), ("OC(=O)C(O)Cc1ccc(O)cc1", "[M-H]-"),
     ("NCCCCNCCCN", "[M+2H]2+")],
)  # fmt: skip
@pytest.mark.parametrize(("tolerance", "max_hydrogens"), [(TEN_PPM, 1), (Tolerance(0.05, "Da"), 2)])
def test_the_best_of_all_ions(smiles: str, adduct: str, tolerance: Tolerance, max_hydrogens: int) -> None:
    fragments = find_fragments(parse_molecule(smiles), 2)
    rng = np.random.default_rng(0)
    carrier = fragment_carriers(parse_adduct(adduct))[0]
    near = carrier.precursor_mz(rng.choice(fragments.mass, 12) + rng.integers(-2, 3, 12) * ATOM_MASSES["H"])
    mz = np.concatenate([near * (1 + rng.normal(0, 4e-6, 12)), rng.uniform(20, fragments.mass[0], 6)])
    mz = mz[mz > 5]
    found = match_fragments(fragments, mz, np.ones(len(mz)), parse_adduct(adduct), tolerance, max_hydrogens)
    n_explained = 0
    for peak, value in enumerate(mz.tolist()):
        best = _cheapest(fragments, value, adduct, tolerance, max_hydrogens)
        assert found.explained[peak] == (best is not None)
        if best is None:
            continue
        n_explained += 1
        assert found.cost[peak] == pytest.approx(best[0])
        assert abs(found.mass_error_ppm[peak]) == pytest.approx(best[1], abs=1e-6)
        formula = found.formula(peak)
        assert formula is not None
        assert min(formula.counts.values()) > 0
        assert tolerance.contains(_ion_mz(formula), value)
        row = found.fragment[peak]
        assert found.atoms(peak) == tuple(np.flatnonzero(fragments.member[row]))
    assert n_explained >= 5


def test_true_molecules_explain_their_spectra_best(data_dir: Path) -> None:
    """A spectrum's own molecule against the molecule next to it in mass, 60 times."""
    columns = ["mz", "intensity", "precursor_mz", "smiles", "exact_mass", "inchikey"]
    wanted = [("split", "=", "val"), ("adduct", "=", "[M+H]+"), ("instrument_type", "=", "LC-ESI-QTOF")]
    rows = pq.read_table(data_dir / "massbank.parquet", columns=columns, filters=wanted).to_pylist()
    rows = [row for row in rows if row["smiles"] and len(row["mz"]) >= 5]
    rows = sorted({row["inchikey"][:14]: row for row in rows}.values(), key=lambda row: row["exact_mass"])
    pairs = list(pairwise(rows))[:60]
    assert len(pairs) >= 40
    wins = 0
    for row, other in pairs:
        mz, intensity = np.array(row["mz"]), np.array(row["intensity"], dtype=np.float64)
        below = mz < row["precursor_mz"] - 1.5  # the precursor tells masses apart, not structures
        own, foreign = (
            match_fragments(
                find_fragments(parse_molecule(smiles), 2),
                mz[below],
                intensity[below],
                parse_adduct("[M+H]+"),
                TEN_PPM,
            ).score
            for smiles in (row["smiles"], other["smiles"])
        )
        wins += own > foreign
    assert wins / len(pairs) > 0.75
