"""The plot of a run, read back from its SVG."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from specsearch.report.curves import write_curves

SVG = "{http://www.w3.org/2000/svg}"


def panels(path: Path) -> dict[str, tuple[list[tuple[float, float]], list[str]]]:
    """Points of each line, and the texts around it, by its title."""
    found = {}
    for group in ElementTree.parse(path).getroot().iter(f"{SVG}g"):
        texts = [text.text or "" for text in group.iter(f"{SVG}text")]
        pairs = group.find(f"{SVG}polyline").get("points").split()  # type: ignore[union-attr]
        points = [(float(x), float(y)) for x, y in (pair.split(",") for pair in pairs)]
        found[texts[0].rpartition(":")[0]] = (points, texts)
    return found


def test_every_number_has_its_panel_and_its_scale(tmp_path: Path) -> None:
    lines = [
        {"step": 10, "seconds": 1.0, "loss": 4.0, "a<b": 1.0, "name": "text"},
        {"step": 20, "seconds": 2.0, "loss": 1.0, "a<b": 1.0},
        {"step": 50, "seconds": 9.0, "loss": 2.5, "late": float("nan")},
        {"step": 50, "loss": 2.5, "late": 3.0},
    ]
    write_curves(tmp_path / "curves.svg", [lines[2], lines[0], lines[1]])
    found = panels(tmp_path / "curves.svg")
    assert set(found) == {"loss", "a<b"}
    points, texts = found["loss"]
    width, height = points[-1][0], 120
    assert [x for x, _ in points] == pytest.approx([0, width / 4, width], abs=0.1)
    assert [y for _, y in points] == pytest.approx([0, height, height / 2], abs=0.1)
    assert texts == ["loss: 2.5", "4", "1", "50 steps"]
    assert len({y for _, y in found["a<b"][0]}) == 1  # a flat line
    write_curves(tmp_path / "curves.svg", lines)
    assert len(panels(tmp_path / "curves.svg")["late"][0]) == 1


def test_nothing_to_draw(tmp_path: Path) -> None:
    write_curves(tmp_path / "curves.svg", [])
    assert panels(tmp_path / "curves.svg") == {}
