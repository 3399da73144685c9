"""The embedder: order, units, batches, arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from samples import TINY, embedder, network, spectra, spectrum

from specsearch.encoder.checkpoint import Card
from specsearch.encoder.config import FOURIER
from specsearch.encoder.embedder import Embedder
from specsearch.encoder.tokens import collate, token_input
from specsearch.spectra.spectrum import Spectrum


def test_order_is_kept_whatever_the_lengths() -> None:
    made = network()
    batch = spectra(150, longest=200)
    batch = [batch[i] for i in np.random.default_rng(0).permutation(len(batch))]
    with torch.inference_mode():
        one_by_one = torch.cat([made.embed(made(collate([token_input(s)]))) for s in batch])
    found = embedder().embed(batch)
    np.testing.assert_allclose(found, one_by_one.numpy(), atol=1e-5)
    # the check can fail: no two rows are so close that an exchange would go unnoticed
    products = found @ found.T - 2 * np.eye(len(found))
    assert np.sqrt(2 - 2 * products.max()) > 1e-4


def test_every_batch_is_within_budget_and_no_row_is_lost() -> None:
    inputs = [token_input(s) for s in spectra(400, longest=255)]
    batches = list(embedder()._batches(inputs))
    assert sorted(row for rows in batches for row in rows) == list(range(400))
    for rows in batches:
        assert len(rows) * (max(inputs[r].n_tokens for r in rows) + 1) <= 2048
    n_padded = sum(len(rows) * (max(inputs[r].n_tokens for r in rows) + 1) for rows in batches)
    assert n_padded <= 1.1 * sum(
        item.n_tokens + 1 for item in inputs
    )  # in file order it would be about twice


def test_odd_spectra_have_unit_embeddings() -> None:
    rng = np.random.default_rng(1)
    odd = [
        Spectrum.checked([100.0], [1.0]),  # one token, nothing else known
        Spectrum.checked([100.0], [1.0], precursor_mz=100.0, charge=-2),
        Spectrum.checked([1e-3, 1e5], [1e-30, 1e30], precursor_mz=1e-3),
        Spectrum.checked(rng.uniform(1, 2000, 100_000), rng.random(100_000), precursor_mz=2500.0),
        Spectrum.checked([100.0, 100.0, 100.0], [1.0, 1.0, 1.0]),
    ]
    found = embedder().embed(odd)
    assert found.shape == (5, TINY.hidden)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)


def test_nothing_in_nothing_out() -> None:
    assert embedder().embed([]).shape == (0, TINY.hidden)


@pytest.mark.parametrize("seed", [0, 1])
def test_bf16_is_close_to_float32(seed: int) -> None:
    made = network(seed, config=FOURIER)
    batch = [spectrum(np.random.default_rng(i), 5 + 10 * i) for i in range(6)]
    full, fast = (
        Embedder(made, Card(config=FOURIER), dtype=dtype).embed(batch)
        for dtype in (torch.float32, torch.bfloat16)
    )
    # bf16 has 8 bits: about 0.4 % a step; six layers of it stay within a cosine of 0.999
    assert (full * fast).sum(axis=1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(fast, axis=1), 1.0, atol=1e-5)


def test_several_devices_give_the_same_vectors() -> None:
    made, card = network(), Card(config=TINY)
    batch = spectra(120, longest=100)
    one = Embedder(made, card, [torch.device("cpu")], torch.float32).embed(batch)
    three = Embedder(made, card, [torch.device("cpu")] * 3, torch.float32).embed(batch)
    np.testing.assert_array_equal(one, three)


def test_the_network_given_is_not_touched() -> None:
    made = network().train()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    Embedder(made, Card(config=TINY), dtype=torch.bfloat16).embed(spectra(3))
    assert made.training
    assert all(tensor.equal(before[name]) for name, tensor in made.state_dict().items())
