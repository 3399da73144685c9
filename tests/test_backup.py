"""Backups and copies: whole or not at all, bit by bit the same, whatever happens on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backup_material import (
    N_SPECTRA,
    Members,
    StandIn,
    back_up_and_die,
    changed_manifest,
    forge,
    index_again,
    make_library,
    members,
    restore_and_die,
    told_right,
)
from cli_runner import Commands
from qdrant_client import QdrantClient
from samples import PROCESSES, library_state
from store_material import CONTRACT, free_name, points

from ingest.ledger import Claim, Ledger
from specsearch.errors import SpecsearchError, StoreDamaged, StoreError
from specsearch.search.snapshot import read_snapshot
from specsearch.store.archive import Archive
from specsearch.store.digest import LibraryDigest
from specsearch.store.points import point_id
from specsearch.store.queries import VectorQuery
from specsearch.store.schema import TARGET_PROJECTION
from specsearch.store.server import ServerStore
from specsearch.store.store import Store, open_store
from specsearch.store.transfer import back_up, copy, restore

URL = "http://stand-in:6333"
REAL = os.environ.get("SPECSEARCH_TEST_QDRANT_URL", "")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the library `lab`, and its archive."""
    folder = tmp_path_factory.mktemp("backup")
    make_library(folder)
    Commands(folder, None).run("backup", "lab", "-o", folder / "lab.specsearch")
    return folder


