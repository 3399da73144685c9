"""Scores of candidates, against dense arithmetic in float64, RDKit's Tanimoto, and a full sort."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from bank_material import MOLECULES, build, place, small_encoder, write_smi
from numpy.typing import NDArray
from rdkit import DataStructs
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from specsearch.chemistry.adducts import parse_adduct
from specsearch.chemistry.structures import parse_structure
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.embedder import Embedder
from specsearch.errors import StoreError
from specsearch.search.candidate_scores import (
    CandidateScores,
    Matches,
    default_score,
    score_candidates,
    standardised,
)
from specsearch.search.candidates import CandidateSearch, CandidateSettings, best_first
from specsearch.search.confidence import CANNOT_SAY, Rating
from specsearch.search.constraints import Constraints, parse_formulas
from specsearch.search.decision import DecisionLayer
from specsearch.search.query_outputs import read_queries
from specsearch.search.similar import SearchSettings, SimilaritySearch
from specsearch.search.whole_bank import best_by_fingerprint, best_by_projection
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Bank, open_bank
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.points import SparseVector, make_point
from specsearch.store.vectors import contract_of

PROTON = parse_adduct("[M+H]+")


def _query(name: str, seed: int = 0, **known: object) -> Spectrum:
    """Random peaks under the precursor of a molecule."""
    rng = np.random.default_rng(seed)
    mz = PROTON.precursor_mz(parse_structure(MOLECULES[name]).exact_mass)
    values = {"accession": name, "precursor_mz": mz, "charge": 1, "adduct": "[M+H]+", **known}
    return Spectrum.checked(rng.uniform(50, mz, 12), rng.uniform(0.1, 1, 12), **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    build(folder / "bank", write_smi(folder / "all.smi", MOLECULES.items()))
    return folder / "bank"


@pytest.fixture(scope="module")
def bank(folder: Path) -> Bank:
    return open_bank(folder)


def _embedder() -> Embedder:
    return Embedder(*small_encoder(), dtype=torch.float32)


def _search(bank: Bank, settings: CandidateSettings, **more: object) -> CandidateSearch:
    return CandidateSearch(bank, _embedder(), small_encoder()[0], settings, **more)  # type: ignore[arg-type]


def _dense_bits(bank: Bank) -> np.ndarray:
    """Fingerprints by RDKit's bit vectors, not by our packed rows."""
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    bits = np.zeros((len(bank), 2048))
    for row, molecule in enumerate(bank.molecules(np.arange(len(bank)))):
        bits[row, list(generator.GetFingerprint(MolFromSmiles(molecule.smiles)).GetOnBits())] = 1
    return bits


def test_every_score_is_what_dense_arithmetic_gives(bank: Bank) -> None:
    network, _ = small_encoder()
    queries = [_query(name, seed) for seed, name in enumerate(("leucine", "caffeine"))]
    outputs = read_queries(_embedder(), network, queries)
    bits = _dense_bits(bank)
    with torch.inference_mode():
        target = network.project_target(torch.from_numpy(bits).float()).double().numpy()
    shortlists = list(_search(bank, CandidateSettings()).search(queries))
    assert [len(shortlist) for shortlist in shortlists] == [3, 1]
    for i, shortlist in enumerate(shortlists):
        scores = shortlist.scores
        assert scores is not None
        z = outputs.logits[i].astype(float)
        p = 1 / (1 + np.exp(-z))
        f = bits[scores.row]
        cosine = f @ p / np.linalg.norm(f, axis=1) / np.linalg.norm(p)
        assert scores.logit == pytest.approx(f @ z, rel=1e-4, abs=1e-3)
        assert scores.cosine == pytest.approx(cosine, rel=1e-4)
        assert scores.projection == pytest.approx(target[scores.row] @ outputs.projection[i], abs=1e-5)
        with torch.inference_mode():
            pairs = torch.from_numpy(outputs.projection[i : i + 1]), torch.from_numpy(target).float()
            judged = [float(network.rerank(pairs[0], pairs[1][row : row + 1])) for row in scores.row]
        assert scores.reranker == pytest.approx(judged, abs=1e-5)


def _scored(packed: NDArray[np.uint8]) -> CandidateScores:
    """Any molecules, judged for a query of random outputs."""
    rng, n = np.random.default_rng(0), len(packed)
    logits, projection = rng.normal(size=2048).astype(np.float32), rng.normal(size=16).astype(np.float32)
    matches = Matches(np.arange(n), np.zeros(n, np.int64), np.ones(n, bool), np.zeros(n))
    return score_candidates(matches, packed, small_encoder()[0], logits, projection)


