"""Readings of a precursor and the molecules they call for, against a look at every molecule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bank_material import MOLECULES, build, write_smi
from pyteomics import mass as pyteomics_mass

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.structures import parse_structure
from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import InvalidSpectrum, ParseError
from specsearch.search.constraints import Constraints, parse_elements, parse_formulas
from specsearch.search.hypotheses import common_adducts, find_hypotheses
from specsearch.search.pools import by_formula, in_window, nearest_outside
from specsearch.search.shortlists import advice_for
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Bank, open_bank

TEN_PPM = Tolerance(10.0, "ppm")
CAFFEINE = parse_structure(MOLECULES["caffeine"])


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("pools")
    build(folder / "bank", write_smi(folder / "all.smi", MOLECULES.items()))
    return open_bank(folder / "bank")


def query(mz: float | None, charge: int | None = 1, adduct: str | None = None, **known: object) -> Spectrum:
    return Spectrum.checked([50.0], [1.0], precursor_mz=mz, charge=charge, adduct=adduct, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("adduct", ["[M+H]+", "[M+Na]+", "[M+NH4]+", "[M+K]+", "[M+H-H2O]+", "[2M+H]+"])
def test_an_adduct_that_is_not_told_is_among_the_guesses(bank: Bank, adduct: str) -> None:
    ion = parse_adduct(adduct)
    hypotheses = find_hypotheses(query(ion.precursor_mz(CAFFEINE.exact_mass)))
    found = in_window(bank, hypotheses, TEN_PPM, Constraints())
    keys = bank.inchikey14[found.row].tolist()
    place = keys.index(CAFFEINE.inchikey14)
    assert hypotheses[found.hypothesis[place]].adduct == ion
    assert found.mass_error_ppm[place] == pytest.approx(0.0, abs=1e-3)
    assert not any(hypothesis.is_given for hypothesis in hypotheses)


def test_the_neutral_mass_is_that_of_another_library() -> None:
    """pyteomics gives the m/z of the protonated molecule; reading it back gives the molecule's mass."""
    mz = pyteomics_mass.calculate_mass(formula="C8H10N4O2", ion_type="M", charge=1)
    (reading,) = find_hypotheses(query(mz, adduct="[M+H]+"))
    assert reading.exact_mass == pytest.approx(pyteomics_mass.calculate_mass(formula="C8H10N4O2"), abs=1e-5)


@pytest.mark.parametrize("width", [Tolerance(10.0, "ppm"), Tolerance(5000.0, "ppm"), Tolerance(5.0, "Da")])
def test_a_pool_is_what_a_look_at_every_molecule_finds(bank: Bank, width: Tolerance) -> None:
    molecules = bank.molecules(np.arange(len(bank)))
    for mz in (132.1019, 195.0877, 104.1070, 181.05):
        hypotheses = find_hypotheses(query(mz))
        expected = {}
        for row, molecule in enumerate(molecules):
            errors = {}
            for i, hypothesis in enumerate(hypotheses):
                ion = hypothesis.adduct
                needed = ion.charge - sum(n for name, n in ion.groups if name in ("H", "Na", "K", "NH4"))
                ppm = (hypothesis.exact_mass - molecule.exact_mass) / molecule.exact_mass * 1e6
                reach = width.value if width.unit == "ppm" else width.value / molecule.exact_mass * 1e6
                is_near = abs(ppm) <= min(reach, 1000.0)
                if is_near and molecule.formal_charge * ion.n_molecules == needed:
                    errors[i] = ppm
            if errors:
                expected[row] = min(errors, key=lambda i: abs(errors[i]))
        found = in_window(bank, hypotheses, width, Constraints())
        assert dict(zip(found.row.tolist(), found.hypothesis.tolist(), strict=True)) == expected
        assert found.adduct_fits.all()


def test_a_cation_is_found_as_it_is_and_a_neutral_molecule_is_not(bank: Bank) -> None:
    choline = parse_structure(MOLECULES["choline"])
    cation = in_window(bank, find_hypotheses(query(104.10699)), TEN_PPM, Constraints())
    assert bank.inchikey14[cation.row].tolist() == [choline.inchikey14]
    as_if_charged = parse_adduct("[M]+").precursor_mz(CAFFEINE.exact_mass)
    assert not len(in_window(bank, find_hypotheses(query(as_if_charged)), TEN_PPM, Constraints()).row)
    given = in_window(bank, find_hypotheses(query(as_if_charged, adduct="[M]+")), TEN_PPM, Constraints())
    assert bank.inchikey14[given.row].tolist() == [CAFFEINE.inchikey14]
    assert not given.adduct_fits.any()


@pytest.mark.parametrize("charge", [1, -1, 2, -2, 3, -4, None])
def test_guesses_have_the_charge_of_the_query(charge: int | None) -> None:
    adducts = common_adducts(charge)
    wanted = {1, -1} if charge is None else {charge}
    assert {adduct.charge for adduct in adducts} == wanted


