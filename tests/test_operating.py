"""Lines for a program that collects logs, and a trial that writes nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from cli_runner import Commands, small_model
from prometheus_client.parser import text_string_to_metric_families
from samples import BROKEN_MGF, mgf, spectra

from specsearch.store.store import open_store

SECRET = "a secret that must stay one"


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    made = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    made.env |= {
        "SPECSEARCH_LOG": "json",
        "SPECSEARCH_QDRANT_API_KEY": SECRET,
        "SPECSEARCH_SERVE_KEY": SECRET,
    }
    return made


def lines(text: str) -> list[dict[str, object]]:
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        datetime.fromisoformat(str(line["time"]))
        assert {"level", "message"} <= set(line)
    return found


def test_an_ingest_is_told_in_lines(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "a.mgf").write_text(mgf(spectra(30)))
    told = commands.run("index", tmp_path / "a.mgf", "--library", "lib").stderr
    (done,) = (line for line in lines(told) if line["message"] == "indexed")
    assert (done["n_done"], done["n_rows"]) == (30, 30)
    assert float(str(done["spectra_per_s"])) > 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("search", "nowhere.mgf"), 1),
        (("search",), 2),
        (("serve", "--host", "0.0.0.0", "--key-file", "k"), 2),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    commands: Commands, words: tuple[str, ...], code: int
) -> None:
    result = commands.run(*words, code=code)
    (line,) = lines(result.stderr)
    assert line["level"] == "error"
    assert SECRET not in result.output


@pytest.mark.parametrize("key", [f"{SECRET}\nx", f"{SECRET}\x01", f"{SECRET}é", "\u2018" + SECRET])
def test_a_key_that_cannot_be_sent_is_not_said(commands: Commands, key: str) -> None:
    commands.env["SPECSEARCH_QDRANT_API_KEY"] = key
    result = commands.run("libraries", "--store", "http://localhost:9", code=1)
    assert SECRET not in result.output + result.stderr
    assert "SPECSEARCH_QDRANT_API_KEY" in result.stderr


@pytest.mark.parametrize("who", [f"{SECRET}@", f"me:{SECRET}@"])
def test_an_address_with_a_password_is_refused_and_not_said(commands: Commands, who: str) -> None:
    result = commands.run("libraries", "--store", f"http://{who}localhost:9".replace(" ", "-"), code=1)
    assert SECRET.replace(" ", "-") not in result.output + result.stderr


def test_a_trial_counts_as_the_run_does_and_writes_nothing(commands: Commands, tmp_path: Path) -> None:
    del commands.env["SPECSEARCH_LOG"]
    file = tmp_path / "broken.mgf"
    file.write_text(BROKEN_MGF)
    tried = commands.run("index", file, "--library", "lib", "--dry-run")
    assert not commands.store.exists()
    commands.run("index", file, "--library", "lib", "--report", tmp_path / "skipped.jsonl")
    skipped = [json.loads(line) for line in (tmp_path / "skipped.jsonl").read_text().splitlines()]
    row = next(line for line in tried.stdout.splitlines() if "broken.mgf" in line).split()
    listed = commands.run("libraries").stdout
    assert int(row[-1]) == len(skipped)
    assert row[-2] == "0"
    assert f" {row[-3]} " in next(line for line in listed.splitlines() if "lib" in line.split())
    assert {line["reason"] for line in skipped} <= {
        line.partition(" x ")[2].rstrip(".") for line in tried.stderr.splitlines()
    }


def test_a_trial_knows_what_is_there_already(commands: Commands, tmp_path: Path) -> None:
    del commands.env["SPECSEARCH_LOG"]
    some = spectra(30)
    (tmp_path / "a.mgf").write_text(mgf(some[:20]))
    (tmp_path / "b.mgf").write_text(mgf(some[15:]))
    commands.run("index", tmp_path / "a.mgf", "--library", "lib")
    before = contents(commands.store)
    tried = commands.run("index", tmp_path / "a.mgf", tmp_path / "b.mgf", "--library", "lib", "--dry-run")
    assert contents(commands.store) == before
    counts = {line.split()[0]: line.split()[-3:] for line in tried.stdout.splitlines() if ".mgf" in line}
    assert counts == {"a.mgf": ["0", "20", "0"], "b.mgf": ["10", "5", "0"]}
    assert "10 spectra of 2 files would be indexed into 'lib'; 25 are there already" in tried.stderr
    (commands.store / "lib" / "ingest" / "ledger.sqlite").unlink()
    tried = commands.run("index", tmp_path / "b.mgf", "--library", "lib", "--dry-run")
    assert "No ledger of 'lib' is on this machine" in tried.stderr
    assert not (commands.store / "lib" / "ingest" / "ledger.sqlite").exists()
    tried = commands.run("index", tmp_path / "b.mgf", "--library", "other", "--dry-run")
    assert "15 spectra of 1 files would be indexed into 'other'; 0 are" in tried.stderr
    assert not (commands.store / "other").exists()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_figures_of_an_ingest_for_prometheus(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "broken.mgf").write_text(BROKEN_MGF + mgf(spectra(30)))
    commands.run(
        "index", tmp_path / "broken.mgf", "--library", "lib", "--metrics", tmp_path / "lib.prom",
        "--report", tmp_path / "skipped.jsonl",
    )  # fmt: skip
    found = {
        (sample.name.removeprefix("specsearch_ingest_"), sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families((tmp_path / "lib.prom").read_text())
        for sample in family.samples
        if sample.labels["library"] == "lib"
    }
    skipped = Counter(json.loads(line)["reason"] for line in (tmp_path / "skipped.jsonl").open())
    assert {reason: n for (name, reason), n in found.items() if name == "skipped"} == skipped
    with open_store(commands.store) as store, store.open("lib") as collection:
        assert found["library_spectra", None] == collection.count() == 30
    assert found["done", None] == found["planned", None] == 30
    assert found["building", None] == 0
    assert found["last_window_timestamp_seconds", None] == pytest.approx(time.time(), abs=600)
