"""``specsearch plan``: memory, disk, nodes and hours of a library before there is one."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from specsearch.errors import ParseError

if TYPE_CHECKING:
    from specsearch.report.rows import Row
    from specsearch.store.sizing import Plan, Wish

_COLUMNS: dict[str, tuple[type, str]] = {
    "spectra": (int, "spectra"),
    "molecules": (int, "molecules of banks"),
    "replicas": (int, "replicas"),
    "quantization": (str, "quantisation of vectors"),
    "memory_gb": (float, "memory, GB"),
    "vectors_gb": (float, "  vectors"),
    "graph_gb": (float, "  graph"),
    "indexes_gb": (float, "  peaks, losses, filters, ids"),
    "banks_gb": (float, "  banks"),
    "disk_gb": (float, "disk, GB"),
    "building_disk_gb": (float, "disk while indexes are built, GB"),
    "node_memory_gb": (float, "memory of a node, GB"),
    "nodes": (int, "nodes"),
    "shards": (int, "shards"),
    "embedding_on": (str, "embedding on"),
    "embedding_hours": (float, "  hours"),
    "embedding_basis": (str, "  how that is known"),
    "storing_hours": (float, "storing by one process, hours"),
    "ingest_hours": (float, "ingest, both at once, hours"),
    "building_core_hours": (float, "building the indexes, core hours"),
}
_GB = 1e9


class _Quantity(click.ParamType):
    """A number in the notation that a function reads."""

    def __init__(self, name: str, parse: Callable[[str], int]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; what is no such number is wrong usage."""
        if isinstance(value, int):
            return value
        try:
            return self._parse(value)
        except ParseError as error:
            self.fail(str(error), param, ctx)


def _count(text: str) -> int:
    from specsearch.store.quantities import parse_count

    return parse_count(text)


def _bytes(text: str) -> int:
    from specsearch.store.quantities import parse_bytes

    return parse_bytes(text)


def _rate(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise click.BadParameter(f"{value} is no rate: give a number above zero, e.g. 12000.", ctx, param)
    return value


@click.command()
@click.option(
    "--spectra",
    "sizes",
    type=_Quantity("count", _count),
    multiple=True,
    required=True,
    metavar="200M",
    help="Spectra of the library; may be repeated, for a column each.",
)
@click.option(
    "--banks",
    "n_molecules",
    type=_Quantity("count", _count),
    default=0,
    metavar="120M",
    help="Molecules of all banks together.  [default: none]",
)
@click.option(
    "--gpus",
    "n_gpus",
    type=click.IntRange(0, 10_000),
    default=0,
    help="That embed.  [default: none, one core]",
)
@click.option("--replicas", "n_replicas", type=click.IntRange(1, 100), default=1, show_default=True)
@click.option(
    "--quantization",
    type=click.Choice(["none", "int8", "binary"]),
    default="none",
    show_default=True,
    help="Of the vectors in memory, as a server can be told to; the originals stay on disk.",
)
@click.option(
    "--node-memory",
    "node_bytes",
    type=_Quantity("size", _bytes),
    default="64GB",
    show_default=True,
    metavar="64GB",
    help="Memory of one node.",
)
@click.option(
    "--spectra-per-second",
    "spectra_per_s",
    type=float,
    callback=_rate,
    metavar="RATE",
    help="Embedding as you measured it, of all GPUs or cores together.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "csv", "tsv", "json"]),
    default="table",
    show_default=True,
)
def plan(sizes: tuple[int, ...], output_format: str, **asked: Any) -> None:
    """Say what a library needs: memory, disk, nodes, hours.

    By a formula from what was measured on libraries that fit one machine (it stands in
    specsearch/store/sizing.py); for orders of magnitude, not for the last node. No GPU was measured: hours on
    GPUs are estimated from a data sheet, unless you give a rate.
    """
    from specsearch.report.formats import write_text_rows
    from specsearch.store.sizing import Wish

    wishes = [Wish(n_spectra, **asked) for n_spectra in sizes]
    rows = [_row(wish) for wish in wishes]
    if output_format == "json":
        click.echo(json.dumps(rows, indent=1))
    elif output_format == "table":
        _show(rows)
    else:
        columns = {name: kind for name, (kind, _) in _COLUMNS.items()}
        write_text_rows(sys.stdout, rows, columns, "csv" if output_format == "csv" else "tsv")


def _row(wish: Wish) -> Row:
    from specsearch.store.sizing import plan as planned

    found = planned(wish)
    return {
        "spectra": wish.n_spectra,
        "molecules": wish.n_molecules,
        "replicas": wish.n_replicas,
        "quantization": wish.quantization,
        **_sizes(found),
        "node_memory_gb": _rounded(wish.node_bytes / _GB),
        "nodes": found.n_nodes,
        "shards": found.n_shards,
        "embedding_on": _embedded_on(wish),
        "embedding_hours": _rounded(found.embedding_hours),
        "embedding_basis": found.embedding_basis,
        "storing_hours": _rounded(found.storing_hours),
        "ingest_hours": _rounded(found.ingest_hours),
        "building_core_hours": _rounded(found.building_core_hours),
    }


def _sizes(found: Plan) -> Row:
    return {
        "memory_gb": _rounded(found.memory_bytes / _GB),
        "vectors_gb": _rounded(found.vectors_bytes / _GB),
        "graph_gb": _rounded(found.graph_bytes / _GB),
        "indexes_gb": _rounded(found.indexes_bytes / _GB),
        "banks_gb": _rounded(found.banks_bytes / _GB),
        "disk_gb": _rounded(found.disk_bytes / _GB),
        "building_disk_gb": _rounded(found.building_disk_bytes / _GB),
    }


def _embedded_on(wish: Wish) -> str:
    if wish.spectra_per_s is not None:
        return f"{wish.spectra_per_s:,g} spectra/s"
    if wish.n_gpus:
        return "1 GPU" if wish.n_gpus == 1 else f"{wish.n_gpus:,} GPUs"
    return "1 core"


def _rounded(value: float) -> float:
    """To three figures: the formula knows no more."""
    return float(f"{value:.3g}")


def _show(rows: Sequence[Row]) -> None:
    from specsearch.cli.screen import say, screen
    from specsearch.report.tables import make_table

    heads = [_text(row["spectra"]) for row in rows]
    named = [(name, title) for name, (_, title) in _COLUMNS.items() if name != "spectra"]
    lines = [(title, *(_text(row[name]) for row in rows)) for name, title in named]
    screen().print(make_table("", ("spectra", *heads), lines, right=" ".join(heads)))
    say("Computed from what two million spectra took on one machine: orders of magnitude, not promises.")


def _text(value: object) -> str:
    return f"{value:,.15g}" if isinstance(value, int | float) else str(value)
