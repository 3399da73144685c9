"""Shortlists as one page that needs nothing else: it can be mailed, printed, and opened offline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path

from specsearch.chemistry.drawings import draw_molecule
from specsearch.report.candidate_rows import Provenance, candidate_rows
from specsearch.report.rows import Value
from specsearch.report.tables import describe
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION, Shortlist
from specsearch.spectra.writers.atomic import replacing_text

_N_DRAWN = 5
_COLUMNS = {
    "rank": "#",
    "name": "name",
    "inchikey": "InChIKey",
    "formula": "formula",
    "adduct": "adduct",
    "mass_error_ppm": "mass error, ppm",
    "score": "score",
    "probability": "probability",
    "in_90_percent_shortlist": "in the 90 % shortlist",
    "fingerprint_similarity": "fingerprint",
    "projection_score": "projection",
    "library_similarity": "library",
    "library_molecule": "library molecule",
    "explained_peaks": "peaks explained",
    "explained_intensity": "intensity explained",
    "main_fragments": "main fragments",
    "smiles": "SMILES",
}
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:110rem;padding:0 1rem}
table{border-collapse:collapse;font-size:.85rem;display:block;overflow-x:auto}
td,th{padding:.3rem .6rem;border-bottom:1px solid #dde2e8;text-align:left;vertical-align:top}
th{background:#f4f6f8;position:sticky;top:0}td.number{text-align:right;font-variant-numeric:tabular-nums}
.band{display:inline-block;padding:.1rem .6rem;border-radius:1rem;background:#e8ecf1}
.high{background:#cdebd5}.medium{background:#fdf0c8}.low{background:#f9ddcf}
section{margin:2.5rem 0}.note{color:#5a6675}.wide{max-width:22rem;overflow-wrap:anywhere}"""


def write_page(path: Path, answers: Iterable[tuple[str, Shortlist]], provenance: Provenance) -> None:
    """Write a page, whole or not at all.

    Parameters
    ----------
    path : Path
    answers : iterable of (str, Shortlist)
        File and answer of each query.
    provenance : Provenance

    Raises
    ------
    InputFileError
        If the file cannot be written.
    """
    with replacing_text(path) as stream:
        stream.write(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>specsearch: candidates</title>'
            f"<style>{_STYLE}</style><h1>Candidates</h1><p><b>{escape(NOT_AN_IDENTIFICATION)}</b></p>"
            f'<p class="note">{escape(_made_with(provenance))}</p>\n'
        )
        for file, shortlist in answers:
            stream.writelines(_section(file, shortlist, provenance))
        stream.write("</html>\n")


def _made_with(provenance: Provenance) -> str:
    return (
        f"Bank {provenance.bank} ({provenance.bank_digest[:12]}), encoder {provenance.encoder_digest[:12]}, "
        f"ranker {provenance.ranker[:40]}."
    )


def _section(file: str, shortlist: Shortlist, provenance: Provenance) -> Iterator[str]:
    yield f"<section><h2>{escape(describe(shortlist.query))}</h2>"
    yield f'<p class="note">{escape(file)}: {len(shortlist):,} candidates considered.'
    yield f" {escape('; '.join(shortlist.notes))}</p>"
    if not shortlist.candidates:
        yield f"<p>{escape(shortlist.detail or shortlist.reason or shortlist.advice)}</p></section>\n"
        return
    if shortlist.rating is not None:
        rating = shortlist.rating
        style = rating.band.split()[0]
        yield f'<p>Confidence <span class="band {style}">{rating.band}</span> ({rating.confidence:.2f}); '
        yield f"{rating.n_near_ties} candidates nearly tied with the first or first themselves.</p>"
    yield "<table><tr><th>structure</th>"
    yield "".join(f"<th>{escape(title)}</th>" for title in _COLUMNS.values())
    yield "</tr>\n"
    for row in candidate_rows(shortlist, provenance, file):
        yield _row(row)
    yield "</table></section>\n"


def _row(row: Mapping[str, Value]) -> str:
    rank, smiles = row["rank"], row["smiles"]
    drawing = draw_molecule(str(smiles)) if isinstance(rank, int) and rank <= _N_DRAWN else ""
    return f"<tr><td>{drawing}</td>{''.join(_cell(row[name]) for name in _COLUMNS)}</tr>\n"


def _cell(value: Value) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    return f'<td class="wide">{escape(str(value))}</td>'
