"""Banks from files: against brute force, in any order, twice, killed, and in several processes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from bank_material import MOLECULES, build, place, small_encoder, write_parquet_table, write_sdf, write_smi
from qdrant_client import QdrantClient

from ingest import bank_staging, bank_window
from ingest.bank import BankPlace, BankProgress, add_to_bank, bind_bank, remove_bank
from specsearch.chemistry.fingerprints import morgan_bits, unpack_bits
from specsearch.chemistry.structures import parse_structure
from specsearch.errors import ContractMismatch, InputFileError, LibraryNotFound, StoreDamaged, StoreLocked
from specsearch.store.bank import Bank, bank_names, open_bank
from specsearch.store.bank_files import TABLE
from specsearch.store.candidates import candidate_id
from specsearch.store.filters import Filter
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import Key, VectorName
from specsearch.store.server import ServerStore

ROWS = list(MOLECULES.items())
SECOND_WRITINGS = [
    ("aspirin sodium", "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]"),
    ("L-leucine", "CC(C)C[C@@H](C(=O)O)N"),
    ("leucine, flat", "CC(C)CC(N)C(=O)O"),
    ("choline chloride", "C[N+](C)(C)CCO.[Cl-]"),
]
FAULTS = [("labelled", "[2H]C"), ("no molecule", "C1CC"), ("salt", "[Na+].[Cl-]"), ("radical", "[CH3]")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A bank of all molecules, faults in its file."""
    folder = tmp_path_factory.mktemp("built")
    build(folder / "bank", write_smi(folder / "all.smi", [*ROWS, *SECOND_WRITINGS, *FAULTS]))
    return open_bank(folder / "bank")


def test_every_record_is_accounted_for(tmp_path: Path) -> None:
    summary = build(tmp_path / "bank", write_smi(tmp_path / "all.smi", [*ROWS, *SECOND_WRITINGS, *FAULTS]))
    (source,) = summary.sources
    assert source.n_read == len(ROWS) + len(SECOND_WRITINGS) + len(FAULTS)
    assert source.n_used + len(source.skipped) == source.n_read
    assert {(item.accession, item.reason) for item in source.skipped} == {
        ("labelled", "isotope-labelled"),
        ("no molecule", "structure not readable"),
        ("salt", "no organic part"),
        ("radical", "radical"),
    }
    assert source.skipped[0].position == f"line {len(ROWS) + len(SECOND_WRITINGS) + 1}"
    assert summary.n_in_bank == summary.n_new == len(MOLECULES)


def test_rows_say_what_rdkit_says_of_their_smiles(built: Bank) -> None:
    molecules = built.molecules(np.arange(len(built)))
    for row, molecule in enumerate(molecules):
        truth = parse_structure(molecule.smiles)
        assert molecule.inchikey == truth.inchikey
        assert (molecule.smiles, molecule.formula) == (truth.smiles, truth.formula)
        assert molecule.exact_mass == pytest.approx(truth.exact_mass, abs=1e-9)
        assert molecule.formal_charge == truth.formal_charge
        bits = morgan_bits([molecule.smiles])[0]
        assert np.array_equal(unpack_bits(built.packed[row], len(bits)), bits)
        on_bits, starts = built.on_bits
        assert on_bits[starts[row] : starts[row + 1]].tolist() == np.flatnonzero(bits).tolist()
    assert {m.inchikey14 for m in molecules} == {parse_structure(s).inchikey14 for s in MOLECULES.values()}


def test_of_several_writings_the_plainest_wins(built: Bank) -> None:
    key = parse_structure(MOLECULES["leucine"]).inchikey14
    (leucine,) = built.molecules(built.rows_of([key]))
    assert leucine.smiles == "CC(C)CC(N)C(=O)O"
    assert leucine.name == "leucine"


def test_a_mass_window_is_what_a_look_at_every_row_finds(built: Bank) -> None:
    masses = [parse_structure(smiles).exact_mass for smiles in MOLECULES.values()]
    assert np.all(np.diff(built.exact_mass) >= 0)
    for low, high in ((0, 1e9), (131.09, 131.10), (masses[0], masses[0]), (180, 200), (500, 400)):
        expected = sum(low <= mass <= high for mass in masses)
        rows = built.window(low, high)
        assert len(rows) == expected
        assert all(low <= mass <= high for mass in built.exact_mass[rows])


