"""Mirror plots as SVG elements for pages: small, without scripts, in the text colour of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np

from specsearch.report.mirror import DIRECT, SHIFTED, UNMATCHED, labelled_peaks, mz_span
from specsearch.spectra.cleaning import Peaks
from specsearch.spectra.similarity import match_peaks

Labels = Mapping[int, str]

_REACH = 120.0  # of the base peak, in pixels, as everything below
_LEFT, _RIGHT = 8.0, 8.0
_ABOVE, _BELOW = 44.0, 34.0  # the legend and labels of peaks; the axis
_LABELS_BELOW = 28.0
_LINE, _HALF_LETTER = 10.0, 3.2
_MOST_TICKS = 8
_OWN = "currentColor"


@dataclass(frozen=True)
class _Frame:
    """Where m/z and intensity lie in the picture; intensities of the lower side are negative."""

    span: tuple[float, float]
    width: float

    def x(self, mz: float) -> float:
        low, high = self.span
        return _LEFT + (mz - low) / (high - low) * (self.width - _LEFT - _RIGHT)

    def y(self, intensity: float) -> float:
        return _ABOVE + _REACH * (1.0 - intensity)


def mirror_svg(
    top: Peaks,
    bottom: Peaks | None = None,
    *,
    titles: tuple[str, str] = ("", ""),
    labels: tuple[Labels, Labels] = ({}, {}),
    width: float = 640.0,
) -> str:
    """One spectrum, or two against each other, as an ``<svg>`` element.

    Matched peaks are those behind the modified cosine, in the colours of `specsearch.report.mirror`. A peak
    with a label is coloured where there is one spectrum only.

    Parameters
    ----------
    top, bottom : Peaks
        Relative to the base peak.
    titles : (str, str)
        Above and below.
    labels : (mapping of int to str, mapping of int to str)
        Text beside the m/z of peaks, by their number.
    width : float
        Pixels; the height follows from the number of spectra.
    """
    frame = _Frame(mz_span([top] if bottom is None else [top, bottom]), width)
    pairs = [] if bottom is None else match_peaks(top, bottom)
    height = frame.y(-1.0) + _LABELS_BELOW if bottom is not None else frame.y(0.0)
    parts = [*_axis(frame, height), _text(_LEFT, 11, titles[0], "start"), *_side(frame, top, labels[0], 1.0)]
    if bottom is None:
        parts += [_strokes(frame, top, dict.fromkeys(labels[0], DIRECT), _OWN, 1.0)]
    else:
        colours = [{pair[side]: SHIFTED if pair[2] else DIRECT for pair in pairs} for side in (0, 1)]
        parts += [
            _strokes(frame, top, colours[0], UNMATCHED, 1.0),
            _strokes(frame, bottom, colours[1], UNMATCHED, -1.0),
            *_side(frame, bottom, labels[1], -1.0),
            _legend(width, len(pairs), sum(is_shifted for _, _, is_shifted in pairs)),
            _text(_LEFT, height + _BELOW - 4, titles[1], "start"),
        ]
    said = f"{len(top.mz)} peaks" if bottom is None else f"{len(pairs)} matched peaks"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height + _BELOW:g}" '
        f'width="{width:g}" height="{height + _BELOW:g}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="{said}" font-family="sans-serif" font-size="10" fill="{_OWN}">{"".join(parts)}</svg>'
    )


def _axis(frame: _Frame, bottom: float) -> Iterator[str]:
    """The line that peaks stand on, and the scale of m/z at the bottom."""
    right = frame.width - _RIGHT
    lines = [f"M{_LEFT:g} {y:g}H{right:g}" for y in sorted({frame.y(0.0), bottom})]
    ticks = _ticks(*frame.span)
    lines += [f"M{frame.x(tick):.1f} {bottom:g}v4" for tick in ticks]
    yield f'<path d="{"".join(lines)}" stroke="{_OWN}" stroke-opacity=".5"/>'
    yield from (_text(frame.x(tick), bottom + 14, f"{tick:g}") for tick in ticks)
    yield _text(right, bottom + _BELOW - 4, "m/z", "end")


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two others, at most `_MOST_TICKS` and one."""
    power = 10.0 ** np.floor(np.log10((high - low) / _MOST_TICKS))
    step = next(s * power for s in (1, 2, 5, 10) if (high - low) / (s * power) <= _MOST_TICKS)
    return [step * i for i in range(int(np.ceil(low / step)), int(high // step) + 1)]


def _strokes(frame: _Frame, peaks: Peaks, colours: Mapping[int, str], other: str, sign: float) -> str:
    """Peaks as vertical lines, one path for a colour; matched ones lie above the others."""
    drawn: dict[str, list[str]] = {other: []}
    for i, (mz, intensity) in enumerate(zip(peaks.mz.tolist(), peaks.intensity.tolist(), strict=True)):
        line = f"M{frame.x(mz):.1f} {frame.y(0.0):g}V{frame.y(sign * intensity):.1f}"
        drawn.setdefault(colours.get(i, other), []).append(line)
    return "".join(
        f'<path d="{"".join(lines)}" stroke="{colour}" stroke-width="1.3"/>'
        for colour, lines in drawn.items()
        if lines
    )


def _side(frame: _Frame, peaks: Peaks, labels: Labels, sign: float) -> Iterator[str]:
    """m/z and label of the strongest peaks, beyond their tips."""
    for peak in labelled_peaks(peaks, frame.span):
        lines = [f"{peaks.mz[peak]:.4f}", *([labels[peak]] if peak in labels else [])]
        half = _HALF_LETTER * max(map(len, lines))
        x = min(max(frame.x(float(peaks.mz[peak])), half), frame.width - half)
        tip = frame.y(sign * float(peaks.intensity[peak]))
        first = tip - 3 - _LINE * (len(lines) - 1) if sign > 0 else tip + _LINE
        yield from (_text(x, first + _LINE * i, line) for i, line in enumerate(lines))


def _legend(width: float, n_matched: int, n_shifted: int) -> str:
    named = (
        (DIRECT, f"{n_matched - n_shifted} matched"),
        (SHIFTED, f"{n_shifted} matched when shifted"),
        (UNMATCHED, "unmatched"),
    )
    parts = "".join(f'<tspan dx="8" fill="{colour}">■</tspan> {said}' for colour, said in named)
    return f'<text x="{width - _RIGHT:g}" y="11" text-anchor="end">{parts}</text>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>' if text else ""
