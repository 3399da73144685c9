"""Structures against InChIKeys of record, formulas summed here, and 200 molecules of the bank."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.masses import ELECTRON_MASS, parse_formula
from specsearch.chemistry.structures import parse_structure
from specsearch.errors import ParseError


@pytest.mark.parametrize(
    ("smiles", "inchikey", "formula", "charge"),
    [
        ("CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "RYYVLZVUVIJVGH-UHFFFAOYSA-N", "C8H10N4O2", 0),
        ("CC(=O)Oc1ccccc1C(=O)O", "BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "C9H8O4", 0),
        ("C[N+](C)(C)CCO", "OEYIOHPDSNJKLS-UHFFFAOYSA-N", "C5H14NO+", 1),
        ("C[C@H](N)C(=O)O", "QNAYBMKLOCPYGJ-REOHCLBHSA-N", "C3H7NO2", 0),
    ],
)
def test_known_molecules(smiles: str, inchikey: str, formula: str, charge: int) -> None:
    structure = parse_structure(smiles)
    assert (structure.inchikey, structure.formula, structure.formal_charge) == (inchikey, formula, charge)
    assert structure.inchikey14 == inchikey.partition("-")[0]
    assert structure.exact_mass == pytest.approx(parse_formula(formula).mass, abs=1e-6)


def test_spellings_of_one_molecule_become_one() -> None:
    written = ["CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", " CN1C(=O)N(C)C(=O)c2c1ncn2C\n"]
    assert len({parse_structure(smiles) for smiles in written}) == 1


def test_stereoisomers_share_the_first_block_only() -> None:
    left, right = parse_structure("C[C@H](N)C(=O)O"), parse_structure("C[C@@H](N)C(=O)O")
    assert left.inchikey14 == right.inchikey14
    assert left.inchikey != right.inchikey
    assert left.smiles != right.smiles


def test_labelled_molecules_weigh_more() -> None:
    light, heavy = parse_structure("CO"), parse_structure("[2H]C([2H])([2H])O")
    assert heavy.exact_mass - light.exact_mass == pytest.approx(3 * (2.01410178 - 1.00782503), abs=1e-6)
    assert parse_formula(heavy.formula).mass == pytest.approx(heavy.exact_mass, abs=1e-6)


def test_a_cations_electron_is_counted_once() -> None:
    choline = parse_structure("C[N+](C)(C)CCO")
    assert parse_adduct("[M]+").precursor_mz(choline.exact_mass) == pytest.approx(104.10699, abs=1e-5)


@pytest.mark.parametrize(
    "smiles",
    [
        "",
        "  ",
        "C1CC",
        "c1cccc1",
        "C(C)(C)(C)(C)C",
        "[Xx]",
        "*C",
        "not a molecule",
        "CC |x|",
        "C\0C",
        "C" * 6000,
        "N/A",
    ],
)
def test_refusals_are_named_and_quiet(smiles: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ParseError) as caught:
        parse_structure(smiles)
    assert caught.value.next_step
    assert len(str(caught.value)) < 300
    assert capfd.readouterr().err == ""


def test_rdkits_log_speaks_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    from rdkit import Chem

    with pytest.raises(ParseError):
        parse_structure("C1CC")
    assert Chem.MolFromSmiles("C1CCC") is None
    assert "unclosed ring" in capfd.readouterr().err


def test_the_bank_agrees(data_dir: Path) -> None:
    table = pq.read_table(data_dir / "molecules.parquet")
    rows = table.take(list(range(0, table.num_rows, table.num_rows // 200))).to_pylist()
    for row in rows:
        structure = parse_structure(row["smiles"])
        assert structure.inchikey14 == row["inchikey"][:14]
        assert parse_formula(structure.formula).counts == parse_formula(row["formula"]).counts
        electrons = structure.formal_charge * ELECTRON_MASS  # the bank's masses of ions lack them
        assert structure.exact_mass - electrons == pytest.approx(row["exact_mass"], abs=1e-5)
