"""Tolerances against arithmetic done by hand."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specsearch.chemistry.tolerance import Tolerance, mass_error_ppm, parse_tolerance
from specsearch.errors import ParseError


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("10ppm", 10.0, "ppm"),
        (" 10 ppm ", 10.0, "ppm"),
        ("5PPM", 5.0, "ppm"),
        ("0.01Da", 0.01, "Da"),
        ("0.02 da", 0.02, "Da"),
        ("5 mDa", 0.005, "Da"),
        ("1e-3 Da", 0.001, "Da"),
        (".5Da", 0.5, "Da"),
    ],
)
def test_spellings(text: str, value: float, unit: str) -> None:
    assert parse_tolerance(text) == Tolerance(value, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "ppm",
        "ten ppm",
        "-5ppm",
        "0 ppm",
        "0.0Da",
        "nan ppm",
        "inf Da",
        "1e400 Da",
        "1e-400 Da",
        "1.2.3 ppm",
        ". Da",
        "10 ppb",
        "10 ppm of it",
        "1,5 Da",
        "٣ ppm",
        "1" * 5000 + "ppm",
    ],
)
def test_refusals_name_a_next_step(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_tolerance(text)
    assert "10ppm" in caught.value.next_step
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_constructor_has_the_same_door(value: float) -> None:
    with pytest.raises(ParseError):
        Tolerance(value, "ppm")
    with pytest.raises(ParseError):
        Tolerance(1.0, "ppb")  # type: ignore[arg-type]


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Tolerance(1.0, "Da").value = 2.0  # type: ignore[misc]


def test_windows_by_hand() -> None:
    assert Tolerance(10, "ppm").window(500.0) == pytest.approx((499.995, 500.005), abs=1e-12)
    assert Tolerance(0.01, "Da").window(500.0) == pytest.approx((499.99, 500.01), abs=1e-12)
    assert Tolerance(20, "ppm").width_da(250.0) == pytest.approx(0.005, abs=1e-15)


@given(
    value=st.floats(1e-3, 1e3),
    unit=st.sampled_from(["ppm", "Da"]),
    true=st.floats(50, 2000),
    offset=st.floats(-2, 2),
)
def test_contains_means_inside_the_window(value: float, unit: str, true: float, offset: float) -> None:
    tolerance = Tolerance(value, unit)  # type: ignore[arg-type]
    allowed = value if unit == "Da" else value * true / 1e6
    if not math.isclose(abs(offset), allowed, rel_tol=1e-6):
        assert tolerance.contains(true + offset, true) == (abs(offset) < allowed)
    assert all(tolerance.contains(edge, true) for edge in tolerance.window(true))


def test_arrays_give_what_numbers_give() -> None:
    mz = np.array([100.0, 500.0, 1500.0])
    for tolerance in (Tolerance(7, "ppm"), Tolerance(0.02, "Da")):
        low, high = tolerance.window(mz)
        assert list(zip(low, high, strict=True)) == [tolerance.window(float(value)) for value in mz]
        assert tolerance.contains(mz + 0.005, mz).tolist() == [  # type: ignore[union-attr]
            tolerance.contains(value + 0.005, value) for value in mz.tolist()
        ]
    inside = Tolerance(5, "ppm").contains(np.array([math.nan, 100.0, math.inf]), 100.0)
    assert inside.tolist() == [False, True, False]  # type: ignore[union-attr]


@given(st.floats(1e-6, 1e6), st.sampled_from(["ppm", "Da"]))
def test_written_and_read_again(value: float, unit: str) -> None:
    tolerance = Tolerance(value, unit)  # type: ignore[arg-type]
    assert parse_tolerance(str(tolerance)) == tolerance


def test_mass_error_is_signed() -> None:
    assert mass_error_ppm(500.005, 500.0) == pytest.approx(10.0)
    assert mass_error_ppm(499.995, 500.0) == pytest.approx(-10.0)
    errors = mass_error_ppm(np.array([100.001, 200.0]), np.array([100.0, 200.001]))
    assert errors == pytest.approx([10.0, -4.999975])
