"""The map of a library as a page shows it: a spectrum of every molecule, in a few colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from specsearch.report.rows import Columns, Row
from specsearch.report.tables import plain
from specsearch.search.library_map import one_each
from specsearch.store.schema import Key

_COLOURS: Mapping[str, type] = MappingProxyType(
    {
        Key.ION_MODE: str,
        Key.ADDUCT: str,
        Key.INSTRUMENT_TYPE: str,
        Key.COLLISION_ENERGY: str,
        Key.PRECURSOR_MZ: float,
    }
)
MAP_COLUMNS = tuple(_COLOURS)
PLACE_COLUMNS: Columns = MappingProxyType(
    {Key.SPECTRUM_ID: str, Key.COMPOUND_NAME: str, "x": float, "y": float, **_COLOURS}
)
"""One row a place of the map."""

_MOST_LISTED = 50
_MOST_POINTS = 6_000
_N_COLOURS = 7
_OTHER, _UNKNOWN = "other", "unknown"


def map_places(table: pa.Table) -> list[Row]:
    """The places of a map that are shown, in the columns of `PLACE_COLUMNS`."""
    shown = table.take(pa.array(one_each(table, _MOST_POINTS)))
    rows: list[Row] = shown.select(list(PLACE_COLUMNS)).to_pylist()
    return rows


def map_view(places: Sequence[Row], colour: str, text: str) -> dict[str, Any]:
    """Points of a map in groups of a colour, or with a number each, and a list of those that are looked for.

    Parameters
    ----------
    places : sequence of Row
    colour : str
        One of `MAP_COLUMNS`; for another, the first of them.
    text : str
        A part of the names or ids in the list; all are meant where it is empty.
    """
    column = colour if colour in MAP_COLUMNS else MAP_COLUMNS[0]
    values = [place[column] for place in places]
    names = [plain(place[Key.COMPOUND_NAME] or place[Key.SPECTRUM_ID]) for place in places]
    content: dict[str, Any] = {
        "x": [round(float(place["x"] or 0), 3) for place in places],
        "y": [round(float(place["y"] or 0), 3) for place in places],
        "id": [place[Key.SPECTRUM_ID] for place in places],
        "name": names,
    }
    if PLACE_COLUMNS[column] is float:
        content["number"] = values
    else:
        content["group"] = _groups(values)
    wanted = text.strip().casefold()
    found = [
        {"id": place[Key.SPECTRUM_ID], "name": name, "value": _shown(place[column])}
        for place, name in zip(places, names, strict=True)
        if wanted in f"{name} {place[Key.SPECTRUM_ID]}".casefold()
    ]
    return {
        "n_shown": len(places),
        "column": column,
        "data": content,
        "n_found": len(found),
        "listed": found[:_MOST_LISTED],
    }


def _groups(values: list[Any]) -> list[str]:
    """The value of each point; those that few share are one group."""
    texts = [_shown(value) for value in values]
    frequent = {text for text, _ in Counter(texts).most_common(_N_COLOURS)}
    return [text if text in frequent else _OTHER for text in texts]


def _shown(value: object) -> str:
    return plain(value) if value not in (None, "") else _UNKNOWN
