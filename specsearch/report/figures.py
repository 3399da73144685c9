"""Figures of an evaluation as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.table import Table

from specsearch.evaluation.figures import Figure
from specsearch.evaluation.strata import ALL
from specsearch.report.tables import make_table

# How ties would count otherwise, and spectra instead of molecules: in the file, not on the screen.
_NOT_SHOWN = ("strict ", "official ", ", per spectrum")
_CONTROLS = ("random", "mass error only", "spectrum masked")
_N_OTHERS = 3


def figure_tables(figures: Sequence[Figure]) -> Iterator[Table]:
    """For each section, its scores by measure with intervals, then its leading measure by stratum."""
    for section in dict.fromkeys(figure.section for figure in figures):
        shown = [figure for figure in figures if figure.section == section and _is_shown(figure)]
        whole = [figure for figure in shown if figure.stratum == ALL]
        if whole:
            largest = max(figure.value.n_molecules for figure in whole)
            title = f"{section}: mean over up to {largest:,} molecules (95 % interval)"
            yield _crossed(
                title, "score", whole, lambda f: f.score, lambda f: f.measure, lambda f: str(f.value)
            )
        leading = shown[0].measure
        chosen = _telling_scores([figure for figure in whole if figure.measure == leading])
        parts = [figure for figure in shown if figure.measure == leading and figure.score in chosen]
        if any(figure.stratum != ALL for figure in parts):
            title = f"{section}: {leading} by kind of query"
            yield _crossed(
                title, "queries", parts, _stratum, lambda f: f.score, lambda f: f"{f.value.mean:.3f}"
            )


def _is_shown(figure: Figure) -> bool:
    return not any(word in figure.measure for word in _NOT_SHOWN)


def _telling_scores(whole: Sequence[Figure]) -> set[str]:
    """The controls, and the best of the other scores: as many as fit on a screen."""
    others = sorted((f for f in whole if f.score not in _CONTROLS), key=lambda f: -f.value.mean)
    return {*_CONTROLS, *(figure.score for figure in others[:_N_OTHERS])}


def _stratum(figure: Figure) -> str:
    return f"{figure.stratum} ({figure.value.n_molecules:,})"


def _crossed(
    title: str,
    corner: str,
    figures: Iterable[Figure],
    row_of: Callable[[Figure], str],
    column_of: Callable[[Figure], str],
    text_of: Callable[[Figure], str],
) -> Table:
    """One figure a cell; empty where there is none."""
    cells: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    for figure in figures:
        columns.setdefault(column_of(figure))
        cells.setdefault(row_of(figure), {})[column_of(figure)] = text_of(figure)
    rows = [(name, *(values.get(column, "") for column in columns)) for name, values in cells.items()]
    return make_table(title, (corner, *columns), rows)