def test_rows_are_found_by_key(built: Bank) -> None:
    keys = built.inchikey14.tolist()
    assert built.rows_of([*keys[::-1], "AAAAAAAAAAAAAA"]).tolist() == [*range(len(keys))[::-1], -1]


def test_order_files_and_formats_do_not_matter(tmp_path: Path, built: Bank) -> None:
    rows = [*ROWS, *SECOND_WRITINGS]
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        folder = tmp_path / str(seed)
        folder.mkdir()
        first = write_smi(folder / "first.smi.gz", rows[:5])
        second = write_sdf(folder / "second.sdf", rows[5:9])
        build(folder / "bank", first)
        build(folder / "bank", write_smi(folder / "third.smi", rows[9:]), second)
        assert open_bank(folder / "bank").card.digest == built.card.digest


def test_twice_is_once(tmp_path: Path) -> None:
    file = write_smi(tmp_path / "all.smi", [*ROWS, *FAULTS])
    first = build(tmp_path / "bank", file)
    card = open_bank(tmp_path / "bank").card
    again = build(tmp_path / "bank", file)
    assert (again.n_new, again.n_in_bank) == (0, len(MOLECULES))
    assert again.sources == first.sources
    assert open_bank(tmp_path / "bank").card == card


class _Killed(Exception):
    pass


class _Bomb(BankProgress):
    """Stops a build at a moment of its life."""

    def __init__(self, moment: str, after: int) -> None:
        self._moment, self._left = moment, after

    def _tick(self, moment: str) -> None:
        if moment == self._moment:
            self._left -= 1
            if self._left == 0:
                raise _Killed

    def prepared(self, n_records: int) -> None:
        self._tick("prepared")

    def merging(self) -> None:
        self._tick("merging")

    def projected(self, n_done: int, n_molecules: int) -> None:
        self._tick("projected")


@pytest.mark.parametrize(("moment", "after"), [("prepared", 2), ("merging", 1), ("projected", 1)])
def test_a_stopped_build_goes_on(
    tmp_path: Path, built: Bank, monkeypatch: pytest.MonkeyPatch, moment: str, after: int
) -> None:
    monkeypatch.setattr(bank_staging, "WINDOW_SIZE", 4)
    file = write_smi(tmp_path / "all.smi", [*ROWS, *SECOND_WRITINGS])
    with pytest.raises(_Killed):
        build(tmp_path / "bank", file, progress=_Bomb(moment, after))
    summary = build(tmp_path / "bank", file)
    assert summary.n_in_bank == len(MOLECULES)
    assert open_bank(tmp_path / "bank").card.digest == built.card.digest
    _require_collection(tmp_path / "bank")


def test_done_windows_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_staging, "WINDOW_SIZE", 4)
    file = write_smi(tmp_path / "all.smi", ROWS)
    with pytest.raises(_Killed):
        build(tmp_path / "bank", file, progress=_Bomb("prepared", 2))
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "bank" / "staging").iterdir()}
    with pytest.raises(_Killed):
        build(tmp_path / "bank", file, progress=_Bomb("merging", 1))
    assert len(done) == 2
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_processes_give_what_one_gives(tmp_path: Path, built: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_staging, "WINDOW_SIZE", 4)
    build(tmp_path / "bank", write_smi(tmp_path / "all.smi", [*ROWS, *SECOND_WRITINGS]), n_processes=2)
    assert open_bank(tmp_path / "bank").card.digest == built.card.digest


def _require_collection(folder: Path, seed: int = 0) -> None:
    """The collection holds the target projection of every molecule, and nothing else."""
    network, _ = small_encoder(seed)
    bank = open_bank(folder)
    with place(folder).store.open("candidates") as collection:
        assert collection.count() == len(bank)
        bits = torch.from_numpy(unpack_bits(bank.packed, 2048)).float()
        with torch.inference_mode():
            expected = network.project_target(bits).numpy()
        records = collection.fetch([candidate_id(key) for key in bank.inchikey14], with_vectors=True)
        found = np.array([record.embedding for record in records.values()])
        assert found == pytest.approx(expected, abs=2e-3)  # float16
        payloads = [record.payload for record in records.values()]
        assert [payload[Key.INCHIKEY14] for payload in payloads] == bank.inchikey14.tolist()
        assert [payload[Key.EXACT_MASS] for payload in payloads] == pytest.approx(bank.exact_mass, abs=1e-6)


