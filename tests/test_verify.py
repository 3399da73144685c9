"""The self-check: good libraries are good, and each kind of damage is seen."""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runner import Commands, small_model
from graph_material import spectra

from specsearch.spectra.writers import write_spectra
from specsearch.store.integrity import mark_open
from specsearch.store.points import Point
from specsearch.store.store import open_store


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    made = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    write_spectra(tmp_path / "lib.mgf", spectra())
    made.run("index", tmp_path / "lib.mgf", "--library", "lib")
    return made


def verdicts(shown: str) -> dict[str, str]:
    """Lines of the table that hold a verdict, by that verdict."""
    return {
        line.strip(): word
        for line in shown.splitlines()
        for word in ("good", "BAD", "not checked")
        if word in line
    }


def test_a_good_library(commands: Commands) -> None:
    shown = verdicts(commands.run("verify", "lib", "--sample", 20).stdout)
    assert set(shown.values()) == {"good"}
    assert len(shown) == 13
    commands.run("verify", "nowhere", code=1)


def test_vectors_of_another_making(commands: Commands, tmp_path: Path) -> None:
    """One embedding turned round: its own peaks give another."""
    with open_store(commands.store) as store, store.open("lib", write=True) as collection:
        record = next(collection.scroll(with_vectors=True))
        assert record.embedding is not None
        unit = record.embedding / np.linalg.norm(record.embedding)
        point = Point(record.point_id, -unit, record.peaks, record.losses, record.payload)
        collection.upsert([point])
    result = commands.run("verify", "lib", code=1)
    bad = [line for line, word in verdicts(result.stdout).items() if word == "BAD"]
    assert len(bad) == 1
    assert "embeddings made again" in bad[0]
    assert "1 of 48 differ" in bad[0]
    other = small_model(tmp_path / "other.safetensors", seed=2)
    shown = verdicts(commands.run("verify", "lib", "--model", other).stdout)
    assert [word for line, word in shown.items() if "made again" in line] == ["not checked"]


def test_a_ledger_that_is_wrong_is_mended(commands: Commands) -> None:
    ledger = commands.store / "lib" / "ingest" / "ledger.sqlite"
    with sqlite3.connect(ledger) as db:
        db.execute("DELETE FROM spectra WHERE accession IN (SELECT accession FROM spectra LIMIT 3)")
    assert "45 spectra" in commands.run("verify", "lib", code=1).stdout
    assert set(verdicts(commands.run("verify", "lib", "--repair").stdout).values()) == {"good"}
    assert set(verdicts(commands.run("verify", "lib").stdout).values()) == {"good"}


def test_names_are_compared_where_counts_agree(commands: Commands, tmp_path: Path) -> None:
    ledger = commands.store / "lib" / "ingest" / "ledger.sqlite"
    with sqlite3.connect(ledger) as db:
        (lost,) = db.execute("SELECT accession FROM spectra LIMIT 1").fetchone()
        db.execute("UPDATE spectra SET accession = 'ghost' WHERE accession = ?", (lost,))
    shown = " ".join(commands.run("verify", "lib", code=1).stdout.split())
    assert "only in the ledger: 1, only in the library: 1, for example ghost" in shown
    assert "Remove" in shown
    ledger.unlink()
    commands.run("index", tmp_path / "lib.mgf", "--library", "lib")
    assert set(verdicts(commands.run("verify", "lib").stdout).values()) == {"good"}


def test_files_that_could_not_be_compared_are_not_called_good(commands: Commands) -> None:
    """As a killed writer leaves them."""
    mark_open(commands.store / "lib")
    shown = verdicts(commands.run("verify", "lib").stdout)
    assert [line.split()[0] for line, word in shown.items() if word == "not checked"] == ["files"]
    assert set(verdicts(commands.run("verify", "lib").stdout).values()) == {"good"}


def test_a_point_under_an_id_that_is_not_its_own(commands: Commands) -> None:
    with open_store(commands.store) as store, store.open("lib", write=True) as collection:
        record = next(collection.scroll(with_vectors=True))
        assert record.embedding is not None
        unit = record.embedding / np.linalg.norm(record.embedding)
        collection.delete([record.point_id])
        other = str(uuid.uuid5(uuid.NAMESPACE_DNS, "lib"))
        collection.upsert([Point(other, unit, record.peaks, record.losses, record.payload)])
    shown = verdicts(commands.run("verify", "lib", code=1).stdout)
    (bad,) = (line for line, word in shown.items() if word == "BAD")
    assert "point ids" in bad
    assert "1 not made" in bad


def test_repeated_records_are_told_and_no_fault(commands: Commands, tmp_path: Path) -> None:
    twice = [replace(spectrum, accession=f"again-{spectrum.accession}") for spectrum in spectra()[:4]]
    write_spectra(tmp_path / "twice.parquet", [*spectra(), *twice])
    commands.run("index", tmp_path / "twice.parquet", "--library", "twice")
    (line,) = (
        line for line in commands.run("verify", "twice").stdout.splitlines() if "repeated records" in line
    )
    assert "good" in line
    assert "4 say the same" in line


def test_a_file_cut_short(commands: Commands) -> None:
    matrix = max((commands.store / "lib" / "shard").rglob("*.dat"), key=lambda path: path.stat().st_size)
    matrix.write_bytes(matrix.read_bytes()[:-100])
    assert "not what was written" in commands.run("verify", "lib", code=1).stderr


def test_spectra_without_precursor(commands: Commands, tmp_path: Path) -> None:
    write_spectra(tmp_path / "bare.mgf", [replace(s, precursor_mz=None) for s in spectra(2, 2)])
    commands.run("index", tmp_path / "bare.mgf", "--library", "bare")
    shown = verdicts(commands.run("verify", "bare").stdout)
    assert list(shown.values()).count("not checked") == 3
