"""Training: what it learns from, that it repeats and resumes exactly, and that it learns."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem.Descriptors import ExactMolWt
from samples import PROCESSES, TINY, examples, weights_equal

from specsearch.chemistry.adducts import parse_adduct
from specsearch.encoder.checkpoint import Card, load_checkpoint
from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.augment import Augmentation, augment
from specsearch.encoder.training.examples import (
    Examples,
    MoleculeSampler,
    collect_examples,
    is_clean,
    require_disjoint,
)
from specsearch.encoder.training.train import Recipe, Run
from specsearch.encoder.training.validation import validate
from specsearch.errors import Skipped, TrainingError
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.spectrum import Spectrum

TRAIN, VAL = examples(24), examples(8, seed=1, first=100)
FAST = Recipe(
    replace(TINY, dropout=0.1),
    n_steps=12,
    warmup_steps=2,
    n_molecules=8,
    learning_rate=3e-3,
    validate_every=4,
)


def annotated(smiles: str, adduct: str = "[M+H]+", error_ppm: float = 0.0, **changed: object) -> Spectrum:
    molecule = Chem.MolFromSmiles(smiles)
    mass = ExactMolWt(molecule)
    metadata = {
        "smiles": smiles,
        "inchikey": Chem.MolToInchiKey(molecule),
        "exact_mass": f"{mass:.5f}",
        "split": "train",
    }
    parsed = parse_adduct(adduct)
    precursor = parsed.precursor_mz(mass) * (1 + error_ppm * 1e-6)
    known = {"precursor_mz": precursor, "adduct": adduct, "charge": parsed.charge, "metadata": metadata}
    return Spectrum.checked([50.0, 60.0, 70.0], [1.0, 0.5, 0.2], **(known | changed))  # type: ignore[arg-type]


ETHANOL, CAFFEINE = "CCO", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"


def test_only_clean_spectra_of_the_split_are_collected() -> None:
    good = annotated(CAFFEINE)
    records = [
        good,
        annotated(CAFFEINE, "[M-H]-", error_ppm=-19),
        annotated(ETHANOL, error_ppm=19),
        annotated(CAFFEINE, error_ppm=21),
        annotated(CAFFEINE, adduct="[M+H]+", precursor_mz=None),
        replace(good, adduct=None),
        replace(good, adduct="[M+Xyz]+"),
        Spectrum.checked(
            [50.0, 60.0], [1, 1], adduct="[M+H]+", precursor_mz=195.0877, metadata=good.metadata
        ),
        replace(good, metadata={**good.metadata, "split": "test"}),
        replace(good, metadata={k: v for k, v in good.metadata.items() if k != "exact_mass"}),
        replace(good, metadata={k: v for k, v in good.metadata.items() if k != "smiles"}),
        replace(good, metadata={k: v for k, v in good.metadata.items() if k != "inchikey"}),
        Skipped("file", "record 3", "no peaks"),
    ]
    found = collect_examples(records, "train")
    assert found.inchikey14 == ["LFQSCWFLJHTTHZ", "RYYVLZVUVIJVGH"]  # ethanol, caffeine
    assert [found.inchikey14[m] for m in found.molecule] == [
        "RYYVLZVUVIJVGH",
        "RYYVLZVUVIJVGH",
        "LFQSCWFLJHTTHZ",
    ]
    assert found.positive.tolist() == [True, False, True]
    assert found.exact_mass.tolist() == pytest.approx([46.04186, 194.08038], abs=1e-4)
    assert [rows.tolist() for rows in found.spectra_of()] == [[2], [0, 1]]
    with pytest.raises(TrainingError, match="'val'"):
        collect_examples(records, "val")


@pytest.mark.parametrize(("error_ppm", "clean"), [(-20.5, False), (-19.5, True), (19.5, True), (20.5, False)])
def test_the_limit_of_the_mass_error(error_ppm: float, clean: bool) -> None:
    assert is_clean(annotated(CAFFEINE, "[M+Na]+", error_ppm)) is clean


def test_splits_that_share_a_molecule_are_refused(tmp_path: Path) -> None:
    require_disjoint(TRAIN, VAL, examples(3, first=500))
    leaking = examples(3, first=23)
    with pytest.raises(TrainingError, match="share 1 molecules, for example MOLECULE000023"):
        require_disjoint(TRAIN, VAL, leaking)
    with pytest.raises(TrainingError, match="share"):
        Run(tmp_path, FAST, TRAIN, leaking, Card())


def test_batches_depend_on_seed_and_step_alone() -> None:
    one, other = MoleculeSampler(TRAIN, 8, seed=5), MoleculeSampler(TRAIN, 8, seed=5)
    drawn = [one.draw(step)[0].tolist() for step in range(6)]
    assert [other.draw(step)[0].tolist() for step in reversed(range(6))] == drawn[::-1]
    assert len({tuple(rows) for rows in drawn}) == 6
    assert MoleculeSampler(TRAIN, 8, seed=6).draw(0)[0].tolist() != drawn[0]
    assert one.draw(3)[1].random() == other.draw(3)[1].random()


def test_batches_hold_two_spectra_of_each_molecule() -> None:
    single = examples(12, per_molecule=1)
    for material in (TRAIN, single):
        sampler = MoleculeSampler(material, 8, seed=0)
        for step in range(20):
            rows, _ = sampler.draw(step)
            pairs = rows.reshape(-1, 2)
            molecules = material.molecule[pairs]
            assert (molecules[:, 0] == molecules[:, 1]).all()
            assert len(set(molecules[:, 0])) == len(molecules) >= 4
            assert ((pairs[:, 0] == pairs[:, 1]) == (material is single)).all()


def test_every_molecule_is_drawn_and_neighbours_in_mass_with_it() -> None:
    material = examples(400, per_molecule=1)
    sampler = MoleculeSampler(material, 16, seed=1)
    drawn = [np.unique(material.molecule[sampler.draw(step)[0]]) for step in range(200)]
    assert len(np.unique(np.concatenate(drawn))) == 400
    nearest = [np.diff(np.sort(material.exact_mass[m])).min() for m in drawn]
    assert np.median(nearest) <= 4  # of 16 molecules drawn out of 400 at random: further apart
    close = np.mean([(np.diff(np.sort(material.exact_mass[m])) <= 4).sum() for m in drawn])
    assert close >= 6


def test_augmentation_disturbs_and_keeps_the_base_peak() -> None:
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(50, 500, 100))
    intensity = rng.uniform(0.01, 0.9, 100)
    intensity[40] = 1.0
    item = TokenInput(Peaks(mz, intensity, 600.0), -1)
    how = Augmentation(peak_dropout=0.5, precursor_dropout=0.3, charge_dropout=0.3)
    views = [augment(item, how, np.random.default_rng(seed)) for seed in range(200)]
    for view in views:
        assert np.abs(view.peaks.mz / mz[40] - 1).min() < 30e-6
        assert view.peaks.intensity.max() == 1.0
        assert (view.peaks.intensity > 0).all()
        assert view.peaks.precursor_mz in (None, 600.0)
        assert view.charge_sign in (0, -1)
        assert 1 <= len(view.peaks.mz) <= how.max_peaks
    assert np.mean([len(v.peaks.mz) for v in views]) == pytest.approx(63 / 2, abs=2)
    assert np.mean([v.peaks.precursor_mz is None for v in views]) == pytest.approx(0.3, abs=0.1)
    assert np.mean([v.charge_sign == 0 for v in views]) == pytest.approx(0.3, abs=0.1)
    still = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 100)
    same = augment(item, still, rng)
    np.testing.assert_array_equal((same.peaks.mz, same.peaks.intensity), (mz, intensity))


def test_validation_without_a_single_pair_still_chooses(tmp_path: Path) -> None:
    alone = examples(6, per_molecule=1, seed=1, first=100)
    best = Run(tmp_path, replace(FAST, n_steps=2), TRAIN, alone, Card()).run()
    assert best.exists()


def lines(folder: Path) -> list[dict[str, float]]:
    text = (folder / "metrics.jsonl").read_text()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text.splitlines()]


def train_and_die(folder: Path, n_steps: int, at_checkpoint: bool) -> None:
    """Train and be killed: after so many steps, or while the first files are being written."""
    run = Run(folder, FAST, TRAIN, VAL, Card("tiny"))
    if at_checkpoint:
        os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]

    def stop(step: int, losses: dict[str, float]) -> None:
        if step == n_steps and not at_checkpoint:
            os.kill(os.getpid(), signal.SIGKILL)

    run.run(stop)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("undisturbed"), FAST, TRAIN, VAL, Card("tiny"))
    run.run()
    return run


def test_training_repeats_exactly(tmp_path: Path, undisturbed: Run) -> None:
    again = Run(tmp_path, FAST, TRAIN, VAL, Card("tiny"))
    again.run()
    assert weights_equal(again.network.parameters(), undisturbed.network.parameters())
    assert weights_equal(again.average.parameters(), undisturbed.average.parameters())
    assert lines(tmp_path) == lines(undisturbed.folder)
    other = Run(tmp_path / "other", replace(FAST, seed=2), TRAIN, VAL, Card("tiny"))
    other.run()
    assert not weights_equal(other.network.parameters(), undisturbed.network.parameters())


@pytest.mark.parametrize(("n_steps", "at_checkpoint"), [(7, False), (0, True)])
def test_a_killed_run_resumes_to_the_same_weights(
    tmp_path: Path, undisturbed: Run, n_steps: int, at_checkpoint: bool
) -> None:
    process = PROCESSES.Process(target=train_and_die, args=(tmp_path, n_steps, at_checkpoint))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resumed = Run(tmp_path, FAST, TRAIN, VAL, Card("tiny"))
    assert resumed.step == (0 if at_checkpoint else 4)
    resumed.run()
    assert weights_equal(resumed.network.parameters(), undisturbed.network.parameters())
    assert weights_equal(resumed.average.parameters(), undisturbed.average.parameters())
    assert resumed.best == undisturbed.best


def test_resuming_in_one_process_is_exact(tmp_path: Path, undisturbed: Run) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, losses: dict[str, float]) -> None:
        if step == 6:
            raise Stopped

    with pytest.raises(Stopped):
        Run(tmp_path, FAST, TRAIN, VAL, Card("tiny")).run(stop)
    resumed = Run(tmp_path, FAST, TRAIN, VAL, Card("tiny"))
    assert resumed.step == 4
    resumed.run()
    assert weights_equal(resumed.network.parameters(), undisturbed.network.parameters())
    assert weights_equal(resumed.average.parameters(), undisturbed.average.parameters())
    assert lines(tmp_path) == lines(undisturbed.folder)


def test_a_run_does_not_go_on_with_another_recipe(undisturbed: Run) -> None:
    with pytest.raises(TrainingError, match="another recipe"):
        Run(undisturbed.folder, replace(FAST, learning_rate=1e-3), TRAIN, VAL, Card("tiny"))
    assert Run(undisturbed.folder, FAST, TRAIN, VAL, Card("tiny")).step == FAST.n_steps


def test_the_best_checkpoint_is_kept_and_says_where_it_comes_from(undisturbed: Run) -> None:
    made, card = load_checkpoint(undisturbed.folder / "best.safetensors")
    scores = {int(m["step"]): m["analogue"] + 0.5 * m["partner"] for m in lines(undisturbed.folder)}
    assert card.training["step"] == max(scores, key=lambda step: scores[step])
    assert card.name == "tiny"
    assert card.training["recipe"]["n_steps"] == FAST.n_steps
    figures = validate(made, VAL, TRAIN)
    assert figures["analogue"] == pytest.approx(card.figures["val"]["analogue"], abs=0.02)  # float16


def test_a_tiny_network_learns(tmp_path: Path) -> None:
    recipe = replace(FAST, n_steps=40, validate_every=40, average=0.9)
    run = Run(tmp_path, recipe, TRAIN, VAL, Card())
    before = validate(run.network, TRAIN, TRAIN)
    losses: list[dict[str, float]] = []
    run.run(lambda step, parts: losses.append(parts))
    for part in ("structure", "fingerprint", "total"):
        first, last = (np.mean([each[part] for each in some]) for some in (losses[:5], losses[-5:]))
        assert last < first, part
    after = validate(run.average, TRAIN, TRAIN)
    assert after["fingerprint_cosine"] > before["fingerprint_cosine"]


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_state(tmp_path: Path) -> None:
    run = Run(tmp_path, FAST, TRAIN, VAL, Card())

    def poison(step: int, losses: dict[str, float]) -> None:
        if step == 5:
            with torch.no_grad():
                run.network.norm.bias[0] = float("nan")

    with pytest.raises(TrainingError, match="not finite at step 5"):
        run.run(poison)
    assert Run(tmp_path, FAST, TRAIN, VAL, Card()).step == 4
    assert all(p.isfinite().all() for p in load_checkpoint(tmp_path / "best.safetensors")[0].parameters())


def test_examples_for_reference() -> None:
    """The sample maker keeps its promise: the on-bits of a fingerprint are the peaks."""
    material: Examples = TRAIN
    for item, molecule in zip(material.inputs, material.molecule, strict=True):
        on = np.rint((item.peaks.mz - 50) / 5).astype(int)
        assert on.tolist() == np.flatnonzero(material.fingerprints[molecule]).tolist()
