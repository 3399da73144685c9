"""How near predicted fingerprints are to the true ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from specsearch.encoder.training.examples import Examples
from specsearch.evaluation.figures import Figure, by_stratum
from specsearch.evaluation.intervals import estimate_per_value, mean_per_molecule
from specsearch.evaluation.strata import ALL, Strata

SECTION = "fingerprint prediction"
_EVEN = 0.5
_THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)
_BLOCK = 1024
_PER_SPECTRUM = ", per spectrum"

Bits = NDArray[np.uint8]
Predicted = NDArray[np.float32]


def cosines(predicted: Predicted, truth: Bits) -> NDArray[np.float64]:
    """Cosine of each predicted fingerprint with the true one.

    Parameters
    ----------
    predicted : numpy.ndarray of shape (n, n_bits), float32
        Probabilities, or zeros and ones.
    truth : numpy.ndarray of shape (n, n_bits), uint8

    Returns
    -------
    numpy.ndarray of shape (n,)
        0 where either has no bit.
    """
    shared = np.einsum("ij,ij->i", predicted, truth, dtype=np.float64)
    norms = np.linalg.norm(predicted, axis=1) * np.sqrt(truth.sum(axis=1, dtype=np.float64))
    return shared / np.where(norms > 0, norms, 1.0)


def tanimotos(predicted: Predicted, truth: Bits, threshold: float = _EVEN) -> NDArray[np.float64]:
    """Tanimoto of each thresholded prediction with the true fingerprint; shapes as in `cosines`."""
    on, true = predicted >= threshold, truth.astype(bool)
    either = (on | true).sum(axis=1)
    return (on & true).sum(axis=1) / np.maximum(either, 1)


def fit_threshold(predicted: Predicted, truth: Bits, molecule: NDArray[np.int64]) -> float:
    """The probability from which a bit is best called set, by mean Tanimoto over molecules.

    Parameters
    ----------
    predicted, truth
        As in `cosines`, of the validation split.
    molecule : numpy.ndarray of shape (n,), int64
    """
    means = [mean_per_molecule(tanimotos(predicted, truth, t), molecule).mean() for t in _THRESHOLDS]
    return float(_THRESHOLDS[int(np.argmax(means))])


def fingerprint_figures(
    predictions: Mapping[str, tuple[Predicted, float]],
    truth: Bits,
    molecule: NDArray[np.int64],
    strata: Strata,
) -> Iterator[Figure]:
    """Cosine and Tanimoto of predicted fingerprints, per molecule and per spectrum.

    Parameters
    ----------
    predictions : mapping of str to (numpy.ndarray of shape (n_spectra, n_bits), float)
        Probabilities and the threshold fitted on val, by name.
    truth : numpy.ndarray of shape (n_spectra, n_bits), uint8
    molecule : numpy.ndarray of shape (n_spectra,), int64
    strata : Strata
    """
    for name, (predicted, threshold) in predictions.items():
        measured = {
            "cosine": cosines(predicted, truth),
            f"Tanimoto at {_EVEN}": tanimotos(predicted, truth),
            "Tanimoto at val's threshold": tanimotos(predicted, truth, threshold),
        }
        for measure, values in measured.items():
            yield from by_stratum(SECTION, name, measure, values, molecule, strata)
            whole = estimate_per_value(values, molecule)
            yield Figure(SECTION, name, measure + _PER_SPECTRUM, ALL, whole)


def control_figures(
    train: Examples,
    truth: Bits,
    neutral_mass: NDArray[np.float64],
    molecule: NDArray[np.int64],
    strata: Strata,
) -> Iterator[Figure]:
    """What fingerprints drawn from the training molecules reach: any at random, and the nearest in mass.

    Parameters
    ----------
    train : Examples
        The molecules that may be drawn.
    truth : numpy.ndarray of shape (n_spectra, n_bits), uint8
    neutral_mass : numpy.ndarray of shape (n_spectra,)
        Da, of the queries.
    molecule : numpy.ndarray of shape (n_spectra,), int64
    strata : Strata
    """
    found = _random_and_nearest(train, truth, neutral_mass)
    for measure, (at_random, nearest) in found.items():
        yield from by_stratum(SECTION, "random", measure, at_random, molecule, strata)
        yield from by_stratum(SECTION, "mass error only", measure, nearest, molecule, strata)


def _random_and_nearest(
    train: Examples, truth: Bits, neutral_mass: NDArray[np.float64]
) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """By measure: mean over all training molecules, and the value of the one nearest in mass."""
    theirs = train.fingerprints.astype(np.float32)
    their_count = theirs.sum(axis=1)
    blocks = []
    for start in range(0, len(truth), _BLOCK):
        own, mass = truth[start : start + _BLOCK].astype(np.float32), neutral_mass[start : start + _BLOCK]
        nearest = np.abs(train.exact_mass[None, :] - mass[:, None]).argmin(axis=1)[:, None]
        shared, own_count = own @ theirs.T, own.sum(axis=1)[:, None]
        cosine = shared / np.sqrt(np.maximum(own_count * their_count, 1.0))
        tanimoto = shared / np.maximum(own_count + their_count - shared, 1.0)
        blocks.append(
            [
                (values.mean(axis=1, dtype=np.float64), np.take_along_axis(values, nearest, axis=1)[:, 0])
                for values in (cosine, tanimoto)
            ]
        )
    measured = np.concatenate(blocks, axis=2)  # measure, control, spectrum
    return {"cosine": tuple(measured[0]), f"Tanimoto at {_EVEN}": tuple(measured[1])}
