"""The commands end to end: real files, a real store, a small encoder with random weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import ms_entropy
import numpy as np
import pyarrow.parquet as pq
import pytest
from cli_runner import Commands, small_model
from filelock import FileLock

from specsearch.evaluation.simulated import Sample, simulated_sample
from specsearch.search.fusion import FUSIONS
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

MGF_WITH_FAULTS = """\
BEGIN IONS
TITLE=good
PEPMASS=200.0
CHARGE=1+
50.0 1.0
120.5 3.0
END IONS
BEGIN IONS
TITLE=empty
PEPMASS=200.0
END IONS
BEGIN IONS
TITLE=negative
PEPMASS=200.0
50.0 -1.0
END IONS
BEGIN IONS
TITLE=empty too
PEPMASS=300.0
END IONS
"""


@pytest.fixture(scope="module")
def sample() -> Sample:
    return simulated_sample()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> Path:
    """The library in two formats, half each, and the queries."""
    folder = tmp_path_factory.mktemp("files")
    write_spectra(folder / "first.mgf", sample.library[:64])
    write_spectra(folder / "second.msp", sample.library[64:])
    write_spectra(folder / "queries.mgf", sample.queries)
    return folder


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, files: Path, model: Path) -> Commands:
    """A store with one library."""
    commands = Commands(tmp_path_factory.mktemp("indexed"), model)
    commands.run("index", files / "first.mgf", files / "second.msp", "--library", "lab")
    return commands


@pytest.fixture
def commands(tmp_path: Path, model: Path) -> Commands:
    """An empty store."""
    return Commands(tmp_path, model)


def test_index_counts_what_the_files_hold_and_twice_is_once(
    commands: Commands, files: Path, sample: Sample
) -> None:
    words = ("index", files / "first.mgf", files / "second.msp", "--library", "lab")
    first = commands.run(*words).stdout
    assert numbers(first)["read"] == numbers(first)["indexed"] == len(sample.library)
    assert commands.run(*words).stdout == first
    assert numbers(commands.run("index", files, "--library", "lab").stdout)["in"] == len(sample.library) + 5


def test_skipped_records_are_counted_shown_and_reported(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "faults.mgf").write_text(MGF_WITH_FAULTS)
    (tmp_path / "notes.txt").write_text("not spectra")
    report = tmp_path / "skipped.csv"
    output = commands.run("index", tmp_path / "*.*", "--library", "lab", "--report", report).stdout
    counted = [numbers(output)[word] for word in ("read", "indexed", "skipped", "files")]
    assert counted == [4, 1, 3, 1]
    rows = list(csv.DictReader(report.open(encoding="utf-8")))
    assert [row["accession"] for row in rows] == ["", "empty", "negative", "empty too"]
    assert [row["reason"] for row in rows[1:]] == ["no peaks", "intensity negative", "no peaks"]
    assert rows[0]["source"].endswith("notes.txt")
    assert "no peaks" in output
    assert "intensity negative" in output


def test_duplicates_are_kept_or_collapsed(commands: Commands, sample: Sample, tmp_path: Path) -> None:
    one = sample.library[0]
    again = Spectrum(one.mz, one.intensity, accession="another name", precursor_mz=one.precursor_mz)
    write_spectra(tmp_path / "two.mgf", [one, again])
    kept = commands.run("index", tmp_path / "two.mgf", "--library", "kept").stdout
    collapsed = commands.run(
        "index", tmp_path / "two.mgf", "--library", "collapsed", "--duplicates", "collapse"
    ).stdout
    assert (numbers(kept)["in"], numbers(collapsed)["in"]) == (2, 1)
    assert "same SPLASH" in collapsed


def test_a_library_spectrum_finds_itself(indexed: Commands, files: Path, sample: Sample) -> None:
    rows = indexed.search(files / "first.mgf", "--top", 1)
    assert [row["query"] for row in rows] == [spectrum.accession for spectrum in sample.library[:64]]
    assert [row["accession"] for row in rows] == [row["query"] for row in rows]
    for row in rows:
        assert row["score"] == pytest.approx(1.0, abs=5e-3)
        assert row["entropy_similarity"] == pytest.approx(1.0, abs=1e-3)
        assert row["mass_error_ppm"] == pytest.approx(0.0, abs=0.01)


def test_exact_scores_are_those_of_another_library(indexed: Commands, files: Path, sample: Sample) -> None:
    queries = {query.accession: query for query in sample.queries}
    stored = {spectrum.accession: spectrum for spectrum in sample.library}
    rows = indexed.search(files / "queries.mgf", "--fragment", "0.02Da", "--top", 3)
    assert len(rows) == 3 * len(queries)
    for row in rows:
        expected = entropy_similarity(queries[row["query"]], stored[row["accession"]])
        # not closer: ms_entropy merges peaks less than twice the tolerance apart, our recipe keeps them
        assert row["entropy_similarity"] == pytest.approx(expected, abs=0.02)


def entropy_similarity(one: Spectrum, other: Spectrum) -> float:
    """By ms_entropy alone, which cleans by its own code."""
    cleaned = [
        ms_entropy.clean_spectrum(
            np.column_stack([spectrum.mz, spectrum.intensity]).astype(np.float32),
            noise_threshold=0.01,
            min_ms2_difference_in_da=0.04,
        )
        for spectrum in (one, other)
    ]
    return float(
        ms_entropy.calculate_entropy_similarity(*cleaned, ms2_tolerance_in_da=0.02, clean_spectra=False)
    )


def test_precursor_window_is_brute_force(indexed: Commands, files: Path, sample: Sample) -> None:
    rows = indexed.search(files / "queries.mgf", "--precursor", "10ppm", "--top", 100)
    for query in sample.queries:
        assert query.precursor_mz is not None
        expected = {
            spectrum.accession
            for spectrum in sample.library
            if spectrum.precursor_mz and abs(spectrum.precursor_mz / query.precursor_mz - 1) < 10e-6
        }
        assert {row["accession"] for row in rows if row["query"] == query.accession} == expected


def test_filters_and_ranking_by_peaks(indexed: Commands, files: Path, sample: Sample) -> None:
    wanted = {"C10H15N", "C8H10N4O2"}
    rows = indexed.search(
        files / "queries.mgf", "--formula", "C8H10N4O2", "--formula", "C10H15N", "--by", "peaks", "--top", 50
    )
    found = {row["accession"] for row in rows}
    expected = {s.accession for s in sample.library if s.metadata["formula"] in wanted}
    assert found
    assert found <= expected
    for query in sample.queries:
        scores = [row["score"] for row in rows if row["query"] == query.accession]
        assert scores == sorted(scores, reverse=True)
    weights = FUSIONS["peaks"]
    for row in rows:
        mean = weights.peaks * row["peaks_score"] + weights.losses * row["losses_score"]
        assert row["score"] == pytest.approx(mean / (weights.peaks + weights.losses), abs=1e-5)
    assert indexed.search(files / "queries.mgf", "--adduct", "[M+Na]+") == []


def test_every_format_says_the_same(indexed: Commands, files: Path, tmp_path: Path) -> None:
    rows = indexed.search(files / "queries.mgf")
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        path = tmp_path / f"hits.{ending}"
        assert indexed.run("search", files / "queries.mgf", "-o", path).stdout == ""
        assert list(read_table(path)) == [pytest.approx(as_text(row)) for row in rows]
    table = tmp_path / "hits.txt"
    indexed.run("search", files / "queries.mgf", "-o", table)
    assert all(str(row["compound_name"]) in table.read_text(encoding="utf-8") for row in rows)


def as_text(row: dict[str, object]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def read_table(path: Path) -> Iterator[dict[str, str]]:
    if path.suffix == ".parquet":
        yield from map(as_text, pq.read_table(path).to_pylist())
    elif path.suffix == ".jsonl":
        yield from (as_text(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())
    else:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")


def test_queries_that_get_no_answer_are_accounted_for(
    indexed: Commands, sample: Sample, tmp_path: Path
) -> None:
    one = sample.queries[0]
    nameless = Spectrum(one.mz, one.intensity, accession="no precursor")
    elsewhere = Spectrum(one.mz, one.intensity, accession="elsewhere", precursor_mz=999.0, charge=1)
    write_spectra(tmp_path / "queries.mgf", [nameless, elsewhere])
    (tmp_path / "faults.mgf").write_text(MGF_WITH_FAULTS)
    told = indexed.run("search", tmp_path / "queries.mgf", tmp_path / "faults.mgf", "--precursor", "1ppm")
    assert told.stdout.strip() == ""
    assert "2 x no peaks" in told.stderr
    assert "1 x no precursor m/z" in told.stderr
    assert "2 queries asked of lab (128 spectra): 0 have hits, 2 none." in told.stderr
    assert "a wider window than --precursor 1 ppm" in told.stderr


def test_the_library_may_be_left_out_where_there_is_one(
    commands: Commands, files: Path, sample: Sample, tmp_path: Path
) -> None:
    assert "no library" in commands.run("search", files / "queries.mgf", code=1).stderr
    for name in ("one", "two"):
        commands.run("index", files / f"{'first.mgf' if name == 'one' else 'second.msp'}", "--library", name)
    assert "one, two" in commands.run("search", files / "queries.mgf", code=1).stderr
    both = commands.search(files / "queries.mgf", "--library", "one", "--library", "two", "--top", 200)
    assert {row["library"] for row in both} == {"one", "two"}
    known = sample.queries[0].metadata["compound_name"]
    top = next(row for row in both if row["query"] == sample.queries[0].accession)
    assert top["compound_name"] == known


def test_libraries_tells_of_every_state(
    commands: Commands, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No library" in commands.run("libraries").stderr
    for name in ("whole", "broken", "busy"):
        commands.run("index", files / "queries.mgf", "--library", name)
    manifest = json.loads((commands.store / "broken" / "manifest.json").read_text())
    largest = max(manifest["files"], key=lambda name: manifest["files"][name]["size"])
    with (commands.store / "broken" / largest).open("r+b") as file:
        file.truncate(100)
    with FileLock(commands.store / "busy" / "lock"):
        lines = commands.run("libraries").stdout.splitlines()
    row = {line.split()[0]: line for line in lines if line.split()}
    assert row["whole"].split()[1] == "5"
    assert "(this model)" in row["whole"]
    assert "good" in row["whole"]
    assert "damaged" in row["broken"]
    assert "in use" in row["busy"]
    other = small_model(tmp_path / "other.safetensors", seed=2)
    assert "(another model)" in commands.run("libraries", "--model", other).stdout


def test_a_dropped_library_can_be_indexed_with_another_model(
    commands: Commands, files: Path, tmp_path: Path
) -> None:
    other = small_model(tmp_path / "other.safetensors", seed=2)
    words = ("index", files / "queries.mgf", "--library", "lab")
    commands.run(*words)
    assert "another encoder" in commands.run(*words, "--model", other, code=1).stderr
    refused = commands.run("search", files / "queries.mgf", "--model", other, code=1).stderr
    assert "another encoder" in refused
    commands.run("drop", "lab", "--yes")
    assert numbers(commands.run(*words, "--model", other).stdout)["in"] == 5
    assert commands.run("search", files / "queries.mgf", "--model", other).stdout


def test_model_show_tells_the_card(commands: Commands, model: Path) -> None:
    shown = commands.run("model", "show", model).stdout
    n_parameters = sum(int(np.prod(shape)) for shape in tensor_shapes(model))
    assert f"{n_parameters:,}" in shown
    assert "random weights" in shown
    assert "n_layers = 1" in shown


def tensor_shapes(path: Path) -> list[list[int]]:
    """Shapes by the file format's own header: eight bytes of length, then JSON."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return [entry["shape"] for name, entry in header.items() if name != "__metadata__"]


