"""The door of the spectrum: what is refused, what is mended and named, and that nothing moves afterwards."""

import dataclasses
import math

import numpy as np
import pytest

from specsearch.errors import InvalidSpectrum
from specsearch.spectra.spectrum import Spectrum


def test_the_arrays_are_copies_and_frozen() -> None:
    mz, intensity = np.array([100.0, 200.0]), np.array([1.0, 2.0])
    for spectrum in (Spectrum(mz, intensity), Spectrum.checked(mz, intensity)):
        mz[0], intensity[0] = 50.0, 9.0
        assert spectrum.mz.tolist() == [100.0, 200.0]
        assert spectrum.intensity.tolist() == [1.0, 2.0]
        mz[0], intensity[0] = 100.0, 1.0
        for array in (spectrum.mz, spectrum.intensity):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1.0
    assert mz.flags.writeable


def test_fields_and_metadata_cannot_be_assigned() -> None:
    given = {"compound_name": "caffeine"}
    spectrum = Spectrum.checked([1.0], [1.0], metadata=given)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spectrum.precursor_mz = 5.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        spectrum.metadata["compound_name"] = "tea"  # type: ignore[index]
    given["compound_name"] = "tea"
    assert spectrum.metadata["compound_name"] == "caffeine"


@pytest.mark.parametrize(
    ("mz", "intensity", "reason"),
    [
        ([], [], "no peaks"),
        ([1.0, 2.0], [1.0], "m/z and intensity differ in length"),
        ([[1.0, 2.0]], [[1.0, 2.0]], "m/z and intensity differ in length"),
        (1.0, 1.0, "m/z and intensity differ in length"),
        ([math.nan], [1.0], "m/z not finite"),
        ([math.inf], [1.0], "m/z not finite"),
        ([0.0], [1.0], "m/z not positive"),
        ([-1.0, 1.0], [1.0, 1.0], "m/z not positive"),
        ([1.0], [math.nan], "intensity not finite"),
        ([1.0], [math.inf], "intensity not finite"),
        ([1.0, 2.0], [1.0, -1.0], "intensity negative"),
        ([1.0, 2.0], [0.0, 0.0], "all intensities zero"),
    ],
)
@pytest.mark.parametrize("door", [Spectrum, Spectrum.checked])
def test_peaks_no_spectrum_can_have(door, mz, intensity, reason: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidSpectrum) as caught:
        door(mz, intensity)
    assert caught.value.reason == reason


@pytest.mark.parametrize("precursor_mz", [-1.0, math.inf, -math.inf])
@pytest.mark.parametrize("door", [Spectrum, Spectrum.checked])
def test_precursors_no_spectrum_can_have(door, precursor_mz: float) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidSpectrum) as caught:
        door([1.0], [1.0], precursor_mz=precursor_mz)
    assert caught.value.reason == "precursor m/z not positive"


@pytest.mark.parametrize(
    ("faulty", "reason"),
    [
        ({"precursor_mz": 0.0}, "precursor m/z not positive"),
        ({"precursor_mz": math.nan}, "precursor m/z not positive"),
        ({"charge": 0}, "charge is zero"),
    ],
)
def test_the_bare_constructor_mends_nothing(faulty: dict, reason: str) -> None:
    with pytest.raises(InvalidSpectrum) as caught:
        Spectrum(np.array([1.0]), np.array([1.0]), **faulty)
    assert caught.value.reason == reason
    with pytest.raises(InvalidSpectrum, match="not sorted"):
        Spectrum(np.array([2.0, 1.0]), np.array([1.0, 1.0]))


def test_unsorted_peaks_are_sorted_together_and_named() -> None:
    spectrum = Spectrum.checked([300, 100, 200], [3, 1, 2], notes=("seen before",))
    assert list(zip(spectrum.mz, spectrum.intensity, strict=True)) == [(100, 1), (200, 2), (300, 3)]
    assert spectrum.notes == ("seen before", "peaks were not sorted")


def test_equal_mz_keep_their_order_and_need_no_note() -> None:
    spectrum = Spectrum.checked([100.0, 100.0, 200.0], [2.0, 1.0, 3.0])
    assert spectrum.intensity.tolist() == [2.0, 1.0, 3.0]
    assert spectrum.notes == ()


@pytest.mark.parametrize("unknown", [None, 0, 0.0, math.nan])
def test_unknown_precursor(unknown: float | None) -> None:
    assert Spectrum.checked([1.0], [1.0], precursor_mz=unknown).precursor_mz is None


def test_unknown_charge_and_adduct() -> None:
    spectrum = Spectrum.checked([1.0], [1.0], charge=0, adduct="")
    assert spectrum.charge is None
    assert spectrum.adduct is None
    assert spectrum.ion_mode is None


@pytest.mark.parametrize(
    ("charge", "mode"), [(1, "positive"), (3, "positive"), (-1, "negative"), (-2, "negative")]
)
def test_the_charges_sign_is_the_ion_mode(charge: int, mode: str) -> None:
    assert Spectrum.checked([1.0], [1.0], charge=charge).ion_mode == mode


def test_types_and_length() -> None:
    spectrum = Spectrum.checked([1, 2], np.array([1, 2], dtype=np.float32), precursor_mz=np.float32(3))  # type: ignore[arg-type]
    assert spectrum.mz.dtype == spectrum.intensity.dtype == np.float64
    assert type(spectrum.precursor_mz) is float
    assert len(spectrum) == 2


def test_order_of_peaks_does_not_reach_the_splash() -> None:
    forward = Spectrum.checked([100.0, 200.0, 300.0], [1.0, 5.0, 2.0])
    backward = Spectrum.checked([300.0, 200.0, 100.0], [2.0, 5.0, 1.0])
    assert forward.splash == backward.splash
    assert forward.splash != Spectrum.checked([100.0, 200.0, 300.0], [1.0, 5.0, 3.0]).splash
