"""Points, peak texts and the checks at the door."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_material import CONTRACT, SIZE, points, sparse, spoiled, unit

from specsearch.errors import StoreDamaged, StoreError
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.points import Point, SparseVector, decode_peaks, encode_peaks, make_point, point_id
from specsearch.store.schema import ALL_KEYS
from specsearch.store.validation import require_valid


@given(
    st.lists(
        st.tuples(st.floats(10, 5000), st.floats(1e-7, 1)),
        min_size=1,
        max_size=200,
    )
)
def test_peak_text_keeps_mz_and_intensity(peaks: list[tuple[float, float]]) -> None:
    mz = np.sort([m for m, _ in peaks])
    intensity = np.array([i for _, i in peaks]) * 1e6
    got_mz, got = decode_peaks(encode_peaks(mz, intensity))
    assert np.all(np.abs(got_mz / mz - 1) * 1e6 < 0.1)
    relative = intensity / intensity.max()
    assert np.all(np.abs(got - relative) <= 1.6e-5 * np.sqrt(relative))
    assert got.max() == 1.0
    assert np.all(got > 0)
    assert np.all(np.diff(got_mz) >= 0)


def test_peak_text_is_eight_characters_a_peak() -> None:
    assert len(encode_peaks(np.arange(1, 301), np.ones(300))) == 2400


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "QUJDREVGRw=="])
def test_what_is_no_peak_text_is_refused(text: str) -> None:
    with pytest.raises(StoreDamaged):
        decode_peaks(text)


def test_point_id_is_a_uuid5_that_never_changes() -> None:
    # Frozen: another value here would double every library that is indexed again.
    namespace = uuid.uuid5(uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8"), "specsearch:spectrum")
    assert point_id("a", "b:c") == str(uuid.uuid5(namespace, "a:b:c"))
    assert uuid.UUID(point_id("a", "b")).version == 5


def test_payload_of_a_full_record() -> None:
    spectrum = Spectrum.checked(
        [50.0, 100.0],
        [1.0, 2.0],
        accession="X1",
        precursor_mz=200.123456789,
        charge=-2,
        adduct="[M-2H]2-",
        metadata={
            "smiles": "CCO",
            "inchikey": "LFQSCWFLJHTTHZ-UHFFFAOYSA-N",
            "instrument_type": "LC-ESI-QTOF",
            "retention_time": "3.5",
        },
    )
    extra = {"exact_mass": np.float64(402.2614), "formula": None, "source": "file.msp"}
    payload = make_point("lib", spectrum, np.ones(4), SparseVector(), SparseVector(), extra).payload
    assert payload == {
        "spectrum_id": "lib:X1",
        "library": "lib",
        "accession": "X1",
        "precursor_mz": 200.123457,
        "charge": -2,
        "ion_mode": "negative",
        "adduct": "[M-2H]2-",
        "exact_mass": 402.2614,
        "smiles": "CCO",
        "inchikey14": "LFQSCWFLJHTTHZ",
        "instrument_type": "LC-ESI-QTOF",
        "splash": spectrum.splash,
        "source": "file.msp",
        "n_peaks": 2,
        "peaks": encode_peaks(spectrum.mz, spectrum.intensity),
        "metadata": {"inchikey": "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "retention_time": "3.5"},
    }
    assert set(payload) <= ALL_KEYS


def test_a_bare_record_has_no_empty_keys() -> None:
    spectrum = Spectrum.checked([50.0], [1.0], accession="X")
    payload = make_point("lib", spectrum, np.ones(4), SparseVector(), SparseVector()).payload
    assert set(payload) == {"spectrum_id", "library", "accession", "splash", "n_peaks", "peaks"}


def test_make_point_refuses_what_cannot_be_found_again() -> None:
    nameless = Spectrum.checked([50.0], [1.0])
    with pytest.raises(StoreError, match="accession"):
        make_point("lib", nameless, np.ones(4), SparseVector(), SparseVector())
    named = Spectrum.checked([50.0], [1.0], accession="X")
    with pytest.raises(StoreError, match="pepmass"):
        make_point("lib", named, np.ones(4), SparseVector(), SparseVector(), {"pepmass": 1.0})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nan", "norm nan"),
        ("inf", "norm inf"),
        ("zero", "norm 0"),
        ("norm", "norm 1.01"),
        ("short", "shape"),
        ("unsorted", "peaks indices not ascending"),
        ("sparse nan", "peaks values not finite"),
        ("twice", "twice in one batch"),
    ],
)
def test_the_point_at_fault_is_named(fault: str, words: str) -> None:
    batch = points(6)
    require_valid(batch, CONTRACT)
    batch[3] = spoiled(batch[3], batch[2], fault)
    with pytest.raises(StoreError, match=f"'lib:A3' cannot be stored: .*{words}"):
        require_valid(batch, CONTRACT)


@pytest.mark.parametrize(
    "values", [{"precursor_mz": float("inf")}, {"exact_mass": "300"}, {"library": ""}, {"spectrum_id": None}]
)
def test_payloads_are_checked(values: dict[str, object]) -> None:
    (good,) = points(1)
    bad = Point(good.point_id, good.embedding, good.peaks, good.losses, {**good.payload, **values})
    with pytest.raises(StoreError, match="cannot be stored"):
        require_valid([bad], CONTRACT)


def test_float16_rounding_of_an_encoder_is_tolerated() -> None:
    rng = np.random.default_rng(0)
    halved = unit(rng, SIZE).astype(np.float16).astype(np.float32)
    (good,) = points(1)
    require_valid([Point(good.point_id, halved, sparse(rng), SparseVector(), good.payload)], CONTRACT)
    require_valid([], CONTRACT)
