"""Numbers over the steps of a run as one SVG: a small panel for each, so that no two units share an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from specsearch.spectra.writers.atomic import replacing_text

_X = "step"
_NOT_DRAWN = frozenset({_X, "seconds"})
_COLUMNS, _WIDTH, _HEIGHT, _GAP = 3, 260, 120, 46
_STYLE = "text{font:11px sans-serif;fill:#333}polyline{fill:none;stroke:#1f6fb4;stroke-width:1.5}"

Point = tuple[float, float]


def write_curves(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Draw every number of a metrics file against its ``step``.

    Parameters
    ----------
    path : Path
        SVG file to replace.
    lines : sequence of mapping
        One for each line of the metrics file; what is no finite number is left out.
    """
    curves = _curves(lines)
    n_rows = -(-len(curves) // _COLUMNS)
    width, height = _GAP + _COLUMNS * (_WIDTH + _GAP), _GAP + n_rows * (_HEIGHT + _GAP)
    with replacing_text(path) as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">\n')
        file.write(f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="white"/>\n')
        for place, (name, points) in enumerate(curves.items()):
            row, column = divmod(place, _COLUMNS)
            x, y = _GAP + column * (_WIDTH + _GAP), _GAP + row * (_HEIGHT + _GAP)
            file.write(f'<g transform="translate({x},{y})">\n')
            file.writelines(f"{element}\n" for element in _panel(name, points))
            file.write("</g>\n")
        file.write("</svg>\n")


def _curves(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """Points of each number, in the order of the steps."""
    curves: dict[str, list[Point]] = {}
    for line in sorted(lines, key=lambda line: line[_X]):
        for name, value in line.items():
            if name not in _NOT_DRAWN and isinstance(value, int | float) and math.isfinite(value):
                curves.setdefault(name, []).append((float(line[_X]), float(value)))
    return curves


def _panel(name: str, points: Sequence[Point]) -> Iterator[str]:
    """Title with the last value, a frame with both ranges, the line; one point alone becomes a dot."""
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    placed = [(_share(x, min(steps), max(steps)), _share(y, low, high)) for x, y in points]
    drawn = [(x * _WIDTH, (1 - y) * _HEIGHT) for x, y in placed]
    yield f'<text x="0" y="-8" font-weight="bold">{escape(name)}: {values[-1]:.4g}</text>'
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#ccc"/>'
    yield f'<text x="-4" y="10" text-anchor="end">{high:.3g}</text>'
    yield f'<text x="-4" y="{_HEIGHT}" text-anchor="end">{low:.3g}</text>'
    yield f'<text x="{_WIDTH}" y="{_HEIGHT + 14}" text-anchor="end">{steps[-1]:g} steps</text>'
    yield f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)}"/>'
    yield f'<circle cx="{drawn[-1][0]:.1f}" cy="{drawn[-1][1]:.1f}" r="2.5" fill="#1f6fb4"/>'


def _share(value: float, low: float, high: float) -> float:
    """Where a value lies between two others; in the middle where they are equal."""
    return 0.5 if high == low else (value - low) / (high - low)
