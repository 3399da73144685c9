"""Curves between 0 and 1 as one SVG: reliability, risk against coverage, and what an absent truth does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from specsearch.evaluation.calibration import ReliabilityBin
from specsearch.evaluation.selective import AbsentCurve, RiskCoverage
from specsearch.spectra.writers.atomic import replacing_text

_SIZE, _GAP, _LEGEND = 240, 60, 16
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Told apart by people who see few colours (Okabe and Ito, 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_STYLE = "text{font:11px sans-serif;fill:#333}polyline{fill:none;stroke-width:1.5}"

Point = tuple[float, float]


@dataclass(frozen=True)
class Diagram:
    """A square panel; both axes run from 0 to 1.

    Parameters
    ----------
    title, x_label, y_label : str
    lines : mapping of str to sequence of (float, float)
        Points by the name of the line; what is not finite is left out.
    intervals : sequence of (float, float, float)
        x, low and high of vertical bars, drawn in the colour of the first line.
    has_diagonal : bool
        Whether to draw where both axes are equal.
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, Sequence[Point]]
    intervals: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    has_diagonal: bool = False


def reliability_diagram(name: str, curve: Sequence[ReliabilityBin]) -> Diagram:
    """What was said against what came true, with intervals."""
    points = [(point.probability, point.right.mean) for point in curve]
    bars = [(point.probability, point.right.low, point.right.high) for point in curve]
    return Diagram("reliability", "probability", "share right", {name: points}, bars, has_diagonal=True)


def risk_coverage_diagram(curves: Mapping[str, RiskCoverage]) -> Diagram:
    """Share of wrong answers against share answered, one line for each confidence."""
    lines = {name: list(zip(curve.coverage, curve.risk, strict=True)) for name, curve in curves.items()}
    return Diagram("risk and coverage", "share answered", "share wrong", lines)


def absent_diagram(curve: AbsentCurve) -> Diagram:
    """Against the share answered: how many answers are wrong, and how many are given without a truth."""
    lines = {
        "wrong, truth in the bank": list(zip(curve.coverage, curve.risk, strict=True)),
        "answered, truth removed": list(zip(curve.coverage, curve.rated_absent, strict=True)),
    }
    return Diagram("truth removed from the bank", "share answered, truth in the bank", "share", lines)


def coverage_diagram(reached: Mapping[str, Sequence[Point]]) -> Diagram:
    """Conformal coverage: what was wanted against what was reached, one line for each set of lists."""
    return Diagram("conformal shortlist", "coverage wanted", "coverage reached", reached, has_diagonal=True)


def write_diagrams(path: Path, diagrams: Sequence[Diagram]) -> None:
    """Draw the panels side by side.

    Parameters
    ----------
    path : Path
        SVG file to replace.
    diagrams : sequence of Diagram

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    n_lines = max((len(diagram.lines) for diagram in diagrams), default=0)
    width = _GAP + len(diagrams) * (_SIZE + _GAP)
    height = 2 * _GAP + _SIZE + n_lines * _LEGEND
    with replacing_text(path) as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">\n')
        file.write(f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="white"/>\n')
        for place, diagram in enumerate(diagrams):
            file.write(f'<g transform="translate({_GAP + place * (_SIZE + _GAP)},{_GAP})">\n')
            file.writelines(f"{element}\n" for element in (*_axes(diagram), *_drawn(diagram)))
            file.write("</g>\n")
        file.write("</svg>\n")


def _axes(diagram: Diagram) -> Iterator[str]:
    """Title, frame, ticks and labels."""
    yield f'<text x="0" y="-12" font-weight="bold">{escape(diagram.title)}</text>'
    yield f'<rect width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#ccc"/>'
    for tick in _TICKS:
        x, y = _place((tick, tick))
        yield f'<text x="{x:.1f}" y="{_SIZE + 14}" text-anchor="middle">{tick:g}</text>'
        yield f'<text x="-4" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
    middle = _SIZE / 2
    yield f'<text x="{middle}" y="{_SIZE + 30}" text-anchor="middle">{escape(diagram.x_label)}</text>'
    label = escape(diagram.y_label)
    yield f'<text x="{-middle}" y="-34" transform="rotate(-90)" text-anchor="middle">{label}</text>'
    if diagram.has_diagonal:
        yield f'<line x1="0" y1="{_SIZE}" x2="{_SIZE}" y2="0" stroke="#999" stroke-dasharray="4 3"/>'


def _drawn(diagram: Diagram) -> Iterator[str]:
    """Intervals, lines, and below the panel what they are called."""
    for x, low, high in diagram.intervals:
        (left, bottom), (_, top) = _place((x, low)), _place((x, high))
        ends = f'x1="{left:.1f}" y1="{bottom:.1f}" x2="{left:.1f}" y2="{top:.1f}"'
        yield f'<line {ends} stroke="{_COLOURS[0]}" stroke-opacity="0.5"/>'
    for number, (name, points) in enumerate(diagram.lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [_place(point) for point in points if np.isfinite(point).all()]
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        yield f'<polyline points="{text}" stroke="{colour}"/>'
        y_legend = _SIZE + 34 + (number + 1) * _LEGEND
        yield f'<text x="0" y="{y_legend}" style="fill:{colour}">{escape(name)}</text>'


def _place(point: Point) -> Point:
    """Where a point stands on the panel, in pixels from its upper left corner."""
    return float(point[0]) * _SIZE, (1.0 - float(point[1])) * _SIZE