def test_faults_have_short_reasons() -> None:
    for spectrum, adduct, reason in (
        (query(None), None, "no precursor m/z"),
        (query(195.09), "[M-H]-", "adduct contradicts the ion mode"),
        (query(195.09, -1, "[M+H]+"), None, "adduct contradicts the ion mode"),
        (query(195.09, -1, "[M-H]-", notes=("adduct contradicts ion mode",)), None, "adduct contradicts the"),
        (query(10.0, adduct="[M+Na]+"), None, "precursor lighter than its adduct"),
    ):
        with pytest.raises(InvalidSpectrum) as fault:
            find_hypotheses(spectrum, adduct)
        assert fault.value.reason.startswith(reason)
    torn = query(193.07, -1, "[M-H]-", notes=("adduct contradicts ion mode",))
    assert [str(h.adduct) for h in find_hypotheses(torn, "[M+H]+")] == ["[M+H]+"]
    assert len(find_hypotheses(query(195.09, adduct="what is this"))) > 1


def test_formula_and_elements_narrow(bank: Bank) -> None:
    hypotheses = find_hypotheses(query(132.1019))
    for text, n_expected in (("C6H13NO2", 3), ("O2NH13C6", 3), ("C6H14NO2", 0)):
        narrowed = Constraints(parse_formulas([text]))
        assert len(in_window(bank, hypotheses, TEN_PPM, narrowed).row) == n_expected
        assert len(by_formula(bank, (), narrowed).row) == n_expected
    everything = Tolerance(1000.0, "ppm")
    for symbols, n_expected in (("CNO", 3), ("CHO", 0), ("C,N,O,P", 3)):
        narrowed = Constraints(elements=parse_elements(symbols))
        assert len(in_window(bank, hypotheses, everything, narrowed).row) == n_expected


@pytest.mark.parametrize("text", ["", "CHX", "carbon", "C6H6"])
def test_what_is_no_list_of_elements(text: str) -> None:
    with pytest.raises(ParseError, match="not a list of elements"):
        parse_elements(text)


@pytest.mark.parametrize("ppm", [12.3, 27.0, 150.0])
def test_the_tolerance_that_is_advised_finds_something(bank: Bank, ppm: float) -> None:
    spectrum = query(195.08765 * (1 + ppm * 1e-6), adduct="[M+H]+")
    hypotheses = find_hypotheses(spectrum)
    assert not len(in_window(bank, hypotheses, TEN_PPM, Constraints()).row)
    advice = advice_for(nearest_outside(bank, hypotheses, Constraints()), is_constrained=False)
    advised = float(advice.partition("--mass ")[2].partition("ppm")[0])
    assert len(in_window(bank, hypotheses, Tolerance(advised, "ppm"), Constraints()).row) == 1
    if advised > 12:
        narrower = Tolerance(advised - 1.5, "ppm")
        assert not len(in_window(bank, hypotheses, narrower, Constraints()).row)


def test_far_from_everything_another_adduct_is_advised(bank: Bank) -> None:
    nearest = nearest_outside(bank, find_hypotheses(query(900.0, adduct="[M+H]+")), Constraints())
    assert "another adduct" in advice_for(nearest, is_constrained=False)
    only_phosphorus = Constraints(parse_formulas(["H3PO4"]))
    nothing = nearest_outside(bank, find_hypotheses(query(900.0)), only_phosphorus)
    assert "formula or elements asked for" in advice_for(nothing, is_constrained=True)


def test_real_precursors_lead_to_their_molecules(data_dir: Path, tmp_path: Path) -> None:
    """MassBank's own precursors and adducts; the adduct is then withheld, and found again."""
    import pyarrow.parquet as pq

    columns = ["smiles", "precursor_mz", "adduct", "ion_mode", "exact_mass"]
    rows = pq.read_table(data_dir / "massbank.parquet", columns=columns).slice(30_000, 4000).to_pylist()[::40]
    known = [r for r in rows if r["adduct"] in ("[M+H]+", "[M-H]-") and r["smiles"] and r["precursor_mz"]]
    right = [
        r
        for r in known
        if abs(parse_adduct(r["adduct"]).precursor_mz(r["exact_mass"]) / r["precursor_mz"] - 1) < 8e-6
    ]
    assert len(right) > 20
    build(tmp_path / "bank", write_smi(tmp_path / "all.smi", [("", row["smiles"]) for row in right]))
    bank = open_bank(tmp_path / "bank")
    for row in right:
        charge = 1 if row["ion_mode"].lower().startswith("pos") else -1
        hypotheses = find_hypotheses(query(row["precursor_mz"], charge))
        found = in_window(bank, hypotheses, TEN_PPM, Constraints())
        place = bank.inchikey14[found.row].tolist().index(parse_structure(row["smiles"]).inchikey14)
        assert str(hypotheses[found.hypothesis[place]].adduct) == row["adduct"]
