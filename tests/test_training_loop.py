"""The training loop: it repeats and resumes exactly, keeps the best, and stops before it spoils anything."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import PROCESSES, TINY, examples, network, weights_equal
from training_material import FAST, TRAIN, VAL, metrics

from specsearch.encoder.checkpoint import Card, load_checkpoint
from specsearch.encoder.training.batch import Batch
from specsearch.encoder.training.loader import batches_ahead
from specsearch.encoder.training.train import Run
from specsearch.encoder.training.validation import states, validate
from specsearch.encoder.training.workplace import Workplace
from specsearch.errors import CheckpointError, TrainingError


def test_validation_without_a_single_pair_still_chooses(tmp_path: Path) -> None:
    alone = examples(6, per_molecule=1, seed=1, first=100)
    best = Run(tmp_path, replace(FAST, n_steps=2), TRAIN, alone, Card()).run()
    assert best.exists()


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
    assert metrics(tmp_path) == metrics(undisturbed.folder)
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
    assert metrics(tmp_path) == metrics(undisturbed.folder)


def test_a_run_does_not_go_on_with_another_recipe(undisturbed: Run) -> None:
    with pytest.raises(TrainingError, match="another recipe"):
        Run(undisturbed.folder, replace(FAST, learning_rate=1e-3), TRAIN, VAL, Card("tiny"))
    assert Run(undisturbed.folder, FAST, TRAIN, VAL, Card("tiny")).step == FAST.n_steps


def test_the_best_checkpoint_is_kept_and_says_where_it_comes_from(undisturbed: Run) -> None:
    made, card = load_checkpoint(undisturbed.folder / "best.safetensors")
    scores = {int(m["step"]): m["analogue"] + 0.5 * m["partner"] for m in metrics(undisturbed.folder)}
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

    with pytest.raises(TrainingError, match="not finite at step 6"):
        run.run(poison)
    assert Run(tmp_path, FAST, TRAIN, VAL, Card()).step == 4
    assert all(p.isfinite().all() for p in load_checkpoint(tmp_path / "best.safetensors")[0].parameters())


def test_a_bad_batch_is_named(tmp_path: Path) -> None:
    spoiled = TRAIN.inputs[5]
    spoiled = replace(spoiled, peaks=replace(spoiled.peaks, mz=spoiled.peaks.mz * np.nan))
    train = replace(
        TRAIN,
        inputs=[spoiled if i == 5 else item for i, item in enumerate(TRAIN.inputs)],
        accession=[f"RECORD-{i}" for i in range(len(TRAIN.inputs))],
    )
    recipe = replace(FAST, n_steps=200, validate_every=1)
    sampler = Run(tmp_path / "sound", recipe, TRAIN, VAL, Card()).phase._sampler  # type: ignore[attr-defined]
    first = next(step for step in range(200) if 5 in sampler.draw(step)[0])
    with pytest.raises(TrainingError, match=f"loss is not finite at step {first + 1},"):
        Run(tmp_path, recipe, train, VAL, Card()).run()
    told = json.loads((tmp_path / "stopped.json").read_text())
    assert told["step"] == first + 1
    assert told["spectra"] == [f"RECORD-{i}" for i in sampler.draw(first)[0]]
    assert "RECORD-5" in told["spectra"]


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(tmp_path: Path) -> None:
    run = Run(tmp_path, FAST, TRAIN, VAL, Card())
    losses = run.phase.losses

    def steep(encoder: torch.nn.Module, state: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        found = losses(encoder, state, batch)  # type: ignore[arg-type]
        # The root of zero is zero, and infinitely steep.
        return found | {"total": found["total"] + (state[0, 0] * 0).sqrt()}

    run.phase.losses = steep  # type: ignore[method-assign]
    before = [p.clone() for p in run.network.parameters()]
    with pytest.raises(TrainingError, match="gradient is not finite at step 1"):
        run.run()
    assert weights_equal(run.network.parameters(), before)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, empty])
def test_a_damaged_state_is_noticed(tmp_path: Path, undisturbed: Run, damage: Callable[[Path], None]) -> None:
    folder = shutil.copytree(undisturbed.folder, tmp_path / "copy")
    damage(folder / "state.safetensors")
    with pytest.raises(TrainingError, match="damaged"):
        Run(folder, FAST, TRAIN, VAL, Card("tiny"))
    damage(folder / "best.safetensors")
    with pytest.raises(CheckpointError, match=r"damaged|not a whole"):
        load_checkpoint(folder / "best.safetensors")


def test_reports_of_steps_that_are_done_again_are_taken_back(tmp_path: Path, undisturbed: Run) -> None:
    folder = shutil.copytree(undisturbed.folder, tmp_path / "copy")
    file = folder / "metrics.jsonl"
    with file.open("a") as text:
        text.write('{"step": 16, "total": 1.0}\n{"step": 20, "tot')  # a kill while it was written
    Run(folder, FAST, TRAIN, VAL, Card("tiny")).run()
    assert metrics(folder) == metrics(undisturbed.folder)
    longer = replace(FAST, n_steps=16)
    Run(folder, longer, TRAIN, VAL, Card("tiny")).run()
    assert [line["step"] for line in metrics(folder)] == [4, 8, 12, 16]


def test_a_run_does_not_go_on_with_other_material(undisturbed: Run) -> None:
    with pytest.raises(TrainingError, match=r"material\.data was None, is other\.parquet"):
        Run(undisturbed.folder, FAST, TRAIN, VAL, Card("tiny", training={"data": "other.parquet"}))
    with pytest.raises(TrainingError, match=r"recipe\.config\.hidden was 32, is 16"):
        Run(undisturbed.folder, replace(FAST, config=replace(TINY, hidden=16)), TRAIN, VAL, Card())


def write_on_a_full_disk(folder: Path, n_bytes: int) -> None:
    """Go on with a run where no file may grow beyond so many bytes."""
    import resource

    run = Run(folder, replace(FAST, n_steps=16), TRAIN, VAL, Card("tiny"))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    try:
        run.run()
    except TrainingError as error:
        raise SystemExit(3 if "cannot be written" in str(error) else 4) from error


def test_a_checkpoint_that_cannot_be_written_leaves_the_last(tmp_path: Path, undisturbed: Run) -> None:
    folder = shutil.copytree(undisturbed.folder, tmp_path / "copy")
    names = ("state.safetensors", "best.safetensors")
    before = [(folder / name).read_bytes() for name in names]
    process = PROCESSES.Process(target=write_on_a_full_disk, args=(folder, 10_000))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert [(folder / name).read_bytes() for name in names] == before
    assert not list(folder.glob("*.partial"))


def test_too_little_space_is_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(TrainingError, match="has 1 MB free"):
        Run(tmp_path, FAST, TRAIN, VAL, Card())


def test_a_run_starts_from_a_checkpoint_of_the_same_architecture(tmp_path: Path) -> None:
    start = network(7)
    run = Run(tmp_path, replace(FAST, config=TINY), TRAIN, VAL, Card(), start)
    assert weights_equal(run.network.parameters(), start.parameters())
    assert weights_equal(run.average.parameters(), start.parameters())
    with pytest.raises(CheckpointError, match=r"n_fourier is 4, not 8; hidden is 32, not 64"):
        Run(tmp_path, replace(FAST, config=replace(TINY, hidden=64, n_fourier=8)), TRAIN, VAL, Card(), start)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="3 molecules to train on"):
        Run(tmp_path, FAST, examples(3), VAL, Card())
    with pytest.raises(TrainingError, match="predicts 128 bits, the targets have 64"):
        Run(tmp_path, replace(FAST, config=replace(TINY, fingerprint_bits=128)), TRAIN, VAL, Card())


def test_gradients_of_micro_batches_are_averaged(tmp_path: Path) -> None:
    recipe = replace(FAST, config=TINY, micro_batches=3, clip_norm=1e9, n_steps=2, warmup_steps=1)
    run = Run(tmp_path, recipe, TRAIN, VAL, Card())
    gradients = []
    for number in range(3):
        batch = run.phase.batch(number)
        run.network.zero_grad()
        run.phase.losses(run.network, batch.states(run.network), batch)["total"].backward()
        gradients.append({n: p.grad.clone() for n, p in run.network.named_parameters() if p.grad is not None})
    moved = {}

    def look(step: int, losses: dict[str, float]) -> None:
        if step == 1:
            moved.update({n: p.grad.clone() for n, p in run.network.named_parameters() if p.grad is not None})

    run.run(look)
    assert moved.keys() == gradients[0].keys()
    for name, found in moved.items():
        mean = torch.stack([each[name] for each in gradients]).mean(dim=0)
        torch.testing.assert_close(found, mean, rtol=1e-4, atol=1e-6)


class Bf16Place(Workplace):
    """A CPU that is told to compute in bfloat16; it does so by emulation."""

    def _has_bf16(self) -> bool:
        return True


def test_bfloat16_changes_little_and_leaves_weights_float32(tmp_path: Path) -> None:
    recipe = replace(FAST, config=TINY, n_steps=3)
    found = []
    for place in (Workplace(), Bf16Place()):
        run = Run(tmp_path / str(len(found)), recipe, TRAIN, VAL, Card(), workplace=place)
        losses: list[float] = []
        run.run(lambda step, parts, kept=losses: kept.append(parts["total"]))  # type: ignore[misc]
        found.append(losses)
        assert {p.dtype for p in run.network.parameters()} == {torch.float32}
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_states_of_a_batch_come_in_the_order_of_its_views() -> None:
    made = network()
    views = [examples(30, per_molecule=1, seed=9).inputs[i] for i in np.random.default_rng(0).permutation(30)]
    for n in (1, 2, 5, 30):
        with torch.inference_mode():
            found = Batch.of([], views[:n], {}).states(made)
        torch.testing.assert_close(found, states(made, views[:n]), atol=1e-5, rtol=0)


def test_batches_made_ahead_come_in_order_and_errors_with_them() -> None:
    made: list[int] = []

    def make(number: int) -> Batch:
        if number == 7:
            raise TrainingError("seven")
        made.append(number)
        return Batch([str(number)], [], torch.empty(0), {})

    assert [batch.names for batch in batches_ahead(make, range(5))] == [[str(n)] for n in range(5)]
    with pytest.raises(TrainingError, match="seven"):
        list(batches_ahead(make, range(5, 9)))
    made.clear()
    ahead = batches_ahead(make, iter(range(10, 10**9)))
    assert next(ahead).names == ["10"]
    ahead.close()
    assert len(made) <= 3
