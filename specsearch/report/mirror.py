"""Mirror plots: one spectrum above, another below, matched peaks in colour, fragments by their formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.fragment_matching import match_fragments
from specsearch.chemistry.fragments import find_fragments
from specsearch.chemistry.structures import parse_molecule
from specsearch.chemistry.tolerance import Tolerance
from specsearch.errors import InputFileError, ParseError
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean
from specsearch.spectra.similarity import match_peaks
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".svg", ".png", ".pdf")
# Told apart by people who see few colours (Okabe and Ito, 2008).
DIRECT, SHIFTED, UNMATCHED = "#0072b2", "#d55e00", "#9aa3ad"
_FRAGMENT_DEPTH = 2
_FRAGMENT_TOLERANCE = Tolerance(10, "ppm")
_N_LABELS = 8
_MIN_GAP = 0.04  # of the m/z axis, half the room of a label


@dataclass(frozen=True, eq=False)
class Side:
    """One half of a mirror plot.

    Parameters
    ----------
    title : str
    peaks : Peaks
        Relative to the base peak.
    labels : mapping of int to str
        Text beside peaks, by their number.
    """

    title: str
    peaks: Peaks
    labels: Mapping[int, str]


def side_of(spectrum: Spectrum, title: str = "") -> Side:
    """A spectrum prepared as for rescoring, its peaks named by the fragments of its own structure if known.

    Parameters
    ----------
    spectrum : Spectrum
    title : str, optional
        Else accession, name, adduct and precursor.
    """
    peaks = clean(spectrum, RESCORING_RECIPE)
    return Side(title or _title(spectrum), peaks, fragment_names(spectrum, peaks))


def fragment_names(spectrum: Spectrum, peaks: Peaks) -> dict[int, str]:
    """Formulas of the ions that the spectrum's own structure explains; empty where it has none."""
    smiles = spectrum.metadata.get("smiles")
    if not smiles or not spectrum.adduct:
        return {}
    try:
        fragments = find_fragments(parse_molecule(smiles), _FRAGMENT_DEPTH)
        adduct = parse_adduct(spectrum.adduct)
    except ParseError:
        return {}
    found = match_fragments(fragments, peaks.mz, peaks.intensity, adduct, _FRAGMENT_TOLERANCE)
    return {peak: str(found.formula(peak)) for peak in np.flatnonzero(found.explained).tolist()}


def write_mirror(path: Path, top: Side, bottom: Side | None = None) -> None:
    """Draw one spectrum, or two against each other, by the file's ending.

    Matched peaks are those behind the modified cosine: blue where they match as they are, orange where they
    match shifted by the difference of the precursors.

    Raises
    ------
    InputFileError
        If the ending is none of `PICTURES`, or the file cannot be written.
    """
    require_picture(path)
    save_figure(path, draw_mirror(top, bottom))


