"""Tokens computed once more, peak by peak."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import spectra, spectrum

from specsearch.encoder.config import PUBLISHED
from specsearch.encoder.tokens import collate, token_input
from specsearch.spectra.spectrum import Spectrum


def feature_rows(s: Spectrum) -> list[list[float]]:
    """The eight features of every token, from the module's docstring, in plain floats."""
    strongest = max(s.intensity)
    sign = 0.0 if s.charge is None else math.copysign(1, s.charge)
    precursor = s.precursor_mz

    def token(mz: float, relative: float) -> list[float]:
        loss = 0.0 if precursor is None else precursor - mz
        log = math.log(relative) / 5 + 1 if relative else 0.0
        return [
            mz / 1000,
            math.sqrt(relative),
            log,
            loss / 1000,
            mz - round(mz),
            loss - round(loss),
            (precursor or 0.0) / 1000,
            sign,
        ]

    kept = [(m, i / strongest) for m, i in zip(s.mz, s.intensity, strict=True) if i / strongest >= 0.01]
    first = [] if precursor is None else [token(precursor, 0.0)]
    return first + [token(mz, relative) for mz, relative in kept]


def test_features_by_hand() -> None:
    batch_of = spectra(40, seed=4)
    batch = collate([token_input(s) for s in batch_of])
    for row, s in enumerate(batch_of):
        expected = np.array(feature_rows(s))
        assert batch.mask[row].tolist() == [i < len(expected) for i in range(batch.mask.shape[1])]
        np.testing.assert_allclose(batch.features[row][batch.mask[row]], expected, rtol=1e-6, atol=1e-7)
        assert not batch.features[row][~batch.mask[row]].any()


def test_one_example_in_numbers() -> None:
    s = Spectrum.checked([100.1, 199.8], [50.0, 100.0], precursor_mz=300.25, charge=-1)
    features = collate([token_input(s)]).features[0].tolist()
    assert features[0] == pytest.approx([0.30025, 0, 0, 0, 0.25, 0, 0.30025, -1])
    assert features[1] == pytest.approx(
        [0.1001, 0.70710678, 1 - 0.13862944, 0.20015, 0.1, 0.15, 0.30025, -1], abs=1e-6
    )
    assert features[2] == pytest.approx([0.1998, 1, 1, 0.10045, -0.2, 0.45, 0.30025, -1], abs=1e-6)


def test_m_z_and_loss_travel_in_float64() -> None:
    s = Spectrum.checked([123.456789012], [1.0], precursor_mz=987.654321098)
    batch = collate([token_input(s)])
    assert batch.mz[0].tolist() == [987.654321098, 123.456789012]
    assert batch.loss[0].tolist() == [0.0, 987.654321098 - 123.456789012]


def test_without_a_precursor_there_is_no_token_for_it() -> None:
    s = Spectrum.checked([100.25], [1.0])
    batch = collate([token_input(s)])
    assert batch.features.shape == (1, 1, 8)
    assert batch.features[0, 0].tolist() == pytest.approx([0.10025, 1, 1, 0, 0.25, 0, 0, 0])
    assert batch.loss.tolist() == [[0.0]]


def test_a_hundred_thousand_peaks_are_cut_to_the_networks_places() -> None:
    rng = np.random.default_rng(0)
    mz, intensity = np.sort(rng.uniform(50, 1500, 100_000)), rng.uniform(0.5, 1, 100_000)
    item = token_input(Spectrum.checked(mz, intensity, precursor_mz=1600.0))
    assert item.n_tokens == PUBLISHED.max_peaks == 256
    strongest = np.sort(mz[np.argsort(intensity)[-255:]])
    np.testing.assert_array_equal(item.peaks.mz, strongest)
    assert collate([item]).features.shape == (1, 256, 8)


def test_the_order_of_peaks_in_a_file_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    s = spectrum(rng, 30)
    shuffled = rng.permutation(30)
    other = Spectrum.checked(
        s.mz[shuffled], s.intensity[shuffled], precursor_mz=s.precursor_mz, charge=s.charge
    )
    a, b = collate([token_input(s)]), collate([token_input(other)])
    assert a.features.equal(b.features)
