"""What another version of specsearch has stored: one sentence that says so, and what to do about it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from backup_material import N_SPECTRA, changed_manifest, forge, index_again, make_library, members
from bank_material import MOLECULES, build, write_smi
from cli_runner import Commands, small_model
from killing import copy
from qdrant_client import QdrantClient
from samples import embedder
from store_material import CONTRACT, points

from ingest.index import index_files
from ingest.ledger import Ledger
from ingest.reembed import reembed
from specsearch.errors import StoreDamaged, StoreError
from specsearch.store.bank import open_bank
from specsearch.store.schema import PAYLOAD_VERSION
from specsearch.store.server import ServerStore
from specsearch.store.store import open_store

OLDER, NEWER = PAYLOAD_VERSION - 1, PAYLOAD_VERSION + 97


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, in it the library `lab` and its graph, the file of `lab`, and its archive."""
    folder = tmp_path_factory.mktemp("versions")
    make_library(folder)
    commands = Commands(folder, None)
    commands.run("graph", "lab")
    commands.run("backup", "lab", "-o", folder / "lab.specsearch")
    return folder


@pytest.fixture
def commands(base: Path, tmp_path: Path) -> Commands:
    copy(base / "store", tmp_path / "store")
    return Commands(tmp_path, small_model(tmp_path / "model.safetensors"))


def of_version(commands: Commands, version: int) -> None:
    """Let the library say that its records are of another version; its manifest agrees."""
    from specsearch.store.integrity import seal

    contract = commands.store / "lab" / "contract.json"
    contract.write_text(json.dumps({**json.loads(contract.read_text()), "payload_version": version}))
    seal(commands.store / "lab")


def require_refused(told: str, version: int) -> None:
    assert told.startswith("Error: ")
    assert f"records are of version {version}, this one reads {PAYLOAD_VERSION}" in told
    assert ("Update specsearch" if version == NEWER else '"specsearch drop lab"') in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_a_library(commands: Commands, base: Path, tmp_path: Path, version: int) -> None:
    of_version(commands, version)
    archive, copied = tmp_path / "a", tmp_path / "other"
    for words in (
        ("search", base / "lab.parquet", "--library", "lab"),
        ("index", base / "lab.parquet", "--library", "lab"),
        ("verify", "lab"),
        ("graph", "lab"),
        ("reembed", "lab"),
        ("backup", "lab", "-o", archive),
        ("copy", "lab", "--to", copied),
    ):
        require_refused(commands.run(*words, code=1).stderr, version)
    assert "cannot be opened: The library 'lab' was written by" in commands.run("libraries").stdout
    commands.run("drop", "lab", "--yes")
    with open_store(commands.store) as store:
        again = index_files(
            [base / "lab.parquet"], store, "lab", embedder(), commands.store / "lab" / "ingest"
        )
    assert again.n_in_library == N_SPECTRA


@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_a_library_on_a_server(tmp_path: Path, version: int) -> None:
    from dataclasses import replace

    with ServerStore(QdrantClient(":memory:")) as store:
        with store.create("lab", replace(CONTRACT, payload_version=version)) as collection:
            collection.upsert(points(3, library="lab"))
        with pytest.raises(StoreError, match=f"records are of version {version}"):
            store.open("lab")
        with pytest.raises(StoreError, match=f"records are of version {version}"):
            reembed("lab", store, embedder(), tmp_path, lambda made, ids: None)
        store.drop("lab")
        assert store.libraries() == []


def test_a_kept_generation(commands: Commands, tmp_path: Path) -> None:
    commands.run("reembed", "lab")
    of_version(commands, OLDER)  # the first, which is kept now
    assert "records are of version" in commands.run("reembed", "lab", "--undo", code=1).stderr
    commands.run("reembed", "lab", "--drop-old")
    commands.run("verify", "lab")


@pytest.mark.parametrize("text", ["{", "{}", '{"current": "2", "kept": 1}', "[1]"])
def test_a_pointer_to_generations_that_makes_no_sense(commands: Commands, text: str) -> None:
    (commands.store / "lab" / "generation.json").write_text(text)
    told = commands.run("graph", "lab", code=1).stderr
    assert "generation.json" in told
    assert "backup" in told
    assert "damaged" in commands.run("libraries").stdout


@pytest.mark.parametrize(
    ("format_version", "payload_version", "words"),
    [
        (2, PAYLOAD_VERSION, ("A newer", "Update specsearch")),
        (1, NEWER, ("A newer", "Update specsearch")),
        (1, OLDER, ("An older", "index the library again")),
    ],
)
def test_an_archive(
    base: Path, tmp_path: Path, format_version: int, payload_version: int, words: tuple[str, ...]
) -> None:
    whole = members(base / "lab.specsearch")
    contract = json.loads(whole["manifest.json"])["contract"] | {"payload_version": payload_version}
    forged = forge(tmp_path / "a", changed_manifest(whole, format_version=format_version, contract=contract))
    told = Commands(tmp_path, None).run("restore", forged, code=1).stderr
    assert all(word in told for word in words)
    assert f"format is {format_version} with records of version {payload_version}" in told


def test_a_graph(commands: Commands) -> None:
    """It is only made again: nothing is lost with it."""
    graph = commands.store / "lab" / "graph" / "graph.json"
    graph.write_text(json.dumps({**json.loads(graph.read_text()), "version": 0}))
    assert "Nothing has changed" not in commands.run("graph", "lab").stderr
    assert "Nothing has changed" in commands.run("graph", "lab").stderr


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE spectra ADD COLUMN charge INTEGER",
        "ALTER TABLE windows RENAME COLUMN n_read TO n_rows",
        "ALTER TABLE skipped DROP COLUMN detail",
    ],
)
def test_a_ledger(base: Path, tmp_path: Path, change: str) -> None:
    copy(base / "store", tmp_path / "store")
    path = tmp_path / "store" / "lab" / "ingest" / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(change)
        db.commit()
    with pytest.raises(StoreError, match=r"written by another version of specsearch\. Remove it") as raised:
        index_again(tmp_path, base / "lab.parquet")
    assert str(path) in str(raised.value)
    path.unlink()
    assert index_again(tmp_path, base / "lab.parquet") == N_SPECTRA


def test_a_ledger_that_was_only_begun(tmp_path: Path) -> None:
    """Killed while its tables were made: those that are there are ours."""
    with Ledger(tmp_path / "ledger.sqlite"):
        pass
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        db.execute("DROP TABLE noted")
        db.execute("DROP TABLE skipped")
        db.commit()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.n_spectra() == 0


BANK_CARDS: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {
    "of a newer version": lambda card: card | {"of_a_later_version": 1},
    "of an older one": lambda card: {key: value for key, value in card.items() if key != "encoder_digest"},
    "without files": lambda card: {key: value for key, value in card.items() if key != "files"},
}


@pytest.mark.parametrize("kind", BANK_CARDS)
def test_a_bank(tmp_path: Path, kind: str) -> None:
    build(tmp_path / "bank", write_smi(tmp_path / "all.smi", list(MOLECULES.items())[:4]))
    card = tmp_path / "bank" / "bank.json"
    card.write_text(json.dumps(BANK_CARDS[kind](json.loads(card.read_text()))))
    with pytest.raises(StoreDamaged, match=r"bank.*specsearch bank remove.*specsearch bank add"):
        open_bank(tmp_path / "bank")
