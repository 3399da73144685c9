"""Lists that a decision layer is fitted on are those that identify ranks: two roads to the same scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bank_material import build, small_encoder
from evaluation_material import ISOMERS, annotated_spectra, splits, write_bank

from specsearch.chemistry.structures import parse_structure
from specsearch.encoder.embedder import Embedder
from specsearch.evaluation.bank import read_bank
from specsearch.evaluation.candidates import WINDOW, candidate_pools
from specsearch.evaluation.decision_lists import judged_lists, masked_split
from specsearch.evaluation.well_known import MOLECULES
from specsearch.search.candidates import CandidateSearch, CandidateSettings
from specsearch.store.bank import open_bank

_SCORES = ("projection", "logit", "cosine", "mass_error_ppm", "fragment_score", "explained_intensity")


def test_judged_lists_are_those_of_identify(tmp_path: Path) -> None:
    table = write_bank(tmp_path / "bank.parquet", [*MOLECULES.values(), *ISOMERS])
    network, card = small_encoder()
    build(tmp_path / "bank", table)
    bank = open_bank(tmp_path / "bank")
    split = splits(24)["test"]
    pools = candidate_pools(split, read_bank(table), WINDOW)
    lists = judged_lists(network, card, split, pools, None)
    search = CandidateSearch(bank, Embedder(network, card), network, CandidateSettings())
    asked = [one for one in annotated_spectra(24) if one.metadata["split"] == "test"]
    compared = 0
    for one, shortlist in zip(lists, search.search(asked), strict=True):
        assert shortlist.scores is not None
        assert len(one.scores) == len(shortlist.scores)
        known = {mol.inchikey14: row for row, mol in enumerate(bank.molecules(shortlist.scores.row))}
        for place, row in enumerate(one.scores.row):
            other = known[parse_structure(str(pools.smiles[row])).inchikey[:14]]
            for name in _SCORES:
                mine, theirs = (
                    getattr(s, name)[i] for s, i in ((one.scores, place), (shortlist.scores, other))
                )
                assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5, nan_ok=True), name
            compared += 1
    assert compared > len(asked)  # some lists hold more than the truth

    blind = judged_lists(network, card, masked_split(split), pools, None, with_fragments=False)
    for one, other in zip(lists, blind, strict=True):
        np.testing.assert_array_equal(one.scores.mass_error_ppm, other.scores.mass_error_ppm)
        assert np.isnan(other.scores.fragment_score).all()
    assert any(
        (one.scores.projection != other.scores.projection).any()
        for one, other in zip(lists, blind, strict=True)
    )
