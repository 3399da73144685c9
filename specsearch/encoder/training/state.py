"""The state a run goes on from: whole or not there, and known by its digest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from specsearch.encoder.checkpoint import digest
from specsearch.encoder.config import EncoderConfig
from specsearch.errors import CheckpointError, TrainingError

_FACTS, _CONFIG = "facts", "config"
_SPARE_BYTES = 64 * 2**20


def save_state(
    path: Path, config: EncoderConfig, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]
) -> None:
    """Write tensors and facts (JSON) under a digest of both.

    Raises
    ------
    TrainingError
        If there is no room, or the disk refuses; the file that was there stays.
    """
    text = json.dumps({**facts, _CONFIG: config.to_dict()}, sort_keys=True).encode()
    everything = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    everything[_FACTS] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    require_space(path.parent, sum(tensor.nbytes for tensor in everything.values()))
    partial = path.with_name(path.name + ".partial")
    try:
        save_file(everything, partial, metadata={"digest": digest(config, everything)})
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(f"{path} cannot be written ({error}).", "The one before it is kept.") from error


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises
    ------
    TrainingError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            expected = (file.metadata() or {}).get("digest")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        facts = json.loads(bytes(tensors[_FACTS].tolist()))
        found = digest(EncoderConfig.from_dict(facts[_CONFIG]), tensors)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, CheckpointError) as error:
        raise _damaged(path, str(error)) from error
    if expected != found:
        raise _damaged(path, "its digest does not match")
    del tensors[_FACTS]
    return tensors, facts


def require_space(folder: Path, n_bytes: int) -> None:
    """Raise unless so many bytes, and some to spare, are free on the disk of `folder`.

    Raises
    ------
    TrainingError
        Saying how much is missing.
    """
    needed, free = n_bytes + _SPARE_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise TrainingError(
            f"The disk of {folder} has {free / 1e6:.0f} MB free; a checkpoint needs {needed / 1e6:.0f} MB.",
            "Free some space and run the same command again; it goes on from the last state.",
        )


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's memory by flat names: the parameter's number and the value's name."""
    memory = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in memory.items() for name, value in values.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give an optimizer back what `optimizer_tensors` took from one like it."""
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for flat, value in tensors.items():
        number, _, name = flat.partition(".")
        memory.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})


def prefixed(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under ``prefix.name``."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of `prefixed`, for one prefix among several."""
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _damaged(path: Path, why: str) -> TrainingError:
    return TrainingError(
        f"{path} is damaged ({why}).",
        "Remove it to train from the beginning; the best checkpoint beside it is a file of its own.",
    )