def require_picture(path: Path) -> None:
    """Raise `InputFileError` unless the ending is one of `PICTURES`."""
    if path.suffix.lower() not in PICTURES:
        raise InputFileError(f"{path.name} has no ending of a picture.", f"Use {', '.join(PICTURES)}.")


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure, whole or not at all, the same bytes for the same figure."""
    import matplotlib

    ending = path.suffix.lower()[1:]
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[ending]
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "specsearch"}):
        figure.savefig(temporary, format=ending, dpi=150, metadata=metadata)


def draw_mirror(top: Side, bottom: Side | None = None) -> Figure:
    """The figure behind `write_mirror`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5 if bottom else 3.2), layout="constrained")
    axes = figure.add_subplot()
    # Names come from files: a dollar sign there is no formula.
    pairs = match_peaks(top.peaks, bottom.peaks) if bottom else []
    kinds = [{pair[side]: pair[2] for pair in pairs} for side in (0, 1)]
    span = mz_span([side.peaks for side in (top, bottom) if side])
    axes.set_xlim(*span)
    _draw_side(axes, top, kinds[0], 1.0)
    axes.set_title(top.title, fontsize=9, loc="left", parse_math=False)
    if bottom is not None:
        _draw_side(axes, bottom, kinds[1], -1.0)
        axes.text(0.0, 0.01, bottom.title, fontsize=9, transform=axes.transAxes, parse_math=False)
        _legend(axes, pairs)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylim(-1.3 if bottom else 0, 1.2)
    axes.set_xlabel("m/z")
    axes.set_ylabel("relative intensity")
    axes.set_yticks([-1, -0.5, 0, 0.5, 1] if bottom else [0, 0.5, 1])
    axes.set_yticklabels(["1", "0.5", "0", "0.5", "1"] if bottom else ["0", "0.5", "1"])
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_side(axes: Axes, side: Side, kinds: Mapping[int, bool], sign: float) -> None:
    colours = [
        UNMATCHED if i not in kinds else SHIFTED if kinds[i] else DIRECT for i in range(len(side.peaks.mz))
    ]
    if not kinds:
        colours = [DIRECT if i in side.labels else "#333333" for i in range(len(side.peaks.mz))]
    axes.vlines(side.peaks.mz, 0, sign * side.peaks.intensity, colors=colours, linewidth=1.2)
    for peak in labelled_peaks(side.peaks, axes.get_xlim()):
        axes.annotate(
            f"{side.peaks.mz[peak]:.4f}\n{side.labels.get(peak, '')}".strip(),
            (side.peaks.mz[peak], sign * side.peaks.intensity[peak]),
            xytext=(0, 3 * sign),
            textcoords="offset points",
            ha="center",
            va="bottom" if sign > 0 else "top",
            fontsize=6.5,
            color=colours[peak] if colours[peak] != UNMATCHED else "#555555",
        )


def labelled_peaks(peaks: Peaks, span: tuple[float, float]) -> list[int]:
    """Numbers of the strongest peaks, no two labels upon each other and no higher peak behind a label.

    Parameters
    ----------
    peaks : Peaks
    span : (float, float)
        Ends of the m/z axis.
    """
    chosen: list[int] = []
    gap = _MIN_GAP * (span[1] - span[0])
    for peak in np.argsort(-peaks.intensity, kind="stable").tolist():
        away = np.abs(peaks.mz - peaks.mz[peak])
        is_behind = (away < gap) & (peaks.intensity > peaks.intensity[peak])
        if not is_behind.any() and (away[chosen] > 2 * gap).all():
            chosen.append(peak)
        if len(chosen) == _N_LABELS:
            break
    return chosen


def _legend(axes: Axes, pairs: list[tuple[int, int, bool]]) -> None:
    from matplotlib.lines import Line2D

    n_shifted = sum(is_shifted for _, _, is_shifted in pairs)
    named = [
        (DIRECT, f"{len(pairs) - n_shifted} matched"),
        (SHIFTED, f"{n_shifted} matched when shifted"),
        (UNMATCHED, "unmatched"),
    ]
    handles = [Line2D([], [], color=colour, label=label) for colour, label in named]
    axes.legend(handles=handles, fontsize=7, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)


def mz_span(sides: Sequence[Peaks]) -> tuple[float, float]:
    """Ends of an m/z axis that shows all peaks, with some room beside them."""
    low = min(float(peaks.mz.min()) for peaks in sides)
    high = max(float(peaks.mz.max()) for peaks in sides)
    margin = max(5.0, 0.04 * (high - low))
    return low - margin, high + margin


def _title(spectrum: Spectrum) -> str:
    precursor = "" if spectrum.precursor_mz is None else f"precursor m/z {spectrum.precursor_mz:.4f}"
    parts = (spectrum.accession, spectrum.metadata.get("compound_name", ""), spectrum.adduct or "", precursor)
    return "   ".join(part for part in parts if part)
