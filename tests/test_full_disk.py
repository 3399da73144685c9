"""A disk that is really full: every job says so and stops, nothing is harmed, and with space it goes on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bank_material import MOLECULES, write_smi
from cli_runner import small_model
from graph_material import spectra
from killing import Ended, run_command

from ingest.ledger import Claim, Ledger
from specsearch.errors import StoreFull
from specsearch.spectra.writers import write_spectra
from specsearch.store import integrity
from specsearch.store.bank import open_bank
from specsearch.store.embedded import EmbeddedStore

_DISK_MB = 1400
_JOBS = ("index", "graph", "dedup", "bank")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk in memory."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount a disk can fill one up")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    small_model(folder / "model.safetensors")
    write_spectra(folder / "first.mgf", [*spectra(3, 3), *spectra(3, 3)])
    write_spectra(folder / "second.mgf", spectra(5, 3)[9:])
    write_smi(folder / "all.smi", MOLECULES.items())
    return folder


class Shell:
    """Commands on a store of that disk."""

    def __init__(self, disk: Path, files: Path) -> None:
        self.store, self._disk, self._files = disk / "store", disk, files
        self._env = {
            "SPECSEARCH_STORE": str(self.store),
            "SPECSEARCH_MODEL": str(files / "model.safetensors"),
        }

    def job(self, name: str) -> Ended:
        words: dict[str, tuple[object, ...]] = {
            "index": ("index", self._files / "second.mgf", "--library", "lib"),
            "graph": ("graph", "lib", "--neighbours", "7"),
            "dedup": ("dedup", "lib", "--apply"),
            "bank": ("bank", "add", self._files / "all.smi", "--name", "all", "--processes", "1"),
        }
        return self.run(*words[name])

    def run(self, *words: object) -> Ended:
        return run_command(words, self._env)

    def fill_up(self, leave: int) -> None:
        """Take all space but some bytes."""
        with (self._disk / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, shutil.disk_usage(self._disk).free - leave)

    def free(self) -> None:
        (self._disk / "ballast").unlink(missing_ok=True)


@pytest.fixture
def shell(disk: Path, files: Path) -> Iterator[Shell]:
    """A store with one library, on a disk of which much is free."""
    made = Shell(disk, files)
    assert made.run("index", files / "first.mgf", "--library", "lib").code == 0
    yield made
    made.free()
    shutil.rmtree(made.store)


def _n_points(store: Path) -> int:
    with EmbeddedStore(store) as opened, opened.open("lib") as collection:
        return collection.count()


@pytest.mark.parametrize("leave", [0, 50_000_000])
def test_jobs_on_a_full_disk(shell: Shell, leave: int) -> None:
    for name in _JOBS:
        n_before = _n_points(shell.store)
        shell.fill_up(leave)
        refused = shell.job(name)
        assert refused.code == 1, (name, refused)
        assert "Free some space" in refused.said, (name, refused.said)
        assert "Unexpected" not in refused.said
        if leave:
            assert _n_points(shell.store) == n_before
        else:
            with pytest.raises(StoreFull, match="The disk is full"):  # the engine writes when it opens
                _n_points(shell.store)
        shell.free()
        assert _n_points(shell.store) == n_before
        verified = shell.run("verify", "lib")
        assert verified.code == 0, (name, verified.said)
        again = shell.job(name)
        assert again.code == 0, (name, again.said)
        verified = shell.run("verify", "lib")
        assert verified.code == 0, (name, verified.said)
    assert len(open_bank(shell.store / "banks" / "all")) == len(MOLECULES)


def test_a_ledger_that_cannot_grow_says_so(disk: Path) -> None:
    """Space that is gone between the look at it and the write."""
    shell = Shell(disk, disk)
    claims = [Claim(f"A{n}", bytes(16), "splash" * 10) for n in range(20_000)]
    with Ledger(disk / "ledger.sqlite") as ledger:
        ledger.claim("first", claims[:10])
        shell.fill_up(100_000)
        with pytest.raises(StoreFull, match="Free some space"):
            ledger.claim("second", claims[10:])
        shell.free()
        assert ledger.n_spectra() == 10
        ledger.claim("second", claims[10:])
        assert ledger.n_spectra() == len(claims)
    for path in disk.glob("ledger*"):
        path.unlink()


def test_a_manifest_that_cannot_be_written_says_so(disk: Path) -> None:
    shell = Shell(disk, disk)
    integrity.write_json(disk / "manifest.json", {"state": "before"})
    shell.fill_up(0)
    with pytest.raises(StoreFull, match="Free some space"):
        integrity.write_json(disk / "manifest.json", {"state": "x" * 100_000})
    shell.free()
    assert [path.name for path in disk.iterdir()] == ["manifest.json"]
    assert integrity.read_json(disk / "manifest.json") == {"state": "before"}
    (disk / "manifest.json").unlink()


def test_other_faults_of_writing_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        integrity.write_json(tmp_path / "nowhere" / "manifest.json", {})
    ledger = Ledger(tmp_path / "ledger.sqlite")
    other = sqlite3.connect(tmp_path / "ledger.sqlite")
    ledger._db.execute("PRAGMA busy_timeout=10")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Exception, match="database is locked") as raised:
        ledger.claim("first", [])
    assert not isinstance(raised.value, StoreFull)
    other.close()
    ledger.close()
