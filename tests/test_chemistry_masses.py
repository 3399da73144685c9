"""Masses and formulas against pyteomics, RDKit and arithmetic done by hand."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyteomics import mass as pyteomics_mass
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcExactMolWt

from specsearch.chemistry.masses import (
    ATOM_MASSES,
    ELECTRON_MASS,
    PROTON_MASS,
    formula_mass,
    parse_formula,
)
from specsearch.errors import ParseError

ELEMENTS = [symbol for symbol in ATOM_MASSES if not symbol.startswith("[")]


def test_constants_against_codata() -> None:
    assert pytest.approx(5.48579909065e-4, abs=1e-15) == ELECTRON_MASS  # CODATA 2018, u
    binding_u = 13.598 / 931.494e6  # the electron is bound by 13.6 eV, which hydrogen's mass has lost
    assert pytest.approx(1.007276466621 - binding_u, abs=1e-9) == PROTON_MASS  # CODATA 2018, u


@pytest.mark.parametrize("symbol", ELEMENTS)
def test_elements_against_rdkit(symbol: str) -> None:
    assert ATOM_MASSES[symbol] == pytest.approx(
        Chem.GetPeriodicTable().GetMostCommonIsotopeMass(symbol), abs=5e-8
    )


@pytest.mark.parametrize("symbol", [symbol for symbol in ATOM_MASSES if symbol.startswith("[")])
def test_isotopes_against_rdkit(symbol: str) -> None:
    number = "".join(filter(str.isdigit, symbol))
    element = "".join(filter(str.isalpha, symbol))
    expected = Chem.GetPeriodicTable().GetMassForIsotope(element, int(number))
    assert ATOM_MASSES[symbol] == pytest.approx(expected, abs=5e-8)


@given(
    st.dictionaries(
        st.sampled_from(["C", "H", "N", "O", "S", "P", "Cl", "Na"]), st.integers(1, 99), min_size=1
    )
)
def test_formulas_against_pyteomics(counts: dict[str, int]) -> None:
    text = "".join(f"{symbol}{count}" for symbol, count in counts.items())
    assert dict(parse_formula(text).counts) == counts
    assert formula_mass(text) == pytest.approx(pyteomics_mass.calculate_mass(formula=text), abs=1e-6)


@pytest.mark.parametrize(
    ("formula", "smiles"),
    [
        ("C8H10N4O2", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"),
        ("CH[2H]3O", "[2H]C([2H])([2H])O"),
        ("CD3OH", "[2H]C([2H])([2H])O"),
        ("[13C]6H12O6", "[13CH2](O)[13CH]1O[13CH](O)[13CH](O)[13CH](O)[13CH]1O"),
        ("(CH3)2SO", "CS(C)=O"),
        ("((CH3)2CH)3N", "CC(C)N(C(C)C)C(C)C"),
    ],
)
def test_formulas_against_structures(formula: str, smiles: str) -> None:
    assert formula_mass(formula) == pytest.approx(CalcExactMolWt(Chem.MolFromSmiles(smiles)), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "charge", "counts"),
    [
        ("C5H14NO+", 1, {"C": 5, "H": 14, "N": 1, "O": 1}),
        ("[C9H14N]+", 1, {"C": 9, "H": 14, "N": 1}),
        ("[C9H14[15N]]+", 1, {"C": 9, "H": 14, "[15N]": 1}),
        ("Ca+2", 2, {"Ca": 1}),
        ("[Ca]2+", 2, {"Ca": 1}),
        ("Ca2+", 1, {"Ca": 2}),
        ("SO4--", -2, {"S": 1, "O": 4}),
        ("NH4+", 1, {"N": 1, "H": 4}),
        ("C6H6", 0, {"C": 6, "H": 6}),
    ],
)
def test_charges(text: str, charge: int, counts: dict[str, int]) -> None:
    formula = parse_formula(text)
    assert (formula.charge, dict(formula.counts)) == (charge, counts)
    assert formula.mass == pytest.approx(sum(ATOM_MASSES[symbol] * count for symbol, count in counts.items()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "c6h6",
        "C6H6X",
        "Xx2",
        "C0",
        "H0C",
        "(C",
        "C)",
        "()",
        "(2C)",
        "C6H6.HCl",
        "[12X]",
        "[99C]",
        "[C",
        "]",
        "[]+",
        "C+-",
        "+",
        "2H",
        "C6 H6",
        "C₆H₆",
        "C٣",
        "C99999999",
        "C" * 5000,
        "(" * 150 + "C" + ")" * 49,
        "(((C99999)99999)99999)99999",
        "[C6H6",
        "C6H6+++++++",
        "R",
        "Tc",
    ],
)
def test_refusals_name_a_next_step(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_formula(text)
    assert "C8H10N4O2" in caught.value.next_step


def test_the_floor_is_light() -> None:
    """Adducts are parsed by every reader: they must not pay for RDKit or torch."""
    check = (
        "import sys; import specsearch.chemistry.adducts, specsearch.chemistry.agreement; "
        "sys.exit(any(name in sys.modules for name in ('rdkit', 'torch', 'pyteomics')))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
