"""Rows and tables, read back by other parsers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from specsearch.errors import InputFileError
from specsearch.report.formats import format_of, write_rows, write_text_rows
from specsearch.report.rows import HIT_COLUMNS, hit_rows
from specsearch.report.tables import hits_table, make_table, plain, precursor_error, shortened
from specsearch.search.similar import Answer, SimilarHit
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.spectrum import Spectrum

COLUMNS = {"name": str, "count": int, "score": float}
ROWS = [
    {"name": 'with "quotes", commas\tand tabs', "count": 1, "score": 0.1},
    {"name": "two\nlines, µ and 水", "count": None, "score": 1e-9},
    {"name": None, "count": -3, "score": None},
]


def answer(**payload: object) -> Answer:
    query = Spectrum.checked([50.0, 60.0], [1, 2], accession="Q1", precursor_mz=200.0, charge=1)
    known = {"spectrum_id": "lab:A", "library": "lab", "accession": "A", "precursor_mz": 199.999, **payload}
    peaks = Peaks(np.array([50.0]), np.array([1.0]), 199.999)
    return Answer(query, [SimilarHit(1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 3, 5.000025, peaks, known)])


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_separated_values_come_back(delimiter: str) -> None:
    stream = io.StringIO()
    assert write_text_rows(stream, ROWS, COLUMNS, "csv" if delimiter == "," else "tsv") == len(ROWS)
    back = list(csv.DictReader(io.StringIO(stream.getvalue(), newline=""), delimiter=delimiter))
    assert [row["name"] for row in back] == [row["name"] or "" for row in ROWS]
    assert [row["count"] for row in back] == ["1", "", "-3"]
    assert [float(row["score"]) for row in back[:2]] == [0.1, 1e-9]


def test_json_lines_and_parquet_keep_types_and_gaps(tmp_path: Path) -> None:
    for ending in ("jsonl", "parquet"):
        path = tmp_path / f"rows.{ending}"
        assert write_rows(path, ROWS, COLUMNS, format_of(path)) == len(ROWS)
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert pq.read_table(tmp_path / "rows.parquet").to_pylist() == ROWS


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    for ending in ("csv", "parquet"):
        path = tmp_path / f"rows.{ending}"
        path.write_text("earlier")
        with pytest.raises(ZeroDivisionError):
            write_rows(path, (ROWS[1 // (2 - i)] for i in range(3)), COLUMNS, format_of(path))
        assert path.read_text() == "earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.csv", "rows.parquet"]
    with pytest.raises(InputFileError, match=r"hits\.xlsx"):
        format_of(Path("hits.xlsx"))


def test_a_hit_has_every_column_and_each_score_its_own() -> None:
    (row,) = hit_rows(answer(adduct="[M+H]+"), "file.mgf")
    assert list(row) == list(HIT_COLUMNS)
    scores = (
        "score",
        "embedding_score",
        "peaks_score",
        "losses_score",
        "entropy_similarity",
        "modified_cosine",
    )
    assert [row[name] for name in scores] == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert (row["query_file"], row["query"], row["rank"], row["matched_peaks"]) == ("file.mgf", "Q1", 1, 3)
    assert (row["adduct"], row["smiles"]) == ("[M+H]+", None)


def test_precursor_error_is_in_ppm_near_and_in_dalton_far() -> None:
    near = answer()
    assert precursor_error(near.query, near.hits[0]) == "+5.0 ppm"
    far = Spectrum.checked([50.0], [1], accession="Q", precursor_mz=215.9939)
    hit = near.hits[0]
    object.__setattr__(hit, "mass_error_ppm", (215.9939 - 199.999) / 199.999 * 1e6)
    assert precursor_error(far, hit) == "+15.9949 Da"
    assert precursor_error(Spectrum.checked([50.0], [1]), hit) == "unknown"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_table_fits_the_screen_and_shows_names_as_they_are(width: int) -> None:
    long = answer(compound_name="[bold]x[/bold] " * 9, smiles="C" * 200, adduct="[M+H]+")
    object.__setattr__(long.query, "precursor_mz", 1199.999)
    object.__setattr__(long.hits[0], "mass_error_ppm", 5e6)
    stream = io.StringIO()
    Console(file=stream, width=width, markup=False).print(hits_table(long, width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.split()[:1] == ["1"])
    assert "[bold]x" in row
    assert all(text in row for text in ("0.900", " 3 ", "+1000.0000 Da", "CCCC", "lab"))
    assert any("similarity" in line and line.endswith("library ") for line in lines)
    assert row.count("…") == 2


def test_text_of_files_cannot_command_the_terminal() -> None:
    hostile = "name\x1b[2J\x07\x9b31m\r\n"
    assert plain(hostile) == "name[2J31m"
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=False, width=100, markup=False)
    console.print(hits_table(answer(compound_name=hostile, smiles=hostile, library=hostile), 100))
    console.print(make_table(hostile, ("a",), [(hostile,)]))
    assert not set(stream.getvalue()) & {"\x1b", "\x07", "\x9b", "\r"}


def test_shortened_keeps_what_fits() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
