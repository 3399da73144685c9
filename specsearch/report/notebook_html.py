"""Spectra, answers and shortlists as HTML for notebooks: no scripts, and legible on light and dark."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from specsearch.chemistry.drawings import draw_molecule
from specsearch.errors import ParseError
from specsearch.report.candidate_tables import CANDIDATE_HEADINGS, candidate_cells, confidence_in_words
from specsearch.report.mirror import fragment_names
from specsearch.report.mirror_svg import mirror_svg
from specsearch.report.tables import HIT_HEADINGS, hit_cells, plain
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION, Shortlist
from specsearch.search.similar import Answer, SimilarHit
from specsearch.spectra.cleaning import RESCORING_RECIPE, clean
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.schema import Key

_MOST_SHOWN = 10
_STRUCTURE = (140, 80)
_FACTS = ("formula", "collision_energy", "instrument_type")
_TEXTS = frozenset({"hit", "candidate", "formula", "adduct", "structure", "library"})
# Colours are the notebook's own; only structures stand on white, since their bonds are black.
_STYLE = """<style>.specsearch{font:13px/1.5 system-ui,sans-serif;overflow-x:auto}.specsearch p{margin:.2em 0}
.specsearch .beside{display:flex;flex-wrap:wrap;align-items:center;gap:1em}.specsearch .faint{opacity:.75}
.specsearch table{border-collapse:collapse;margin:.5em 0;font-size:12px;font-variant-numeric:tabular-nums}
.specsearch th,.specsearch td{padding:.2em .7em;text-align:right;vertical-align:middle;
border:0;border-bottom:1px solid rgba(128,128,128,.35);background:none}
.specsearch .text{text-align:left;max-width:22em;overflow-wrap:break-word}
.specsearch img{display:block;margin:0;max-width:none;background:#fff;border-radius:4px}</style>"""


def spectrum_html(spectrum: Spectrum) -> str:
    """Name and facts, the peaks with the fragments that the spectrum's own structure explains, the structure.

    Parameters
    ----------
    spectrum : Spectrum
    """
    return _shown(_heading(spectrum), _plot(spectrum))


def answer_html(answer: Answer) -> str:
    """The query against its best hit, and a table of the first hits with their structures.

    Parameters
    ----------
    answer : Answer
    """
    if not answer.hits:
        return _shown(_heading(answer.query), _line(answer.reason or "No hits."), _plot(answer.query))
    rows = []
    for hit in answer.hits[:_MOST_SHOWN]:
        *cells, structure, library = hit_cells(answer.query, hit)
        rows.append(
            [*map(escape, cells), _structure(hit.payload.get(Key.SMILES), structure), escape(library)]
        )
    return _shown(
        _heading(answer.query),
        _plot(answer.query, answer.hits[0]),
        _table(HIT_HEADINGS, rows),
        _more(len(answer.hits)),
    )


def shortlist_html(shortlist: Shortlist) -> str:
    """How sure the list is, and a table of the first candidates with their structures.

    Parameters
    ----------
    shortlist : Shortlist
    """
    query, candidates = shortlist.query, shortlist.candidates
    considered = f"{len(shortlist):,} candidates considered. {NOT_AN_IDENTIFICATION}"
    if not candidates:
        why = shortlist.detail or shortlist.reason or shortlist.advice
        return _shown(_heading(query), _line(why or "No candidates."), _plot(query))
    rows = []
    for candidate in candidates[:_MOST_SHOWN]:
        *cells, smiles = candidate_cells(shortlist, candidate)
        rows.append([*map(escape, cells), _structure(candidate.molecule.smiles, smiles)])
    return _shown(
        _heading(query),
        "" if shortlist.rating is None else f"<p><b>{escape(confidence_in_words(shortlist.rating))}</b></p>",
        _line(considered),
        *map(_line, shortlist.notes),
        _table(CANDIDATE_HEADINGS, rows),
        _more(len(candidates)),
    )


def _shown(*parts: str) -> str:
    return f'<div class="specsearch">{_STYLE}{"".join(parts)}</div>'


def _heading(spectrum: Spectrum) -> str:
    """Name and facts of a spectrum, and what was noticed about it."""
    known = spectrum.metadata
    named = " ".join((spectrum.accession, known.get("compound_name", ""))).strip()
    mz = spectrum.precursor_mz
    facts = ["precursor unknown" if mz is None else f"precursor m/z {mz:.4f}"]
    facts += [spectrum.adduct] if spectrum.adduct else []
    facts += [] if spectrum.charge is None else [f"charge {spectrum.charge:+d}"]
    facts += [f"{len(spectrum)} peaks", *(known[name] for name in _FACTS if known.get(name))]
    notes = "".join(map(_line, spectrum.notes))
    return f"<p><b>{escape(plain(named or 'Spectrum'))}</b></p>{_line(' · '.join(facts))}{notes}"


def _plot(spectrum: Spectrum, hit: SimilarHit | None = None) -> str:
    """The peaks, against those of a hit if there is one, and the spectrum's structure where it is known."""
    top = clean(spectrum, RESCORING_RECIPE)
    names = fragment_names(spectrum, top)
    smiles = spectrum.metadata.get("smiles")
    if hit is None:
        plot = mirror_svg(top, labels=(names, {}))
    else:
        other = _spectrum_of(hit)
        bottom = clean(other, RESCORING_RECIPE)
        titles = (plain(spectrum.accession), plain(hit.spectrum_id))
        plot = mirror_svg(top, bottom, titles=titles, labels=(names, fragment_names(other, bottom)))
    return f'<div class="beside">{plot}{_structure(smiles, "")}</div>'


def _spectrum_of(hit: SimilarHit) -> Spectrum:
    payload, peaks = hit.payload, hit.spectrum
    smiles = payload.get(Key.SMILES)
    return Spectrum(
        peaks.mz,
        peaks.intensity,
        precursor_mz=peaks.precursor_mz,
        adduct=payload.get(Key.ADDUCT),
        metadata={"smiles": smiles} if smiles else {},
    )


def _structure(smiles: str | None, otherwise: str) -> str:
    """A drawing as an image, in which nothing runs; a text where there is nothing to draw."""
    try:
        drawing = draw_molecule(smiles, *_STRUCTURE) if smiles else ""
    except ParseError:
        drawing = ""
    if not drawing:
        return escape(otherwise)
    told = escape(plain(smiles))
    data = b64encode(drawing.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{told}" title="{told}">'


def _table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with the structures in its second column; headings are texts, cells are HTML."""
    names = [heading.replace("-\n", "").replace("\n", " ") for heading in headings]
    order = sorted(range(len(names)), key=lambda i: (i > 0, names[i] != "structure"))
    styles = [' class="text"' if name in _TEXTS else "" for name in names]
    head = "".join(f"<th{styles[i]}>{escape(names[i])}</th>" for i in order)
    body = "".join(f"<tr>{''.join(f'<td{styles[i]}>{row[i]}</td>' for i in order)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _more(n_all: int) -> str:
    return _line(f"and {n_all - _MOST_SHOWN:,} more") if n_all > _MOST_SHOWN else ""


def _line(text: str) -> str:
    return f'<p class="faint">{escape(plain(text))}</p>'
