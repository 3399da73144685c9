"""Answers as tables a chemist can read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from specsearch.search.similar import Answer, SimilarHit
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.schema import Key

HIT_HEADINGS = ("#", "hit", "similarity", "matched\npeaks", "precursor\nerror", "structure", "library")
_NEAR_PPM = 100.0
_FIXED_WIDTH = 52  # of a hit's row without its texts: numbers and what separates the columns
_HIT_WIDTH, _STRUCTURE_WIDTH, _SHORTEST = 40, 60, 10


def plain(value: object) -> str:
    """Text of a file made safe to show: what a terminal could take for a command is left out."""
    return "".join(character for character in str(value) if character.isprintable())


def make_table(
    title: str, columns: Iterable[str], rows: Iterable[Sequence[object]], right: str = ""
) -> Table:
    """A table of texts and numbers.

    Parameters
    ----------
    title : str
        Empty for none.
    columns : iterable of str
    rows : iterable of sequences
    right : str
        Names of the columns of numbers, separated by blanks.
    """
    title_text = Text(plain(title), style="bold") if title else None
    table = Table(title=title_text, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right.split() else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row))
    return table


def hits_table(answer: Answer, width: int) -> Table:
    """The hits of one query, best first, its own line as the title.

    Parameters
    ----------
    answer : Answer
    width : int
        Characters a line may have; names and structures are shortened to fit.
    """
    table = Table(
        title=Text(describe(answer.query)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for name in HIT_HEADINGS:
        is_text = name in ("hit", "structure", "library")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    rows = [hit_cells(answer.query, hit) for hit in answer.hits]
    library_width = max((len(row[-1]) for row in rows), default=0)
    free = width - _FIXED_WIDTH - max(library_width, len("library"))
    hit_width = min(_HIT_WIDTH, max(_SHORTEST, free * 2 // 5))
    structure_width = min(_STRUCTURE_WIDTH, max(_SHORTEST, free - hit_width))
    for rank, hit, similarity, peaks, error, structure, library in rows:
        short = (shortened(hit, hit_width), shortened(structure, structure_width))
        table.add_row(*map(Text, (rank, short[0], similarity, peaks, error, short[1], library)))
    return table


def shortened(text: str, n_characters: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= n_characters else text[: n_characters - 1] + "…"


def describe(query: Spectrum) -> str:
    """One line about a query: its name, precursor, peaks, and structure where that is known."""
    return f"Query {describe_spectrum(query)}"


def describe_spectrum(spectrum: Spectrum) -> str:
    """The same without the word: for spectra that ask nothing."""
    parts = [spectrum.accession]
    if name := spectrum.metadata.get("compound_name"):
        parts.append(name)
    known = spectrum.precursor_mz is not None
    precursor = f"precursor {spectrum.precursor_mz:.4f}" if known else "precursor unknown"
    parts += [f"{precursor} {spectrum.adduct or ''}".strip(), f"{len(spectrum)} peaks"]
    if smiles := spectrum.metadata.get("smiles"):
        parts.append(smiles)
    return plain(" · ".join(parts))


def hit_cells(query: Spectrum, hit: SimilarHit) -> tuple[str, ...]:
    """A hit as texts under `HIT_HEADINGS`."""
    name = hit.payload.get(Key.COMPOUND_NAME) or hit.payload.get(Key.ACCESSION, "")
    adduct = hit.payload.get(Key.ADDUCT)
    return (
        str(hit.rank),
        plain(f"{name} {adduct}" if adduct else name),
        f"{hit.score:.3f}",
        str(hit.matched_peaks),
        precursor_error(query, hit),
        plain(hit.payload.get(Key.SMILES) or hit.payload.get(Key.FORMULA, "")),
        plain(hit.payload.get(Key.LIBRARY, "")),
    )


def precursor_error(query: Spectrum, hit: SimilarHit) -> str:
    """How far the precursors are apart: in ppm where they may be the same, else in Da.

    The sign is the query's: ``+15.9949 Da`` is a query heavier than the hit by an oxygen.
    """
    if hit.mass_error_ppm is None or query.precursor_mz is None or hit.spectrum.precursor_mz is None:
        return "unknown"
    if abs(hit.mass_error_ppm) < _NEAR_PPM:
        return f"{hit.mass_error_ppm:+.1f} ppm"
    return f"{query.precursor_mz - hit.spectrum.precursor_mz:+.4f} Da"
