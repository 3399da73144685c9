"""Decoys by brute force over the bank, ranking by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.Descriptors import ExactMolWt
from samples import TINY, network
from training_material import FAST, MOLECULES, TRAIN, VAL, annotated, write_bank

from specsearch.chemistry.fingerprints import pack_bits
from specsearch.chemistry.tolerance import Tolerance
from specsearch.encoder.checkpoint import Card
from specsearch.encoder.training.decoys import Peers, find_peers, read_bank
from specsearch.encoder.training.examples import Examples, collect_examples
from specsearch.encoder.training.objective import Objective
from specsearch.encoder.training.ranking import Decoys, ranking_losses
from specsearch.encoder.training.recipe import Weights
from specsearch.encoder.training.train import Run
from specsearch.encoder.training.validation import validate
from specsearch.errors import InputFileError, Skipped

TEN_PPM = Tolerance(10.0, "ppm")
KEYS = {smiles: Chem.MolToInchiKey(Chem.MolFromSmiles(smiles))[:14] for smiles in MOLECULES}
MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    refused = ("C1CC((", "AAAAAAAAAAAAAA-UHFFFAOYSA-N", ExactMolWt(Chem.MolFromSmiles("CCCO")))
    nameless = [("", "BBBBBBBBBBBBBB", 60.0575), ("CCCO", "", 60.0575), ("CCCO", "C" * 14, float("nan"))]
    return write_bank(tmp_path / "bank.parquet", MOLECULES[::-1], [refused, *nameless])


@pytest.fixture
def molecules() -> Examples:
    return collect_examples([annotated(smiles) for smiles in MOLECULES], "train")


def on_bits(smiles: str) -> list[int]:
    return list(MORGAN.GetFingerprint(Chem.MolFromSmiles(smiles)).GetOnBits())


@pytest.mark.parametrize("left_out", [(), (KEYS["CC(C)O"], KEYS["CCCCO"])])
def test_peers_by_brute_force(
    bank: Path, molecules: Examples, tmp_path: Path, left_out: tuple[str, ...]
) -> None:
    told: list[Skipped] = []
    found = find_peers(read_bank(bank), molecules, TEN_PPM, tmp_path / "cache", left_out, told.append)
    n_peers = 0
    for row, own in enumerate(molecules.inchikey14):
        mass = molecules.exact_mass[row]
        expected = [
            on_bits(smiles)
            for smiles, key in KEYS.items()
            if key != own
            and key not in left_out
            and abs(ExactMolWt(Chem.MolFromSmiles(smiles)) - mass) <= mass * 10e-6
        ]
        bits = found.bits(row)
        assert sorted(np.flatnonzero(each).tolist() for each in bits) == sorted(expected)
        n_peers += len(expected)
    assert n_peers == (4 if not left_out else 2)
    assert [(s.reason, s.position, s.accession) for s in told] == [
        ("SMILES not understood", "row 9", "AAAAAAAAAAAAAA")
    ]


def test_fingerprints_are_kept_and_a_damaged_cache_is_made_again(
    bank: Path, molecules: Examples, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"

    def find() -> Peers:
        return find_peers(read_bank(bank), molecules, TEN_PPM, cache)

    first = find()
    [file] = cache.iterdir()
    kept = file.read_bytes()
    with np.load(file) as content:
        changed = {**content, "packed": np.zeros_like(content["packed"])}
    np.savez(file, **changed)
    assert not find().packed.any()  # so the cache is what is used
    file.write_bytes(kept[: len(kept) // 2])
    np.testing.assert_array_equal(find().packed, first.packed)
    assert file.read_bytes() == kept


@pytest.mark.parametrize(
    "columns", [{"smiles": ["C"]}, {"smiles": ["C"], "inchikey": ["X"], "exact_mass": ["a"]}]
)
def test_what_is_no_bank(tmp_path: Path, columns: dict[str, list[str]]) -> None:
    pq.write_table(pa.table(columns), tmp_path / "bank.parquet")
    for path in (tmp_path / "bank.parquet", tmp_path / "none.parquet"):
        with pytest.raises(InputFileError, match="not a bank"):
            read_bank(path)


def peers(n_molecules: int, n_bits: int, counts: list[int], seed: int = 0) -> Peers:
    """Random fingerprints; molecule i has so many of them as peers, each its own."""
    bits = (np.random.default_rng(seed).random((sum(counts), n_bits)) < 0.25).astype(np.uint8)
    ends = np.cumsum([0, *counts])
    return Peers(pack_bits(bits), n_bits, [np.arange(ends[i], ends[i + 1]) for i in range(n_molecules)])


def test_decoys_are_drawn_without_repeats_and_anew() -> None:
    made = peers(3, 64, [10, 2, 0])
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(30):
        drawn = made.draw(np.array([0, 1, 2]), 4, rng)
        assert drawn.present.sum(dim=1).tolist() == [4, 2, 0]
        for place in (0, 1):
            have = {tuple(row) for row in drawn.bits[place][drawn.present[place]].tolist()}
            assert have <= {tuple(row) for row in made.bits(place).tolist()}
            assert len(have) == (4, 2)[place]
        assert not drawn.bits[~drawn.present].any()
        seen.add(tuple(map(tuple, drawn.bits[0].tolist())))
    assert len(seen) > 20


def softmax_share(truth: float, others: list[float]) -> float:
    return float(np.exp(truth) / (np.exp(truth) + np.exp(others).sum()))


def test_ranking_losses_by_hand() -> None:
    made, rng = network(), np.random.default_rng(1)
    truth = (rng.random((3, 64)) < 0.3).astype(np.float32)
    bits = (rng.random((3, 2, 64)) < 0.3).astype(np.uint8)
    present = np.array([[True, True], [True, False], [False, False]])
    label = np.array([0, 0, 1, 2])
    torch.manual_seed(0)
    state = torch.randn(4, TINY.hidden)
    with torch.no_grad():
        logits = made.fingerprint(state)
        decoys = Decoys(torch.from_numpy(bits), torch.from_numpy(present))
        found = ranking_losses(
            made, state, logits, torch.from_numpy(truth), torch.from_numpy(label), decoys, 4.0
        )
        query = made.project_query(state).numpy()
        project = lambda f: made.project_target(torch.from_numpy(f[None].astype(np.float32)))[0].numpy()  # noqa: E731
        by_logit, by_projection = [], []
        for i, m in enumerate(label):
            others = [bits[m, k] for k in range(2) if present[m, k]]
            z = logits[i].numpy()
            by_logit.append(softmax_share(z @ truth[m] / 4, [z @ o / 4 for o in others]))
            by_projection.append(
                softmax_share(
                    query[i] @ project(truth[m]) / 0.07, [query[i] @ project(o) / 0.07 for o in others]
                )
            )
    assert float(found[0]) == pytest.approx(-np.log(by_logit).mean(), rel=1e-4)
    assert float(found[1]) == pytest.approx(-np.log(by_projection).mean(), rel=1e-4)


def test_ranking_counts_with_its_weights() -> None:
    made = network()
    molecule = torch.tensor([3, 3, 5, 5])
    state = torch.randn(4, TINY.hidden)
    decoys = peers(24, 64, [3] * 24).draw(np.array([3, 5]), 2, np.random.default_rng(0))
    with torch.no_grad():
        found = [
            Objective(TRAIN.fingerprints, TINY.hidden, weights)(made, state, molecule, decoys)
            for weights in (Weights(), Weights(logit_ranking=1.5, projection_ranking=0.0))
        ]
        plain = Objective(TRAIN.fingerprints, TINY.hidden, Weights())(made, state, molecule)
    assert float(found[1]["logit_ranking"]) == pytest.approx(3 * float(found[0]["logit_ranking"]))
    assert float(found[1]["projection_ranking"]) == 0
    parts = float(plain["total"] + found[0]["logit_ranking"] + found[0]["projection_ranking"])
    assert float(found[0]["total"]) == pytest.approx(parts, rel=1e-5)


def test_validation_ranks_among_peers_by_hand() -> None:
    made = network()
    among = peers(8, 64, [5, 0, 3, 1, 0, 7, 2, 4])
    tied = replace(among, packed=np.concatenate([among.packed, pack_bits(VAL.fingerprints[:1])]))
    tied.of[0] = np.append(tied.of[0], len(among.packed))  # one peer cannot be told from the truth
    figures = validate(made, VAL, TRAIN, tied)
    by_logit, by_projection = [], []
    for m in (0, 2, 3, 5, 6, 7):
        rows = np.flatnonzero(VAL.molecule == m)
        logit_rank, projection_rank = [], []
        candidates = np.vstack([VAL.fingerprints[m], tied.bits(m)]).astype(np.float32)
        for row in rows:
            from specsearch.encoder.training.validation import states

            state = states(made, [VAL.inputs[row]])
            with torch.inference_mode():
                one = made.fingerprint(state)[0].numpy() @ candidates.T
                two = (made.project_query(state) @ made.project_target(torch.from_numpy(candidates)).T)[0]
            for scores, kept in ((one, logit_rank), (two.numpy(), projection_rank)):
                better, equal = (scores > scores[0] + 1e-6).sum(), (abs(scores - scores[0]) < 1e-6).sum() - 1
                kept.append(1 / (1 + better + equal / 2))
        by_logit.append(np.mean(logit_rank))
        by_projection.append(np.mean(projection_rank))
    assert figures["mrr_logit"] == pytest.approx(np.mean(by_logit))
    assert figures["mrr_projection"] == pytest.approx(np.mean(by_projection))


def test_a_run_learns_to_rank_its_decoys(tmp_path: Path) -> None:
    recipe = replace(FAST, n_steps=60, validate_every=60, n_decoys=3, average=0.9)
    run = Run(tmp_path, recipe, TRAIN, VAL, Card(), None, peers(24, 64, [6] * 24), peers(8, 64, [5] * 8))
    losses: list[dict[str, float]] = []
    run.run(lambda step, parts: losses.append(parts))
    for part in ("logit_ranking", "projection_ranking"):
        first, last = (np.mean([each[part] for each in some]) for some in (losses[:5], losses[-5:]))
        assert last < 0.9 * first, part
    [line] = run.files.metrics.read()
    expected = line["analogue"] + 0.5 * (line["partner"] + line["mrr_logit"] + line["mrr_projection"])
    assert run.best == line["score"] == pytest.approx(expected)


def test_similarity_of_landmarks_is_rdkits() -> None:
    smiles = list(MOLECULES)
    prints = [MORGAN.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    bits = np.array([list(each) for each in prints], dtype=np.uint8)
    objective = Objective(bits, 4, Weights(label_temperature=0.3), max_landmarks=5)
    assert objective.landmarks.shape == (5, 2048)
    chosen = [next(i for i, b in enumerate(bits) if (b == row).all()) for row in objective.landmarks.numpy()]
    assert chosen == sorted(set(chosen))
    truth = torch.from_numpy(bits[[0, 7]]).float()
    embedding = torch.nn.functional.normalize(torch.randn(2, 4), dim=1)
    found = float(objective._structure(embedding, truth, torch.tensor([0, 1])))
    expected = []
    for row, molecule in enumerate((0, 7)):
        similarity = DataStructs.BulkTanimotoSimilarity(prints[molecule], [prints[c] for c in chosen])
        soft = np.exp(np.array(similarity) / 0.3)
        logits = (embedding[row] @ objective.places.T).numpy() / 0.08
        log_p = logits - np.log(np.exp(logits).sum())
        expected.append(-(soft / soft.sum() * log_p).sum())
    assert found == pytest.approx(np.mean(expected), rel=1e-4)
