"""Which molecules of a bank come into question for a query, before any of them is scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from specsearch.chemistry.tolerance import Tolerance, mass_error_ppm
from specsearch.search.candidate_scores import Matches
from specsearch.search.constraints import Constraints
from specsearch.search.hypotheses import Hypothesis
from specsearch.store.bank import Bank

_FORMULA_WINDOW_DA = 1e-4
_FARTHEST_PPM = 1000.0  # beyond, an adduct that nobody named explains nothing
_NEAR_ROWS = 64  # looked at on either side of a window in which there is nothing


def in_window(
    bank: Bank, hypotheses: Sequence[Hypothesis], tolerance: Tolerance, constraints: Constraints
) -> Matches:
    """Molecules whose mass one of the hypotheses says, each with the hypothesis it fits best.

    An adduct that was not given must fit the molecule's charge: else ``[M]+`` would take every neutral
    molecule of the precursor's own mass.
    """
    windows = [bank.window(*tolerance.window(hypothesis.exact_mass)) for hypothesis in hypotheses]
    found = nearest_hypothesis(bank, np.unique(np.concatenate([*windows, np.empty(0, np.int64)])), hypotheses)
    masses = np.array([hypothesis.exact_mass for hypothesis in hypotheses])
    # A wide window around one hypothesis may hold molecules that fit another better but by a wrong charge.
    inside = tolerance.contains(bank.exact_mass[found.row], masses[found.hypothesis])
    return _allowed(bank, found.only(np.asarray(inside) & (found.hypothesis >= 0)), constraints)


def by_formula(bank: Bank, hypotheses: Sequence[Hypothesis], constraints: Constraints) -> Matches:
    """Molecules of the formulas asked for, whatever the precursor says."""
    windows = [
        bank.window(m - _FORMULA_WINDOW_DA, m + _FORMULA_WINDOW_DA) for m in sorted(constraints.masses())
    ]
    rows = np.unique(np.concatenate([*windows, np.empty(0, np.int64)]))
    return _allowed(bank, nearest_hypothesis(bank, rows, hypotheses), constraints)


def nearest_hypothesis(bank: Bank, rows: NDArray[np.int64], hypotheses: Sequence[Hypothesis]) -> Matches:
    """Give molecules the hypothesis of the smallest mass error among those that fit; -1 without any.

    Where the only hypothesis was given, it is every molecule's.
    """
    mass, charge = bank.exact_mass[rows], bank.formal_charge(rows)
    error, fits = np.full((len(hypotheses), len(rows)), np.inf), np.zeros((len(hypotheses), len(rows)), bool)
    for i, hypothesis in enumerate(hypotheses):
        fits[i] = charge * hypothesis.adduct.n_molecules == hypothesis.adduct.molecule_charge
        ppm = mass_error_ppm(np.full(len(rows), hypothesis.exact_mass), mass)
        usable = hypothesis.is_given | (fits[i] & (np.abs(ppm) <= _FARTHEST_PPM))
        error[i] = np.where(usable, ppm, np.inf)
    if not len(hypotheses):
        unknown = np.full(len(rows), np.nan)
        return Matches(rows, np.full(len(rows), -1, np.int64), np.zeros(len(rows), bool), unknown)
    best = np.abs(error).argmin(axis=0)
    every = np.arange(len(rows))
    is_known = np.isfinite(error[best, every])
    return Matches(
        rows,
        np.where(is_known, best, -1),
        fits[best, every],
        np.where(is_known, error[best, every], np.nan),
    )


def nearest_outside(
    bank: Bank, hypotheses: Sequence[Hypothesis], constraints: Constraints
) -> tuple[Hypothesis, float] | None:
    """The hypothesis and the error in ppm of the molecule nearest in mass; None where none is near."""
    best: tuple[Hypothesis, float] | None = None
    for hypothesis in hypotheses:
        place = int(np.searchsorted(bank.exact_mass, hypothesis.exact_mass))
        rows = np.arange(max(0, place - _NEAR_ROWS), min(len(bank), place + _NEAR_ROWS))
        near = _allowed(bank, nearest_hypothesis(bank, rows, [hypothesis]), constraints)
        errors = np.abs(near.mass_error_ppm[near.hypothesis >= 0])
        if len(errors) and (best is None or errors.min() < abs(best[1])):
            best = hypothesis, float(errors.min())
    return best


def _allowed(bank: Bank, matches: Matches, constraints: Constraints) -> Matches:
    if not constraints or not len(matches.row):
        return matches
    formulas = [molecule.formula for molecule in bank.molecules(matches.row)]
    return matches.only(constraints.allows(formulas))
