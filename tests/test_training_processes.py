"""Several processes on one run: the same result as one, over real gloo connections on this machine."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from samples import PROCESSES, weights_equal
from training_material import FAST, TRAIN, VAL, metrics

from specsearch.encoder.checkpoint import Card, load_checkpoint
from specsearch.encoder.training.train import Run
from specsearch.encoder.training.workplace import Workplace
from specsearch.errors import TrainingError

RECIPE = replace(FAST, micro_batches=2, n_steps=8)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def take_part(rank: int, n_ranks: int, port: int, folder: Path, n_steps: int) -> None:
    """One process as ``torchrun`` starts it; leaves its weights and what it was told beside the run."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n_ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    told: list[str] = []
    with Workplace.joined() as place:
        with place.first_goes_first():
            told += ["others first"] if place.is_first and list(folder.glob("seen-*")) else []
            (folder / f"seen-{rank}").touch()
        recipe = replace(RECIPE, n_steps=n_steps)
        run = Run(folder / "run", recipe, TRAIN, VAL, Card("tiny"), workplace=place)
        run.run(judged=lambda line: told.append(f"judged {line['step']}"))
        save_file(dict(run.network.named_parameters()), folder / f"weights-{rank}.safetensors")
    (folder / f"told-{rank}").write_text("; ".join(told))


def together(n_ranks: int, folder: Path, n_steps: int) -> None:
    port = free_port()
    processes = [
        PROCESSES.Process(target=take_part, args=(rank, n_ranks, port, folder, n_steps))
        for rank in range(n_ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * n_ranks


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    alone = Run(tmp_path / "alone", RECIPE, TRAIN, VAL, Card("tiny"))
    alone.run()
    together(2, tmp_path, RECIPE.n_steps)
    first, second = (load_file(tmp_path / f"weights-{rank}.safetensors") for rank in range(2))
    assert weights_equal(first.values(), second.values())
    for name, mine in alone.network.named_parameters():
        torch.testing.assert_close(mine.detach(), first[name], rtol=1e-3, atol=1e-5)
    assert (tmp_path / "told-0").read_text() == "judged 4; judged 8"
    assert (tmp_path / "told-1").read_text() == ""
    ours, theirs = metrics(tmp_path / "alone"), metrics(tmp_path / "run")
    assert [line["step"] for line in theirs] == [4, 8]
    for one, two in zip(ours, theirs, strict=True):
        assert two == pytest.approx(one, rel=1e-3)
    load_checkpoint(tmp_path / "run" / "best.safetensors")


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    Run(tmp_path / "run", replace(RECIPE, n_steps=4, micro_batches=2), TRAIN, VAL, Card("tiny")).run()
    together(2, tmp_path, 8)
    state = load_file(tmp_path / "run" / "state.safetensors")
    kept = load_file(tmp_path / "weights-0.safetensors")
    assert weights_equal([state[f"network.{name}"] for name in kept], kept.values())
    assert [line["step"] for line in metrics(tmp_path / "run")] == [4, 8]


def test_processes_that_cannot_share_a_step_are_refused(tmp_path: Path) -> None:
    for n_ranks, micro_batches in ((2, 1), (2, 3), (4, 2)):
        recipe = replace(FAST, micro_batches=micro_batches)
        with pytest.raises(TrainingError, match="multiple of the number of processes"):
            Run(tmp_path, recipe, TRAIN, VAL, Card(), workplace=Workplace(rank=0, n_ranks=n_ranks))


def test_the_shares_of_all_processes_are_the_batches_of_one(tmp_path: Path) -> None:
    recipe = replace(FAST, micro_batches=6)
    shares = [
        list(Run(tmp_path, recipe, TRAIN, VAL, Card(), workplace=Workplace(rank=r, n_ranks=3))._numbers())
        for r in range(3)
    ]
    assert np.array_equal(np.sort(np.concatenate(shares)), np.arange(12 * 6))
    assert shares[1][:4] == [1, 4, 7, 10]
