"""Where the lines of an SVG mirror plot stand, and in which colours, against the numbers they draw."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lxml import etree
from samples import spectrum

from specsearch.report.mirror import DIRECT, SHIFTED, UNMATCHED
from specsearch.report.mirror_svg import mirror_svg
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean
from specsearch.spectra.similarity import modified_cosine

LINE = re.compile(r"M([\d.]+) ([\d.]+)V([\d.]+)")


def lines(svg: str) -> dict[str, np.ndarray]:
    """x, foot and tip of the peaks, by colour."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for path in etree.fromstring(svg).iterfind("{*}path"):
        for line in LINE.findall(path.get("d")):
            found.setdefault(path.get("stroke"), []).append(tuple(map(float, line)))
    return {colour: np.array(rows) for colour, rows in found.items()}


def texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in etree.fromstring(svg).iterfind("{*}text")]


def random_peaks(seed: int, n_peaks: int = 40) -> Peaks:
    return clean(spectrum(np.random.default_rng(seed), n_peaks), RESCORING_RECIPE)


def test_lines_are_peaks() -> None:
    peaks = random_peaks(0)
    (drawn,) = lines(mirror_svg(peaks)).values()
    assert len(drawn) == len(peaks.mz)
    x, foot, tip = drawn.T
    scale, start = np.polyfit(peaks.mz, x, 1)
    assert x == pytest.approx(scale * peaks.mz + start, abs=0.1)
    assert len(set(foot)) == 1
    assert (foot - tip) / (foot - tip).max() == pytest.approx(peaks.intensity, abs=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_colours_count_the_matches_of_the_modified_cosine(seed: int) -> None:
    one, other = random_peaks(2 * seed), random_peaks(2 * seed + 1)
    _, (n_matched,) = modified_cosine(one, [other])
    drawn = lines(mirror_svg(one, other))
    assert sum(map(len, drawn.values())) == len(one.mz) + len(other.mz)
    for side in (1, -1):
        n_drawn = [(np.sign(rows[:, 1] - rows[:, 2]) == side).sum() for rows in drawn.values()]
        coloured = dict(zip(drawn, n_drawn, strict=True))
        assert coloured.get(DIRECT, 0) + coloured.get(SHIFTED, 0) == n_matched
    assert set(drawn) <= {DIRECT, SHIFTED, UNMATCHED}


def test_shifted_and_direct_matches_have_their_own_colours() -> None:
    one = Peaks(np.array([100.0, 150.0, 160.0]), np.array([1.0, 0.5, 0.2]), 200.0)
    other = Peaks(np.array([100.0, 164.0157]), np.array([1.0, 0.5]), 214.0157)
    svg = mirror_svg(one, other)
    assert {colour: len(rows) for colour, rows in lines(svg).items()} == {DIRECT: 2, SHIFTED: 2, UNMATCHED: 1}
    assert "■ 1 matched■ 1 matched when shifted■ unmatched" in texts(svg)


def test_labels_and_titles_are_texts_and_nothing_else() -> None:
    hostile = "</text><script>alert(1)</script>"
    peaks = random_peaks(1, 3)
    highest = int(peaks.intensity.argmax())
    svg = mirror_svg(peaks, peaks, titles=(hostile, "below"), labels=({highest: hostile}, {}))
    assert texts(svg).count(hostile) == 2
    assert "below" in texts(svg)
    assert not list(etree.fromstring(svg).iter("{*}script"))
    assert texts(svg).count(f"{peaks.mz[highest]:.4f}") == 2


def test_one_peak_has_an_axis_too() -> None:
    svg = mirror_svg(Peaks(np.array([123.4]), np.array([1.0]), None))
    assert "123.4000" in texts(svg)
    assert {"120", "125"} <= set(texts(svg)) or "124" in texts(svg)