@pytest.mark.parametrize("block", [1, 5])
def test_scores_do_not_depend_on_how_many_are_unpacked_at_once(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    whole = _scored(bank.packed[:])
    monkeypatch.setattr("specsearch.search.candidate_scores._BLOCK", block)
    parts = _scored(bank.packed[:])
    for name in ("projection", "logit", "cosine", "reranker"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-5, abs=1e-5)
    assert len(_scored(bank.packed[:0])) == 0


def test_a_long_list_is_not_unpacked_whole() -> None:
    packed = np.random.default_rng(1).integers(0, 256, (40_000, 256), dtype=np.uint8)
    tracemalloc.start()
    scores = _scored(packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.isfinite(scores.cosine).all()
    assert peak < packed.nbytes * 8 * 5 / 2  # as bytes and as float32 it would be 410 MB


def test_outputs_do_not_depend_on_who_else_asks(bank: Bank) -> None:
    queries = [_query(name, seed) for seed, name in enumerate(MOLECULES)]
    network = small_encoder()[0]
    together = read_queries(_embedder(), network, queries)
    for i, spectrum in enumerate(queries):
        alone = read_queries(_embedder(), network, [spectrum])
        assert alone.logits[0] == pytest.approx(together.logits[i], abs=1e-4)
        assert alone.projection[0] == pytest.approx(together.projection[i], abs=1e-5)


def test_default_score_in_closed_form(bank: Bank) -> None:
    (shortlist,) = _search(bank, CandidateSettings(n_fragmented=0)).search([_query("leucine")])
    scores = shortlist.scores
    assert scores is not None
    expected = np.exp(-(scores.mass_error_ppm**2) / 18)
    for values in (scores.projection, scores.logit):
        expected = expected + (values - values.mean()) / values.std()
    assert default_score(scores) == pytest.approx(expected)
    assert shortlist.ranking == pytest.approx(expected)
    assert standardised(np.full(5, 3.3)).tolist() == [0.0] * 5


def test_a_shortlist_is_a_full_sort_cut_off(bank: Bank) -> None:
    (shortlist,) = _search(bank, CandidateSettings(top=2)).search([_query("leucine")])
    assert shortlist.scores is not None
    order = sorted(range(3), key=lambda i: -shortlist.ranking[i])
    assert [candidate.place for candidate in shortlist.candidates] == order[:2]
    assert [candidate.rank for candidate in shortlist.candidates] == [1, 2]
    for candidate in shortlist.candidates:
        assert candidate.score == shortlist.ranking[candidate.place]
        row = int(shortlist.scores.row[candidate.place])
        assert candidate.molecule.inchikey14 == bank.inchikey14[row]


def test_equal_scores_are_ordered_by_mass_error(bank: Bank) -> None:
    (shortlist,) = _search(bank, CandidateSettings(window=Tolerance(900, "ppm"))).search([_query("leucine")])
    assert shortlist.scores is not None
    places = best_first(np.zeros(len(shortlist)), shortlist.scores)
    errors = np.abs(shortlist.scores.mass_error_ppm[places])
    assert np.all(np.diff(errors) >= 0)


@pytest.mark.parametrize("block", [3, 65_536])
def test_whole_bank_by_fingerprint_is_dense_matrix_product(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("specsearch.search.whole_bank._BLOCK", block)
    logits = np.random.default_rng(0).normal(size=(4, 2048)).astype(np.float32)
    dense = _dense_bits(bank) @ logits.T.astype(float)
    for limit in (1, 5, len(bank), 999):
        found = best_by_fingerprint(bank, logits, limit)
        assert found.shape == (4, min(limit, len(bank)))
        for i, rows in enumerate(found):
            assert rows.tolist() == np.argsort(-dense[:, i])[:limit].tolist()


def test_whole_bank_by_projection_is_dense_matrix_product(bank: Bank, folder: Path) -> None:
    network, _ = small_encoder()
    queries = read_queries(_embedder(), network, [_query("quercetin"), _query("glycine")]).projection
    with torch.inference_mode():
        target = network.project_target(torch.from_numpy(_dense_bits(bank)).float()).numpy()
    with place(folder).store.open("candidates") as collection:
        found = best_by_projection(bank, collection, queries, 4)
    for query, rows in zip(queries, found, strict=True):
        best = np.sort(target @ query)[::-1][:4]
        assert target[rows] @ query == pytest.approx(best, abs=3e-3)  # stored as float16


def test_the_whole_bank_needs_no_precursor(bank: Bank, folder: Path) -> None:
    with pytest.raises(StoreError, match="needs the collection"):
        _search(bank, CandidateSettings(window=None))
    unknown = _query("leucine", precursor_mz=None, adduct=None)
    known = _query("leucine", adduct=None)
    with place(folder).store.open("candidates") as collection:
        search = _search(bank, CandidateSettings(window=None, n_from_bank=6), collection=collection)
        without, with_mass = search.search([unknown, known])
    assert len(without) >= 6
    assert without.scores is not None
    assert np.isnan(without.scores.mass_error_ppm).all()
    assert all(candidate.hypothesis is None for candidate in without.candidates)
    for candidate in with_mass.candidates:
        is_near = candidate.molecule.formula == "C6H13NO2"
        assert (candidate.hypothesis is not None) == is_near


def test_the_formula_alone_will_do(bank: Bank) -> None:
    unknown = _query("leucine", precursor_mz=None, adduct=None)
    (refused,) = _search(bank, CandidateSettings()).search([unknown])
    assert refused.reason == "no precursor m/z"
    settings = CandidateSettings(constraints=Constraints(parse_formulas(["C6H13NO2"])))
    (found,) = _search(bank, settings).search([unknown])
    assert {candidate.molecule.formula for candidate in found.candidates} == {"C6H13NO2"}
    assert len(found) == 3


def test_library_spectra_speak_for_structures_like_theirs(bank: Bank, tmp_path: Path) -> None:
    """Two library spectra equal to the query; the expected similarity comes from RDKit's own Tanimoto."""
    query = _query("leucine")
    embedder = _embedder()
    empty = SparseVector(np.array([3], np.uint32), np.array([1.0], np.float32))
    with EmbeddedStore(tmp_path / "libraries") as store:
        with store.create("lab", contract_of(embedder.card)) as library:
            known = {"A": "CC(C)CC(N)C(=O)OC", "B": "not a structure", "C": "c1ccccc1"}
            embedding = embedder.embed([query])[0]
            library.upsert(
                [
                    make_point(
                        "lab",
                        Spectrum.checked(
                            query.mz,
                            query.intensity,
                            accession=name,
                            precursor_mz=query.precursor_mz,
                            charge=1,
                            metadata={"smiles": smiles},
                        ),
                        embedding,
                        empty,
                        empty,
                    )
                    for name, smiles in known.items()
                ]
            )
        with store.open("lab") as library:
            similar = SimilaritySearch([library], embedder, SearchSettings(top=5))
            (shortlist,) = _search(bank, CandidateSettings(), libraries=similar).search([query])
    assert shortlist.neighbours is not None
    assert shortlist.scores is not None
    assert [hit.payload["accession"] for hit in shortlist.neighbours.hits] == ["A", "C"]
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    likeness = {hit.payload["accession"]: hit.score for hit in shortlist.neighbours.hits}
    for candidate in shortlist.candidates:
        ours = generator.GetFingerprint(MolFromSmiles(candidate.molecule.smiles))
        theirs = {
            name: likeness[name] * DataStructs.TanimotoSimilarity(ours, generator.GetFingerprint(mol))
            for name in ("A", "C")
            if (mol := MolFromSmiles(known[name]))
        }
        assert shortlist.scores.library_similarity[candidate.place] == pytest.approx(max(theirs.values()))
        assert shortlist.scores.library_hit[candidate.place] == ["A", "C"].index(max(theirs, key=theirs.get))  # type: ignore[arg-type]


def test_fragments_are_looked_at_for_the_first_candidates_only(bank: Bank) -> None:
    """Peaks of record: 86.0964 is leucine without formic acid, C5H12N+."""
    spectrum = Spectrum.checked(
        [86.0964, 132.1019, 117.5], [1.0, 0.6, 0.4], precursor_mz=132.10191, charge=1, adduct="[M+H]+"
    )
    (shortlist,) = _search(bank, CandidateSettings(n_fragmented=2)).search([spectrum])
    assert shortlist.scores is not None
    supported = [candidate for candidate in shortlist.candidates if candidate.support is not None]
    assert len(supported) == 2
    assert np.isnan(shortlist.scores.fragment_score).sum() == 1
    for candidate in supported:
        assert candidate.support is not None
        assert candidate.support.n_explained == 2
        assert candidate.support.explained_intensity == pytest.approx(0.8)
        assert "86.0964 C5H12N+" in candidate.support.note
        assert shortlist.scores.explained_intensity[candidate.place] == pytest.approx(0.8)
    (none,) = _search(bank, CandidateSettings(n_fragmented=0)).search([spectrum])
    assert none.scores is not None
    assert np.isnan(none.scores.fragment_score).all()


class ByRow(DecisionLayer):
    """Ranks by the bank's order and rates nothing as sure."""

    def __call__(self, scores: CandidateScores) -> NDArray[np.float64]:
        return -scores.row.astype(np.float64)

    def rate(self, scores: CandidateScores, log_odds: NDArray[np.float64], risk: str | None = None) -> Rating:
        return Rating(np.full(len(scores), 1 / len(scores)), 0.0, CANNOT_SAY, len(scores), {})


def test_another_ranking_takes_the_place_of_ours(bank: Bank) -> None:
    settings = CandidateSettings(decision=ByRow({}, {}, "any"))
    (shortlist,) = _search(bank, settings).search([_query("leucine")])
    assert shortlist.scores is not None
    rows = [int(shortlist.scores.row[candidate.place]) for candidate in shortlist.candidates]
    assert rows == sorted(rows)
