"""The foundation phase: what is held out, how pools are dealt, the losses by hand, and that it learns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import TINY, network, weights_equal
from training_material import metrics, unannotated

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.tokens import TokenInput, collate, token_input
from specsearch.encoder.training.augment import augment
from specsearch.encoder.training.contrast import contrastive
from specsearch.encoder.training.foundation import (
    N_BINS,
    FoundationPhase,
    masked_peak_loss,
    missing_peaks,
)
from specsearch.encoder.training.loop import Loop
from specsearch.encoder.training.packed import PackedInputs
from specsearch.encoder.training.pools import Pools, Table, part_of
from specsearch.encoder.training.recipe import Augmentation, FoundationRecipe
from specsearch.errors import Skipped, TrainingError
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

QUICK = FoundationRecipe(
    TINY, n_steps=8, warmup_steps=2, learning_rate=3e-3, validate_every=4, n_spectra=16, held_out=0.1
)


def table(path: Path, spectra: Sequence[Spectrum]) -> Table:
    write_spectra(path, spectra)
    return Table(path, len(spectra))


@pytest.fixture
def one(tmp_path: Path) -> Table:
    return table(tmp_path / "one.parquet", unannotated(300))


def test_a_spectrum_keeps_to_its_split_and_test_is_not_touched() -> None:
    plain = unannotated(1)[0]
    parts = [part_of(replace(plain, metadata={"split": s}), 0.5) for s in ("train", "val", "test", "other")]
    assert parts == ["train", "val", "", ""]


def test_precursor_masses_are_held_out_not_spectra() -> None:
    spectra = unannotated(4000)
    parts = [part_of(spectrum, 0.1) for spectrum in spectra]
    assert parts.count("val") / len(parts) == pytest.approx(0.1, abs=0.02)
    again = [
        part_of(replace(other, precursor_mz=s.precursor_mz), 0.1)
        for s, other in zip(spectra, spectra[::-1], strict=True)
    ]
    assert again == parts
    assert {part_of(spectrum, 0.0) for spectrum in spectra} == {"train"}
    larger = [part_of(spectrum, 0.3) for spectrum in spectra]
    assert all(b == "val" for a, b in zip(parts, larger, strict=True) if a == "val")
    assert part_of(replace(spectra[0], precursor_mz=None), 1.0) == "val"


def test_packed_spectra_come_back() -> None:
    items = [token_input(s) for s in unannotated(20)]
    items.append(TokenInput(Peaks(np.array([50.0]), np.array([1.0]), None), -1))
    packed = PackedInputs.of((f"S{i}", item) for i, item in enumerate(items))
    assert len(packed) == 21
    for row, item in enumerate(items):
        np.testing.assert_array_equal(packed[row].peaks.mz, item.peaks.mz)
        np.testing.assert_allclose(packed[row].peaks.intensity, item.peaks.intensity, rtol=1e-7)
        assert (packed[row].peaks.precursor_mz, packed[row].charge_sign) == (
            item.peaks.precursor_mz,
            item.charge_sign,
        )
    assert len(PackedInputs.of([])) == 0


def drawn(pools: Pools, number: int) -> list[str]:
    pool, rows, _ = pools.draw(number)
    return [pool.accession[row] for row in rows]


def test_an_epoch_visits_every_spectrum_that_teaches(tmp_path: Path) -> None:
    spectra = unannotated(5000)
    tables = [table(tmp_path / "a.parquet", spectra[:4500]), table(tmp_path / "b.parquet", spectra[4500:])]
    teach = {s.accession for s in spectra if part_of(s, 0.1) == "train"}
    recipe = replace(QUICK, n_spectra=50, pool_rows=2500)
    pools = Pools(tables, recipe)
    for epoch in (range(100), range(100, 200)):
        counts = Counter(name for number in epoch for name in drawn(pools, number))
        assert set(counts) == teach
        assert max(counts.values()) == 2  # what is held out leaves room to begin again
    assert drawn(pools, 0) != drawn(pools, 100)


def test_a_batch_depends_on_its_number_and_the_seed_alone(tmp_path: Path) -> None:
    tables = [table(tmp_path / "a.parquet", unannotated(5000))]
    recipe = replace(QUICK, n_spectra=50, pool_rows=2048)
    numbers = (0, 31, 32, 64, 95, 200)
    forward = Pools(tables, recipe)
    found = {k: drawn(forward, k) for k in numbers}
    for k in reversed(numbers):
        assert drawn(Pools(tables, recipe), k) == found[k]
        assert len(set(found[k])) == 50
    assert drawn(Pools(tables, replace(recipe, seed=2)), 0) != found[0]
    assert forward.draw(31)[2].random() == Pools(tables, recipe).draw(31)[2].random()


def test_what_is_held_out_never_teaches_and_skipped_records_are_told_once(tmp_path: Path) -> None:
    spectra = unannotated(300)
    poor = replace(spectra[0], mz=spectra[0].mz[:2], intensity=spectra[0].intensity[:2], accession="poor")
    split = [replace(s, accession=f"{s.accession}-test", metadata={"split": "test"}) for s in spectra[:50]]
    told: list[Skipped] = []
    pools = Pools([table(tmp_path / "a.parquet", [poor, *spectra, *split])], QUICK, told.append)
    held_out = set(pools.held_out(10**6).accession)
    assert held_out == {s.accession for s in spectra if part_of(s, 0.1) == "val"}
    for number in range(100):
        assert not held_out.intersection(drawn(pools, number))
        assert not any(name.endswith("-test") for name in drawn(pools, number))
    assert [(s.reason, s.accession, s.position) for s in told] == [("fewer than 3 peaks", "poor", "row 1")]
    assert len(pools.held_out(7)) == 7


def test_nothing_to_train_on_or_to_judge_by(tmp_path: Path, one: Table) -> None:
    with pytest.raises(TrainingError, match="no spectra"):
        Pools([], QUICK)
    with pytest.raises(TrainingError, match="held out"):
        FoundationPhase(replace(QUICK, held_out=0.0), Pools([one], replace(QUICK, held_out=0.0)))
    tests_only = [replace(s, metadata={"split": "test"}) for s in unannotated(5)]
    with pytest.raises(TrainingError, match=r"None of the spectra around .*t\.parquet, row 1"):
        Pools([table(tmp_path / "t.parquet", tests_only)], QUICK).draw(0)


def test_missing_peaks_by_hand() -> None:
    whole = TokenInput(
        Peaks(np.array([50.1, 60.2, 60.4, 70.0, 1600.0]), np.array([1, 0.25, 0.16, 0.04, 0.5]), None), 0
    )
    view = TokenInput(Peaks(np.array([50.1003, 1600.0]), np.array([1.0, 0.4]), None), 0)
    found = missing_peaks(whole, view)
    expected = {60: 0.9 / 1.1, 70: 0.2 / 1.1}  # roots 0.5 + 0.4 and 0.2
    assert found.shape == (N_BINS,)
    assert {int(i): pytest.approx(float(found[i])) for i in np.flatnonzero(found)} == expected
    assert not missing_peaks(whole, whole).any()


def test_masked_peak_loss_by_hand() -> None:
    logits = torch.randn(3, N_BINS)
    missing = torch.zeros(3, N_BINS)
    missing[0, 5], missing[0, 9], missing[2, 7] = 0.75, 0.25, 1.0
    log_p = logits.double().numpy() - np.log(np.exp(logits.double().numpy()).sum(axis=1, keepdims=True))
    expected = -(0.75 * log_p[0, 5] + 0.25 * log_p[0, 9] + log_p[2, 7]) / 2
    assert float(masked_peak_loss(logits, missing)) == pytest.approx(expected, rel=1e-5)
    assert float(masked_peak_loss(logits, torch.zeros(3, N_BINS))) == 0


def test_contrastive_loss_with_ignored_pairs_by_hand() -> None:
    projected = torch.randn(6, 5)
    label = torch.tensor([0, 0, 1, 1, 2, 2])
    ignored = torch.zeros(6, 6, dtype=torch.bool)
    ignored[:4, :4] = True  # things 0 and 1 may be the same
    z = projected.double().numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    expected = []
    for i in range(6):
        others = [j for j in range(6) if j != i and (label[j] == label[i] or not ignored[i, j])]
        e = np.exp([z[i] @ z[j] / 0.2 for j in others])
        expected.append(-np.log(e[others.index(i ^ 1)] / e.sum()))
    assert float(contrastive(projected, label, 0.2, ignored)) == pytest.approx(np.mean(expected), rel=1e-5)


def test_spectra_of_one_precursor_are_not_pushed_apart(one: Table) -> None:
    phase = FoundationPhase(QUICK, Pools([one], QUICK))
    made = network()
    batch = phase.batch(0)
    state = torch.randn(32, TINY.hidden, requires_grad=True)
    batch.targets["precursor_mz"][:] = 300.0
    assert float(phase.losses(made, state, batch)["contrastive"].detach()) == 0
    batch.targets["precursor_mz"][:] = 300.0 * (1 + 21e-6 * (torch.arange(32) // 2))
    apart = phase.losses(made, state, batch)
    plain = contrastive(made.ssl(state), batch.targets["label"], QUICK.temperature)
    assert float(apart["contrastive"].detach()) == pytest.approx(float(plain.detach()), rel=1e-6)
    parts = apart["contrastive"] + apart["masked_peaks"]
    assert float(apart["total"].detach()) == pytest.approx(float(parts.detach()))
    batch.targets["precursor_mz"][:] = float("nan")  # unknown is not the same
    assert float(phase.losses(made, state, batch)["contrastive"].detach()) == pytest.approx(
        float(plain.detach()), rel=1e-6
    )


def test_judged_by_brute_force(one: Table) -> None:
    pools = Pools([one], QUICK)
    made = network()
    figures = FoundationPhase(QUICK, pools).judge(made, is_last=True)
    held_out = pools.held_out(2048)
    for name, dropout in (("deep_found", 0.0), ("found_by_peaks", 1.0), ("deep_found_by_peaks", 1.0)):
        how = replace(QUICK.augmentation, precursor_dropout=dropout)
        rng = np.random.default_rng(0)
        views = [[augment(held_out[row], how, rng) for row in range(len(held_out))] for _ in range(2)]
        with torch.inference_mode():
            first, second = (
                [made.embed(made(collate([view])))[0].numpy() for view in each] for each in views
            )
        hits = [max(range(len(second)), key=lambda j, v=v: v @ second[j]) == i for i, v in enumerate(first)]
        assert figures[name] == pytest.approx(np.mean(hits))
        assert name != "found_by_peaks" or figures["spread"] == pytest.approx(
            np.std(first, axis=0, ddof=1).mean() * TINY.hidden**0.5, rel=1e-4
        )
    assert figures["score"] == figures["found_by_peaks"]
    assert "deep_found" not in FoundationPhase(QUICK, pools).judge(made, is_last=False)


def test_collapse_shows(one: Table) -> None:
    made = network()
    with torch.no_grad():
        made.norm.weight.zero_()  # every spectrum now has the same state
        made.norm.bias.normal_()
    phase = FoundationPhase(QUICK, Pools([one], QUICK))
    assert phase.judge(made, is_last=False)["spread"] == pytest.approx(0, abs=1e-5)


def test_it_learns_to_recognise_views(tmp_path: Path, one: Table) -> None:
    gentle = Augmentation(peak_dropout=0.2, precursor_dropout=0.5, charge_dropout=0.0)
    recipe = replace(QUICK, n_steps=60, validate_every=60, average=0.9, augmentation=gentle)
    phase = FoundationPhase(recipe, Pools([one], recipe))
    loop = Loop(tmp_path, recipe, phase, Card("tiny"))
    before = phase.judge(loop.network.eval(), is_last=False)["found_by_peaks"]
    losses: list[dict[str, float]] = []
    loop.run(lambda step, parts: losses.append(parts))
    for part in ("contrastive", "masked_peaks"):
        first, last = (np.mean([each[part] for each in some]) for some in (losses[:5], losses[-5:]))
        assert last < first, part
    assert loop.best > before


def test_a_stopped_run_goes_on_to_the_same_weights_and_head(tmp_path: Path, one: Table) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, losses: dict[str, float]) -> None:
        if step == 6:
            raise Stopped

    def make(folder: str) -> Loop:
        phase = FoundationPhase(QUICK, Pools([one], QUICK))
        return Loop(tmp_path / folder, QUICK, phase, Card("tiny"))

    whole = make("whole")
    whole.run()
    with pytest.raises(Stopped):
        make("stopped").run(stop)
    resumed = make("stopped")
    assert resumed.step == 4
    resumed.run()
    assert weights_equal(resumed.network.parameters(), whole.network.parameters())
    assert weights_equal(resumed.phase.head.parameters(), whole.phase.head.parameters())
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")
