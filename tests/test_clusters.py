"""Clusters, representatives and duplicates of small libraries whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graph_material import fill, snapshot_of, spectra
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from specsearch.evaluation.clustering import cluster_quality
from specsearch.evaluation.library_recall import make_receipt
from specsearch.search import clusters as module
from specsearch.search.clusters import Clusters, ClusterSettings, find_clusters
from specsearch.search.duplicates import DuplicateSettings, Level, find_duplicates
from specsearch.search.graph import GraphSettings, Kind
from specsearch.search.graph_files import build_graph
from specsearch.search.pair_scores import score_pairs
from specsearch.search.representatives import Representative, consensus, representatives, voters
from specsearch.search.snapshot import Snapshot
from specsearch.spectra.cleaning import Peaks

LOOSE = ClusterSettings(least_similarity=0.5)


def clusters_of(snapshot: Snapshot, settings: ClusterSettings = LOOSE) -> Clusters:
    edges = build_graph(snapshot, GraphSettings(n_neighbours=5))[0].of(Kind.WINDOW)
    source, target = (edges[name].to_numpy().astype(np.int64) for name in ("source", "target"))
    return find_clusters(snapshot, source, target, settings)


def families(snapshot: Snapshot) -> list[str]:
    return [name.split("-")[0] for name in snapshot.texts("accession")]


def test_families_are_clusters(tmp_path: Path) -> None:
    fill(tmp_path, spectra())
    snapshot = snapshot_of(tmp_path)
    found = clusters_of(snapshot)
    assert adjusted_rand_score(families(snapshot), found.number) == 1.0
    assert set(found.size) == {6}


def test_clusters_are_those_of_complete_linkage_on_all_pairs(tmp_path: Path) -> None:
    fill(tmp_path, spectra(n_families=4, n_each=15))
    snapshot = snapshot_of(tmp_path)
    settings = replace(LOOSE, least_similarity=0.8)
    n = len(snapshot)
    i, j = np.triu_indices(n, k=1)
    scores = score_pairs(snapshot, i, j)
    similarity = scores.fragments
    mz = snapshot.precursor_mz
    apart = (np.abs(mz[i] - mz[j]) > 20e-6 * np.minimum(mz[i], mz[j])) | (
        snapshot.groups[i] != snapshot.groups[j]
    )
    distance = np.where(apart, 10.0, np.maximum(0, 1 - similarity))
    expected = fcluster(linkage(distance, "complete"), 0.2, "distance")
    found = clusters_of(snapshot, settings)
    assert len(set(expected)) > 4
    assert adjusted_rand_score(expected, found.number) == 1.0
    square = squareform(similarity)
    for members in found.members():
        if len(members) > 1:
            inside = square[np.ix_(members, members)]
            assert inside[~np.eye(len(members), dtype=bool)].min() >= 0.8
            mean = (inside.sum(axis=1)) / (len(members) - 1)
            assert found.similarity[members] == pytest.approx(mean, abs=1e-5)


def test_precursors_and_charges_keep_clusters_apart(tmp_path: Path) -> None:
    one, two = spectra(1, 2)
    others = [
        replace(two, accession="F0-far", precursor_mz=two.precursor_mz * (1 + 30e-6)),
        replace(two, accession="F0-double", charge=-2, adduct=None),
        replace(two, accession="F0-none", precursor_mz=None),
    ]
    fill(tmp_path, [one, two, *others])
    snapshot = snapshot_of(tmp_path)
    size = dict(zip(snapshot.texts("accession"), clusters_of(snapshot).size, strict=True))
    assert size == {"F0-0": 2, "F0-1": 2, "F0-far": 1, "F0-double": 1, "F0-none": 1}


def test_many_repetitions_are_clustered_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST", 50)
    [record] = spectra(1, 1)
    fill(tmp_path, [replace(record, accession=f"F0-{i}") for i in range(120)])
    found = clusters_of(snapshot_of(tmp_path))
    assert sorted(np.bincount(found.number)[1:]) == [20, 50, 50]


@pytest.mark.parametrize("which", list(Representative))
def test_representatives(tmp_path: Path, which: Representative) -> None:
    fill(tmp_path, spectra())
    snapshot = snapshot_of(tmp_path)
    found = clusters_of(snapshot)
    chosen = representatives(snapshot, found, which)
    n_peaks = np.diff(snapshot.peaks.offsets)
    for members in found.members():
        assert len(set(chosen[members])) == 1
        best = n_peaks if which is Representative.BEST else found.similarity
        assert best[chosen[members[0]]] == best[members].max()


def test_consensus_has_the_peaks_of_most() -> None:
    members = [
        Peaks(np.array([100.000, 150.0, 200.0]), np.array([1.0, 0.2, 0.5]), 300.0),
        Peaks(np.array([100.004, 200.002]), np.array([1.0, 0.3]), 300.001),
        Peaks(np.array([100.002, 175.0, 200.001]), np.array([0.8, 0.1, 1.0]), 299.999),
    ]
    made = consensus(members)
    assert made.mz == pytest.approx([100.002, 200.001], abs=0.002)
    assert made.intensity == pytest.approx([1.0, 1.8 / 2.8])
    assert made.precursor_mz == 300.0


def test_outliers_do_not_vote() -> None:
    similarity = np.array([0.9, 0.91, 0.92, 0.4], dtype=np.float32)
    found = Clusters(np.ones(4, dtype=np.int64), similarity, LOOSE)
    assert voters(found, np.arange(4)).tolist() == [0, 1, 2]


def duplicated(folder: Path) -> Snapshot:
    """Molecules, each with an exact copy, a near one, one of another structure, one without structure."""
    made = []
    for record in spectra(n_families=6, n_each=1):
        record = replace(record, metadata={**record.metadata, "collision_energy": "20"})
        unlabelled = {"collision_energy": "20"}
        isomer = {"inchikey": "ZZZZZZZZZZZZZZ-UHFFFAOYSA-N", "collision_energy": "20"}
        family = record.accession.split("-")[0]
        made += [
            record,
            replace(record, accession=f"{family}-copy"),
            nudged(record, f"{family}-near"),
            replace(record, accession=f"{family}-isomer", metadata=isomer),
            replace(record, accession=f"{family}-unknown", metadata=unlabelled),
            replace(
                nudged(record, f"{family}-energy", 0.002),
                metadata={**record.metadata, "collision_energy": "40"},
            ),
        ]
    fill(folder, made)
    return snapshot_of(folder)


def nudged(record, name: str, shift: float = 0.001):  # type: ignore[no-untyped-def]
    return replace(record, accession=name, mz=record.mz + shift)


def gone(snapshot: Snapshot, level: Level) -> set[str]:
    names = snapshot.texts("accession")
    found = find_duplicates(snapshot, DuplicateSettings(level))
    return {name.split("-")[1] for name in names[~found.stays]}


def test_levels(tmp_path: Path) -> None:
    snapshot = duplicated(tmp_path)
    identical = find_duplicates(snapshot, DuplicateSettings(Level.IDENTICAL))
    assert (~identical.stays).sum() == 12  # of three with the same structure or none, one stays
    near = find_duplicates(snapshot, DuplicateSettings(Level.MEASUREMENT))
    assert (~near.stays).sum() == 18
    assert "isomer" not in gone(snapshot, Level.CONDITION)
    assert "energy" not in gone(snapshot, Level.CONDITION)
    structure = snapshot.texts("inchikey14")
    for found in (identical, near):
        dropped = np.flatnonzero(~found.stays)
        assert all(structure[d] in ("", structure[found.kept[d]]) for d in dropped)
        assert found.stays[found.kept].all()
        assert set(found.why[dropped]) <= {"identical", "measurement"}


def test_receipt_counts(tmp_path: Path) -> None:
    snapshot = duplicated(tmp_path)
    settings = DuplicateSettings()
    found = find_duplicates(snapshot, settings)
    receipt = make_receipt(snapshot, found.kept, settings)
    assert (receipt.n_spectra, receipt.n_spectra_after) == (36, 18)
    assert receipt.n_structures == receipt.n_structures_after == 7
    assert receipt.n_merged_wrongly == 0
    assert receipt.n_queries == 7
    assert 0.0 <= receipt.recall_after <= 1.0


def test_nothing_annotated_and_nothing_there(tmp_path: Path) -> None:
    bare = [replace(record, metadata={}) for record in spectra(2, 3)]
    fill(tmp_path, bare)
    snapshot = snapshot_of(tmp_path)
    found = find_duplicates(snapshot, DuplicateSettings(Level.CONDITION))
    receipt = make_receipt(snapshot, found.kept, DuplicateSettings())
    assert receipt.n_structures == 0
    assert receipt.n_queries == 0


def test_quality_by_hand() -> None:
    quality = cluster_quality(["a", "a", "b", "b", "c", "c"], [1, 1, 1, 2, 3, 4])
    assert quality.clustered == 0.5
    assert quality.incorrect == pytest.approx(1 / 3)
    assert 0 < quality.completeness < 1
    assert cluster_quality(["a", "b"], [1, 2]).clustered == 0
    assert cluster_quality([], []).completeness == 1.0