def test_the_collection_follows_a_growing_bank(tmp_path: Path) -> None:
    """Two tautomers of one first block: the shorter one takes the other's place, fingerprint and all."""
    pyridone, hydroxypyridine = [("pyridone", "O=c1cccc[nH]1")], [("hydroxypyridine", "Oc1ccccn1")]
    bits = morgan_bits([pyridone[0][1], hydroxypyridine[0][1]])
    assert not np.array_equal(*bits)
    for number, rows in enumerate((ROWS[:3] + pyridone, ROWS[2:9] + hydroxypyridine, ROWS[9:])):
        build(tmp_path / "bank", write_smi(tmp_path / f"{number}.smi", rows))
        _require_collection(tmp_path / "bank")
    assert len(open_bank(tmp_path / "bank")) == len(MOLECULES) + 1


def test_the_collection_is_filtered_by_mass_formula_and_key(tmp_path: Path) -> None:
    build(tmp_path / "bank", write_smi(tmp_path / "all.smi", ROWS))
    leucine = parse_structure(MOLECULES["leucine"])
    conditions = {
        Filter(exact_mass=(131.09, 131.10)): 3,
        Filter(formula="C6H13NO2"): 3,
        Filter(inchikey14=leucine.inchikey14): 1,
        Filter(exact_mass=(131.09, 131.10), exclude_inchikey14=(leucine.inchikey14,)): 2,
    }
    query = np.ones(16, dtype=np.float32)
    with place(tmp_path / "bank").store.open("candidates") as collection:
        for condition, n_expected in conditions.items():
            assert collection.count(condition) == n_expected
            (hits,) = collection.query([VectorQuery(VectorName.EMBEDDING, query, 50, condition)])
            assert len(hits) == n_expected


def _keyed(path: Path, keys: list[str]) -> Path:
    return write_parquet_table(path, smiles=list(MOLECULES.values()), name=list(MOLECULES), inchikey=keys)


def test_right_keys_are_taken_wrong_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_window, "CHECKED_SHARE", 1)
    right = [parse_structure(smiles).inchikey for smiles in MOLECULES.values()]
    wrong = right[1:] + right[:1]
    (taken,) = build(tmp_path / "taken", _keyed(tmp_path / "a.parquet", right)).sources
    (refused,) = build(tmp_path / "refused", _keyed(tmp_path / "b.parquet", wrong)).sources
    (computed,) = build(tmp_path / "computed", _keyed(tmp_path / "c.parquet", wrong), keys="compute").sources
    assert (taken.n_keys_taken, taken.n_keys_wrong) == (len(right), 0)
    assert (refused.n_keys_taken, refused.n_keys_wrong) == (0, len(right))
    assert (computed.n_keys_taken, computed.n_keys_wrong) == (0, 0)
    digests = {open_bank(tmp_path / name).card.digest for name in ("taken", "refused", "computed")}
    assert len(digests) == 1


def test_the_key_of_a_salt_is_not_that_of_its_parent(tmp_path: Path) -> None:
    salt = "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]"
    key = parse_structure(salt).inchikey
    file = write_parquet_table(tmp_path / "a.parquet", smiles=[salt], inchikey=[key])
    build(tmp_path / "bank", file)
    assert open_bank(tmp_path / "bank").inchikey14.tolist() == [
        parse_structure(MOLECULES["aspirin"]).inchikey14
    ]


def test_another_encoder_is_refused_until_the_bank_is_bound_to_it(tmp_path: Path) -> None:
    file, more = write_smi(tmp_path / "a.smi", ROWS[:5]), write_smi(tmp_path / "b.smi", ROWS[5:])
    build(tmp_path / "bank", file)
    network, card = small_encoder(seed=1)
    for ask in (
        lambda: build(tmp_path / "bank", more, seed=1),
        lambda: open_bank(tmp_path / "bank", card.digest),
    ):
        with pytest.raises(ContractMismatch, match=r"another encoder.*specsearch bank bind bank"):
            ask()
    bind_bank(place(tmp_path / "bank"), network, card)
    _require_collection(tmp_path / "bank", seed=1)
    assert build(tmp_path / "bank", more, seed=1).n_in_bank == len(MOLECULES)


