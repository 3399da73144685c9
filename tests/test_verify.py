"""The self-check: good libraries are good, and each kind of damage is seen."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_runner import Commands, small_model
from graph_material import spectra

from specsearch.spectra.writers import write_spectra
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
    assert len(shown) == 11
    commands.run("verify", "nowhere", code=1)


def test_vectors_of_another_making(commands: Commands, tmp_path: Path) -> None:
    """One embedding turned round: its own peaks give another."""
    with open_store(commands.store) as store, store.open("lib", write=True) as collection:
        record = next(collection.scroll(with_vectors=True))
        from specsearch.store.points import Point

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


def test_a_file_cut_short(commands: Commands) -> None:
    matrix = max((commands.store / "lib" / "shard").rglob("*.dat"), key=lambda path: path.stat().st_size)
    matrix.write_bytes(matrix.read_bytes()[:-100])
    assert "not what was written" in commands.run("verify", "lib", code=1).stderr


def test_spectra_without_precursor(commands: Commands, tmp_path: Path) -> None:
    write_spectra(tmp_path / "bare.mgf", [replace(s, precursor_mz=None) for s in spectra(2, 2)])
    commands.run("index", tmp_path / "bare.mgf", "--library", "bare")
    shown = verdicts(commands.run("verify", "bare").stdout)
    assert list(shown.values()).count("not checked") == 3