@pytest.fixture
def commands(tmp_path: Path, base: Path) -> Commands:
    """The command line on a copy of that store."""
    shutil.copytree(base / "store", tmp_path / "store")
    return Commands(tmp_path, None)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Address of something that stands for a server; our own files about it lie in `tmp_path`."""
    monkeypatch.setattr(ServerStore, "connect", StandIn(tmp_path / "server").connect)
    monkeypatch.setattr("specsearch.cli.settings._user_data", lambda: tmp_path / "user")
    return URL


def digest_of(store: Store, library: str) -> LibraryDigest:
    digest = LibraryDigest()
    with store.open(library) as collection:
        for record in collection.scroll(with_vectors=True):
            digest.add(record)
    return digest


def answers(store: Store, library: str) -> list[Any]:
    """What searches find, by all three vectors."""
    rng = np.random.default_rng(4)
    with store.open(library) as collection:
        records = list(collection.scroll(with_vectors=True))
        chosen = [records[i] for i in rng.choice(len(records), 10, replace=False)]
        queries = [
            VectorQuery(name, getattr(record, name), 10)
            for record in chosen
            for name in ("embedding", "peaks", "losses")
        ]
        # the engine sums in the order of its own numbers, so the last digit may differ
        found = [
            [(-round(h.score, 5), h.point_id, h.payload) for h in hits] for hits in collection.query(queries)
        ]
    return [sorted(hits, key=lambda hit: hit[:2]) for hits in found]


def restore_into(folder: Path, archive: Path, name: str = "") -> None:
    with Archive(archive) as opened, open_store(folder) as store:
        restore(opened, store, name or opened.manifest.library)


# Tried only


def files_in(folder: Path) -> dict[Path, Any]:
    """What is in every file; of JSON what it says, since the engine reorders its keys whenever it loads."""
    return {
        path: json.loads(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_trial_says_what_would_be_made_and_makes_nothing(
    commands: Commands, base: Path, tmp_path: Path, server: str
) -> None:
    archive, elsewhere = base / "lab.specsearch", tmp_path / "elsewhere"
    before = files_in(tmp_path / "store")
    for words in (
        ("restore", archive, "--as", "new"),
        ("restore", archive, "--store", elsewhere),
        ("copy", "lab", "--to", elsewhere),
        ("copy", "lab", "--to", server),
    ):
        told = commands.run(*words, "--dry-run").stderr
        assert f"{N_SPECTRA} spectra of 'lab' in " in told
        assert "Nothing was written" in told
        assert ("MB are free there" in told) == (server not in words)
    for words in (("restore", archive), ("copy", "lab", "--to", commands.store)):
        assert "--as" in commands.run(*words, "--dry-run", code=1).stderr
    spoiled = tmp_path / "spoiled.specsearch"
    spoiled.write_bytes(archive.read_bytes()[:-100])
    commands.run("restore", spoiled, "--as", "new", "--dry-run", code=1)
    assert files_in(tmp_path / "store") == before
    assert not elsewhere.exists()
    assert commands.run("libraries", "--store", server).stderr.startswith("No library")


def test_a_trial_looks_at_the_free_space(
    commands: Commands, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("specsearch.store.space.FLOOR_BYTES", 2**60)
    for words in (("restore", base / "lab.specsearch"), ("copy", "lab", "--to", commands.store)):
        assert "MB are needed" in commands.run(*words, "--as", "new", "--dry-run", code=1).stderr


# There and back


def test_an_archive_gives_back_every_bit(base: Path, tmp_path: Path) -> None:
    restore_into(tmp_path / "store", base / "lab.specsearch")
    with open_store(base / "store") as old, open_store(tmp_path / "store") as new:
        expected = library_state(old, "lab")
        assert len(expected) == N_SPECTRA
        assert library_state(new, "lab") == expected
        assert answers(new, "lab") == answers(old, "lab")
        with old.open("lab") as one, new.open("lab") as other:
            assert one.contract == other.contract
            assert read_snapshot(one).digest == read_snapshot(other).digest == digest_of_archive(base)
            assert other.info().is_healthy


def digest_of_archive(base: Path) -> str:
    with Archive(base / "lab.specsearch") as archive:
        return archive.manifest.content_digest


@pytest.mark.parametrize("place", ["stand-in", "real"])
@pytest.mark.filterwarnings("ignore:Local mode")
def test_to_a_server_and_back(
    place: str, commands: Commands, base: Path, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a copy there, and by an archive of what is there back; then the other way round."""
    if place == "real":
        if not REAL:
            pytest.skip("no server: set SPECSEARCH_TEST_QDRANT_URL")
        monkeypatch.undo()
        server = REAL
    name, again = free_name(), free_name()
    commands.run("copy", "lab", "--to", tmp_path / "first", "--as", name)
    try:
        commands.run("copy", name, "--store", tmp_path / "first", "--to", server)
        commands.run("backup", name, "--store", server, "-o", tmp_path / "there.specsearch")
        commands.run("restore", tmp_path / "there.specsearch", "--store", tmp_path / "back")
        commands.run("restore", tmp_path / "there.specsearch", "--store", server, "--as", again)
        commands.run("copy", again, "--store", server, "--to", tmp_path / "last", "--as", name)
        with open_store(server) as store:
            there, twice = digest_of(store, name), digest_of(store, again)
    finally:
        with open_store(server) as store:
            for made in (name, again):
                if store.exists(made):
                    store.drop(made)
    with open_store(tmp_path / "first") as first:
        expected, digest = library_state(first, name), digest_of(first, name)
    assert (there.content, there.points) == (digest.content, digest.points)
    assert (twice.content != digest.content, twice.points) == (True, digest.points)
    for folder in ("back", "last"):
        with open_store(tmp_path / folder) as store:
            assert library_state(store, name) == expected


def test_another_name_makes_other_ids_and_nothing_else(base: Path, tmp_path: Path) -> None:
    restore_into(tmp_path / "store", base / "lab.specsearch", "other")
    with open_store(base / "store") as old, open_store(tmp_path / "store") as new:
        expected, found = library_state(old, "lab"), library_state(new, "other")
        assert digest_of(old, "lab").points == digest_of(new, "other").points
    assert len(found) == len(expected)
    for payload, *vectors in expected.values():
        accession = payload["accession"]
        renamed = {**payload, "library": "other", "spectrum_id": f"other:{accession}"}
        assert found[point_id("other", accession)] == (renamed, *vectors)


def test_an_empty_library_and_payloads_of_all_kinds(tmp_path: Path) -> None:
    odd = {"text": 'µ \u2028 " \\ \U0001f600', "deep": {"a": [1, None, True, 2**70, 1e-300, 0.1 + 0.2]}}
    stored = [replace(point, payload={**point.payload, "metadata": odd}) for point in points(5)]
    with open_store(tmp_path / "store") as store:
        for name, some in (("none", []), ("odd", stored)):
            with store.create(name, CONTRACT) as collection:
                collection.upsert(some)
                back_up(collection, tmp_path / name)
            with Archive(tmp_path / name) as archive:
                restore(archive, store, f"{name}-2")
        assert library_state(store, "none-2") == {}
        payloads = [values[0] for values in library_state(store, "odd-2").values()]
    assert [p["metadata"] for p in payloads if isinstance(p, dict)] == [odd] * 5


