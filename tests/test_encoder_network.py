"""The network against closed forms, numpy, and PyTorch's own transformer layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from samples import TINY, network, spectra, spectrum
from torch import nn

from specsearch.encoder.config import FOURIER, N_PEAK_FEATURES, PUBLISHED, EncoderConfig
from specsearch.encoder.network import Encoder, Layer
from specsearch.encoder.tokens import TokenBatch, collate, token_input
from specsearch.errors import CheckpointError


def n_linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def expected_blocks(c: EncoderConfig) -> dict[str, int]:
    """Parameters of every block, from the published dimensions alone."""
    attention = 4 * n_linear(c.hidden, c.hidden)
    feed_forward = n_linear(c.hidden, c.feed_forward) + n_linear(c.feed_forward, c.hidden)
    pair = 4 * c.projection_size
    return {
        "peaks": n_linear(8 + 4 * c.n_fourier, c.hidden),
        "cls": c.hidden,
        "layers": c.n_layers * (attention + feed_forward + 2 * 2 * c.hidden),
        "norm": 2 * c.hidden,
        "ssl": n_linear(c.hidden, c.ssl_size),
        "fingerprint": n_linear(c.hidden, c.fingerprint_hidden)
        + 2 * c.fingerprint_hidden
        + n_linear(c.fingerprint_hidden, c.fingerprint_bits),
        "query": n_linear(c.hidden, c.projection_size),
        "target": n_linear(c.fingerprint_bits, c.target_hidden)
        + n_linear(c.target_hidden, c.projection_size),
        "reranker": n_linear(pair, c.reranker_hidden) + n_linear(c.reranker_hidden, 1),
        "log_temperature": 1,
    }


@pytest.mark.parametrize("config", [PUBLISHED, FOURIER, TINY])
def test_parameters_of_every_block(config: EncoderConfig) -> None:
    made = Encoder(config)
    counted: dict[str, int] = {}
    for name, parameter in made.named_parameters():
        block = name.partition(".")[0]
        counted[block] = counted.get(block, 0) + parameter.numel()
    assert counted == expected_blocks(config)
    assert made.n_parameters() == sum(counted.values())


def test_the_published_network_has_its_published_size() -> None:
    assert Encoder(PUBLISHED).n_parameters() == 14_106_690


def test_heads_must_divide_the_hidden_size() -> None:
    with pytest.raises(CheckpointError, match="not divisible"):
        EncoderConfig(hidden=30, n_heads=4)


def test_unknown_entries_of_a_configuration_are_named() -> None:
    with pytest.raises(CheckpointError, match="n_wings"):
        EncoderConfig.from_dict({"hidden": 32, "n_wings": 2})


def torch_layer(ours: Layer, config: EncoderConfig) -> nn.TransformerEncoderLayer:
    """PyTorch's own layer with our weights."""
    theirs = nn.TransformerEncoderLayer(
        config.hidden,
        config.n_heads,
        config.feed_forward,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    renamed = {
        "self_attn.in_proj_weight": ours.qkv.weight,
        "self_attn.in_proj_bias": ours.qkv.bias,
        "self_attn.out_proj.weight": ours.out.weight,
        "self_attn.out_proj.bias": ours.out.bias,
        "linear1.weight": ours.up.weight,
        "linear1.bias": ours.up.bias,
        "linear2.weight": ours.down.weight,
        "linear2.bias": ours.down.bias,
        "norm1.weight": ours.norm_attention.weight,
        "norm1.bias": ours.norm_attention.bias,
        "norm2.weight": ours.norm_feed_forward.weight,
        "norm2.bias": ours.norm_feed_forward.bias,
    }
    theirs.load_state_dict(renamed)
    return theirs.train()  # its "fast path" in evaluation mode is another piece of code


@pytest.mark.parametrize("config", [TINY, PUBLISHED])
def test_a_layer_is_pytorchs_layer(config: EncoderConfig) -> None:
    torch.manual_seed(3)
    ours = Layer(config).eval()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.05)
    x = torch.randn(3, 9, config.hidden)
    mask = torch.arange(9)[None, :] < torch.tensor([9, 4, 1])[:, None]
    with torch.no_grad():
        mine = ours(x, mask[:, None, None, :])
        reference = torch_layer(ours, config)(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(mine[mask], reference[mask], atol=1e-5, rtol=1e-5)


def test_a_forward_pass_by_hand() -> None:
    """CLS in front, layers, norm of the first state: put together from PyTorch's parts."""
    made = network(1)
    item = token_input(spectra(1, seed=2)[0])
    batch = collate([item])
    with torch.no_grad():
        tokens = made.token_features(batch)[0] @ made.peaks.weight.T + made.peaks.bias
        x = torch.cat([made.cls[None, :], tokens])[None]
        for layer in made.layers:
            x = torch_layer(layer, TINY)(x)
        state = nn.functional.layer_norm(x[:, 0], (TINY.hidden,), made.norm.weight, made.norm.bias)
        torch.testing.assert_close(made(batch), state, atol=1e-5, rtol=1e-5)


def embeddings(made: Encoder, batch: TokenBatch) -> torch.Tensor:
    with torch.inference_mode():
        return made.embed(made(batch))


def test_padding_never_changes_an_embedding() -> None:
    made = network()
    long = token_input(spectrum(np.random.default_rng(1), 250))
    for short in spectra(12, longest=20):
        item = token_input(short)
        alone = embeddings(made, collate([item]))[0]
        padded = embeddings(made, collate([long, item, long]))[1]
        torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    made = network()
    short, long = (token_input(spectrum(np.random.default_rng(i), n)) for i, n in enumerate((3, 40)))
    batch = collate([short, long])
    garbage = TokenBatch(
        torch.where(batch.mask[..., None], batch.features, torch.tensor(1e3)),
        torch.where(batch.mask, batch.mz, torch.tensor(777.7, dtype=torch.float64)),
        torch.where(batch.mask, batch.loss, torch.tensor(-55.5, dtype=torch.float64)),
        batch.mask,
    )
    torch.testing.assert_close(embeddings(made, garbage), embeddings(made, batch), atol=1e-6, rtol=0)


def test_fourier_features_are_numpys_in_float64() -> None:
    made = network(config=FOURIER)
    batch = collate([token_input(spectrum(np.random.default_rng(7), 50, precursor_mz=1999.9))])
    waves = made.token_features(batch)[..., N_PEAK_FEATURES:].double().numpy()
    period_da = np.geomspace(2000.0, 0.02, FOURIER.n_fourier)
    parts = []
    for values in (batch.mz.numpy(), batch.loss.numpy()):
        angle = 2 * math.pi * values[..., None] / period_da
        parts += [np.sin(angle), np.cos(angle)]
    # 2e-6: float32 around an angle of up to pi
    np.testing.assert_allclose(waves, np.concatenate(parts, axis=-1), atol=2e-6)


def test_heads_have_unit_norm_and_their_shapes() -> None:
    made = network()
    state = torch.randn(5, TINY.hidden)
    bits = torch.randint(0, 2, (5, TINY.fingerprint_bits)).float()
    with torch.inference_mode():
        query, target = made.project_query(state), made.project_target(bits)
        assert made.ssl(state).shape == (5, TINY.ssl_size)
        assert made.fingerprint(state).shape == (5, TINY.fingerprint_bits)
        score = made.rerank(query, target)
    for vectors in (query, target, made.embed(state)):
        np.testing.assert_allclose(vectors.norm(dim=1).numpy(), 1.0, atol=1e-6)
    by_hand = torch.stack(
        [made.reranker(torch.cat([q, t, q * t, abs(q - t)])) for q, t in zip(query, target, strict=True)]
    )
    torch.testing.assert_close(score, by_hand[:, 0].detach())
