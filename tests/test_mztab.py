"""mzTab-M files, read back by pyteomics and held against the specification's own lists of columns."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from specsearch.chemistry.structures import parse_structure
from specsearch.errors import ParseError
from specsearch.report.mztab import MzTabCandidate, MzTabQuery, write_mztab
from specsearch.report.mztab_metadata import MzTabSource


def words(text: str) -> list[str]:
    return text.split()


# Copied from the specification (mzTab-M 2.0.0): mandatory metadata, and the columns in their order.
MANDATORY = words("""mzTab-version mzTab-ID software[1] quantification_method ms_run[1]-location
ms_run[1]-scan_polarity[1] assay[1] assay[1]-ms_run_ref study_variable[1] study_variable[1]-assay_refs
study_variable[1]-description cv[1]-label cv[1]-full_name cv[1]-version cv[1]-uri database[1]
database[1]-prefix database[1]-version database[1]-uri small_molecule-quantification_unit
small_molecule_feature-quantification_unit id_confidence_measure[1]""")
ORDER = words("""mzTab-version mzTab-ID title description software quantification_method ms_run assay
study_variable cv database small_molecule-quantification_unit small_molecule_feature-quantification_unit
small_molecule-identification_reliability id_confidence_measure colunit-small_molecule_evidence""")
COLUMNS = {
    "SMH": words("""SML_ID SMF_ID_REFS database_identifier chemical_formula smiles inchi chemical_name uri
    theoretical_neutral_mass adduct_ions reliability best_id_confidence_measure best_id_confidence_value
    abundance_assay[1] abundance_assay[2] abundance_study_variable[1]
    abundance_variation_study_variable[1]"""),
    "SFH": words("""SMF_ID SME_ID_REFS SME_ID_REF_ambiguity_code adduct_ion isotopomer exp_mass_to_charge
    charge retention_time_in_seconds retention_time_in_seconds_start retention_time_in_seconds_end
    abundance_assay[1] abundance_assay[2]"""),
    "SEH": words("""SME_ID evidence_input_id database_identifier chemical_formula smiles inchi chemical_name
    uri derivatized_form adduct_ion exp_mass_to_charge charge theoretical_mass_to_charge spectra_ref
    identification_method ms_level id_confidence_measure[1] id_confidence_measure[2] rank"""),
}
NOT_NULL = {
    "SMH": ["SML_ID"],
    "SFH": ["SMF_ID", "exp_mass_to_charge", "charge"],
    "SEH": words("""SME_ID evidence_input_id exp_mass_to_charge charge theoretical_mass_to_charge spectra_ref
    identification_method ms_level rank"""),
}
ROWS = {"SMH": "SML", "SFH": "SMF", "SEH": "SME"}


def candidate(smiles: str, rank: int, adduct: str = "[M+H]+", **more: Any) -> MzTabCandidate:
    known = parse_structure(smiles)
    return MzTabCandidate(rank, known.inchikey, known.smiles, known.formula, known.exact_mass, adduct, **more)


CAFFEINE = candidate(
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    1,
    name="caffeine|guaranine\t(stimulant)",
    mass_error_ppm=-1.25,
    scores={"probability, calibrated": 0.5, "logits f·z": 1.5e-9},
    notes={"explained peaks": 12, "band": "high"},
)
ISOMER = candidate(
    "Cn1c2nc(C)[nH]c2c(=O)n(C)c1=O",
    1,
    mass_error_ppm=-1.25,
    scores={"probability, calibrated": 0.25, "logits f·z": float("nan")},
    notes={"explained peaks": 9, "band": None},
)
PHENOL = candidate("Oc1ccccc1", 1, "[M-H]-", scores={"probability, calibrated": 0.75, "logits f·z": -4.0})
RADICAL = candidate("Oc1ccccc1", 2, "[M]-*", scores={"probability, calibrated": 0.125})
QUERIES = [
    MzTabQuery("one", 0, "index=5", 195.0877, 1, [CAFFEINE, ISOMER], 61.5, {"confidence band": "high"}),
    MzTabQuery("two", 1, "scan=17", 93.0346, -1, [PHENOL, RADICAL]),
    MzTabQuery("three", 1, "scan=18", 500.5, -2, []),
]
SOURCE = MzTabSource(
    [Path("a folder/un knowns.mgf"), Path("b.mzML.gz")], "my bank, 2", "abc123", "0.1.0", ["mass=10ppm"]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mztab") / "shortlist.mzTab"
    write_mztab(path, QUERIES, SOURCE)
    return path


@pytest.fixture(scope="module")
def lines(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]


def table(lines: list[list[str]], head: str) -> list[dict[str, str]]:
    [columns] = [line for line in lines if line[0] == head]
    return [dict(zip(columns, line, strict=True)) for line in lines if line[0] == ROWS[head]]


def test_metadata_is_complete_and_in_order(lines: list[list[str]]) -> None:
    names = [line[1] for line in lines if line[0] == "MTD"]
    values = {line[1]: line[2] for line in lines if line[0] == "MTD"}
    assert set(MANDATORY) <= set(names)
    assert len(names) == len(set(names))
    places = [
        next(i for i, start in enumerate(ORDER) if name.split("[")[0] == start) for name in map(group, names)
    ]
    assert places == sorted(places)
    assert values["mzTab-version"] == "2.0.0-M"
    assert values["ms_run[1]-location"].startswith("file:///")
    assert values["ms_run[1]-location"].endswith("/a%20folder/un%20knowns.mgf")
    assert values["ms_run[2]-scan_polarity[1]"].startswith("[MS, MS:1000129")
    assert values["study_variable[1]-assay_refs"] == "assay[1]|assay[2]"
    assert values["id_confidence_measure[1]"] == '[, , "probability, calibrated", ]'
    assert values["software[1]"] == "[, , specsearch, 0.1.0]"
    assert "not identifications" in values["description"]
    used = {match for line in lines for cell in line for match in re.findall(r"\[(\w+), \1:", cell)}
    assert used <= {values["cv[1]-label"], values["cv[2]-label"]}


def group(name: str) -> str:
    return re.sub(r"\].*", "]", name) if "[" in name else name


def test_tables_have_the_columns_of_the_specification(lines: list[list[str]]) -> None:
    assert [line[0] for line in lines if line[0] in COLUMNS] == list(COLUMNS)
    for head, expected in COLUMNS.items():
        [columns] = [line for line in lines if line[0] == head]
        assert columns[1 : len(expected) + 1] == expected
        assert all(re.fullmatch(r"opt_global_[A-Za-z0-9_]+", name) for name in columns[len(expected) + 1 :])
        for row in table(lines, head):
            assert all(cell for cell in row.values())  # no empty cell
            assert all(row[name] != "null" for name in NOT_NULL[head])


def test_bars_correspond_and_references_lead_somewhere(lines: list[list[str]]) -> None:
    sml, smf, sme = (table(lines, head) for head in COLUMNS)
    for row, query in zip(sml, QUERIES, strict=True):
        many = ("database_identifier", "chemical_formula", "smiles", "theoretical_neutral_mass")
        counts = {len(row[name].split("|")) for name in many if row[name] != "null"}
        assert counts == ({len(query.candidates)} if query.candidates else set())
        feature = next(one for one in smf if one["SMF_ID"] == row["SMF_ID_REFS"])
        refs = [] if feature["SME_ID_REFS"] == "null" else feature["SME_ID_REFS"].split("|")
        found = [one for one in sme if one["SME_ID"] in refs]
        assert [one["smiles"] for one in found] == [c.smiles for c in query.candidates]
        assert (feature["SME_ID_REF_ambiguity_code"] == "1") == (len(refs) > 1)
        assert {one["spectra_ref"] for one in found} <= {f"ms_run[{query.run + 1}]:{query.spectrum_ref}"}
        assert [one["rank"] for one in found] == [str(c.rank) for c in query.candidates]
    assert [row["reliability"] for row in sml] == ["3", "3", "5"]
    assert sml[0]["chemical_name"] == "caffeine/guaranine (stimulant)|null"
    assert [row["charge"] for row in smf] == ["1", "1", "2"]
    assert [row["adduct_ion"] for row in smf] == ["[M+H]+", "null", "null"]
    assert len({row["SME_ID"] for row in sme}) == len(sme) == 4


def test_numbers_have_no_exponent_and_are_the_numbers(lines: list[list[str]]) -> None:
    first, second, third, _ = table(lines, "SEH")
    assert first["id_confidence_measure[2]"] == "0.000000"
    assert second["id_confidence_measure[2]"] == "NaN"
    assert float(first["theoretical_mass_to_charge"]) == pytest.approx(195.087652, abs=2e-6)  # PubChem 2519
    assert float(third["theoretical_mass_to_charge"]) == pytest.approx(93.034588, abs=2e-6)
    assert (first["opt_global_explained_peaks"], first["opt_global_band"]) == ("12", "high")
    assert (second["opt_global_band"], third["opt_global_band"]) == ("null", "null")
    assert first["opt_global_mass_error"] == "-1.250000"
    summary = table(lines, "SMH")[0]
    assert summary["best_id_confidence_value"] == "0.500000"
    assert (summary["opt_global_query"], summary["opt_global_confidence_band"]) == ("one", "high")


def test_an_independent_reader_reads_it(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyteomics.mztab import MzTab

    read = MzTab(str(path), table_format="dict")
    assert (read.version, read.variant) == ("2.0.0-M", "M")
    assert read.metadata["mzTab-ID"] == "specsearch"
    assert len(read.small_molecule_table["rows"]) == 3
    assert len(read.small_molecule_feature_table["rows"]) == 3
    rows = read.small_molecule_evidence_table["rows"]
    assert [row["database_identifier"] for row in rows[:1]] == [f"mybank2:{CAFFEINE.inchikey}"]
    assert [float(row["id_confidence_measure[1]"]) for row in rows] == [0.5, 0.25, 0.75, 0.125]
    assert float(rows[0]["exp_mass_to_charge"]) == 195.0877


def test_no_query_and_no_sense(tmp_path: Path) -> None:
    write_mztab(tmp_path / "empty.mzTab", [], MzTabSource([Path("a.msp")], "b", "", "0.1.0"))
    text = (tmp_path / "empty.mzTab").read_text(encoding="utf-8")
    assert [line[:3] for line in text.splitlines() if line[:3] in COLUMNS] == list(COLUMNS)
    assert "database[1]-version\tUnknown" in text
    assert "ms_run[1]-format" not in text
    wrong = MzTabQuery("x", 0, "index=0", 100.0, 1, [candidate("CCO", 1, "[nonsense")])
    with pytest.raises(ParseError):
        write_mztab(tmp_path / "wrong.mzTab", [wrong], SOURCE)
    assert not (tmp_path / "wrong.mzTab").exists()
