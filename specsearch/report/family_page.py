"""A family as one page that needs nothing else: the network, structures, and mirror plots on a click."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import networkx as nx

from specsearch.chemistry.drawings import draw_molecule
from specsearch.chemistry.mass_differences import name_difference
from specsearch.errors import ParseError
from specsearch.report.networks import directed_edges
from specsearch.report.rows import Row
from specsearch.spectra.cleaning import RESCORING_RECIPE, Peaks, clean
from specsearch.spectra.similarity import match_peaks
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers.atomic import replacing_text

_MOST_EDGES = 4_000  # drawn; the best stay
_STRUCTURE = (180, 120)


def write_family_page(
    path: Path, title: str, network: nx.Graph, rows: Sequence[Row], spectra: Mapping[str, Spectrum]
) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    path : Path
    title : str
    network : networkx.Graph
        As of `specsearch.report.networks.network_of`.
    rows : sequence of Row
        What is known of each node, in the order to list them.
    spectra : mapping of str to Spectrum
        By node; one that is missing has no mirror plot.

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    content = family_content(network, rows, spectra)
    # Between script tags "<" could end the script, whatever stands in a name.
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    own = files("specsearch.report")
    with replacing_text(path) as stream:
        stream.write(
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(title)}</title><style>{_style()}</style>"
            f"<header><h1>{escape(title)}</h1><p>{len(rows):,} spectra, {len(content['edges']):,} edges. "
            "Choose a spectrum or an edge; the arrow keys walk the list. </p></header>"
            '<main class="family"><svg id="network" role="group" aria-label="network of spectra"></svg>'
            '<section id="detail" aria-live="polite" tabindex="0" aria-label="details"></section>'
            '<section id="members"></section></main>'
            f'<script type="application/json" id="data">{data}</script>'
            f"<script>{(own / 'family_page.js').read_text('utf-8')}</script></html>\n"
        )


def family_content(network: nx.Graph, rows: Sequence[Row], spectra: Mapping[str, Spectrum]) -> dict[str, Any]:
    """What the page's script shows, as plain values; parameters are those of `write_family_page`."""
    number = {str(row["spectrum_id"]): i for i, row in enumerate(rows)}
    places = (
        nx.spring_layout(network, weight="score", seed=0) if len(rows) > 1 else dict.fromkeys(number, (0, 0))
    )
    peaks = {name: clean(spectrum, RESCORING_RECIPE) for name, spectrum in spectra.items()}
    structures: dict[str, str] = {}
    nodes = []
    for row in rows:
        name = str(row["spectrum_id"])
        smiles = str(row["smiles"] or row["suggested_smiles"] or "")
        structures.setdefault(smiles, _drawing(smiles))
        nodes.append(
            {
                "row": {key: value for key, value in row.items() if value not in (None, "")},
                "x": round(float(places[name][0]), 4),
                "y": round(float(places[name][1]), 4),
                "drawing": list(structures).index(smiles) if structures[smiles] else -1,
                "is_suggestion": not row["smiles"] and bool(smiles),
                **_peaks(peaks.get(name)),
            }
        )
    edges = sorted(directed_edges(network), key=lambda edge: -edge[2]["score"])[:_MOST_EDGES]
    return {
        "nodes": nodes,
        "drawings": list(structures.values()),
        "edges": [
            {
                "a": number[one],
                "b": number[other],
                **values,
                **_turned(values),
                "pairs": _pairs(peaks.get(one), peaks.get(other)),
            }
            for one, other, values in edges
        ],
    }


def _turned(values: Mapping[str, Any]) -> dict[str, str]:
    """The change from b to a: not always that from a to b with the other sign before it."""
    difference = values.get("precursor_difference")
    return {} if difference is None else {"change_back": name_difference(-difference)}


def _style() -> str:
    own = files("specsearch.report")
    return "".join((own / name).read_text("utf-8") for name in ("family_page.css", "family_network.css"))


def _peaks(peaks: Peaks | None) -> dict[str, list[float]]:
    if peaks is None:
        return {"mz": [], "intensity": []}
    return {"mz": peaks.mz.round(4).tolist(), "intensity": peaks.intensity.round(4).tolist()}


def _pairs(one: Peaks | None, other: Peaks | None) -> list[tuple[int, int, bool]]:
    return [] if one is None or other is None else match_peaks(one, other)


def _drawing(smiles: str) -> str:
    try:
        return draw_molecule(smiles, *_STRUCTURE) if smiles else ""
    except ParseError:
        return ""
