"""Commands in processes of their own that are killed: after a while, or at their n-th change of a file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from samples import PRELOADED, PROCESSES

# Starting a command takes longer than what it does to so little; without effect where processes were started.
PROCESSES.set_forkserver_preload(
    [
        *PRELOADED,
        *(f"specsearch.cli.{name}" for name in ("index", "graph", "dedup", "bank", "verify", "screen")),
        *("ingest.bank", "specsearch.search.graph_files", "specsearch.search.self_check"),
        *("specsearch.evaluation.library_recall", "specsearch.report.tables", "specsearch.report.receipt"),
    ]
)
_LIMIT_S = 300  # beyond which it hangs, also on a busy machine


class Ended(NamedTuple):
    """How a command ended: its exit code (None if killed), how long it took, what it did, stderr."""

    code: int | None
    took_s: float
    n_events: int
    said: str = ""


class Moment(NamedTuple):
    """When to kill: that long after the start, or at an event of that number; the other is 0."""

    after_s: float = 0.0
    event: int = 0


NEVER = Moment()


class _Trap:
    """Counts what changes files or the library, and kills its process at a chosen number."""

    def __init__(self, number: int) -> None:
        self.counts: Counter[str] = Counter()
        self._number = number
        self._lock = threading.Lock()

    def _tick(self, event: str) -> None:
        with self._lock:
            self.counts[event] += 1
            if self.counts.total() == self._number:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._tick(f"before {name}")
            result = real(*args, **kwargs)
            self._tick(f"after {name}")
            return result

        setattr(owner, name, counted)

    def install(self) -> None:
        """Only ever called in a process of its own."""
        import pyarrow.parquet as pq

        from ingest.ledger import Ledger
        from specsearch.store.edge import EdgeCollection

        for name in ("upsert", "delete", "optimize", "flush", "close"):
            self.around(EdgeCollection, name)
        for owner, name in (
            *((os, name) for name in ("replace", "fsync")),
            *((Path, name) for name in ("unlink", "rename", "mkdir")),
            *((Ledger, name) for name in ("claim", "finish", "rebuild", "forget_unfinished")),
            (shutil, "rmtree"),
            (pq, "write_table"),
        ):
            self.around(owner, name)


def run_command(words: Sequence[object], env: dict[str, str], moment: Moment = NEVER) -> Ended:
    """Run a command of specsearch, to its end or to the moment it is killed."""
    here, there = PROCESSES.Pipe()
    with tempfile.NamedTemporaryFile() as said:
        told = ([str(word) for word in words], env, moment.event, there, said.name)
        process = PROCESSES.Process(target=_command, args=told, daemon=True)
        process.start()
        there.close()
        ended = _await(process, here, words, moment)
        return ended._replace(said=Path(said.name).read_text(errors="replace"))


def _await(process: Any, here: Connection, words: Sequence[object], moment: Moment) -> Ended:
    try:
        here.recv()
    except EOFError:
        raise AssertionError("the command did not even begin") from None
    began = time.monotonic()
    process.join(moment.after_s or _LIMIT_S)
    took_s = time.monotonic() - began
    if process.exitcode is None:
        process.kill()
        process.join()
        assert moment.after_s, f"{words} took more than {_LIMIT_S} s"
    if process.exitcode == -signal.SIGKILL:
        return Ended(None, took_s, 0)
    assert process.exitcode is not None
    return Ended(process.exitcode, took_s, here.recv() if here.poll() else 0)


def _command(words: list[str], env: dict[str, str], event: int, there: Connection, said: str) -> None:
    from specsearch.cli import main

    os.environ.update(env)
    trap = _Trap(event)
    trap.install()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(said, os.O_WRONLY), 2)
    there.send("begun")
    try:
        main(words)
    except SystemExit as end:
        there.send(trap.counts.total())
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def copy(folder: Path, to: Path) -> Path:
    """Copy a folder, holes in files as holes: an empty shard is 200 MB of them."""
    to.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--sparse=always", str(folder), str(to)], check=True)
    return to
