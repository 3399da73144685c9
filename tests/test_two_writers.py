"""Several writers of one library on a server, and ledgers that speak of something else: nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient
from reembed_material import NEW, OLD, again
from samples import embedder, library_state, mgf, spectra

import ingest.settling
from ingest.index import Progress, index_files
from ingest.ledger import Ledger
from ingest.plan import windows
from ingest.summary import Summary
from specsearch.encoder.embedder import Embedder
from specsearch.errors import StoreError, StoreLocked
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.server import ServerStore
from specsearch.store.store import Collection, Store

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")
RECORDS = spectra(40, seed=12, longest=30)
OTHERS = [replace(one, accession=f"T{i}") for i, one in enumerate(spectra(20, seed=13, longest=30))]


@pytest.fixture(scope="module")
def model() -> Embedder:
    return embedder(OLD)


@pytest.fixture
def server() -> Iterator[Store]:
    with ServerStore(QdrantClient(":memory:")) as opened:
        yield opened


@pytest.fixture(params=["embedded", "server"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    local = EmbeddedStore(tmp_path / "store")
    with local if request.param == "embedded" else ServerStore(QdrantClient(":memory:")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.index.windows", partial(windows, size=8))


class Meanwhile(Progress):
    """Does something once, when the first window has been acknowledged."""

    def __init__(self, something: Callable[[], object]) -> None:
        self._todo = [something]

    def indexed(self, n_rows: int) -> None:
        while self._todo:
            self._todo.pop()()


class Killed(BaseException):
    """As if the process had ended here."""


def kill() -> None:
    raise Killed


def index(
    store: Store, model: Embedder, work: Path, records: list[Spectrum], library: str = "lib", **how: Any
) -> Summary:
    """What one command indexes, with the ledger in `work`."""
    work.mkdir(exist_ok=True)
    path = work / f"{len(records)}-{records[0].accession}-{hash(records[0].mz.tobytes())}.mgf"
    path.write_text(mgf(records))
    return index_files([path], store, library, model, work, **how)


def held(store: Store, library: str = "lib") -> set[bytes]:
    """What is in the library, whatever it is named."""
    return {str(values[0]["peaks"]).encode() for values in library_state(store, library).values()}  # type: ignore[index]


def undisturbed(model: Embedder, records: list[Spectrum], work: Path) -> set[bytes]:
    with ServerStore(QdrantClient(":memory:")) as alone:
        index(alone, model, work, records)
        return held(alone)


def test_one_ledger_has_one_writer(server: Store, model: Embedder, tmp_path: Path) -> None:
    refusals = []

    def second() -> None:
        with pytest.raises(StoreLocked, match="Another command indexes into the library 'lib'") as refusal:
            index(server, model, tmp_path / "work", RECORDS)
        refusals.append(refusal)

    summary = index(server, model, tmp_path / "work", RECORDS, progress=Meanwhile(second))
    assert len(refusals) == 1
    assert summary.n_indexed == summary.n_in_library == len(RECORDS)


@pytest.mark.parametrize("n_shared", [0, 20])
def test_another_machine_that_begins_takes_over(
    server: Store, model: Embedder, tmp_path: Path, n_shared: int
) -> None:
    """Also with names that both give to records of their own."""
    theirs = [
        replace(one, accession=other.accession) if row < n_shared else one
        for row, (one, other) in enumerate(zip(OTHERS, reversed(RECORDS), strict=False))
    ]
    progress = Meanwhile(lambda: index(server, model, tmp_path / "there", theirs))
    with pytest.raises(StoreError, match="Another command has begun to write to the library 'lib'"):
        index(server, model, tmp_path / "here", RECORDS, progress=progress)
    assert len(held(server)) < 60
    index(server, model, tmp_path / "here", RECORDS)
    assert held(server) == undisturbed(model, [*RECORDS, *theirs], tmp_path / "alone")
    for place, records in (("there", theirs), ("here", RECORDS)):
        assert index(server, model, tmp_path / place, records).n_indexed == 0


def test_a_killed_run_takes_nothing_back_that_others_indexed_since(
    server: Store, model: Embedder, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        index(server, model, tmp_path / "here", RECORDS, progress=Meanwhile(kill))
    index(server, model, tmp_path / "there", RECORDS)
    index(server, model, tmp_path / "here", OTHERS)
    assert held(server) == undisturbed(model, [*RECORDS, *OTHERS], tmp_path / "alone")


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_ledger_of_another_library_is_not_believed(
    store: Store, model: Embedder, tmp_path: Path, is_indexed: bool
) -> None:
    """Though it tells of as many spectra; also in a library that was copied, so that nobody's turn it is."""
    index(store, model, tmp_path / "one", RECORDS[:20], "one")
    index(store, model, tmp_path / "two", OTHERS, "two")
    shutil.copy(tmp_path / "one" / "ledger.sqlite", tmp_path / "two" / "ledger.sqlite")
    if not is_indexed:
        forget_turn(store, "two")
    index(store, model, tmp_path / "two", RECORDS[:20], "two")
    assert held(store, "two") == undisturbed(model, [*RECORDS[:20], *OTHERS], tmp_path / "alone")


def forget_turn(store: Store, library: str) -> None:
    if isinstance(store, EmbeddedStore):
        (store.root / library / "turn.json").unlink()
    else:
        store._client.update_collection(f"{library}@1", metadata={"specsearch_turn": None})  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", ["note_turn", "take_turn", "keep_turn"])
@pytest.mark.parametrize("is_done", [True, False])
def test_killed_while_it_takes_its_turn(
    store: Store, model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_done: bool
) -> None:
    """Just before or just after each step: the ledger is still believed, nothing is read twice."""
    index(store, model, tmp_path / "work", RECORDS[:20])
    with store.open("lib") as collection:
        owner = type(collection) if step == "take_turn" else Ledger
    real = getattr(owner, step)

    def killed(self: Any, turn: str) -> None:
        if is_done:
            real(self, turn)
        kill()

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(Killed):
            index(store, model, tmp_path / "work", RECORDS[:20])
    planned = []
    progress = Progress()
    progress.planned = lambda n_rows, n_done: planned.append((n_rows, n_done))  # type: ignore[method-assign]
    index(store, model, tmp_path / "work", RECORDS[:20], progress=progress)
    assert planned == [(20, 20)]


@pytest.mark.parametrize("moment", ["before the last look", "after it"])
def test_who_indexes_while_a_library_is_embedded_again(
    server: Store, model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It ends, or the re-embedding does; what it stores in the generation that is left is not ticked off."""
    new, works = embedder(NEW), [tmp_path / "first", tmp_path / "second"]
    index(server, model, tmp_path / "first", RECORDS)
    if moment == "before the last look":
        progress = Meanwhile(lambda: again(server, tmp_path, new, check=lambda made, ids: None))
        with pytest.raises(StoreError, match="Another command has begun to write"):
            index(server, model, works[1], OTHERS, progress=progress)
    else:
        wants = [lambda: index(server, model, works[1], OTHERS)]
        real = ingest.settling.require_turn

        def late(collection: Collection, turn: str) -> None:
            while wants:
                wants.pop()()
            real(collection, turn)

        monkeypatch.setattr("ingest.reembed.require_turn", late)
        with pytest.raises(StoreError, match="Another command has begun to write"):
            again(server, tmp_path, new, check=lambda made, ids: None)
        assert again(server, tmp_path, new, check=lambda made, ids: None)
    index(server, new, works[1], OTHERS)
    assert len(held(server)) == len(RECORDS) + len(OTHERS)
