"""Answers and shortlists made by hand, with a name that would do harm where it is not escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from decision_material import made_scores

from specsearch.chemistry.structures import parse_structure
from specsearch.search.confidence import HIGH, Rating
from specsearch.search.shortlists import Candidate, Shortlist
from specsearch.search.similar import Answer, SimilarHit
from specsearch.spectra.cleaning import RESCORING_RECIPE, clean
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Molecule
from specsearch.store.schema import Key

HOSTILE = '</p></svg><script>alert("x")</script><img src=x onerror=alert(1)>'
SMILES = ("Oc1ccccc1", "CCO", "not a structure <b>", "", "Cn1cnc2c1c(=O)n(C)c(=O)n2C")


def phenol(accession: str = "phenol", **known: Any) -> Spectrum:
    """Phenol's ion, the one that lost CO, and others; the second fragment has a peak beside it."""
    values = {"precursor_mz": 95.0491, "charge": 1, "adduct": "[M+H]+", "metadata": {"smiles": "Oc1ccccc1"}}
    mz, intensity = [51.2, 67.0542, 77.0386, 80.9], [40.0, 1000.0, 250.0, 90.0]
    return Spectrum.checked(mz, intensity, accession=accession, **{**values, **known})


def answer(query: Spectrum, others: Sequence[Spectrum]) -> Answer:
    """The others as hits, in their order; the first one's name does harm."""
    return Answer(query, [_hit(rank, other) for rank, other in enumerate(others, 1)])


def _hit(rank: int, spectrum: Spectrum) -> SimilarHit:
    payload = {
        Key.SPECTRUM_ID: f"lib:{spectrum.accession}",
        Key.LIBRARY: "lib",
        Key.ACCESSION: spectrum.accession,
        Key.COMPOUND_NAME: HOSTILE if rank == 1 else f"name {rank}",
        Key.SMILES: SMILES[(rank - 1) % len(SMILES)],
        Key.ADDUCT: spectrum.adduct,
        Key.CHARGE: spectrum.charge,
        Key.N_PEAKS: len(spectrum),
    }
    return SimilarHit(
        rank,
        1.0 / rank,
        embedding=0.9 / rank,
        peaks=0.8 / rank,
        losses=0.7 / rank,
        entropy_similarity=0.6 / rank,
        modified_cosine=0.5 / rank,
        matched_peaks=rank,
        mass_error_ppm=None if spectrum.precursor_mz is None else 1.25 * rank,
        spectrum=clean(spectrum, RESCORING_RECIPE),
        payload=payload,
    )


def shortlist(query: Spectrum, n: int = 12) -> Shortlist:
    """Alcohols, of which the first has a harmful name; sure of the first."""
    scores = made_scores(np.random.default_rng(0), n, 0, 3.0)
    probability = np.full(n, 0.2 / max(n - 1, 1))
    probability[0] = 0.8
    candidates = []
    for place in range(n):
        known = parse_structure("C" * (place + 1) + "O")
        name = HOSTILE if place == 0 else ""
        molecule = Molecule(
            known.smiles, name, known.inchikey, known.formula, known.exact_mass, known.formal_charge
        )
        candidates.append(Candidate(place + 1, 1.0 - place / n, place, molecule, None, None))
    rating = Rating(probability, 0.91, HIGH, 1, {"90%": np.arange(n) < 2})
    return Shortlist(query, (), scores, probability, candidates, rating=rating, notes=("<i>noticed</i>",))
