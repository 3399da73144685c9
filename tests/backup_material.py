"""A library with a ledger, something that stands for a server, and archives with chosen faults."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli_runner import Commands
from qdrant_client import QdrantClient
from samples import embedder, spectra

from ingest.index import index_files
from specsearch.spectra.writers import write_spectra
from specsearch.store.server import ServerStore
from specsearch.store.server_connection import ServerAccess
from specsearch.store.server_settings import ServerSettings
from specsearch.store.store import open_store

N_SPECTRA = 60
Members = dict[str, bytes]


def make_library(folder: Path, n_spectra: int = N_SPECTRA, seed: int = 31) -> Path:
    """Index spectra into the library `lab` of a store in `folder`; the file they come from."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lab.parquet"
    write_spectra(path, spectra(n_spectra, seed=seed, longest=30))
    index_again(folder, path)
    return path


def index_again(folder: Path, path: Path, library: str = "lab") -> int:
    """Index a file and return how many spectra the library has then."""
    with open_store(folder / "store") as store:
        work = folder / "store" / library / "ingest"
        return index_files([path], store, library, embedder(), work).n_in_library


class StandIn:
    """For a server: the client's local mode on disk. The shape of our calls is real, nothing else is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def connect(
        self,
        url: str,
        api_key: str | None = None,
        access: ServerAccess | None = None,
        settings: ServerSettings | None = None,
    ) -> ServerStore:
        """Take the place of `ServerStore.connect`."""
        name = hashlib.sha256(url.encode()).hexdigest()[:8]
        return ServerStore(QdrantClient(path=str(self._folder / name)), settings)


def members(archive: Path) -> Members:
    """All that is in an archive."""
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def forge(path: Path, contents: Members, fill: Callable[[zipfile.ZipFile], None] = lambda z: None) -> Path:
    """An archive with a true seal, whatever is in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
        fill(opened)
        opened.comment = b"0" * 64
    raw = path.read_bytes()[:-64]
    path.write_bytes(raw + hashlib.sha256(raw).hexdigest().encode())
    return path


def changed_manifest(contents: Members, **values: object) -> Members:
    """The same with other entries in the manifest."""
    manifest = json.loads(contents["manifest.json"]) | values
    return contents | {"manifest.json": json.dumps(manifest).encode()}


def told_right(contents: Members) -> Members:
    """The same with sizes and checksums that are true of what is there."""
    said = {
        name: {"n_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
        if name != "manifest.json"
    }
    return changed_manifest(contents, members=said)


def die_at(owner: Any, name: str, number: int, when: str) -> None:
    """Let this process be killed before or after the given call of a function."""
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)


def restore_and_die(archive: Path, folder: Path, event: str, number: int, when: str) -> None:
    """Restore in a process of its own, up to an event."""
    import ingest.ledger_copy
    from specsearch.store import edge_terms, session
    from specsearch.store.edge import EdgeCollection

    owners = {"point": edge_terms, "place_ledger": ingest.ledger_copy, "seal": session}
    die_at(owners.get(event, EdgeCollection), event, number, when)
    Commands(folder, None).run("restore", archive)


def back_up_and_die(store: Path, archive: Path) -> None:
    """Back up in a process of its own, up to the thirty-first point."""
    import specsearch.store.archive

    die_at(specsearch.store.archive, "write_line", 31, "before")
    Commands(store.parent, None).run("backup", "lab", "-o", archive)