def test_a_bank_that_is_cut_off_says_so(tmp_path: Path) -> None:
    build(tmp_path / "bank", write_smi(tmp_path / "a.smi", ROWS))
    path = open_bank(tmp_path / "bank").data / TABLE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreDamaged, match=r"molecules\.arrow is not as long"):
        open_bank(tmp_path / "bank")
    path.unlink()
    with pytest.raises(StoreDamaged, match=r"molecules\.arrow is missing"):
        open_bank(tmp_path / "bank")


def test_a_bank_of_nothing_is_not_made(tmp_path: Path) -> None:
    summary = build(tmp_path / "bank", write_smi(tmp_path / "a.smi", FAULTS))
    assert (summary.n_in_bank, len(summary.complaints)) == (0, len(FAULTS))
    with pytest.raises(LibraryNotFound, match="no bank 'bank'"):
        open_bank(tmp_path / "bank")


def test_removed_is_gone(tmp_path: Path) -> None:
    build(tmp_path / "bank", write_smi(tmp_path / "a.smi", ROWS))
    remove_bank(place(tmp_path / "bank"))
    assert bank_names(tmp_path) == []
    assert not (tmp_path / "bank").exists()
    with pytest.raises(LibraryNotFound):
        remove_bank(place(tmp_path / "bank"))


def test_a_missing_file_leaves_the_bank_alone(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="does not exist"):
        build(tmp_path / "bank", tmp_path / "nowhere.smi")
    with pytest.raises(InputFileError, match="does not exist"):
        build(tmp_path / "bank", write_smi(tmp_path / "a.smi", ROWS), tmp_path / "nowhere.smi")
    assert bank_names(tmp_path) == []


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    class Second(BankProgress):
        def merging(self) -> None:
            with pytest.raises(StoreLocked, match="being changed by another process"):
                build(tmp_path / "bank", tmp_path / "a.smi")

    build(tmp_path / "bank", write_smi(tmp_path / "a.smi", ROWS), progress=Second())


def test_real_molecules(data_dir: Path, tmp_path: Path) -> None:
    """A slice of the shared bank: its own keys, formulas and masses take another road to ours."""
    import pyarrow.parquet as pq

    table = pq.read_table(data_dir / "molecules.parquet").slice(200_000, 150)
    pq.write_table(table, tmp_path / "slice.parquet")
    (source,) = build(tmp_path / "bank", tmp_path / "slice.parquet", keys="compute").sources
    bank = open_bank(tmp_path / "bank")
    assert source.n_read == len(table)
    rows = bank.rows_of([key[:14] for key in table["inchikey"].to_pylist()])
    assert (rows >= 0).mean() > 0.95
    for row, truth in zip(rows.tolist(), table.to_pylist(), strict=True):
        if row >= 0 and not {"+", "-"} & set(truth["formula"]):
            (molecule,) = bank.molecules(np.array([row]))
            assert molecule.formula == truth["formula"]
            assert molecule.exact_mass == pytest.approx(truth["exact_mass"], abs=1e-6)


def test_a_server_holds_the_projections_and_lists_no_bank_among_its_libraries(
    tmp_path: Path, built: Bank
) -> None:
    """The client's local mode stands for the server: it shows the shape of our calls."""
    file = write_smi(tmp_path / "all.smi", [*ROWS, *SECOND_WRITINGS])
    network, card = small_encoder()
    with ServerStore(QdrantClient(":memory:")) as store:
        there = BankPlace(tmp_path / "bank", store, "bank.candidates")
        add_to_bank([file], there, network, card, n_processes=1)
        assert open_bank(there.folder).card.digest == built.card.digest
        assert store.libraries() == []
        with store.open(there.collection) as collection:
            assert collection.count() == len(MOLECULES)
            assert collection.count(Filter(formula="C6H13NO2")) == 3
        remove_bank(there)
        assert not store.exists(there.collection)
