"""Files of molecules: every format says the same, and faults are located."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from bank_material import MOLECULES, write_parquet_table, write_sdf, write_smi, write_table

from ingest.bank_readers import read_molecules
from ingest.bank_records import Columns
from specsearch.chemistry.structures import parse_structure
from specsearch.errors import InputFileError

ROWS = list(MOLECULES.items())
KEYS = [parse_structure(smiles).inchikey for smiles in MOLECULES.values()]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    columns = ("Compound Name", "Canonical_SMILES", "InChIKey", "other")
    table = [(name, smiles, key, "x,y\nz") for (name, smiles), key in zip(ROWS, KEYS, strict=True)]
    written = {
        "smi": write_smi(tmp_path / "a.smi", ROWS),
        "smi.gz": write_smi(tmp_path / "b.smi.gz", ROWS),
        "csv": write_table(tmp_path / "c.csv", columns, table, ","),
        "tsv": write_table(tmp_path / "d.tsv", columns, table, "\t"),
        "semicolons": write_table(tmp_path / "e.txt", columns, table, ";"),
        "sdf": write_sdf(tmp_path / "f.sdf", ROWS),
        "parquet": write_parquet_table(
            tmp_path / "g.parquet",
            smiles=list(MOLECULES.values()),
            pref_name=list(MOLECULES),
            inchi_key=KEYS,
        ),
    }
    (tmp_path / "h.sdf.gz").write_bytes(gzip.compress(written["sdf"].read_bytes()))
    return {**written, "sdf.gz": tmp_path / "h.sdf.gz"}


def test_every_format_says_the_same(files: dict[str, Path]) -> None:
    for kind, path in files.items():
        records = list(read_molecules(path))
        assert [record.name for record in records] == list(MOLECULES), kind
        if not kind.startswith("sdf"):
            assert [record.structure for record in records] == list(MOLECULES.values()), kind
        if kind in ("csv", "tsv", "semicolons", "parquet"):
            assert [record.inchikey for record in records] == KEYS, kind
        assert len({record.position for record in records}) == len(records)


def test_positions_are_those_an_editor_shows(files: dict[str, Path]) -> None:
    positions = {kind: next(iter(read_molecules(path))).position for kind, path in files.items()}
    assert positions["smi"] == "line 1"
    assert positions["csv"] == "line 3"  # header, then a record of two lines, named by its last
    assert positions["sdf"] == "record 1"
    assert positions["parquet"] == "row 1"


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.csv", ("drawing", "label", "name"), [("CCO", "ethanol", "x")], ",")
    with pytest.raises(InputFileError, match=r"no column that is known.*drawing.*--smiles-column"):
        list(read_molecules(path))
    (record,) = read_molecules(path, Columns(smiles="drawing", name="label"))
    assert (record.structure, record.name) == ("CCO", "ethanol")
    with pytest.raises(InputFileError, match=r"no column 'wrong'.*drawing"):
        list(read_molecules(path, Columns(smiles="wrong")))


def test_short_rows_blank_lines_and_comments(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,smiles\nonly a name\n\nethanol,CCO\n")
    assert [record.structure for record in read_molecules(tmp_path / "a.csv")] == ["", "CCO"]
    (tmp_path / "b.smi").write_text("SMILES name\n# comment\n\nCCO\n")
    assert [(r.structure, r.name) for r in read_molecules(tmp_path / "b.smi")] == [("CCO", "")]


def test_an_sdf_may_end_without_its_mark(files: dict[str, Path], tmp_path: Path) -> None:
    text = files["sdf"].read_text().rstrip().removesuffix("$$$$")
    (tmp_path / "cut.sdf").write_text(text)
    assert len(list(read_molecules(tmp_path / "cut.sdf"))) == len(MOLECULES)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.xyz", b"CCO", "no ending of a file of molecules"),
        ("b.smi.gz", gzip.compress(b"CCO ethanol\n" * 9999)[:-20], "cannot be read to its end"),
        ("c.parquet", b"PAR1 not really", "not a Parquet file of molecules"),
        ("d.csv", b"", "no column that is known to hold SMILES"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFileError, match=told):
        list(read_molecules(tmp_path / name))
