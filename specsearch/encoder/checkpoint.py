"""Model files: weights with their card, in safetensors; PyTorch state files as a fallback.

A checkpoint's digest covers the configuration and every weight, so a collection can name the model
that filled it, and a damaged file is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from specsearch.encoder.config import PUBLISHED, EncoderConfig
from specsearch.encoder.network import Encoder
from specsearch.errors import CheckpointError

_CARD_KEY = "specsearch_card"
# What PyTorch's reader raises on damaged files (found by flipping bytes in 12,000 of them).
_PYTORCH_ERRORS = (
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
DEFAULT_CHECKPOINT = Path(__file__).parent / "weights" / "default.safetensors"


@dataclass(frozen=True)
class Card:
    """What a model file says of itself.

    Parameters
    ----------
    name : str
    config : EncoderConfig
    training : dict
        Data, licences, split, recipe.
    figures : dict
        Measured results, with the split they come from.
    limits : list of str
    digest : str
        SHA-256 over configuration and weights; empty in a file that carries none.
    """

    name: str = "unnamed"
    config: EncoderConfig = PUBLISHED
    training: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    digest: str = ""

    def to_json(self) -> str:
        """The card as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card.

        Raises
        ------
        CheckpointError
            If it is not a card.
        """
        try:
            values = json.loads(text)
            return cls(**{**values, "config": EncoderConfig.from_dict(values.get("config", {}))})
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"The model file's card cannot be read ({error}).") from error


@dataclass(frozen=True)
class Difference:
    """One tensor that does not fit: what the network expects against what the file holds."""

    tensor: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.tensor}: expected {self.expected}, found {self.found}"


def digest(config: EncoderConfig, weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the configuration and every tensor's name, type, shape and bytes (hex)."""
    state = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        state.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        state.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def save_checkpoint(path: Path, network: Encoder, card: Card, dtype: torch.dtype = torch.float16) -> Card:
    """Write weights and card to a safetensors file, whole or not at all; return the card with its digest."""
    weights = {name: _stored(tensor, dtype) for name, tensor in network.state_dict().items()}
    card = replace(card, config=network.config, digest=digest(network.config, weights))
    partial = path.with_name(path.name + ".partial")
    save_file(weights, partial, metadata={_CARD_KEY: card.to_json()})
    os.replace(partial, path)
    return card


def read_card(path: Path) -> Card:
    """Read the card alone; an empty one with the published configuration where the file has none."""
    return _read(path)[1]


def load_checkpoint(path: Path, key_map: Mapping[str, str] | None = None) -> tuple[Encoder, Card]:
    """Load a model file into a network in evaluation mode.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or a PyTorch state file (``.pt``, ``.pth``, ``.bin``; weights only).
    key_map : mapping, optional
        The file's tensor names to this network's, for files written elsewhere.

    Raises
    ------
    CheckpointError
        If the file cannot be read, was changed since its card was written, or does not fit; the
        message lists every name, shape and dtype that differs.
    """
    weights, card = _read(path)
    found_digest = digest(card.config, weights)
    if card.digest and card.digest != found_digest:
        raise CheckpointError(
            f"{path} is damaged: its weights do not match the digest in its card.",
            "Fetch or copy the file again.",
        )
    weights = {(key_map or {}).get(name, name): tensor for name, tensor in weights.items()}
    network = Encoder(card.config)
    if differences := compare(network, weights):
        listing = "\n  ".join(map(str, differences))
        raise CheckpointError(
            f"{path} does not fit the network ({len(differences)} tensors differ):\n  {listing}",
            "\nA key-map file (JSON, the file's names to ours) translates names: --key-map FILE.",
        )
    network.load_state_dict({name: _stored(tensor, torch.float32) for name, tensor in weights.items()})
    return network.eval(), replace(card, digest=found_digest)


def compare(network: Encoder, weights: Mapping[str, torch.Tensor]) -> list[Difference]:
    """Every tensor whose name, shape or dtype keeps `weights` from fitting `network`."""
    expected = network.state_dict()
    differences = []
    for name in sorted(expected.keys() | weights.keys()):
        want, have = expected.get(name), weights.get(name)
        if want is None or have is None or not _fits(want, have):
            differences.append(Difference(name, _describe(want), _describe(have)))
    return differences


def read_key_map(path: Path) -> dict[str, str]:
    """Read a key-map file: a JSON object from the file's tensor names to this network's."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"The key map {path} cannot be read ({error}).") from error
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise CheckpointError(f"The key map {path} is not a JSON object of names to names.")
    return values


def _stored(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A tensor in this floating-point type, whole numbers as they are."""
    tensor = tensor.detach().cpu()
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()


def _fits(want: torch.Tensor, have: torch.Tensor) -> bool:
    """Of one shape, and both floating-point or of one whole-number type."""
    both_float = want.is_floating_point() and have.is_floating_point()
    return have.shape == want.shape and (both_float or have.dtype == want.dtype)


def _describe(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "nothing"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _read(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """All tensors and the card of a model file."""
    if not path.is_file():
        raise CheckpointError(f"No model file at {path}.", "Check the path given with --model.")
    if path.suffix in {".pt", ".pth", ".bin"}:
        return _read_pytorch(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}).", "Fetch or copy the file again."
        ) from error
    return weights, Card.from_json(metadata[_CARD_KEY]) if _CARD_KEY in metadata else Card(name=path.stem)


def _read_pytorch(path: Path) -> tuple[dict[str, torch.Tensor], Card]:
    """A PyTorch state file, or the ``model_state`` / ``state_dict`` inside a training checkpoint."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _PYTORCH_ERRORS as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path} is not a PyTorch file of weights alone ({told}).",
            "Files that need other Python objects are refused; ask for safetensors.",
        ) from error
    for key in ("model_state", "model_state_dict", "state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        raise CheckpointError(f"{path} holds no model state (a dictionary of tensors).")
    return content, Card(name=path.stem)
