"""Shortlists as tables a chemist can read."""

from __future__ import annotations

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from specsearch.report.tables import describe, plain, shortened
from specsearch.search.confidence import Rating
from specsearch.search.shortlists import NOT_AN_IDENTIFICATION, Candidate, Shortlist

_FIXED_WIDTH = 78  # of a row without its texts: numbers and what separates the columns
_NAME_WIDTH, _STRUCTURE_WIDTH, _SHORTEST = 28, 60, 12
CANDIDATE_HEADINGS = (
    "#",
    "candidate",
    "formula",
    "adduct",
    "mass\nerror",
    "score",
    "prob.",
    "finger-\nprint",
    "projec-\ntion",
    "explained\nintensity",
    "structure",
)
_TEXTS = ("candidate", "formula", "adduct", "structure")


def shortlist_table(shortlist: Shortlist, width: int) -> Table:
    """The candidates of one query, best first; its own line and what the answer is not as the title.

    Parameters
    ----------
    shortlist : Shortlist
    width : int
        Characters a line may have; names and structures are shortened to fit.
    """
    title = [describe(shortlist.query), f"{len(shortlist)} candidates. {NOT_AN_IDENTIFICATION}"]
    title += [] if shortlist.rating is None else [confidence_in_words(shortlist.rating)]
    title += [plain(note) for note in shortlist.notes]
    table = Table(title=Text("\n".join(title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in CANDIDATE_HEADINGS:
        table.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    free = max(width - _FIXED_WIDTH, 2 * _SHORTEST)
    name_width = min(_NAME_WIDTH, max(_SHORTEST, free // 3))
    structure_width = min(_STRUCTURE_WIDTH, max(_SHORTEST, free - name_width))
    for candidate in shortlist.candidates:
        cells = list(candidate_cells(shortlist, candidate))
        cells[1], cells[-1] = shortened(cells[1], name_width), shortened(cells[-1], structure_width)
        table.add_row(*map(Text, cells))
    return table


def confidence_in_words(rating: Rating) -> str:
    """How sure the list is, in a line."""
    ties = "" if rating.n_near_ties == 1 else f"; {rating.n_near_ties} candidates are nearly tied"
    members = rating.in_shortlist.get("90%")
    shortest = "" if members is None else f"; {members.sum()} hold the right one in 9 of 10 such lists"
    return f"Confidence: {rating.band} ({rating.confidence:.2f}){ties}{shortest}, if the bank has it."


def candidate_cells(shortlist: Shortlist, candidate: Candidate) -> tuple[str, ...]:
    """A candidate as texts under `CANDIDATE_HEADINGS`."""
    scores, place, molecule = shortlist.scores, candidate.place, candidate.molecule
    assert scores is not None  # there is a candidate
    error = scores.mass_error_ppm[place]
    fits = "" if candidate.hypothesis is None or scores.adduct_fits[place] else " ?"
    return (
        str(candidate.rank),
        plain(molecule.name or molecule.inchikey14),
        plain(molecule.formula),
        "" if candidate.hypothesis is None else f"{candidate.hypothesis.adduct}{fits}",
        "unknown" if np.isnan(error) else f"{error:+.1f} ppm",
        f"{candidate.score:.2f}",
        "" if shortlist.rating is None else f"{shortlist.rating.probability[place]:.0%}",
        f"{scores.cosine[place]:.3f}",
        f"{scores.projection[place]:.3f}",
        "" if candidate.support is None else f"{candidate.support.explained_intensity:.0%}",
        plain(molecule.smiles),
    )
