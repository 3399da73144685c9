"""The map of a library as a page shows it: a spectrum of every molecule, in a few colours."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from specsearch.report.tables import plain
from specsearch.search.library_map import one_each
from specsearch.store.schema import Key

MAP_COLUMNS = (Key.ION_MODE, Key.ADDUCT, Key.INSTRUMENT_TYPE, Key.COLLISION_ENERGY, Key.PRECURSOR_MZ)
_MOST_POINTS = 6_000
_N_COLOURS = 7
_OTHER, _UNKNOWN = "other", "unknown"


def map_view(table: pa.Table | None, colour: str) -> dict[str, Any] | None:
    """Points of a map in groups of a colour, or with a number each; None without a map."""
    if table is None:
        return None
    rows = one_each(table, _MOST_POINTS)
    shown = table.take(pa.array(rows))
    column = colour if colour in MAP_COLUMNS else MAP_COLUMNS[0]
    values = shown[column].to_pylist()
    names = zip(shown[Key.COMPOUND_NAME].to_pylist(), shown[Key.SPECTRUM_ID].to_pylist(), strict=True)
    content: dict[str, Any] = {
        "x": [round(value, 3) for value in shown["x"].to_pylist()],
        "y": [round(value, 3) for value in shown["y"].to_pylist()],
        "id": shown[Key.SPECTRUM_ID].to_pylist(),
        "name": [plain(name or spectrum_id) for name, spectrum_id in names],
    }
    if pa.types.is_floating(shown.schema.field(column).type):
        content["number"] = values
    else:
        content["group"] = _groups(values)
    return {"n_shown": len(rows), "n_spectra": table.num_rows, "column": column, "data": content}


def _groups(values: list[Any]) -> list[str]:
    """The value of each point; those that few share are one group."""
    texts = [plain(value) if value not in (None, "") else _UNKNOWN for value in values]
    frequent = {text for text, _ in Counter(texts).most_common(_N_COLOURS)}
    return [text if text in frequent else _OTHER for text in texts]
