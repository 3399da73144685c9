"""The receipt of a deduplication, as a page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import MappingProxyType

import numpy as np

from specsearch.evaluation.library_recall import Receipt
from specsearch.report.rows import Columns, Row
from specsearch.search.duplicates import Duplicates, DuplicateSettings
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.writers.atomic import replacing_text
from specsearch.store.schema import Key

DROPPED_COLUMNS: Columns = MappingProxyType(
    {
        "spectrum_id": str,
        "kept": str,
        "level": str,
        "compound_name": str,
        "adduct": str,
        "collision_energy": str,
    }
)
"""One row a spectrum that goes: the one kept for it, and by which level."""

_NOTE = (
    "Queries: one spectrum a molecule, held back before duplicates were looked for; the best hit within "
    "10 ppm counts. Spectra of known and different structures are never merged."
)
RECEIPT = "receipt.html"
"""Name of the page beside a library, for the server's pages."""

STYLE = """:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #8884}
td,th{text-align:left}.scroll{overflow-x:auto}.note{opacity:.75}"""


def dropped_rows(snapshot: Snapshot, duplicates: Duplicates) -> Iterator[Row]:
    """Every dropped spectrum, by the one that is kept for it."""
    names = snapshot.texts(Key.SPECTRUM_ID)
    columns = {key: snapshot.texts(key) for key in (Key.COMPOUND_NAME, Key.ADDUCT, Key.COLLISION_ENERGY)}
    gone = np.flatnonzero(~duplicates.stays)
    for row in gone[np.argsort(duplicates.kept[gone], kind="stable")].tolist():
        yield {
            "spectrum_id": names[row],
            "kept": names[duplicates.kept[row]],
            "level": duplicates.why[row],
            **{key: values[row] or None for key, values in columns.items()},
        }


def receipt_lines(receipt: Receipt) -> list[tuple[str, str]]:
    """What was measured, as pairs of a name and a figure in words."""
    lost = receipt.n_structures - receipt.n_structures_after
    lines = [
        ("spectra", f"{receipt.n_spectra:,} before, {receipt.n_spectra_after:,} after"),
        (
            "structures",
            f"{receipt.n_structures:,} before, {receipt.n_structures_after:,} after: {lost:,} lost",
        ),
        (
            "merged wrongly",
            f"{receipt.n_merged_wrongly:,} of {receipt.n_merged_labelled:,} with known structure and adduct",
        ),
        ("completeness", f"{receipt.completeness:.3f} (1: all spectra of a molecule and adduct share one)"),
    ]
    if receipt.n_queries:
        lines.append(
            (
                "right molecule first",
                f"{receipt.recall:.2%} before, {receipt.recall_after:.2%} after "
                f"({receipt.n_queries:,} queries)",
            )
        )
    return lines


def write_receipt(
    path: Path, snapshot: Snapshot, duplicates: Duplicates, settings: DuplicateSettings, receipt: Receipt
) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    name = escape(snapshot.library)
    with replacing_text(path) as stream:
        stream.write(f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title>")
        stream.write(f'<meta name=viewport content="width=device-width"><style>{STYLE}</style>')
        stream.write(f"<main><h1>What {name} says twice</h1><p>{escape(_rule(settings))}</p><table>")
        for what, figure in receipt_lines(receipt):
            stream.write(f"<tr><th scope=row>{escape(what)}<td>{escape(figure)}")
        stream.write(f"</table><p class=note>{_NOTE}</p><h2>Every spectrum that goes</h2>")
        heads = "".join(f"<th scope=col>{column.replace('_', ' ')}" for column in DROPPED_COLUMNS)
        stream.write(f"<div class=scroll><table><tr>{heads}")
        for row in dropped_rows(snapshot, duplicates):
            stream.write("<tr>" + "".join(f"<td>{escape(str(value or ''))}" for value in row.values()) + "\n")
        stream.write("</table></div></main></html>\n")


def _rule(settings: DuplicateSettings) -> str:
    return {
        "identical": "The same peaks (SPLASH).",
        "measurement": f"The same peaks (SPLASH), or the same adduct and energy within {settings.precursor} "
        f"with a spectral entropy similarity of at least {settings.least_entropy:g}.",
        "condition": f"The same peaks, nearly the same ones ({settings.least_entropy:g}), or the same "
        "molecule, adduct, energy and kind of instrument.",
    }[settings.level.value]