def test_the_digest_sees_every_change() -> None:
    from specsearch.store.queries import Record

    some = [Record(p.point_id, p.payload, p.embedding, p.peaks, p.losses) for p in points(4)]

    def digest(records: list[Record]) -> str:
        made = LibraryDigest()
        for record in records:
            made.add(record)
        return made.points

    assert digest(some) == digest(some[::-1])
    turned = some[0].embedding[::-1] if some[0].embedding is not None else None
    for changed in (
        replace(some[0], embedding=turned),
        replace(some[0], peaks=some[1].peaks),
        replace(some[0], peaks=some[0].losses, losses=some[0].peaks),
        replace(some[0], payload={**some[0].payload, "formula": "C"}),
        some[1],
    ):
        assert digest([changed, *some[1:]]) != digest(some)


# The ledger


def done(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(db.execute("SELECT * FROM windows").fetchall())


def test_the_ledger_travels(base: Path, tmp_path: Path) -> None:
    here = Commands(tmp_path, None)
    here.run("restore", base / "lab.specsearch", "--as", "other")
    ledger = Path("store") / "other" / "ingest" / "ledger.sqlite"
    assert done(tmp_path / ledger) == done(base / "store" / "lab" / "ingest" / "ledger.sqlite") != []
    before = done(tmp_path / ledger)
    assert index_again(tmp_path, base / "lab.parquet", "other") == N_SPECTRA
    assert done(tmp_path / ledger) == before  # read once: no window was done again
    with open_store(tmp_path / "store") as store:
        names = {values[0]["spectrum_id"] for values in library_state(store, "other").values()}  # type: ignore[index]
    assert names == {f"other:S{i}" for i in range(N_SPECTRA)}


@pytest.mark.parametrize("name", ["lab", "other"])
def test_what_a_killed_run_left_is_taken_back_after_the_restore(
    commands: Commands, base: Path, tmp_path: Path, name: str
) -> None:
    """A window claimed and half written: its points travel, and go at the next indexing."""
    with Ledger(tmp_path / "store" / "lab" / "ingest" / "ledger.sqlite") as ledger:
        ledger.claim("killed", [Claim("half", b"x", "splash")])
    with open_store(tmp_path / "store") as store, store.open("lab", write=True) as collection:
        record = next(collection.scroll(with_vectors=True))
        from specsearch.store.points import Point

        assert record.embedding is not None
        payload = {**record.payload, "accession": "half", "spectrum_id": "lab:half"}
        half = Point(point_id("lab", "half"), record.embedding, record.peaks, record.losses, payload)
        collection.upsert([half])
    commands.run("backup", "lab", "-o", tmp_path / "half.specsearch")
    there = tmp_path / "there"
    commands.run("restore", tmp_path / "half.specsearch", "--store", there / "store", "--as", name)
    with open_store(there / "store") as store:
        assert len(library_state(store, name)) == N_SPECTRA + 1
    assert index_again(there, base / "lab.parquet", name) == N_SPECTRA


def test_a_ledger_of_another_library_of_that_name_goes(
    commands: Commands, base: Path, tmp_path: Path, server: str
) -> None:
    """With as many spectra, so that nothing else would tell the two apart."""
    from specsearch.cli.settings import StoreAt

    stale = StoreAt(server).work_folder("lab") / "ledger.sqlite"
    with Ledger(stale) as ledger:
        ledger.claim("w", [Claim(f"X{i}", b"x", "s") for i in range(N_SPECTRA)])
        ledger.finish("w", "source", N_SPECTRA, N_SPECTRA)
    (tmp_path / "store" / "lab" / "ingest" / "ledger.sqlite").unlink()
    commands.run("backup", "lab", "-o", tmp_path / "bare.specsearch")
    commands.run("restore", tmp_path / "bare.specsearch", "--store", server)
    assert not stale.exists()
    commands.run("restore", base / "lab.specsearch", "--store", server, "--as", "lab-2")
    assert (StoreAt(server).work_folder("lab-2") / "ledger.sqlite").exists()


# Archives that are not what they should be


def require_refused(archive: Path, folder: Path, *words: str) -> None:
    """In one sentence, and nothing is there afterwards, inside the store or beside it."""
    before = sorted(folder.rglob("*"))
    shown = Commands(folder, None).run("restore", archive, code=1)
    assert shown.stderr.startswith("Error: ")
    assert "Unexpected" not in shown.stderr
    for word in words:
        assert word in shown.stderr
    left = sorted(folder.rglob("*"))
    assert [path for path in left if path != folder / "store"] == before


def test_cut_short(base: Path, tmp_path: Path) -> None:
    whole = (base / "lab.specsearch").read_bytes()
    cut = tmp_path / "cut"
    for length in [*(len(whole) * tenth // 10 for tenth in range(10)), 1, 63, 64, len(whole) - 1]:
        cut.write_bytes(whole[:length])
        require_refused(cut, tmp_path, "cut short")
    cut.write_bytes(whole + b"x")
    require_refused(cut, tmp_path, "changed")


def test_bytes_flipped(base: Path, tmp_path: Path) -> None:
    whole = bytearray((base / "lab.specsearch").read_bytes())
    changed = tmp_path / "changed"
    rng = np.random.default_rng(8)
    places = [*range(len(whole) - 700, len(whole), 7), *rng.integers(0, len(whole), 60).tolist()]
    for place in places:
        spoiled = whole.copy()
        spoiled[place] ^= 1 << int(rng.integers(8))
        changed.write_bytes(spoiled)
        with pytest.raises(StoreDamaged, match="cut short or changed"):
            Archive(changed)


def with_point(contents: Members, change: Callable[[dict[str, object]], None], n: int = 7) -> Members:
    """One point changed, and every checksum made true again; only the digests still tell."""
    lines = contents["points.jsonl"].splitlines(keepends=True)
    point = json.loads(lines[n])
    change(point)
    lines[n] = json.dumps(point).encode() + b"\n"
    return told_right(contents | {"points.jsonl": b"".join(lines)})


def with_ledger(contents: Members, folder: Path, statement: str) -> Members:
    path = folder / "forged.sqlite"
    path.write_bytes(contents["ledger.sqlite"])
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    forged = path.read_bytes()
    path.unlink()
    return told_right(contents | {"ledger.sqlite": forged})


FORGERIES: dict[str, tuple[str, Callable[[Members, Path], Members]]] = {
    "a path that leads away": ("something else", lambda m, f: m | {"../../away": b"x"}),
    "an absolute path": ("something else", lambda m, f: m | {"/tmp/away": b"x"}),
    "no manifest": ("manifest", lambda m, f: {"points.jsonl": m["points.jsonl"]}),
    "a manifest that is no JSON": ("manifest", lambda m, f: m | {"manifest.json": b"{" * 5000}),
    "a deep manifest": ("manifest", lambda m, f: m | {"manifest.json": b"[" * 200_000}),
    "a huge manifest": ("manifest", lambda m, f: m | {"manifest.json": b" " * 2**21}),
    "a list": ("manifest", lambda m, f: m | {"manifest.json": b"[1]"}),
    "a newer format": ("Update specsearch", lambda m, f: changed_manifest(m, format_version=2)),
    "a name that leads away": ("cannot be the name", lambda m, f: changed_manifest(m, library="../away")),
    "another number": ("not those that its manifest", lambda m, f: changed_manifest(m, n_points=59)),
    "another digest": ("not those that its", lambda m, f: changed_manifest(m, content_digest="0" * 64)),
    "no points": ("something else", lambda m, f: changed_manifest(m, members={})),
    "a size that is not true": (
        "something else",
        lambda m, f: changed_manifest(m, members={"points.jsonl": {"n_bytes": 1, "sha256": ""}}),
    ),
    "other points": (
        "not what was written",
        lambda m, f: m | {"points.jsonl": m["points.jsonl"].replace(b"C4H4", b"C3H4")},
    ),
    "points in another order": (
        "not those that its",
        lambda m, f: told_right(
            m | {"points.jsonl": b"".join(reversed(m["points.jsonl"].splitlines(keepends=True)))}
        ),
    ),
    "a point that is no point": (
        "not a point",
        lambda m, f: told_right(m | {"points.jsonl": m["points.jsonl"] + b"[1]\n"}),
    ),
    "a deep line": (
        "not a point",
        lambda m, f: told_right(m | {"points.jsonl": b"[" * 200_000}),
    ),
    "another payload": (
        "not those that its",
        lambda m, f: with_point(m, lambda p: p["payload"].update(formula="C99")),  # type: ignore[attr-defined]
    ),
    "half a letter": (
        "not a point",
        lambda m, f: with_point(m, lambda p: p["payload"].update(formula="\ud800")),  # type: ignore[attr-defined]
    ),
    "an id that is none": ("not a point", lambda m, f: with_point(m, lambda p: p.update(id="../x"))),
    "no vector": ("cannot be stored", lambda m, f: with_point(m, lambda p: p.update(embedding=""))),
    "not numbers": (
        "cannot be stored",
        lambda m, f: with_point(m, lambda p: p.update(embedding="AHwA" * 16)),
    ),
    "half a vector": ("not a point", lambda m, f: with_point(m, lambda p: p.update(peaks="AAAA"))),
    "a ledger with a trigger": (
        "ledger",
        lambda m, f: with_ledger(
            m, f, "CREATE TRIGGER t AFTER INSERT ON windows BEGIN DELETE FROM spectra; END"
        ),
    ),
    "a ledger that is none": ("ledger", lambda m, f: told_right(m | {"ledger.sqlite": b"SQLite?" * 999})),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged(base: Path, tmp_path: Path, kind: str) -> None:
    """The seal is true, the rest is not; zipfile warns where a name is there twice."""
    words, change = FORGERIES[kind]
    archive = forge(tmp_path / "forged", change(members(base / "lab.specsearch"), tmp_path))
    require_refused(archive, tmp_path, words)
    assert not list(tmp_path.parent.rglob("away"))


def test_links_bombs_and_members_twice(base: Path, tmp_path: Path) -> None:
    whole = members(base / "lab.specsearch")
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    forge(tmp_path / "link", whole, lambda z: z.writestr(link, "/etc/passwd"))
    require_refused(tmp_path / "link", tmp_path, "something else")
    with pytest.warns(UserWarning, match="Duplicate name"):
        forge(tmp_path / "twice", whole, lambda z: z.writestr("points.jsonl", b"x"))
    require_refused(tmp_path / "twice", tmp_path, "something else")
    bomb = told_right(whole | {"points.jsonl": b" " * 2**27})
    forge(tmp_path / "bomb", bomb)
    assert (tmp_path / "bomb").stat().st_size < 2**20
    require_refused(tmp_path / "bomb", tmp_path, "not a point")


def test_a_size_that_no_disk_has_is_refused_at_once(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Archive, "n_bytes", 10**15)
    require_refused(base / "lab.specsearch", tmp_path, "MB free", "nothing of it was left")


def test_banks_are_refused(tmp_path: Path, base: Path) -> None:
    bank = replace(CONTRACT, embedding_kind=TARGET_PROJECTION)
    with open_store(tmp_path / "store") as store, store.create("bank", bank) as collection:
        with pytest.raises(StoreError, match="candidate molecules"):
            back_up(collection, tmp_path / "bank.specsearch")
        with pytest.raises(StoreError, match="candidate molecules"):
            copy(collection, store, "bank-2")
    assert not (tmp_path / "bank.specsearch").exists()


# Names, locks, changes


def test_a_name_that_is_taken_and_a_library_in_use(commands: Commands, base: Path, tmp_path: Path) -> None:
    archive = base / "lab.specsearch"
    before = members(archive)
    assert "already there" in commands.run("restore", archive, code=1).stderr
    assert "already there" in commands.run("copy", "lab", "--to", commands.store, code=1).stderr
    assert "cannot be the name" in commands.run("restore", archive, "--as", "../x", code=1).stderr
    assert "no library 'nix'" in commands.run("backup", "nix", "-o", tmp_path / "nix", code=1).stderr
    with open_store(commands.store) as store, store.open("lab"):
        assert "open in another process" in commands.run("backup", "lab", "-o", archive, code=1).stderr
        assert "already there" in commands.run("restore", archive, code=1).stderr
    with open_store(commands.store) as store, store.making("new", CONTRACT):
        told = commands.run("restore", archive, "--as", "new", code=1).stderr
        assert "open in another process" in told
    assert members(archive) == before
    assert not (tmp_path / "nix").exists()
    with open_store(commands.store) as store, open_store(base / "store") as old:
        assert library_state(store, "lab") == library_state(old, "lab")


def test_the_folder_of_something_else_is_left_alone(base: Path, tmp_path: Path) -> None:
    notes = tmp_path / "store" / "lab" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    spoiled = told_right(members(base / "lab.specsearch") | {"points.jsonl": b"x\n"})
    Commands(tmp_path, None).run("restore", forge(tmp_path / "bad", spoiled), code=1)
    assert list((tmp_path / "store").rglob("*")) == [notes.parent, notes]
    restore_into(tmp_path / "store", base / "lab.specsearch")
    assert notes.read_text() == "mine"


def test_a_library_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """Only a server lets others write meanwhile."""
    with ServerStore(QdrantClient(":memory:")) as store, store.create("lib", CONTRACT) as collection:
        collection.upsert(points(20))
        real = collection.scroll

        def scroll(**how: object) -> Iterator[object]:
            yield from real(**how)  # type: ignore[arg-type]
            collection.upsert(points(1, first=collection.count()))

        collection.scroll = scroll  # type: ignore[method-assign, assignment]
        with pytest.raises(StoreError, match="changed while it was read"):
            back_up(collection, tmp_path / "lib.specsearch")
        with pytest.raises(StoreError, match="changed while it was read"):
            copy(collection, store, "copy")
        assert store.libraries() == ["lib"]
    assert not list(tmp_path.iterdir())


def test_what_is_being_made_on_a_server_is_not_there_yet() -> None:
    with ServerStore(QdrantClient(":memory:")) as store:
        interrupted = store.making("lib", CONTRACT)
        interrupted.__enter__().upsert(points(3))
        assert not store.exists("lib")
        assert store.libraries() == []
        with pytest.raises(StoreError, match="being restored"):
            store.create("lib", CONTRACT)
        assert not interrupted.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
        with store.create("lib", CONTRACT):
            store.drop("lib")
        store._places.create("lib@1", "lib", CONTRACT, "one who was killed").close()
        with store.making("lib", CONTRACT) as made:
            assert made.count() == 0
            made.upsert(points(2))
        assert store.libraries() == ["lib"]
        with store.open("lib") as collection:
            assert collection.count() == 2
        with pytest.raises(StoreError, match="already has"), store.making("lib", CONTRACT):
            pass


def test_two_makers_on_a_server() -> None:
    """The later one wins; the earlier finds out, and leaves the other's alone."""
    with ServerStore(QdrantClient(":memory:")) as store:
        first, second = store.making("lib", CONTRACT), store.making("lib", CONTRACT)
        first.__enter__()
        second.__enter__().upsert(points(2))
        with pytest.raises(StoreError, match="at the same time"):
            first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        with store.open("lib") as collection:
            assert collection.count() == 2


def test_a_store_that_gives_back_something_else(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from specsearch.store.edge import EdgeCollection

    real = EdgeCollection.upsert
    monkeypatch.setattr(EdgeCollection, "upsert", lambda self, some: real(self, some[1:]))
    require_refused(base / "lab.specsearch", tmp_path, "gives back other points (59) than it was given (60)")


# Killed, and full


@pytest.mark.parametrize(
    ("event", "number"),
    [("point", 1), ("point", 31), ("upsert", 1), ("optimize", 1), ("place_ledger", 1), ("seal", 1)],
)
def test_a_restore_killed(base: Path, tmp_path: Path, event: str, number: int) -> None:
    """With the signal that nobody can catch: nothing has the name, or all of it; and again, it goes on."""
    words = (base / "lab.specsearch", tmp_path, event, number, "before" if event == "seal" else "after")
    killed = PROCESSES.Process(target=restore_and_die, args=words, daemon=True)
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    here = Commands(tmp_path, None)
    with open_store(tmp_path / "store") as store:
        assert store.exists("lab") == (event == "seal")
    if event != "seal":
        here.run("restore", base / "lab.specsearch")
    with open_store(tmp_path / "store") as store, open_store(base / "store") as old:
        assert library_state(store, "lab") == library_state(old, "lab")
    assert index_again(tmp_path, base / "lab.parquet") == N_SPECTRA


def test_indexing_under_the_name_of_a_restore_that_was_killed(base: Path, tmp_path: Path) -> None:
    """Its ledger lies there, and says that all is done; the library says otherwise."""
    words = (base / "lab.specsearch", tmp_path, "place_ledger", 1, "after")
    killed = PROCESSES.Process(target=restore_and_die, args=words, daemon=True)
    killed.start()
    killed.join(60)
    assert (tmp_path / "store" / "lab" / "ingest" / "ledger.sqlite").exists()
    assert index_again(tmp_path, base / "lab.parquet") == N_SPECTRA


def test_a_backup_killed_leaves_the_last_one(commands: Commands, tmp_path: Path) -> None:
    archive = tmp_path / "lab.specsearch"
    archive.write_bytes(b"the last one")
    killed = PROCESSES.Process(target=back_up_and_die, args=(commands.store, archive), daemon=True)
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert archive.read_bytes() == b"the last one"
    commands.run("backup", "lab", "-o", archive)
    with Archive(archive) as opened:
        assert opened.manifest.n_points == N_SPECTRA


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_and_the_last_backup_stays(commands: Commands, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "32k") as disk:
        archive = disk / "lab.specsearch"
        archive.write_bytes(b"the last one")
        told = commands.run("backup", "lab", "-o", archive, code=1).stderr
        assert "lab.specsearch cannot be written" in told
        assert "No space left" in told
        assert [path.name for path in disk.iterdir()] == ["lab.specsearch"]
        assert archive.read_bytes() == b"the last one"


@pytest.mark.parametrize("size", ["100m", "300m", "420m"])
def test_a_full_disk_and_no_library(base: Path, tmp_path: Path, size: str) -> None:
    """Too small at once, for the engine's first pages, or for its index: the engine would die of it."""
    with small_disk(tmp_path / "disk", size) as disk:
        told = Commands(disk, None).run("restore", base / "lab.specsearch", code=1).stderr
        assert "MB free" in told
        assert "nothing of it was left there" in told
        assert not [path for path in disk.rglob("*") if path.is_file()]


# What is said


def test_what_is_said(commands: Commands, tmp_path: Path) -> None:
    told = commands.run("backup", "lab", "-o", tmp_path / "lab.specsearch").stderr
    assert told.startswith(f"{N_SPECTRA} spectra of 'lab' are in {tmp_path / 'lab.specsearch'}")
    digest = told.split()[-1]
    restored = commands.run("restore", tmp_path / "lab.specsearch", "--store", tmp_path / "two").stderr
    assert restored.split()[-1] == digest
    told = commands.run("restore", tmp_path / "lab.specsearch", "--as", "other").stderr
    assert "now other:..., not lab:..." in told
    aside = commands.store / "lab" / "set-aside" / "x.parquet"
    aside.parent.mkdir()
    aside.write_bytes(b"")
    assert "dedup lab --undo" in commands.run("backup", "lab", "-o", tmp_path / "lab.specsearch").stderr


def test_where_an_archive_cannot_be_written(commands: Commands, tmp_path: Path) -> None:
    told = commands.run("backup", "lab", "-o", tmp_path / "nowhere" / "lab.specsearch", code=1).stderr
    assert "cannot be written" in told
    assert "Usage:" in commands.run("backup", "lab", "-o", tmp_path, code=2).stderr
    assert "cannot be read" in commands.run("restore", tmp_path / "nowhere", code=1).stderr
    with pytest.raises(SpecsearchError):
        Archive(tmp_path)
