"""Files into a library: names, repetition, what is left out, and that the counts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import BROKEN_MGF, embedder, library_state, mgf, spectra

from ingest.index import Progress, index_files
from ingest.names import ALREADY_THERE, DUPLICATE_SPLASH, Duplicates
from ingest.plan import windows
from ingest.settling import ledger_path
from ingest.summary import Summary
from ingest.trial import NEW, trial_ledger, try_file
from specsearch.encoder.tokens import token_input
from specsearch.errors import ContractMismatch, InputFileError
from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra
from specsearch.store.points import decode_peaks, point_id
from specsearch.store.store import Store, open_store
from specsearch.store.vectors import sparse_vectors

EMBEDDER = embedder()
SOME = spectra(40, seed=11)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store") as store:
        yield store


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.index.windows", partial(windows, size=16))


def written(path: Path, records: list[Spectrum], more: str = "") -> Path:
    path.write_text(mgf(records) + more)
    return path


def ingest(store: Store, *files: Path, **options: object) -> Summary:
    work = files[0].parent / "work"
    summary = index_files(files, store, "lib", EMBEDDER, work, **options)  # type: ignore[arg-type]
    require_sums(summary)
    return summary


def require_sums(summary: Summary) -> None:
    """What every summary must fulfil, whatever happened."""
    assert summary.n_read == summary.n_indexed + len(summary.skipped)
    assert sum(count for _, count, _ in summary.skipped_by_reason()) == len(summary.complaints)


def reasons(summary: Summary) -> dict[str, int]:
    return {reason: count for reason, count, _ in summary.skipped_by_reason()}


def names(store: Store) -> list[str]:
    return sorted(str(values[0]["accession"]) for values in library_state(store, "lib").values())  # type: ignore[index]


def test_every_record_becomes_its_point(store: Store, tmp_path: Path) -> None:
    summary = ingest(store, written(tmp_path / "a.mgf", SOME))
    assert (summary.n_read, summary.n_indexed, summary.n_in_library) == (40, 40, 40)
    embeddings = EMBEDDER.embed(SOME)
    peaks, losses = sparse_vectors([token_input(s).peaks for s in SOME])
    with store.open("lib") as collection:
        stored = collection.fetch([point_id("lib", s.accession) for s in SOME], with_vectors=True)
    assert len(stored) == 40
    for s, record, embedding, peak, loss in zip(
        SOME, stored.values(), embeddings, peaks, losses, strict=True
    ):
        payload = record.payload
        assert payload["spectrum_id"] == f"lib:{s.accession}"
        assert payload.get("precursor_mz") == pytest.approx(s.precursor_mz, abs=1e-6)
        assert (payload.get("adduct"), payload.get("charge")) == (s.adduct, s.charge)
        assert (payload["splash"], payload["source"]) == (s.splash, "a.mgf")
        mz, intensity = decode_peaks(payload["peaks"])
        np.testing.assert_allclose(mz, s.mz, rtol=1e-7)
        np.testing.assert_allclose(intensity, s.intensity / s.intensity.max(), atol=2e-5)
        np.testing.assert_allclose(record.embedding, embedding, atol=1e-3)
        np.testing.assert_array_equal(record.peaks.indices, peak.indices)
        np.testing.assert_array_equal(record.losses.indices, loss.indices)


def test_twice_is_once(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.mgf", SOME, BROKEN_MGF)
    first = ingest(store, file)
    before = library_state(store, "lib")
    assert ingest(store, file) == first
    assert library_state(store, "lib") == before


def test_the_same_file_under_another_name(store: Store, tmp_path: Path) -> None:
    first = ingest(store, written(tmp_path / "a.mgf", SOME))
    before = library_state(store, "lib")
    again = ingest(store, written(tmp_path / "b.mgf", SOME))
    assert (again.n_read, again.n_indexed) == (first.n_read, first.n_indexed)
    assert library_state(store, "lib") == before
    both = ingest(store, tmp_path / "a.mgf", tmp_path / "b.mgf")
    assert (both.n_read, both.n_indexed, len(both.passed_over)) == (40, 40, 1)
    assert reasons(both) == {"same content as another file": 1}


def test_a_changed_file_adds_what_is_new(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.mgf", SOME[:20])
    ingest(store, file)
    before = library_state(store, "lib")
    changed = replace(SOME[3], metadata={"formula": "C9H9"})
    summary = ingest(store, written(file, [*SOME[:3], changed, *SOME[4:30]]))
    assert (summary.n_read, summary.n_indexed) == (30, 11)
    assert reasons(summary) == {ALREADY_THERE: 19}
    after = library_state(store, "lib")
    assert {point: after[point] for point in before} == before
    assert names(store) == sorted([*(s.accession for s in SOME[:30]), f"{changed.accession}#2"])
    assert summary.n_in_library == len(after) == 31


def test_one_name_for_several_records(store: Store, tmp_path: Path) -> None:
    """Different content under one name is kept under numbers; the very same record is not kept twice."""
    one, two, three, four = (replace(s, accession="A") for s in SOME[:4])
    taken = replace(SOME[5], accession="A#3")
    file = written(tmp_path / "a.mgf", [one, two, taken, one, three, two])
    summary = ingest(store, file)
    assert (summary.n_read, summary.n_indexed) == (6, 4)
    assert reasons(summary) == {ALREADY_THERE: 2}
    assert names(store) == ["A", "A#2", "A#3", "A#4"]
    assert ("accession taken by another record", 2, "A#2") in summary.notes_by_kind()
    # in another file, and in later windows, too
    ingest(store, written(tmp_path / "b.mgf", [*SOME[6:30], four, three, four]))
    assert [name for name in names(store) if name.startswith("A")] == ["A", "A#2", "A#3", "A#4", "A#5"]
    contents = {
        str(values[0]["accession"]): values[0]["splash"]  # type: ignore[index]
        for values in library_state(store, "lib").values()
    }
    expected = {"A": one, "A#2": two, "A#3": taken, "A#4": three, "A#5": four}
    assert {name: contents[name] for name in expected} == {n: s.splash for n, s in expected.items()}


def test_duplicates_are_kept_and_counted_or_collapsed(store: Store, tmp_path: Path) -> None:
    twins = [replace(s, accession=f"{s.accession}-twin") for s in SOME[:5]]
    late = [replace(s, accession=f"{s.accession}-late") for s in SOME[2:4]]
    file = written(tmp_path / "a.mgf", [*SOME[:20], *twins, *SOME[20:], *late])
    assert {s.splash for s in twins} == {s.splash for s in SOME[:5]}
    kept = ingest(store, file)
    assert (kept.n_indexed, kept.n_duplicates) == (47, 7)
    store.drop("lib")
    collapsed = index_files([file], store, "lib", EMBEDDER, tmp_path / "other", duplicates="collapse")
    require_sums(collapsed)
    assert (collapsed.n_read, collapsed.n_indexed, collapsed.n_duplicates) == (47, 40, 0)
    assert reasons(collapsed) == {DUPLICATE_SPLASH: 7}
    assert names(store) == sorted(s.accession for s in SOME)
    example = collapsed.skipped[0]
    assert (example.accession, example.detail) == ("S0-twin", "same as S0")


@pytest.mark.parametrize("duplicates", ["keep", "collapse"])
def test_a_trial_counts_as_indexing_does(store: Store, tmp_path: Path, duplicates: Duplicates) -> None:
    """On an empty library, and on one that has some of it; across files and windows."""
    twins = [replace(s, accession=f"{s.accession}-twin") for s in SOME[:5]]
    other = replace(SOME[7], accession="S3")
    files = [
        written(tmp_path / "a.mgf", SOME[:20], BROKEN_MGF),
        written(tmp_path / "b.mgf", [*SOME[10:30], *twins, other, other]),
        written(tmp_path / "c.mgf", [*SOME, *twins]),
    ]
    for some in (files[:1], files):
        ledger = ledger_path(tmp_path / "work")
        with trial_ledger(ledger if ledger.exists() else None) as tried:
            counts = sum((try_file(path, tried, duplicates) for path in some), Counter())
        n_before = len(names(store)) if store.exists("lib") else 0
        index_files(some, store, "lib", EMBEDDER, tmp_path / "work", duplicates=duplicates)
        assert counts.pop(NEW) == len(names(store)) - n_before > 0
        assert counts["no peaks"] == 1
    assert counts[ALREADY_THERE] == 60 + 6 * (duplicates == "keep")
    assert counts[DUPLICATE_SPLASH] == 12 * (duplicates == "collapse")


def test_broken_records_are_counted_located_and_named(store: Store, tmp_path: Path) -> None:
    summary = ingest(store, written(tmp_path / "a.mgf", SOME[:3], BROKEN_MGF))
    assert (summary.n_read, summary.n_indexed) == (6, 3)
    assert reasons(summary) == {"no peaks": 1, "intensity negative": 1, "all intensities zero": 1}
    assert {item.accession for item in summary.skipped} == {"empty", "negative", "silent"}
    assert {item.source for item in summary.skipped} == {str(tmp_path / "a.mgf")}
    assert all(item.position.startswith("line ") for item in summary.skipped)


def test_broken_rows_of_a_table(store: Store, tmp_path: Path) -> None:
    """Parquet is read where it lies; rows on both sides of a window's end are broken."""
    rows = [
        {"spectrum_id": s.accession, "mz": s.mz.tolist(), "intensity": s.intensity.tolist()} for s in SOME
    ]
    for row in (0, 15, 16, 39):
        rows[row]["mz"] = []
    file = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    summary = ingest(store, file)
    assert (summary.n_read, summary.n_indexed) == (40, 36)
    assert [item.position for item in summary.skipped] == ["row 1", "row 16", "row 17", "row 40"]
    assert {item.source for item in summary.skipped} == {str(file)}
    assert ingest(store, file) == summary


