"""One window: read it, name its spectra, prepare what the encoder needs; then turn it into points."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingest.ledger import Claim, Ledger
from ingest.names import Duplicates, Names
from ingest.plan import Window
from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.agreement import Agreement, explain_precursor
from specsearch.chemistry.masses import formula_mass
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.tokens import TokenInput, token_input
from specsearch.errors import ParseError, Skipped
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.points import Point, SparseVector, make_point
from specsearch.store.schema import Key
from specsearch.store.vectors import sparse_vectors

_PRECURSOR_TOLERANCE = Tolerance(20.0, "ppm")
_SUSPICIOUS = frozenset(
    {Agreement.UNIT_RESOLUTION, Agreement.ISOTOPES, Agreement.OTHER_ADDUCT, Agreement.DISAGREES}
)


@dataclass(frozen=True, eq=False)
class Batch:
    """A window on its way from the reader to the store."""

    window: Window
    spectra: list[Spectrum]
    inputs: list[TokenInput]
    peaks: list[SparseVector]
    losses: list[SparseVector]
    claims: list[Claim]
    skipped: list[Skipped]
    noted: list[tuple[str, str]]
    n_read: int


@dataclass(eq=False)
class WindowReader:
    """Reads windows in their order and gives every spectrum its name in the library, see `Names`.

    Parameters
    ----------
    ledger : Ledger
        Knows the names taken so far; receives the new ones.
    duplicates : {"keep", "collapse"}
        Whether spectra with a SPLASH already in the library are indexed.
    """

    ledger: Ledger
    duplicates: Duplicates = "keep"

    def read(self, window: Window) -> Batch:
        """Read, name and prepare the spectra of a window."""
        records = list(read_parquet(window.source.table, window.start, window.stop))
        spectra = [record for record in records if isinstance(record, Spectrum)]
        skipped = [
            replace(record, source=str(window.source.path))
            for record in records
            if isinstance(record, Skipped)
        ]
        kept, claims, noted = [], [], []
        for named in Names(self.ledger, self.duplicates).give(spectra):
            spectrum, claim = named.spectrum, named.claim
            if claim is None:
                skipped.append(_complaint(window, spectrum, named.reason, named.detail))
                continue
            name = claim.accession
            if name != spectrum.accession:
                noted.append(("accession taken by another record: numbered", name))
                spectrum = replace(spectrum, accession=name)
            kept.append(spectrum)
            claims.append(claim)
            noted += [(note, name) for note in _notes(spectrum)]
        self.ledger.claim(window.key, claims)
        inputs = [token_input(spectrum) for spectrum in kept]
        peaks, losses = sparse_vectors([item.peaks for item in inputs])
        return Batch(window, kept, inputs, peaks, losses, claims, skipped, noted, len(records))


def make_points(library: str, batch: Batch, embeddings: NDArray[np.float32]) -> list[Point]:
    """The points of a window's spectra, in their order."""
    source = batch.window.source.path.name
    return [
        make_point(library, spectrum, embedding, peaks, losses, _extra(spectrum, claim, source))
        for spectrum, claim, embedding, peaks, losses in zip(
            batch.spectra, batch.claims, embeddings, batch.peaks, batch.losses, strict=True
        )
    ]


def _extra(spectrum: Spectrum, claim: Claim, source: str) -> dict[str, object]:
    """Values for the payload that the record does not say in so many words."""
    mass = _molecule_mass(spectrum)
    if mass is None and spectrum.adduct and spectrum.precursor_mz:
        with suppress(ParseError):  # the reader has already noted an adduct it did not understand
            mass = parse_adduct(spectrum.adduct).neutral_mass(spectrum.precursor_mz)
    return {Key.SOURCE: source, Key.CONTENT: claim.content.hex(), Key.EXACT_MASS: mass}


def _molecule_mass(spectrum: Spectrum) -> float | None:
    """Exact mass of the annotated molecule: from its formula (the field at times holds average masses)."""
    with suppress(KeyError, ParseError):
        return formula_mass(spectrum.metadata["formula"])
    with suppress(KeyError, ValueError):
        return float(spectrum.metadata["exact_mass"])
    return None


def _notes(spectrum: Spectrum) -> tuple[str, ...]:
    """What the reader noticed, and whether the precursor contradicts molecule and adduct."""
    mass = _molecule_mass(spectrum)
    if mass is None or spectrum.precursor_mz is None or not spectrum.adduct:
        return spectrum.notes
    verdict = explain_precursor(spectrum.precursor_mz, spectrum.adduct, mass, _PRECURSOR_TOLERANCE)
    if verdict in _SUSPICIOUS:
        return (*spectrum.notes, f"precursor m/z {verdict}")
    return spectrum.notes


def _complaint(window: Window, spectrum: Spectrum, reason: str, detail: str) -> Skipped:
    where = f"rows {window.start + 1} to {window.stop}"
    return Skipped(str(window.source.path), where, reason, spectrum.accession, detail)
