"""``specsearch evaluate encoder`` end to end, and the whole report of a model that knows the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runner import Commands, small_model
from evaluation_material import ISOMERS, annotated_spectra, splits, write_bank, write_data
from numpy.typing import NDArray

from specsearch.chemistry.fingerprints import unpack_bits
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.tokens import TokenInput
from specsearch.evaluation.bank import read_bank
from specsearch.evaluation.encoder_report import Evaluation
from specsearch.evaluation.outputs import Outputs
from specsearch.evaluation.partners import partner_pools
from specsearch.evaluation.progress import Progress, silent
from specsearch.evaluation.spectrum_scores import embedding_similarity
from specsearch.evaluation.spectrum_tasks import partner_figures
from specsearch.evaluation.splits import Split
from specsearch.evaluation.strata import ALL
from specsearch.evaluation.well_known import MOLECULES
from specsearch.spectra.writers.parquet import write_parquet

SECTIONS = {
    "fingerprint prediction",
    "candidate ranking",
    "analogue search",
    "same molecule, another laboratory",
    "similarity",
}


class Oracle:
    """Answers with the true fingerprint of any spectrum it has been shown; masked, it knows nothing."""

    def __init__(self, known: Sequence[Split], *, names_bits: bool = True) -> None:
        self._names_bits = names_bits
        self._bits = {
            id(item): split.examples.fingerprints[molecule].astype(np.float32)
            for split in known
            for item, molecule in zip(split.examples.inputs, split.examples.molecule, strict=True)
        }

    def read(self, inputs: Sequence[TokenInput], what: str, progress: Progress = silent) -> Outputs:
        blank = np.full(2048, 0.5, dtype=np.float32)
        bits = np.stack([self._bits.get(id(item), blank) for item in inputs])
        embedding = bits / np.linalg.norm(bits, axis=1, keepdims=True)
        return Outputs(embedding, 20 * bits - 10, embedding) if self._names_bits else Outputs(embedding)

    def targets(self, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
        bits = unpack_bits(packed, 2048).astype(np.float32)
        return bits / np.linalg.norm(bits, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = tmp_path_factory.mktemp("commands")
    return Commands(folder, small_model(folder / "small.safetensors"))


def run(commands: Commands, data: tuple[Path, Path], *words: object, code: int = 0) -> Any:
    model = commands.env["SPECSEARCH_MODEL"]
    files = ("--data", data[0], "--bank", data[1])
    return commands.run("evaluate", "encoder", model, *files, *words, code=code)


def test_one_command_measures_everything(commands: Commands, data: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    shown = run(commands, data, "--cache", tmp_path / "cache", "--out", out)
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {figure["section"] for figure in report["figures"]} == SECTIONS
    assert all(section in shown.stdout for section in SECTIONS)
    assert (report["split"], report["fitted_on"], report["model"]["name"]) == ("test", "val", "small")
    assert report["circumstances"]["arguments"]["data_path"] == "spectra.parquet"  # no folder of this machine
    assert report["sizes"]["test"]["molecules"] == 6
    for figure in report["figures"]:
        assert figure["low"] <= figure["mean"] + 1e-9
        assert figure["mean"] <= figure["high"] + 1e-9
        if figure["measure"] == "hit@5" and figure["stratum"] == "all":
            assert f"{figure['mean']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})" in shown.stdout
    scores = {(f["section"], f["score"]) for f in report["figures"]}
    for section in SECTIONS:
        for control in ("random", "mass error only", "spectrum masked"):
            assert (section, control) in scores
    for section in ("analogue search", "same molecule, another laboratory", "similarity"):
        assert (section, "modified cosine") in scores

    again = tmp_path / "again.json"
    run(commands, data, "--cache", tmp_path / "cache", "--out", again)
    assert json.loads(again.read_text(encoding="utf-8"))["figures"] == report["figures"]


def test_rivals_may_be_left_out_and_val_be_judged(
    commands: Commands, data: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "report.json"
    run(commands, data, "--split", "val", "--no-rivals", "--limit-molecules", 4, "--out", out)
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["sizes"]["val"]["molecules"] == report["sizes"]["train"]["molecules"] == 4
    assert "modified cosine" not in {figure["score"] for figure in report["figures"]}
    assert "test" not in report["sizes"]


def test_what_cannot_be_measured_is_said_before_anything_is_computed(
    commands: Commands, data: tuple[Path, Path], tmp_path: Path
) -> None:
    assert "'tset'" in run(commands, data, "--split", "tset", code=1).stderr
    assert "no folder" in run(commands, data, "--out", tmp_path / "nowhere" / "r.json", code=1).stderr
    assert "not a bank" in run(commands, (data[0], data[0]), code=1).stderr
    told = commands.run("evaluate", "encoder", commands.env["SPECSEARCH_MODEL"], code=2)
    assert "--data" in told.stderr


def test_a_molecule_on_both_sides_is_refused(
    commands: Commands, data: tuple[Path, Path], tmp_path: Path
) -> None:
    from test_evaluate_splits import changed

    spectra = annotated_spectra()
    spectra[0] = changed(spectra[0], split="test")  # its sister stays in train
    write_parquet(tmp_path / "mixed.parquet", spectra)
    assert "share 1 molecules" in run(commands, (tmp_path / "mixed.parquet", data[1]), code=1).stderr


def test_an_oracle_is_perfect_and_the_controls_are_not(tmp_path: Path) -> None:
    made = splits(30)
    bank = read_bank(write_bank(tmp_path / "bank.parquet", [*MOLECULES.values(), *ISOMERS]))
    oracle = Oracle(list(made.values()))
    report = Evaluation(oracle, made, "test", bank).run(peak_rivals=False)
    found = {(f.section, f.score, f.measure, f.stratum): f.value for f in report.figures}
    assert found["fingerprint prediction", "predicted bits", "Tanimoto at 0.5", "all"].mean == 1.0
    for score in ("projection", "probability cosine", "projection + logits f·z"):
        assert found["candidate ranking", score, "hit@1", "all"].mean == 1.0
    for control in ("random", "spectrum masked"):
        assert found["candidate ranking", control, "hit@1", "all"].mean < 1.0
    # With the true bits as embedding the best analogue is found, and structure is followed throughout.
    best = found["analogue search", "best possible", "Tanimoto@1", "all"].mean
    assert found["analogue search", "random", "Tanimoto@1", "all"].mean < 0.7 * best
    assert found["analogue search", "embedding", "Tanimoto@1", "all"].mean > 0.95 * best
    assert found["similarity", "embedding", "Spearman", "all"].mean > 0.97
    assert ("similarity", "spectrum masked", "Spearman", "all") not in found  # a constant has no correlation
    assert report.sizes["pools"]["pools"] == len(made["test"])
    assert report.fitted["fusions"]["projection + logits f·z"]["mrr_on_val"] == 1.0


def test_a_model_without_fingerprints_does_the_tasks_between_spectra(tmp_path: Path) -> None:
    made = splits(18)
    bank = read_bank(write_bank(tmp_path / "bank.parquet", list(MOLECULES.values())))
    report = Evaluation(Oracle(list(made.values()), names_bits=False), made, "test", bank).run(
        peak_rivals=False
    )
    assert {figure.section for figure in report.figures} == SECTIONS - {
        "fingerprint prediction",
        "candidate ranking",
    }
    assert report.fitted == {}


def test_partners_are_found_among_spectra_of_the_same_mass() -> None:
    """Contested pools: two isomers, each measured in two laboratories."""
    molecule, laboratory = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1])
    mz = np.array([200.0] * 4 + [300.0] * 2)  # the third molecule has no rival
    pools = partner_pools(mz, np.ones(6, dtype=bool), laboratory, molecule, Tolerance(10, "ppm"))
    vectors = np.eye(3, dtype=np.float32)[molecule]
    scores = {
        "right": embedding_similarity(vectors, vectors),
        "wrong": embedding_similarity(-vectors, vectors),
    }
    figures = partner_figures(pools, scores, molecule, {ALL: np.ones(6, dtype=bool)})
    found = {(f.score, f.measure): f.value for f in figures}
    assert found["right", "hit@1"].mean == 1.0
    assert found["wrong", "hit@1"].mean == 0.0
    assert found["random", "hit@1"].mean == pytest.approx(0.5)
    assert found["wrong", "hit@1, easy pools too"].mean == pytest.approx(1 / 3)
    assert (found["right", "hit@1"].n_molecules, found["right", "hit@1, easy pools too"].n_molecules) == (
        2,
        3,
    )
