"""The embedded store when files are hurt, the process dies, or the disk is full or closed to writing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from store_material import CONTRACT, points

from specsearch.errors import StoreDamaged, StoreError, StoreFull, StoreLocked
from specsearch.store import space
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.planner import IndexSettings
from specsearch.store.queries import VectorQuery

TESTS = Path(__file__).parent
# Small enough that 1,500 points make an indexed segment with its matrix.dat.
SETTINGS = IndexSettings(indexing_threshold_kb=10)
N_POINTS = 1500


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one optimised, closed library; never opened, only copied."""
    root = tmp_path_factory.mktemp("sealed")
    with EmbeddedStore(root, SETTINGS) as store, store.create("lib", CONTRACT) as collection:
        collection.upsert(points(N_POINTS))
        assert collection.optimize()
        collection.delete([p.point_id for p in points(3)])  # leaves work for the log
    return root


@pytest.fixture
def root(sealed: Path, tmp_path: Path) -> Path:
    shutil.copytree(sealed, tmp_path / "store")
    return tmp_path / "store"


def python(code: str, root: Path) -> subprocess.Popen[str]:
    """Another process with `root` as its argument and the names of these tests at hand."""
    head = (
        "import os, signal, sys; from pathlib import Path\n"
        f"sys.path.insert(0, {str(TESTS)!r})\n"
        "from store_material import CONTRACT, points\n"
        "from specsearch.store.embedded import EmbeddedStore\n"
        "store = EmbeddedStore(Path(sys.argv[1]))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def matrix(root: Path) -> Path:
    (path,) = (root / "lib").rglob("matrix.dat")
    return path


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


HURTS: dict[str, Callable[[Path], object]] = {
    "matrix.dat truncated": lambda root: truncate(matrix(root)),
    "matrix.dat deleted": lambda root: matrix(root).unlink(),
    "matrix.dat one bit": lambda root: flip(matrix(root)),
    "foreign file": lambda root: (root / "lib/shard/segments/new.dat").write_text("x"),
    "shard gone": lambda root: shutil.rmtree(root / "lib/shard"),
    "contract changed": lambda root: (root / "lib/contract.json").write_text("{}"),
    "manifest gone": lambda root: (root / "lib/manifest.json").unlink(),
    "manifest cut": lambda root: truncate(root / "lib/manifest.json"),
    "manifest senseless": lambda root: (root / "lib/manifest.json").write_text('{"state": "fine"}'),
    "manifest no object": lambda root: (root / "lib/manifest.json").write_text("[]"),
}


@pytest.mark.parametrize("hurt", HURTS)
@pytest.mark.parametrize("write", [False, True])
def test_damage_is_found_and_named(root: Path, hurt: str, write: bool) -> None:
    HURTS[hurt](root)
    with pytest.raises(StoreDamaged, match=r"(?i)index the library again") as caught:
        EmbeddedStore(root).open("lib", write=write)
    assert str(root / "lib") in caught.value.message
    if hurt.startswith("matrix"):
        assert "matrix.dat" in caught.value.message
    # The refusal let go of the lock.
    with pytest.raises(StoreDamaged):
        EmbeddedStore(root).open("lib", write=write)


def test_searching_keeps_the_seal(root: Path) -> None:
    before = (root / "lib/manifest.json").read_text()
    for _ in range(4):
        with EmbeddedStore(root) as store, store.open("lib") as collection:
            hits = collection.query([VectorQuery("embedding", points(9)[8].embedding, 1)])
            assert hits[0][0].payload["accession"] == "A8"
    assert (root / "lib/manifest.json").read_text() == before


def test_a_killed_search_keeps_the_seal(root: Path) -> None:
    for _ in range(2):
        killed = python("c = store.open('lib'); c.count(); os.kill(os.getpid(), signal.SIGKILL)", root)
        assert killed.wait() == -signal.SIGKILL
    assert json.loads((root / "lib/manifest.json").read_text())["state"] == "closed"
    with EmbeddedStore(root).open("lib") as collection:
        assert collection.count() == N_POINTS - 3


def test_a_search_killed_while_the_engine_loads_keeps_the_seal(root: Path) -> None:
    """It writes some files anew when it loads, each in a folder of its own before it takes its place."""
    segment = next(path for path in (root / "lib" / "shard" / "segments").iterdir() if path.is_dir())
    for folder in (root / "lib" / "shard", segment):
        (folder / ".atomicwriteAb12Cd").mkdir()
        (folder / ".atomicwriteAb12Cd" / "tmpfile.tmp").write_text("half of")
    with EmbeddedStore(root) as store, store.open("lib") as collection:
        assert collection.count() == N_POINTS - 3
    assert not list(root.rglob(".atomicwrite*"))


def test_writing_again_seals_again(root: Path) -> None:
    store = EmbeddedStore(root)
    for round_ in range(3):
        with store.open("lib", write=True) as collection:
            collection.upsert(points(20, first=5000 + 20 * round_))
        with store.open("lib") as collection:
            assert collection.count() == N_POINTS - 3 + 20 * (round_ + 1)
            assert collection.info().were_files_compared


@pytest.mark.parametrize("reopen_for_writing", [False, True])
def test_kill_while_writing_loses_nothing_acknowledged(tmp_path: Path, reopen_for_writing: bool) -> None:
    writer = python(
        "c = store.create('lib', CONTRACT)\n"
        "for i in range(10**6):\n"
        "    c.upsert(points(50, first=50 * i)); print(50 * (i + 1), flush=True)\n",
        tmp_path,
    )
    assert writer.stdout is not None
    for _ in range(6):
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *(int(line) for line in writer.stdout.read().split())])
    writer.wait()
    with EmbeddedStore(tmp_path).open("lib", write=reopen_for_writing) as collection:
        wanted = [p.point_id for p in points(acknowledged)]
        assert len(collection.fetch(wanted)) == acknowledged
        assert collection.info().were_files_compared is False
    assert json.loads((tmp_path / "lib/manifest.json").read_text())["state"] == "closed"


