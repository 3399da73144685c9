"""Model files: what is written is read, and everything that is wrong with a file is said."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from samples import TINY, network, spectra, weights_equal

from specsearch.encoder.checkpoint import (
    Card,
    compare,
    digest,
    load_checkpoint,
    read_card,
    read_key_map,
    save_checkpoint,
)
from specsearch.encoder.config import PUBLISHED
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.network import Encoder
from specsearch.errors import CheckpointError

CARD = Card("tiny", TINY, {"data": "none"}, {"val": {"analogue": 0.5}}, ["random weights"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, network(), CARD)
    return path


def rewritten(path: Path, weights: dict[str, torch.Tensor], card: Card | None) -> Path:
    """A file with other weights; with a card that has no digest, or without any."""
    other = path.with_name("other.safetensors")
    save_file(weights, other, metadata={"specsearch_card": card.to_json()} if card else None)
    return other


def test_round_trip_in_half_precision(file: Path) -> None:
    loaded, card = load_checkpoint(file)
    halved = {name: t.half().float() for name, t in network().state_dict().items()}
    assert loaded.state_dict().keys() == halved.keys()
    assert all(torch.equal(t, halved[name]) for name, t in loaded.state_dict().items())
    assert not loaded.training
    assert (card.name, card.config, card.training) == ("tiny", TINY, {"data": "none"})
    assert (card.figures, card.limits) == (CARD.figures, CARD.limits)
    assert {t.dtype for t in load_file(file).values()} == {torch.float16}
    assert read_card(file) == card
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_the_digest_follows_configuration_and_weights() -> None:
    weights = dict(network().state_dict())
    reference = digest(TINY, weights)
    assert digest(TINY, dict(reversed(weights.items()))) == reference
    assert digest(PUBLISHED, weights) != reference
    nudged = weights | {"norm.bias": weights["norm.bias"] + 1e-7}
    assert digest(TINY, nudged) != reference
    renamed = {name.replace("ssl", "lss"): tensor for name, tensor in weights.items()}
    assert digest(TINY, renamed) != reference
    turned = weights | {"query.weight": weights["query.weight"].reshape(weights["query.weight"].T.shape)}
    assert digest(TINY, turned) != reference
    assert digest(TINY, {name: tensor.half() for name, tensor in weights.items()}) != reference


def test_any_flipped_byte_of_the_weights_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    (n_header,) = struct.unpack("<Q", whole[:8])
    start = 8 + n_header
    for place in (start, (start + len(whole)) // 2, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        file.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(file)


@pytest.mark.parametrize("keep", [0.0, 0.0001, 0.3, 0.999])
def test_half_a_file_is_refused(file: Path, keep: float) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_checkpoint(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="No model file at"):
            load_checkpoint(path)


def test_every_tensor_that_differs_is_listed(file: Path) -> None:
    weights = load_file(file)
    del weights["ssl.bias"]
    weights["norm.weight"] = weights["norm.weight"][:-3]
    weights["query.bias"] = weights["query.bias"].int()
    weights["wings.weight"] = torch.zeros(2, 3)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(rewritten(file, weights, Card(config=TINY)))
    assert "4 tensors differ" in raised.value.message
    lines = [line.strip() for line in raised.value.message.splitlines()[1:]]
    assert lines == [
        "norm.weight: expected float32 [32], found float16 [29]",
        "query.bias: expected float32 [8], found int32 [8]",
        "ssl.bias: expected float32 [8], found nothing",
        "wings.weight: expected nothing, found float32 [2, 3]",
    ]
    assert len(compare(network(), weights)) == 4


def test_a_key_map_translates_names(file: Path) -> None:
    theirs = {name: f"model.{name}" for name in load_file(file)}
    foreign = rewritten(file, {theirs[n]: t for n, t in load_file(file).items()}, Card(config=TINY))
    with pytest.raises(CheckpointError, match="key-map"):
        load_checkpoint(foreign)
    path = file.with_name("map.json")
    path.write_text(json.dumps({theirs[name]: name for name in theirs}))
    loaded, card = load_checkpoint(foreign, read_key_map(path))
    assert weights_equal(loaded.parameters(), load_checkpoint(file)[0].parameters())
    assert card.digest == digest(TINY, load_file(foreign))


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', "{", "\x00"])
def test_a_bad_key_map_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="key map"):
        read_key_map(path)
    with pytest.raises(CheckpointError, match="key map"):
        read_key_map(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '"card"',
        '{"wings": 2}',
        '{"config": {"hidden": 30, "n_heads": 4}}',
        '{"config": {"hidden": "many"}}',
        '{"config": 7}',
        '{"config": {"wings": 2}}',
    ],
)
def test_an_unreadable_card_is_refused(file: Path, text: str) -> None:
    save_file(load_file(file), file, metadata={"specsearch_card": text})
    for read in (read_card, load_checkpoint):
        with pytest.raises(CheckpointError):
            read(file)


def test_a_foreign_file_of_the_published_network_needs_no_card(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = Encoder(PUBLISHED).eval()
    path = tmp_path / "nexamass.safetensors"
    save_file(made.state_dict(), path)
    loaded, card = load_checkpoint(path)
    assert weights_equal(loaded.parameters(), made.parameters())
    assert (card.name, card.config) == ("nexamass", PUBLISHED)
    assert card.digest == digest(PUBLISHED, made.state_dict())


@pytest.mark.parametrize("wrapped", [None, "model_state", "state_dict"])
def test_pytorch_state_files_are_the_fallback(tmp_path: Path, wrapped: str | None) -> None:
    torch.manual_seed(1)
    made = Encoder(PUBLISHED)
    path = tmp_path / "model.pt"
    torch.save({wrapped: made.state_dict(), "step": 7} if wrapped else made.state_dict(), path)
    loaded, card = load_checkpoint(path)
    assert weights_equal(loaded.parameters(), made.parameters())
    assert card.name == "model"


class _Intruder:
    """Unpickled, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(_Intruder(trace)))  # noqa: S301 - the bait works
    trace.rmdir()
    torch.save({"model_state": network().state_dict(), "extra": _Intruder(trace)}, tmp_path / "new.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(_Intruder(trace), protocol=2))
    for path in (tmp_path / "new.pt", tmp_path / "old.pt"):
        with pytest.raises(CheckpointError, match="weights alone"):
            load_checkpoint(path)
    assert not trace.exists()


def test_broken_pytorch_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(network().state_dict(), path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[200] ^= 0xFF
    broken = [whole[:n] for n in (0, 1, 2, 10, 100, len(whole) // 2, len(whole) - 1)]
    for content in (*broken, bytes(flipped), b"PK\x03\x04", b"text\n", b"\x80", b"\x80\x02.", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="not a PyTorch file of weights alone"):
            load_checkpoint(path)
    for content in ([1, 2], {"step": 3}, {}, {"model": {"a": 1}}, {1: torch.zeros(1), "a": torch.zeros(1)}):
        torch.save(content, path)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_loaded_file_embeds_like_the_network_it_was_saved_from(file: Path) -> None:
    halved = network()
    halved.load_state_dict({name: t.half().float() for name, t in halved.state_dict().items()})
    batch = spectra(5)
    expected = Embedder(halved, CARD, dtype=torch.float32).embed(batch)
    loaded = Embedder(*load_checkpoint(file), dtype=torch.float32)
    assert (loaded.embed(batch) == expected).all()
    assert loaded.card.digest == digest(TINY, load_file(file))
    assert loaded.size == TINY.hidden


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damage_anywhere_in_an_old_pytorch_file_is_one_sentence(tmp_path: Path) -> None:
    """PyTorch's reader raises a dozen kinds of errors on damaged files; none may come through."""
    rng = np.random.default_rng(0)
    path = tmp_path / "model.pt"
    torch.save({"a": torch.zeros(3), "b": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):  # even an intact one holds none of the network's tensors
            load_checkpoint(path)
