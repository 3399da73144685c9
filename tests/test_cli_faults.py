"""What goes wrong ends in one sentence, a next step and an exit code; never in a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from cli_runner import Commands, small_model
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from specsearch.cli.errors import SpeakingGroup
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

RUN = [sys.executable, "-c", "from specsearch.cli import main; main()"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model") / "small.safetensors")


@pytest.fixture(scope="module")
def spectra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six thousand random spectra: enough to be interrupted."""
    path = tmp_path_factory.mktemp("spectra") / "many.mgf"
    write_spectra(path, random_spectra(6000))
    return path


def random_spectra(n_spectra: int) -> Iterator[Spectrum]:
    generator = np.random.default_rng(3)
    for i in range(n_spectra):
        mz, intensity = generator.uniform(50, 500, 20), generator.uniform(1, 99, 20)
        yield Spectrum.checked(np.sort(mz), intensity, accession=f"S{i}", precursor_mz=501.0)


@pytest.fixture
def commands(tmp_path: Path, model: Path) -> Commands:
    return Commands(tmp_path, model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"\x00\x01\x02\x03" * 100, "binary file"),
        (b"PK\x03\x04rest of an archive", "zip archive"),
        (b"some words\n", "holds no spectra"),
    ],
)
@pytest.mark.parametrize("command", [("index", "--library", "lab"), ("search",)])
def test_files_that_are_no_spectra(
    commands: Commands, tmp_path: Path, content: bytes | None, words: str, command: tuple[str, ...]
) -> None:
    good, bad = tmp_path / "good.mgf", tmp_path / "bad.mgf"
    write_spectra(good, [Spectrum(np.array([50.0]), np.array([1.0]), accession="A", precursor_mz=200.0)])
    commands.run("index", good, "--library", "other")
    if content is not None:
        bad.write_bytes(content)
    told = commands.run(command[0], bad, *command[1:], code=1).stderr
    assert told.startswith("Error: ")
    assert words in told
    assert str(bad) in told


def test_a_file_of_survey_scans_alone(commands: Commands, data_dir: Path) -> None:
    survey = data_dir / "formats" / "mzml" / "pymzml_example.mzML.gz"
    assert "No MS/MS spectrum was read" in commands.run("index", survey, "--library", "lab", code=1).stderr
    told = commands.run("search", survey, "--library", "lab", code=1).stderr
    assert "no spectrum to search with" in told
    assert str(survey) in told


def test_a_folder_without_spectra(commands: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    assert "No file with spectra" in commands.run("index", folder, "--library", "lab", code=1).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("search",),
        ("index", "x.mgf"),
        ("search", "x.mgf", "--precursor", "10"),
        ("search", "x.mgf", "--precursor", "-5ppm"),
        ("search", "x.mgf", "--top", "0"),
        ("search", "x.mgf", "--by", "magic"),
        ("search", "x.mgf", "--format", "parquet"),
        ("nonsense",),
        ("train", "structure", "x.parquet"),
    ],
)
def test_wrong_usage_is_code_2(commands: Commands, words: tuple[str, ...]) -> None:
    assert "Usage:" in commands.run(*words, code=2).stderr


@pytest.mark.parametrize("name", ["../away", "", "a/b", ".hidden", "servers", "set-aside", "banks"])
def test_names_that_are_no_libraries_touch_nothing(
    commands: Commands, spectra: Path, name: str, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert "cannot be the name" in commands.run("index", spectra, "--library", name, code=1).stderr
    assert "cannot be the name" in commands.run("drop", name, "--yes", code=1).stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_things_that_are_not_there(commands: Commands, spectra: Path, tmp_path: Path) -> None:
    assert "no library 'lab'" in commands.run("drop", "lab", "--yes", code=1).stderr
    assert "no library 'lab'" in commands.run("search", spectra, "--library", "lab", code=1).stderr
    told = commands.run(
        "index", spectra, "--library", "lab", "--model", tmp_path / "none.safetensors", code=1
    )
    assert "No model file" in told.stderr
    server = commands.run("libraries", "--store", "http://127.0.0.1:1", code=1)
    assert "127.0.0.1:1" in server.stderr


def test_a_model_with_a_missing_tensor_is_described(commands: Commands, model: Path, tmp_path: Path) -> None:
    weights = load_file(model)
    weights.pop("cls")
    weights["stranger"] = torch.zeros(3)
    save_file(weights, tmp_path / "foreign.safetensors")
    told = commands.run("model", "show", tmp_path / "foreign.safetensors", code=1).stderr
    assert "cls: expected" in told
    assert "stranger: expected nothing" in told
    assert "--key-map" in told


def test_a_report_that_cannot_be_written_is_refused_first(commands: Commands, spectra: Path) -> None:
    told = commands.run("index", spectra, "--library", "lab", "--report", "skipped.docx", code=1).stderr
    assert "skipped.docx" in told
    assert not commands.store.exists()


def test_an_output_that_cannot_be_written(commands: Commands, tmp_path: Path) -> None:
    one = tmp_path / "one.mgf"
    write_spectra(one, [Spectrum(np.array([50.0]), np.array([1.0]), accession="A", precursor_mz=200.0)])
    commands.run("index", one, "--library", "lab")
    told = commands.run("search", one, "-o", tmp_path / "nowhere" / "hits.csv", code=1).stderr
    assert "hits.csv cannot be written" in told


def test_interrupted_and_run_again(commands: Commands, spectra: Path) -> None:
    words = [*RUN, "index", str(spectra), "--library", "lab"]
    process = subprocess.Popen(
        words,
        env=os.environ | commands.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has Ctrl-C ignored, and whoever is started there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    ledger = commands.store / "lab" / "ingest" / "ledger.sqlite"
    while process.poll() is None and not ledger.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130, told
    assert told.strip().endswith("interrupted; run the same command again to go on")
    assert "Traceback" not in told
    again = commands.run("index", spectra, "--library", "lab").stdout.split()
    assert [again[again.index(word) + 1] for word in ("read", "indexed", "now")] == ["6,000"] * 3


def test_a_reader_that_goes_away_is_no_error_to_talk_about(commands: Commands, tmp_path: Path) -> None:
    few = tmp_path / "few.parquet"
    write_spectra(few, random_spectra(300))
    commands.run("index", few, "--library", "lab")
    words = [*RUN, "search", str(few), "--top", "50", "--format", "csv"]
    process = subprocess.Popen(
        words, env=os.environ | commands.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"query_file,")
    process.stdout.close()
    _, told = process.communicate()
    assert told == b""


@click.group(cls=SpeakingGroup)
def faulty() -> None:
    """A group whose command has a fault."""


@faulty.command()
def fall() -> None:
    raise ValueError("of all things")


def test_a_fault_of_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(faulty, ["fall"])
    assert result.exit_code == 1
    assert "ValueError: of all things" in result.stderr
    assert "SPECSEARCH_DEBUG=1" in result.stderr
    monkeypatch.setenv("SPECSEARCH_DEBUG", "1")
    assert isinstance(CliRunner().invoke(faulty, ["fall"]).exception, ValueError)
