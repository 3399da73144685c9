"""``specsearch bank`` and ``specsearch identify`` end to end: real files, a real store, a small encoder."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bank_material import MOLECULES, write_parquet_table, write_smi
from cli_runner import Commands, small_model
from decision_material import fitted_layer

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.structures import parse_structure
from specsearch.encoder.checkpoint import read_card
from specsearch.report.candidate_rows import CANDIDATE_COLUMNS
from specsearch.search.confidence import BANDS, HIGH
from specsearch.search.decision import write_decision
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

FAULTS = [("labelled", "[2H]C"), ("broken", "C1CC"), ("table salt", "[Na+].[Cl-]"), ("methyl", "[CH3]")]


def unknown(name: str, made_as: str = "[M+H]+", **known: object) -> Spectrum:
    """Some peaks below the precursor of a molecule, which the record does not name."""
    ion = parse_adduct(made_as)
    mz = ion.precursor_mz(parse_structure(MOLECULES[name]).exact_mass)
    values = {"accession": name, "precursor_mz": mz, "charge": ion.charge, "adduct": made_as, **known}
    peaks = np.random.default_rng(len(name)).uniform(50, mz, 8)
    return Spectrum.checked(peaks, np.arange(1.0, 9.0), **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def banked(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Commands:
    """A store with one bank."""
    folder = tmp_path_factory.mktemp("banked")
    commands = Commands(folder, model)
    commands.run("bank", "add", write_smi(folder / "all.smi", MOLECULES.items()), "--name", "plants")
    return commands


@pytest.fixture
def commands(tmp_path: Path, model: Path) -> Commands:
    return Commands(tmp_path, model)


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("queries") / "unknowns.mgf"
    write_spectra(
        path,
        [
            unknown("leucine"),
            unknown("caffeine", "[M+Na]+", adduct=None),
            unknown("paracetamol", "[M-H]-"),
            unknown("aspirin", precursor_mz=None),
            unknown("glucose", precursor_mz=777.7),
        ],
    )
    return path


def _rows(commands: Commands, *words: object) -> list[dict[str, object]]:
    lines = commands.run("identify", *words, "--format", "jsonl").stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_every_query_gets_its_molecule_or_an_account(banked: Commands, queries: Path) -> None:
    result = banked.run("identify", queries, "--bank", "plants", "--format", "jsonl")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    found = {str(row["query"]): set[str]() for row in rows}
    for row in rows:
        found[str(row["query"])].add(str(row["name"]))
    assert found == {
        "leucine": {"leucine", "isoleucine", "norleucine"},
        "caffeine": {"caffeine"},
        "paracetamol": {"paracetamol"},
    }
    adducts = {(row["query"], row["adduct"], row["adduct_origin"]) for row in rows}
    assert adducts == {
        ("leucine", "[M+H]+", "given"),
        ("caffeine", "[M+Na]+", "assumed"),
        ("paracetamol", "[M-H]-", "given"),
    }
    assert "1 x no precursor m/z" in result.stderr
    assert "4 queries asked of the bank 'plants' (14 molecules): 3 have candidates, 1 none." in result.stderr
    assert "For glucose: " in result.stderr
    assert NOT_AN_IDENTIFICATION in result.stderr


def test_a_row_says_what_the_molecule_is(banked: Commands, queries: Path) -> None:
    for row in _rows(banked, queries, "--bank", "plants"):
        assert list(row) == list(CANDIDATE_COLUMNS)
        truth = parse_structure(MOLECULES[str(row["name"])])
        assert (row["inchikey"], row["formula"]) == (truth.inchikey, truth.formula)
        assert row["exact_mass"] == pytest.approx(truth.exact_mass, abs=1e-6)
        expected_mz = parse_adduct(str(row["adduct"])).precursor_mz(truth.exact_mass)
        assert row["query_precursor_mz"] == pytest.approx(expected_mz, abs=1e-4)
        assert row["mass_error_da"] == pytest.approx(
            row["mass_error_ppm"] * truth.exact_mass * 1e-6, abs=1e-5
        )  # type: ignore[operator]
        assert row["adduct_fits_structure"] == row["adduct_fits_ion_mode"] == "yes"
        assert 0 <= row["explained_intensity"] <= 1  # type: ignore[operator]


def test_formats_agree(banked: Commands, queries: Path, tmp_path: Path) -> None:
    rows = _rows(banked, queries, "--bank", "plants")
    text = banked.run("identify", queries, "--bank", "plants", "--format", "csv").stdout
    as_csv = list(csv.DictReader(io.StringIO(text)))
    assert [[("" if v is None else str(v)) for v in row.values()] for row in rows] == [
        list(row.values()) for row in as_csv
    ]
    banked.run("identify", queries, "--bank", "plants", "-o", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == rows


def test_selective_csv_has_four_columns(banked: Commands, queries: Path) -> None:
    rows = _rows(banked, queries, "--bank", "plants")
    text = banked.run("identify", queries, "--bank", "plants", "--format", "selective").stdout
    assert text.startswith("query_id,candidate_id,rank,score\n")
    for short, row in zip(csv.DictReader(io.StringIO(text)), rows, strict=True):
        assert short["query_id"] == row["query"]
        assert short["candidate_id"] == str(row["inchikey"])[:14]
        assert (int(short["rank"]), float(short["score"])) == (row["rank"], row["score"])


def test_a_table_says_what_it_is_not(banked: Commands, queries: Path) -> None:
    table = banked.run("identify", queries, "--bank", "plants", "--top", 2).stdout
    assert table.count(NOT_AN_IDENTIFICATION) == 3
    assert "3 candidates." in table
    assert table.count("C6H13NO2") == 2


def test_options_narrow_and_widen(banked: Commands, queries: Path) -> None:
    def names(*words: object) -> set[object]:
        return {row["name"] for row in _rows(banked, queries, "--bank", "plants", *words)}

    assert names("--formula", "C6H13NO2") == {"leucine", "isoleucine", "norleucine"}
    assert names("--elements", "CHNO") == names()
    assert names("--elements", "CHN") == set()
    assert names("--mass", "0.001ppm", "--formula", "C8H10N4O2") == {"caffeine"}
    assert names("--whole-bank") == set(MOLECULES)
    ranks = [row["rank"] for row in _rows(banked, queries, "--bank", "plants", "--top", 1)]
    assert ranks == [1, 1, 1]


def test_a_library_takes_part(banked: Commands, queries: Path, tmp_path: Path) -> None:
    write_spectra(
        tmp_path / "lab.mgf",
        [unknown("leucine", metadata={"smiles": MOLECULES["leucine"], "compound_name": "L-Leu"})],
    )
    banked.run("index", tmp_path / "lab.mgf", "--library", "lab")
    rows = _rows(banked, queries, "--bank", "plants", "--library", "lab")
    leucine = next(row for row in rows if row["query"] == row["name"] == "leucine")
    assert leucine["library_similarity"] == pytest.approx(1.0, abs=0.01)
    assert (leucine["library_spectrum"], leucine["library_molecule"]) == ("lab:leucine", "L-Leu")
    assert all(
        row["library_similarity"] < 0.99
        for row in rows
        if row["name"] != "leucine" and row["library_similarity"]
    )  # type: ignore[operator]
    assert "plants" not in banked.run("libraries").stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--bank", "nowhere"], 1, "There is no bank 'nowhere'. There are: plants."),
        (["--bank", "../plants"], 1, "cannot be the name of a bank"),
        (["--bank", "plants", "--mass", "10"], 2, "is not a mass tolerance"),
        (["--bank", "plants", "--elements", "CHX"], 2, "is not a list of elements"),
        (["--bank", "plants", "--formula", "caffeine"], 2, "is not a molecular formula"),
        (["--bank", "plants", "--adduct", "[M+what]"], 2, "has no known mass"),
        (["--bank", "plants", "--adduct", "[M-H]-"], 0, "adduct contradicts the ion mode"),
        (["--bank", "plants", "--library", "nowhere"], 1, "There is no library 'nowhere'"),
        (["--bank", "plants", "--format", "parquet"], 2, "needs a file"),
    ],
)
def test_wrong_words_get_one_sentence(
    banked: Commands, queries: Path, words: list[str], code: int, told: str
) -> None:
    result = banked.run("identify", queries, *words, code=code)
    assert told in " ".join(result.stderr.split())


def test_bank_add_counts_reports_and_repeats(commands: Commands, tmp_path: Path) -> None:
    file = write_smi(tmp_path / "all.smi", [*MOLECULES.items(), *FAULTS])
    report = tmp_path / "skipped.csv"
    first = commands.run("bank", "add", file, "--name", "plants", "--report", report).stdout
    rows = list(csv.DictReader(report.open(encoding="utf-8")))
    assert {(row["accession"], row["reason"]) for row in rows} == {
        ("labelled", "isotope-labelled"),
        ("broken", "structure not readable"),
        ("table salt", "no organic part"),
        ("methyl", "radical"),
    }
    again = commands.run("bank", "add", file, "--name", "plants").stdout
    assert (_count(first, "new"), _count(again, "new")) == (len(MOLECULES), 0)
    assert _count(first, "in") == _count(again, "in") == len(MOLECULES)
    assert _count(first, "read") == _count(again, "read") == len(MOLECULES) + len(FAULTS)


def _count(table: str, word: str) -> int:
    line = next(line for line in table.splitlines() if line.split()[:1] == [word])
    return int(line.split()[-1].replace(",", ""))


def test_bank_list_show_and_remove(commands: Commands, tmp_path: Path) -> None:
    assert "No bank in" in commands.run("bank", "list").stderr
    file = write_parquet_table(
        tmp_path / "two.parquet", drawing=list(MOLECULES.values()), label=list(MOLECULES)
    )
    words = ("--smiles-column", "drawing", "--name-column", "label")
    commands.run("bank", "add", file, "--name", "mine", *words)
    assert "mine" in commands.run("bank", "list").stdout
    shown = commands.run("bank", "show", "mine").stdout
    for told in ("radius = 2", "two.parquet", "14 records, 14 used", "parent-1", "75.0320 to 322.0123 Da"):
        assert told in shown
    commands.run("bank", "remove", "mine", "--yes")
    assert "No bank in" in commands.run("bank", "list").stderr


def test_an_empty_bank_is_an_error_with_its_reasons(commands: Commands, tmp_path: Path) -> None:
    result = commands.run("bank", "add", write_smi(tmp_path / "a.smi", FAULTS), "--name", "none", code=1)
    assert "isotope-labelled" in result.stdout
    assert "None of these records is a molecule" in result.stderr
    assert "no bank 'none'" in commands.run("identify", "a.mgf", "--bank", "none", code=1).stderr


def test_another_model_is_refused_until_bound(commands: Commands, queries: Path, tmp_path: Path) -> None:
    commands.run("bank", "add", write_smi(tmp_path / "a.smi", MOLECULES.items()), "--name", "mine")
    other = ("--model", small_model(tmp_path / "other.safetensors", seed=2))
    refused = commands.run("identify", queries, "--bank", "mine", *other, code=1).stderr
    assert "was built by another encoder" in refused
    assert "specsearch bank bind mine" in refused
    commands.run("bank", "bind", "mine", *other)
    assert _rows(commands, queries, "--bank", "mine", *other)


def test_a_library_cannot_have_the_banks_folder(commands: Commands, queries: Path) -> None:
    assert "cannot be the name" in commands.run("index", queries, "--library", "banks", code=1).stderr


def test_a_ranker_rates_every_list(banked: Commands, queries: Path, model: Path, tmp_path: Path) -> None:
    file = tmp_path / "ranker.json"
    write_decision(file, fitted_layer(read_card(model).digest))
    words = (queries, "--bank", "plants", "--ranker", file)
    rows = _rows(banked, *words)
    for query in {str(row["query"]) for row in rows}:
        own = [row for row in rows if row["query"] == query]
        assert sum(float(str(row["probability"])) for row in own) == pytest.approx(1.0, abs=1e-5)
        assert [row["score"] for row in own] == sorted((row["score"] for row in own), reverse=True)  # type: ignore[type-var]
        assert {row["confidence_band"] for row in own} <= set(BANDS)
        if own[0]["adduct_origin"] == "assumed":
            assert own[0]["confidence_band"] != HIGH
    strict = _rows(banked, *words, "--risk", "5%")
    assert [row["score"] for row in strict] == [row["score"] for row in rows]
    plain = _rows(banked, queries, "--bank", "plants", "--ranker", "none")
    assert {row["probability"] for row in plain} == {None}
    assert (
        "needs a ranker"
        in banked.run(
            "identify", queries, "--bank", "plants", "--ranker", "none", "--risk", "5%", code=2
        ).stderr
    )
    assert "Confidence:" in banked.run("identify", *words).stdout


def test_a_page_and_mztab_say_the_same(banked: Commands, model: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.mgf"
    write_spectra(hostile, [unknown("leucine", accession="<script>alert(1)</script>")])
    file = tmp_path / "ranker.json"
    write_decision(file, fitted_layer(read_card(model).digest))
    words = ("identify", hostile, "--bank", "plants", "--ranker", file, "-o")
    banked.run(*words, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert NOT_AN_IDENTIFICATION in page
    rows = _rows(banked, *words[1:-1])
    assert page.count("<tr><td>") == len(rows)
    assert all(str(row["inchikey"]) in page for row in rows)
    assert "<svg" in page
    banked.run(*words, tmp_path / "answer.mztab")
    lines = [line.split("\t") for line in (tmp_path / "answer.mztab").read_text().splitlines()]
    head = next(line for line in lines if line[0] == "SEH")
    evidence = [dict(zip(head, line, strict=True)) for line in lines if line[0] == "SME"]
    assert [row["smiles"] for row in evidence] == [row["smiles"] for row in rows]
