"""Training examples: what is taken in, what is left out and why, and how batches are drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import examples
from training_material import CAFFEINE, ETHANOL, FAST, TRAIN, VAL, annotated

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.tokens import TokenInput
from specsearch.encoder.training.augment import augment
from specsearch.encoder.training.examples import (
    Collector,
    Examples,
    collect_examples,
    fault_of,
    is_clean,
    require_disjoint,
)
from specsearch.encoder.training.recipe import Augmentation
from specsearch.encoder.training.sampler import MoleculeSampler
from specsearch.encoder.training.train import Run
from specsearch.errors import Skipped, TrainingError
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.spectrum import Spectrum


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
        annotated("CCCC", split="test"),
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


def test_everything_left_out_is_told_with_its_reason() -> None:
    good = annotated(CAFFEINE)

    def without(*names: str) -> Spectrum:
        return replace(good, metadata={k: v for k, v in good.metadata.items() if k not in names})

    two_peaks = annotated(CAFFEINE)
    faulty = {
        "fewer than 3 peaks": replace(two_peaks, mz=two_peaks.mz[:2], intensity=two_peaks.intensity[:2]),
        "no adduct": replace(good, adduct=None),
        "adduct not understood": replace(good, adduct="[M+Xyz]+"),
        "no precursor m/z": replace(good, precursor_mz=None),
        "no exact mass": without("exact_mass"),
        "precursor more than 20 ppm off": annotated(CAFFEINE, error_ppm=25),
        "no split": without("split"),
        "no SMILES": without("smiles"),
        "no InChIKey": without("inchikey"),
        "SMILES not understood": replace(good, metadata={**good.metadata, "smiles": "C1CC(("}),
        "SMILES and InChIKey are of two molecules": replace(
            good, metadata={**good.metadata, "smiles": "Cn1cnc2c1c(=O)[nH]c(=O)n2C"}
        ),
    }
    told: list[Skipped] = []
    collector = Collector(["train"], told.append)
    collector.add([good, Skipped("shard", "row 1", "no peaks"), *faulty.values()], "shard")
    assert Counter(skipped.reason for skipped in told) == Counter([*faulty, "no peaks"])
    assert {skipped.position for skipped in told[1:]} == {f"record {n}" for n in range(3, 3 + len(faulty))}
    assert len(collector.examples("train").inputs) == 1
    assert [fault_of(spectrum) for spectrum in (good, faulty["no adduct"])] == ["", "no adduct"]


def test_records_of_other_splits_are_no_complaints() -> None:
    told: list[Skipped] = []
    collector = Collector(["train"], told.append)
    collector.add([annotated(CAFFEINE), replace(annotated(ETHANOL, split="test"), adduct=None)])
    assert not told
    assert collector.split_of == {"RYYVLZVUVIJVGH": "train", "LFQSCWFLJHTTHZ": "test"}


@pytest.mark.parametrize("other", ["val", "test"])
def test_a_molecule_in_two_splits_is_refused(other: str) -> None:
    collector = Collector(["train", "val"])
    collector.add([annotated(CAFFEINE), annotated(ETHANOL, split="val")], "one")
    # Of the other stereochemistry, of another file and not even clean: the molecule counts.
    again = replace(annotated(CAFFEINE, split=other, accession="again"), adduct=None)
    again = replace(again, metadata={**again.metadata, "inchikey": "RYYVLZVUVIJVGH-XXXXXXXXSA-N"})
    with pytest.raises(TrainingError, match=f"RYYVLZVUVIJVGH is in the split 'train' and in '{other}'"):
        collector.add([annotated("CCCC"), again], "two")


def test_a_shard_without_targets_is_an_error() -> None:
    collector = Collector(["train", "val"])
    collector.add([annotated(CAFFEINE)], "good.parquet")
    bare = replace(annotated(CAFFEINE), metadata={"split": "train"})
    for records in ([bare, bare], [], [Skipped("f", "row 1", "no peaks")]):
        with pytest.raises(TrainingError, match=r"bad\.parquet holds no spectrum with a target"):
            collector.add(records, "bad.parquet")


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


def test_examples_for_reference() -> None:
    """The sample maker keeps its promise: the on-bits of a fingerprint are the peaks."""
    material: Examples = TRAIN
    for item, molecule in zip(material.inputs, material.molecule, strict=True):
        on = np.rint((item.peaks.mz - 50) / 5).astype(int)
        assert on.tolist() == np.flatnonzero(material.fingerprints[molecule]).tolist()
