"""Strata: the same figures by ion mode, instrument, peaks, precursor, adduct, energy and contest."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.structures import parse_structure
from specsearch.chemistry.tolerance import mass_error_ppm
from specsearch.evaluation.splits import Split

ALL = "all"
# MassBank's instrument types end in the analysers, e.g. LC-ESI-QTOF (MassBank record format 2.6).
_ANALYSERS = {
    "time of flight": ("TOF", "QTOF", "ITTOF", "TOFTOF", "QITTOF"),
    "Orbitrap, FT-ICR": ("FT", "QFT", "ITFT"),
}
_OTHER_INSTRUMENT = "other instrument"
# Rounded to four decimals a calculated precursor is off by 0.5 ppm at most from 100 Da on; measured ones
# are rarely that near.
_CALCULATED_PPM = 0.5
_ENERGY_BOUNDS = (25, 50)  # as given, eV or %
_CONTESTS = ("CASMI_2012", "CASMI_2016")
_OFTEN = 100
_PEAK_BOUNDS = (0, 5, 10, 20, 50)  # above this many

Strata = Mapping[str, NDArray[np.bool_]]


def strata_of(split: Split) -> dict[str, NDArray[np.bool_]]:
    """Which spectra belong to which stratum; the first, `ALL`, holds every one.

    Returns
    -------
    dict of str to numpy.ndarray of shape (n_spectra,), bool
        Without empty strata.
    """
    positive = split.examples.positive
    strata = {
        ALL: np.ones(len(split), dtype=bool),
        "positive": positive,
        "negative": ~positive,
        **_instruments(split.instrument_type),
        **_peak_ranges(split.n_peaks),
        **_precursors(split),
        **_named("adduct", split.adduct),
        **_energies(split.collision_energy),
        **_named("from", [text if text in _CONTESTS else "" for text in split.origin]),
    }
    return {name: members for name, members in strata.items() if members.any()}


def only_rows(strata: Strata, rows: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """The strata of a choice of spectra, without those that it leaves empty."""
    chosen = {name: members[rows] for name, members in strata.items()}
    return {name: members for name, members in chosen.items() if members.any()}


def _instruments(instrument_type: list[str]) -> dict[str, NDArray[np.bool_]]:
    analyser = np.array([text.upper().rpartition("-")[2] for text in instrument_type])
    groups = {name: np.isin(analyser, members) for name, members in _ANALYSERS.items()}
    return {**groups, _OTHER_INSTRUMENT: ~np.any(list(groups.values()), axis=0)}


def _peak_ranges(n_peaks: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    ranges = {}
    for above, upto in zip(_PEAK_BOUNDS, (*_PEAK_BOUNDS[1:], None), strict=True):
        name = f"{above + 1}+ peaks" if upto is None else f"{above + 1}-{upto} peaks"
        ranges[name] = (n_peaks > above) & (True if upto is None else n_peaks <= upto)
    return ranges


def _named(prefix: str, texts: list[str]) -> dict[str, NDArray[np.bool_]]:
    """The texts that many spectra share."""
    values, counts = np.unique(np.array([*texts, ""]), return_counts=True)
    often = [value for value, count in zip(values, counts, strict=True) if value and count >= _OFTEN]
    return {f"{prefix} {value}": np.array(texts) == value for value in often}


def _energies(texts: list[str]) -> dict[str, NDArray[np.bool_]]:
    """By the first number of the collision energy; records rarely say whether it is in eV or relative."""
    found = [re.search(r"\d+(\.\d+)?", text) for text in texts]
    energy = np.array([float(number.group()) if number else np.nan for number in found])
    low, high = _ENERGY_BOUNDS
    return {
        f"collision energy to {low}": energy <= low,
        f"collision energy {low} to {high}": (energy > low) & (energy <= high),
        f"collision energy above {high}": energy > high,
    }


def _precursors(split: Split) -> dict[str, NDArray[np.bool_]]:
    """Whether the file gives the precursor that the structure says, or one that an instrument saw."""
    exact_mass = np.array([parse_structure(text).exact_mass for text in split.smiles])
    error = mass_error_ppm(split.neutral_mass, exact_mass[split.examples.molecule])
    calculated = np.abs(error) <= _CALCULATED_PPM
    return {"calculated precursor": calculated, "measured precursor": ~calculated}
