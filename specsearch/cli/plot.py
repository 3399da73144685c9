"""``specsearch plot``: mirror plots, and the map of a library."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import StoreAt, store_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from specsearch.search.snapshot import Snapshot
    from specsearch.spectra.spectrum import Spectrum

_TABLES = (".parquet", ".csv", ".tsv", ".jsonl")


@click.group()
def plot() -> None:
    """Draw spectra against each other, or a library as a map."""


@plot.command()
@click.argument("first", metavar="SPECTRUM")
@click.argument("second", metavar="[SPECTRUM]", required=False)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help=".svg, .png, .pdf"
)
@store_option
def mirror(first: str, second: str | None, output: Path, store: StoreAt) -> None:
    """Draw one SPECTRUM, or two against each other.

    A SPECTRUM is "LIBRARY:ACCESSION", or a file: its first spectrum, or "FILE#ACCESSION". Matched peaks are
    blue, those that match when shifted by the difference of the precursors orange; peaks are named by the
    formula of a fragment where the spectrum's structure and adduct are known.
    """
    _require("matplotlib", "plot")
    from specsearch.cli.screen import say
    from specsearch.report.mirror import require_picture, side_of, write_mirror

    require_picture(output)
    sides = [side_of(_spectrum(text, store)) for text in (first, second) if text]
    write_mirror(output, *sides)
    say(f"Drew {' against '.join(side.title for side in sides)} to {output}.")


@plot.command("map")
@click.argument("library")
@click.option(
    "--colour",
    "--color",
    default="ion_mode",
    show_default=True,
    metavar="COLUMN",
    help="What to colour by: a column of the table that -o FILE.csv writes.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A picture (.svg, .png, .pdf), or the places as a table (.parquet, .csv, .tsv, .jsonl).",
)
@store_option
def draw_map(library: str, colour: str, output: Path, store: StoreAt) -> None:
    """Draw LIBRARY as a map: spectra near each other have like embeddings.

    A map keeps neighbourhoods. Distances across it, sizes and empty spaces mean nothing. It is kept beside
    the library, for the page of "specsearch serve".
    """
    _require("umap", "plot")
    _require("matplotlib", "plot")
    from specsearch.cli.graph_at import graph_folder, read_library
    from specsearch.cli.screen import progress_bar, say
    from specsearch.report.map_picture import write_map
    from specsearch.report.mirror import require_picture
    from specsearch.search.library_map import keep_map, lay_out

    if output.suffix.lower() not in _TABLES:
        require_picture(output)
    with progress_bar() as bar:
        snapshot = read_library(store, library, bar)
        values = _column(snapshot, colour)
        bar.add_task("laying out the map", total=None)
        places = lay_out(snapshot.embeddings)
        keep_map(graph_folder(store, library), snapshot, places)
    if output.suffix.lower() in _TABLES:
        _write_table(output, snapshot, places)
    else:
        title = f"{library}: {len(snapshot):,} spectra by {colour.replace('_', ' ')}"
        write_map(output, places, values, colour, title)
    say(f"Drew {len(snapshot):,} spectra to {output}.")


def _column(snapshot: Snapshot, name: str) -> list[object]:
    from specsearch.search.snapshot import NODE_SCHEMA

    if name not in NODE_SCHEMA.names:
        known = ", ".join(NODE_SCHEMA.names)
        raise click.BadParameter(f"There is no column {name!r}; there are {known}.", param_hint="--colour")
    return list(snapshot.table[name].to_pylist())


def _write_table(path: Path, snapshot: Snapshot, places: NDArray[np.float32]) -> None:
    from specsearch.report.formats import format_of, write_rows
    from specsearch.report.rows import Columns
    from specsearch.search.snapshot import NODE_SCHEMA

    kinds = {"string": str, "double": float, "int64": int}
    columns: Columns = {"x": float, "y": float, **{f.name: kinds[str(f.type)] for f in NODE_SCHEMA}}
    rows = (
        {"x": float(x), "y": float(y), **row}
        for (x, y), row in zip(places, snapshot.table.to_pylist(), strict=True)
    )
    write_rows(path, rows, columns, format_of(path))


def _spectrum(text: str, store: StoreAt) -> Spectrum:
    """A spectrum of a file or of a library, by what a user writes."""
    file, _, accession = text.partition("#")
    if os.path.exists(text) or os.path.exists(file):
        return _of_file(Path(file), accession) if not os.path.exists(text) else _of_file(Path(text), "")
    library, colon, accession = text.partition(":")
    if not colon:
        raise click.UsageError(f'{text!r} is neither a file nor "LIBRARY:ACCESSION".')
    return _of_library(library, accession, store)


def _of_file(path: Path, accession: str) -> Spectrum:
    from specsearch.errors import InputFileError
    from specsearch.spectra.readers import read_spectra
    from specsearch.spectra.spectrum import Spectrum

    for record in read_spectra(path):
        if isinstance(record, Spectrum) and accession in ("", record.accession):
            return record
    wanted = f"no spectrum {accession!r}" if accession else "no spectrum that can be read"
    raise InputFileError(f"{path} has {wanted}.", 'Name another as "FILE#ACCESSION".')


def _of_library(library: str, accession: str, store: StoreAt) -> Spectrum:
    from specsearch.errors import LibraryNotFound
    from specsearch.store.points import point_id
    from specsearch.store.spectra import spectrum_of

    with store.open() as opened, opened.open(library) as collection:
        records = list(collection.fetch([point_id(library, accession)]).values())
    if not records:
        raise LibraryNotFound(
            f"There is no spectrum {accession!r} in {library!r}.",
            'Ids are "LIBRARY:ACCESSION", as "specsearch search" shows them.',
        )
    return spectrum_of(records[0])


def _require(module: str, extra: str) -> None:
    if find_spec(module) is None:
        raise click.ClickException(f'Drawing needs more: pip install "specsearch[{extra}]".')
