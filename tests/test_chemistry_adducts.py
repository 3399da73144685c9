"""Adducts against published tables, pyteomics and other people's parsers."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyteomics import mass as pyteomics_mass

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.masses import formula_mass
from specsearch.errors import ParseError

CAFFEINE = formula_mass("C8H10N4O2")
ELECTRON = 0.000548579909

# m/z of caffeine's ions as commonly quoted
CAFFEINE_IONS = "[M+H]+ 195.087652  [M+Na]+ 217.069594  [M-H]- 193.073100  [M+K]+ 233.0435  [2M+H]+ 389.1680"

# m/z added by each adduct: the ESI adduct calculator of the Fiehn laboratory after Huang et al. (1999),
# without its two rows that are off by one electron (M+IsoProp+H and M-H2O-H)
FIEHN_SHIFTS = """
M+3H 1.007276  M+2H+Na 8.334590  M+3Na 22.989218  M+2H 1.007276  M+H+NH4 9.520550  M+H+Na 11.998247
M+H+K 19.985217  M+ACN+2H 21.520550  M+2Na 22.989218  M+2ACN+2H 42.033823  M+H 1.007276
M+NH4 18.033823  M+Na 22.989218  M+CH3OH+H 33.033489  M+K 38.963158  M+ACN+H 42.033823
M+2Na-H 44.971160  M+ACN+Na 64.015765  M+2K-H 76.919040  M+DMSO+H 79.02122  M+2ACN+H 83.060370
M-3H -1.007276  M-2H -1.007276  M-H -1.007276  M+Na-2H 20.974666  M+Cl 34.969402  M+K-2H 36.948606
M+FA-H 44.998201  M+Hac-H 59.013851  M+Br 78.918885  M+TFA-H 112.985586
"""


def pairs(table: str) -> list[tuple[str, float]]:
    cells = table.split()
    return [(text, float(value)) for text, value in zip(cells[::2], cells[1::2], strict=True)]


@pytest.mark.parametrize(("text", "mz"), pairs(CAFFEINE_IONS))
def test_caffeine(text: str, mz: float) -> None:
    assert parse_adduct(text).precursor_mz(CAFFEINE) == pytest.approx(mz, abs=5.5e-5)


@pytest.mark.parametrize(("text", "shift"), pairs(FIEHN_SHIFTS))
def test_fiehn_table(text: str, shift: float) -> None:
    assert parse_adduct(text).precursor_mz(0.0) == pytest.approx(shift, abs=1e-5)


def test_matchms_table_but_for_its_acetate() -> None:
    """matchms 0.33 lists ``[M+OAc]-`` at +243.02, wrong by 184 Da; its other rows are right."""
    package = importlib.util.find_spec("matchms")  # importing it would take seconds
    assert package is not None
    assert package.origin is not None
    table = Path(package.origin).parent / "data" / "known_adducts_table.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) > 50
    for row in rows:
        adduct = parse_adduct(row["adduct"])
        assert adduct.charge == int(row["charge"])
        assert not adduct.contradicts(row["ionmode"])
        if row["adduct"] != "[M+OAc]-":
            expected = 300 * float(row["mass_multiplier"]) + float(row["correction_mass"])
            assert adduct.precursor_mz(300.0) == pytest.approx(expected, abs=2e-5), row


@pytest.mark.parametrize(
    "text", ["[M+CH3COO]-", "[M+OAc]-", "[M+CH3COOH-H]-", "[M+HAc-H]-", "[M+C2H3O2]-", "M+Hac-H", "M+CH3COO-"]
)
def test_acetate_in_every_spelling(text: str) -> None:
    expected = pyteomics_mass.calculate_mass(formula="C2H3O2") + ELECTRON
    adduct = parse_adduct(text)
    assert adduct.mass_shift == pytest.approx(expected, abs=1e-8) == pytest.approx(59.01385, abs=1e-5)
    assert adduct.text == "[M+CH3COO]-"


GROUPS = {
    "H": "H",
    "Na": "Na",
    "NH4": "NH4",
    "H2O": "H2O",
    "ACN": "C2H3N",
    "FA": "CH2O2",
    "C9H10O5": "C9H10O5",
}


@given(
    n_molecules=st.integers(1, 9),
    terms=st.lists(st.tuples(st.sampled_from(sorted(GROUPS)), st.integers(-9, 9).filter(bool)), max_size=5),
    charge=st.integers(-5, 5).filter(bool),
    exact_mass=st.floats(50, 2000),
)
def test_algebra_against_pyteomics(
    n_molecules: int, terms: list[tuple[str, int]], charge: int, exact_mass: float
) -> None:
    written = "".join(f"{count:+d}{name}" for name, count in terms)
    adduct = parse_adduct(f"[{n_molecules}M{written}]{abs(charge)}{'+' if charge > 0 else '-'}")
    groups = sum(count * pyteomics_mass.calculate_mass(formula=GROUPS[name]) for name, count in terms)
    expected = (n_molecules * exact_mass + groups - charge * ELECTRON) / abs(charge)
    assert adduct.precursor_mz(exact_mass) == pytest.approx(expected, abs=1e-6)
    assert adduct.neutral_mass(adduct.precursor_mz(exact_mass)) == pytest.approx(exact_mass, abs=1e-8)
    again = parse_adduct(adduct.text)
    assert again == adduct


@pytest.mark.parametrize("charge", [1, 2, 3, -1, -2])
def test_protons_against_pyteomics(charge: int) -> None:
    expected = pyteomics_mass.calculate_mass(formula="C30H50N8O12", charge=charge)
    text = f"[M{charge:+d}H]{abs(charge)}{'+' if charge > 0 else '-'}"
    assert parse_adduct(text).precursor_mz(formula_mass("C30H50N8O12")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("M+H", "[M+H]+"),
        ("M-H", "[M-H]-"),
        ("M+", "[M]+"),
        ("M-", "[M]-"),
        ("M+2H", "[M+2H]2+"),
        ("[M+H]", "[M+H]+"),
        ("(M+H)+", "[M+H]+"),
        ("M+H+", "[M+H]+"),
        ("M-H-", "[M-H]-"),
        ("M+NH4+", "[M+NH4]+"),
        ("M+2H2+", "[M+2H]2+"),
        ("M+Cl", "[M+Cl]-"),
        ("M+H-H2O", "[M+H-H2O]+"),
        ("[M-H2O+H]+", "[M+H-H2O]+"),
        ("[M-2H2O+H]+", "[M+H-2H2O]+"),
        ("[M-H]1-", "[M-H]-"),
        ("[M+H]1+", "[M+H]+"),
        ("[1M+H]+", "[M+H]+"),
        ("[M+2H]+2", "[M+2H]2+"),
        ("[M+2H]++", "[M+2H]2+"),
        ("[M+H+H]2+", "[M+2H]2+"),
        ("[M+H]²⁺", "[M+H]2+"),
        ("[M−H]⁻", "[M-H]-"),
        (" [ M + H ] + ", "[M+H]+"),
        ("[M]+*", "[M]+*"),
        ("[M]+.", "[M]+*"),
        ("[M]+•", "[M]+*"),
        ("[M].+", "[M]+*"),
        ("[M]-.", "[M]-*"),
        ("[M+H]+*", "[M+H]+*"),
        ("[Cat]+", "[M]+"),
        ("[2M-2H+Na]-", "[2M+Na-2H]-"),
        ("[M+FA-H]-", "[M+HCOO]-"),
        ("[M+HCO2]-", "[M+HCOO]-"),
        ("[M+H2CO2-H]-", "[M+HCOO]-"),
        ("[M-CO2-H-2HF]-", "[M-H-CO2-2HF]-"),
        ("[M+H-C9H10O5]+", "[M+H-C9H10O5]+"),
        ("[M+acn+H]+", "[M+ACN+H]+"),
        ("[M+Na+H]2+", "[M+H+Na]2+"),
        ("[M+(H2O)2+H]+", "[M+(H2O)2+H]+"),
    ],
)
def test_one_notation(text: str, canonical: str) -> None:
    adduct = parse_adduct(text)
    assert adduct.text == str(adduct) == canonical
    assert adduct.is_radical == canonical.endswith("*")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "[]",
        "[M]",
        "[M+H2O]",
        "H+",
        "[M+H]0+",
        "[0M+H]+",
        "[M+0H]+",
        "[M++H]+",
        "[M+]+",
        "[M+H]+-",
        "[M+Xx]+",
        "[N+H]+",
        "[M+H",
        "M+H]+",
        "[M+H]]+",
        "[M+999H]+",
        "[M+H]999+",
        "[M+1]+",
        "M+HCO3-",
        "M+HCO3",
        "unknown",
        "?",
        "[M+[13C]]+",
        "[M+H]+ [M+Na]+",
        "[M+H]+/[M]+",
        "[M+H99999999]+",
        "[" * 79,
        "M" + "+H" * 5000,
        "[M+٣H]3+",
    ],
)
def test_refusals_name_a_next_step(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_adduct(text)
    assert "[M+H]+" in caught.value.next_step
    assert len(str(caught.value)) < 400


@given(st.text(alphabet="[]()M+-*.0123456789HCONa ", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        adduct = parse_adduct(text)
    except ParseError:
        return
    assert adduct.charge != 0
    assert parse_adduct(adduct.text) == adduct


def test_ion_mode_contradictions() -> None:
    protonated, deprotonated = parse_adduct("[M+H]+"), parse_adduct("[M-H]-")
    assert protonated.contradicts("negative")
    assert deprotonated.contradicts("positive")
    assert not protonated.contradicts("positive")
    assert not protonated.contradicts(None)


def test_arrays_give_what_numbers_give() -> None:
    masses = np.array([100.0, 194.080376, 1500.25])
    adduct = parse_adduct("[2M+Na-2H]-")
    assert adduct.precursor_mz(masses).tolist() == [adduct.precursor_mz(mass) for mass in masses.tolist()]
    assert adduct.neutral_mass(masses).tolist() == [adduct.neutral_mass(mz) for mz in masses.tolist()]
