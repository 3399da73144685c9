"""The map of a library as a picture, coloured by a column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from specsearch.report.mirror import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_N_NAMED = 9  # values with a colour of their own; all others are grey


def write_map(
    path: Path, places: NDArray[np.float32], values: Sequence[object], column: str, title: str
) -> None:
    """Draw spectra as points; numbers get a scale, texts a legend of the most frequent.

    Parameters
    ----------
    path : Path
        With an ending of `specsearch.report.mirror.PICTURES`.
    places : numpy.ndarray of shape (n_spectra, 2)
    values : sequence of object
        What to colour by, of each spectrum; None where unknown.
    column : str
        Name of `values`.
    title : str

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.add_subplot()
    size = float(np.clip(20_000 / max(1, len(places)), 0.5, 30))
    if any(isinstance(value, float) for value in values):
        _draw_numbers(axes, places, values, column, size)
    else:
        _draw_names(
            axes, places, ["unknown" if value in (None, "") else str(value) for value in values], size
        )
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    save_figure(path, figure)


def _draw_numbers(
    axes: Axes, places: NDArray[np.float32], values: Sequence[object], column: str, size: float
) -> None:
    numbers = np.array([np.nan if value is None else float(str(value)) for value in values])
    drawn = axes.scatter(
        places[:, 0], places[:, 1], c=numbers, s=size, linewidths=0, rasterized=True, plotnonfinite=False
    )
    axes.figure.colorbar(drawn, label=column.replace("_", " "), shrink=0.6)


def _draw_names(axes: Axes, places: NDArray[np.float32], names: list[str], size: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    counts = Counter(name for name in names if name != "unknown")
    named = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_N_NAMED]]
    text = np.array(names, dtype=object)
    is_other = ~np.isin(text.astype(str), named)
    groups = [(f"other or unknown ({int(is_other.sum()):,})", is_other, "#c8ccd0")] if is_other.any() else []
    for number, name in enumerate(named):
        rows = text == name
        # A label that begins with "_" is left out of legends, and "$" would begin a formula.
        label = f"{name[:40]} ({int(rows.sum()):,})".lstrip("_").replace("$", r"\$")
        groups.append((label, rows, to_hex(colormaps["tab10"](number))))
    for label, rows, colour in groups:
        x, y = places[rows].T
        axes.scatter(x, y, s=size, color=colour, linewidths=0, label=label, rasterized=True)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=3)