def test_training_goes_on_where_it_was(commands: Commands, sample: Sample, tmp_path: Path) -> None:
    def part(spectrum: Spectrum, split: str) -> Spectrum:
        metadata = {**spectrum.metadata, "split": split}
        return Spectrum(
            spectrum.mz, spectrum.intensity, spectrum.accession, spectrum.precursor_mz, 1, "[M+H]+", metadata
        )

    annotated = [part(s, "train" if i < 100 else "val") for i, s in enumerate(sample.library)]
    write_spectra(tmp_path / "annotated.parquet", annotated)
    words = ("train", "structure", tmp_path / "annotated.parquet", "--out", tmp_path / "run")
    small = ("--molecules", 4, "--warmup", 1, "--validate-every", 1)
    told = commands.run(*words, *small, "--steps", 2).stderr
    assert "train: 100 clean spectra of 50 molecules" in told
    assert "Going on from step 2" in commands.run(*words, *small, "--steps", 3).stderr
    other = (*small[:1], 6, *small[2:])
    assert "another recipe" in commands.run(*words, *other, "--steps", 3, code=1).stderr
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [1, 2, 3]
    shown = commands.run("model", "show", tmp_path / "run" / "best.safetensors").stdout
    assert "annotated.parquet" in shown


def numbers(summary: str) -> dict[str, int]:
    """The counts of an index summary, by their first word."""
    rows = [line.replace(",", "").split() for line in summary.splitlines() if line.split()]
    return {row[0]: int(row[-1]) for row in reversed(rows) if row[-1].isdigit()}