@pytest.mark.parametrize("write", [False, True])
def test_a_second_process_is_refused_plainly(root: Path, write: bool) -> None:
    with EmbeddedStore(root).open("lib", write=write):
        other = python("store.open('lib')", root)
        _, said = other.communicate(timeout=60)
        assert other.returncode != 0
        assert "StoreLocked: The library 'lib' is open in another process" in said
        for act in (EmbeddedStore(root).open, EmbeddedStore(root).drop):
            with pytest.raises(StoreLocked, match="Qdrant server"):
                act("lib")
    with EmbeddedStore(root).open("lib") as collection:
        assert collection.count() == N_POINTS - 3


def test_a_forked_child_is_refused(root: Path) -> None:
    with EmbeddedStore(root).open("lib") as collection:
        child = os.fork()
        if child == 0:
            try:
                collection.count()
            except StoreError as error:
                os._exit(7 if "spawn" in str(error) else 8)
            os._exit(9)
        deadline = time.monotonic() + 30
        done, status = os.waitpid(child, os.WNOHANG)
        while not done and time.monotonic() < deadline:
            time.sleep(0.05)
            done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert done
        assert os.waitstatus_to_exitcode(status) == 7
        assert collection.count() == N_POINTS - 3


def test_a_full_disk_is_noticed_before_it_kills(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    with EmbeddedStore(root).open("lib", write=True) as collection:
        monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 10**8))
        for act in (lambda: collection.upsert(points(5, first=9000)), collection.optimize):
            with pytest.raises(StoreFull, match="100 MB free"):
                act()
        with pytest.raises(StoreFull):
            EmbeddedStore(root).create("other", CONTRACT)
        monkeypatch.undo()
        assert collection.count() == N_POINTS - 3
        collection.upsert(points(5, first=9000))
        assert collection.count() == N_POINTS + 2
    assert EmbeddedStore(root).libraries() == ["lib"]


@pytest.fixture
def closed_to_writing(root: Path) -> Iterator[Path]:
    """The store in folders that nobody may write, with a parent that any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="specsearch-"))
    shutil.copytree(root, folder, dirs_exist_ok=True)
    set_modes(folder, folder_mode=0o555, file_mode=0o444)
    yield folder
    set_modes(folder, folder_mode=0o755, file_mode=0o644)
    shutil.rmtree(folder)


def set_modes(folder: Path, folder_mode: int, file_mode: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(folder_mode if path.is_dir() else file_mode)


def test_a_folder_closed_to_writing_is_explained(closed_to_writing: Path) -> None:
    # The superuser may write anywhere, so after the imports the process becomes nobody.
    become_nobody = "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" if os.getuid() == 0 else ""
    reader = python(become_nobody + "store.open('lib')", closed_to_writing)
    _, said = reader.communicate(timeout=60)
    assert reader.returncode != 0
    assert "cannot be written (Permission denied)" in said
    assert "copy the library to a folder where it is allowed" in said


def test_what_an_interrupted_creation_leaves_is_cleared(root: Path) -> None:
    (root / "lib/contract.json").unlink()  # the contract is written last
    store = EmbeddedStore(root)
    assert not store.exists("lib")
    with store.create("lib", CONTRACT) as collection:
        assert collection.count() == 0
