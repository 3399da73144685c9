"""Answers as files: the same writers as the command line's."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx as nx
from fastapi.responses import Response

from specsearch.report.candidate_mztab import write_candidate_mztab
from specsearch.report.candidate_rows import CANDIDATE_COLUMNS, Provenance, candidate_rows
from specsearch.report.formats import Rows, write_text_rows
from specsearch.report.networks import NODE_COLUMNS, write_network
from specsearch.report.rows import HIT_COLUMNS, Columns, Row, hit_rows
from specsearch.search.shortlists import Shortlist
from specsearch.search.similar import Answer
from specsearch.web.map_view import PLACE_COLUMNS

_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "mztab": "text/tab-separated-values; charset=utf-8",
    "graphml": "application/graphml+xml",
}


def download_hits(answer: Answer, ending: str) -> Response:
    """Hits as rows."""
    return _rows(hit_rows(answer), HIT_COLUMNS, "hits", ending)


def download_shortlist(shortlist: Shortlist, made_with: Provenance, ending: str) -> Response:
    """Candidates as rows, or as mzTab-M."""
    if ending != "mztab":
        return _rows(candidate_rows(shortlist, made_with), CANDIDATE_COLUMNS, "candidates", ending)
    with TemporaryDirectory(prefix="specsearch-") as folder:
        path = Path(folder) / "candidates.mztab"
        write_candidate_mztab(path, [("query", 1, shortlist)], made_with)
        return _file(path.read_bytes(), "candidates", ending)


def download_network(network: nx.Graph, rows: Sequence[Row], ending: str) -> Response:
    """A family as rows, or as GraphML."""
    if ending != "graphml":
        return _rows(rows, NODE_COLUMNS, "family", ending)
    with TemporaryDirectory(prefix="specsearch-") as folder:
        path = Path(folder) / "family.graphml"
        write_network(path, network, list(rows))
        return _file(path.read_bytes(), "family", ending)


def download_places(places: Sequence[Row]) -> Response:
    """The places of a map as rows."""
    return _rows(places, PLACE_COLUMNS, "map", "csv")


def _rows(rows: Rows, columns: Columns, name: str, ending: str) -> Response:
    text = StringIO()
    write_text_rows(text, rows, columns, "csv" if ending == "csv" else "jsonl")
    return _file(text.getvalue().encode(), name, ending)


def _file(content: bytes, name: str, ending: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}.{ending}"'}
    return Response(content, headers=headers, media_type=_TYPES[ending])