def test_a_table_and_its_text_give_the_same_points(store: Store, tmp_path: Path) -> None:
    write_spectra(tmp_path / "a.parquet", SOME)
    summary = ingest(store, tmp_path / "a.parquet", written(tmp_path / "a.mgf", SOME))
    assert (summary.n_read, summary.n_indexed) == (80, 40)
    assert reasons(summary) == {ALREADY_THERE: 40}


def test_a_file_with_nothing_to_index(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "a.mgf"
    file.write_text(BROKEN_MGF)
    summary = ingest(store, file)
    assert (summary.n_read, summary.n_indexed, len(summary.skipped)) == (3, 0, 3)
    assert ingest(store, file) == summary


def test_files_of_a_folder_that_hold_no_spectra(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    written(folder / "a.mgf", SOME[:5])
    (folder / "notes.txt").write_text("nothing of the kind\n")
    summary = ingest(store, folder)
    assert (summary.n_read, summary.n_indexed, summary.skipped) == (5, 5, [])
    assert [Path(item.source).name for item in summary.passed_over] == ["notes.txt"]


def test_a_table_without_rows_is_said_to_add_nothing(store: Store, tmp_path: Path) -> None:
    write_spectra(tmp_path / "none.parquet", [])
    summary = ingest(store, tmp_path / "none.parquet", written(tmp_path / "a.mgf", SOME[:3]))
    assert (summary.n_read, summary.n_indexed) == (3, 3)
    assert [Path(item.source).name for item in summary.passed_over] == ["none.parquet"]


def test_a_file_that_was_named_must_be_readable(store: Store, tmp_path: Path) -> None:
    good = written(tmp_path / "a.mgf", SOME[:5])
    bad = tmp_path / "b.mgf"
    bad.write_bytes(b"\x00\x01" * 100)
    for path in (bad, tmp_path / "nowhere.mgf"):
        with pytest.raises(InputFileError):
            index_files([good, path], store, "lib", EMBEDDER, tmp_path / "work")
    assert store.libraries() == []


def test_another_encoder_is_refused_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.mgf", SOME[:5])
    ingest(store, file)
    before = library_state(store, "lib")
    with pytest.raises(ContractMismatch):
        index_files([file], store, "lib", embedder(seed=1), tmp_path / "work")
    assert library_state(store, "lib") == before


def test_a_dropped_library_is_filled_anew(store: Store, tmp_path: Path) -> None:
    """The ledger of the one that is gone must not say that all is done."""
    file = written(tmp_path / "a.mgf", SOME, BROKEN_MGF)
    first = ingest(store, file)
    before = library_state(store, "lib")
    store.drop("lib")
    assert ingest(store, file) == first
    assert library_state(store, "lib") == before


def test_a_lost_ledger_is_found_again_in_the_library(store: Store, tmp_path: Path) -> None:
    file = written(tmp_path / "a.mgf", [*SOME, replace(SOME[0], accession="S1")])
    ingest(store, file)
    before = library_state(store, "lib")
    for part in (tmp_path / "work").glob("ledger*"):
        part.unlink()
    summary = ingest(store, file)
    assert (summary.n_read, summary.n_indexed) == (41, 0)
    assert library_state(store, "lib") == before


def test_windows_of_another_size_lose_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that stopped after its first window, gone on with by a version that cuts larger ones."""
    file = written(tmp_path / "a.mgf", SOME)

    class Stop(Progress):
        def indexed(self, n_rows: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(store, file, progress=Stop())
    assert 16 <= len(library_state(store, "lib")) < 40
    monkeypatch.setattr("ingest.index.windows", partial(windows, size=64))
    ingest(store, file)
    assert names(store) == sorted(s.accession for s in SOME)


def test_progress_adds_up(store: Store, tmp_path: Path) -> None:
    class Watch(Progress):
        def __init__(self) -> None:
            self.told: list[object] = []
            self.n_rows = 0

        def planned(self, n_rows: int, n_done: int) -> None:
            self.told.append((n_rows, n_done))

        def indexed(self, n_rows: int) -> None:
            self.n_rows += n_rows

        def optimizing(self) -> None:
            self.told.append("optimizing")

    file = written(tmp_path / "a.mgf", SOME)
    first, second = Watch(), Watch()
    ingest(store, file, progress=first)
    ingest(store, file, progress=second)
    assert (first.told, first.n_rows) == ([(40, 0), "optimizing"], 40)
    assert (second.told[0], second.n_rows) == ((40, 40), 0)
    assert not (tmp_path / "work" / "staging").exists()
