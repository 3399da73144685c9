"""``kill -9`` at any point, then again: the end is that of an undisturbed run, record for record.

The work runs in a process of its own that counts what it does (records read, SQL statements, points
written, batches embedded, ...) and kills itself, without a chance to tidy up, at a chosen event.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from samples import BROKEN_MGF, PROCESSES, embedder, library_state, mgf, spectra

import ingest.index
import ingest.plan
from ingest.index import index_files
from ingest.ledger import Ledger
from ingest.plan import windows
from ingest.summary import Summary
from specsearch.encoder.embedder import Embedder
from specsearch.spectra.writers import write_spectra
from specsearch.store import edge, edge_terms, session
from specsearch.store.edge import EdgeCollection
from specsearch.store.embedded import EmbeddedStore
from specsearch.store.planner import IndexSettings
from specsearch.store.store import IndexWatch

ANY = "any"
# so few points are left as they are by default, which takes no time to be killed in
OPTIMIZE_NOW = IndexSettings(indexing_threshold_kb=1, full_scan_threshold_kb=1)


class Bomb:
    """Counts events by name; at the chosen one it kills its process as ``kill -9`` does."""

    def __init__(self, event: str, number: int) -> None:
        self.counts: Counter[str] = Counter()
        self._event, self._number = event, number
        self._lock = threading.Lock()

    def tick(self, event: str) -> None:
        with self._lock:
            self.counts[event] += 1
            self.counts[ANY] += 1
            if self._event in (event, ANY) and self.counts[self._event] == self._number:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Count a function's calls, before and after."""
        real: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.tick(f"before {name}")
            result = real(*args, **kwargs)
            self.tick(f"after {name}")
            return result

        setattr(owner, name, counted)

    def install(self) -> None:
        """Only ever called in a process of its own."""
        for owner, name in (
            (ingest.plan, "_stage"),
            (Ledger, "finish"),
            (Embedder, "embed_inputs"),
            (EdgeCollection, "upsert"),
            (EdgeCollection, "delete"),
            (EdgeCollection, "close"),
            (edge_terms, "point"),
            (session, "seal"),
        ):
            self.around(owner, name)
        self._count_records()
        self._count_statements()
        self._cut_optimize_short()

    def _count_records(self) -> None:
        real = ingest.plan.read_spectra

        def counted(path: Path) -> Iterator[Any]:
            for record in real(path):
                self.tick("record")
                yield record

        ingest.plan.read_spectra = counted  # type: ignore[assignment]

    def _count_statements(self) -> None:
        """Inside the ledger's transactions; SQLite's own trace would call Python with its lock held."""
        real = Ledger._transaction

        @contextmanager
        def transaction(ledger: Ledger) -> Iterator[Any]:
            with real(ledger) as db:
                yield SimpleNamespace(
                    execute=lambda *told: (self.tick("statement"), db.execute(*told))[1],
                    executemany=lambda *told: (self.tick("statement"), db.executemany(*told))[1],
                )
                self.tick("statement")

        Ledger._transaction = transaction  # type: ignore[method-assign, assignment]

    def _cut_optimize_short(self) -> None:
        real = EdgeCollection.optimize

        def optimize(collection: EdgeCollection, watch: IndexWatch | None = None) -> bool:
            if self._event == "inside optimize":  # no Python runs in there: let the kernel do it
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, self._number * 1e-3)
            return real(collection, watch)

        EdgeCollection.optimize = optimize  # type: ignore[method-assign]
        self.around(EdgeCollection, "optimize")


def work(folder: Path, settings: IndexSettings | None = None) -> Summary:
    """The ingest under test: three files in windows of 16, points written 5 at a time."""
    ingest.index.windows = partial(windows, size=16)  # type: ignore[assignment]
    edge._UPSERT_BATCH = 5
    files = sorted((folder.parent / "files").iterdir())
    with EmbeddedStore(folder / "store", settings) as store:
        return index_files(files, store, "lib", embedder(), folder / "work")


def work_with_a_bomb(folder: Path, event: str, number: int, counts: Any) -> None:
    bomb = Bomb(event, number)
    bomb.install()
    work(folder, OPTIMIZE_NOW if "optimize" in event else None)
    counts.put(dict(bomb.counts))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Staged and unstaged files with broken records, names taken twice, and repeated spectra."""
    base = tmp_path_factory.mktemp("killed")
    made = spectra(70, seed=21, longest=30)
    renamed = [replace(s, accession=made[i].accession) for i, s in enumerate(spectra(9, seed=22))]
    again = [replace(s, accession=f"{s.accession}-again") for s in made[:4]]
    (base / "files").mkdir()
    (base / "files" / "a.mgf").write_text(mgf(made[:40]) + BROKEN_MGF)
    write_spectra(base / "files" / "b.parquet", [*renamed, *made[40:], *made[5:9]])
    (base / "files" / "c.mgf").write_text(mgf([*again, *renamed]) + BROKEN_MGF)
    return base


def run(folder: Path, event: str = "", number: int = 0) -> dict[str, int] | None:
    """Run to the end or to the bomb; the counts of a run that reached its end, None of a killed one."""
    counts = PROCESSES.SimpleQueue()
    process = PROCESSES.Process(target=work_with_a_bomb, args=(folder, event, number, counts), daemon=True)
    process.start()
    process.join(60)
    if process.exitcode == 0:
        found: dict[str, int] = counts.get()
        return found
    if process.exitcode is None:
        process.kill()
    assert process.exitcode in (-signal.SIGKILL, -signal.SIGALRM)
    return None


def outcome(folder: Path) -> tuple[Any, ...]:
    """All that an ingest leaves: the points and the ledger."""
    with EmbeddedStore(folder / "store") as store:
        points = library_state(store, "lib")
    with sqlite3.connect(folder / "work" / "ledger.sqlite") as ledger:
        tables = [
            sorted(ledger.execute(f"SELECT * FROM {table}").fetchall())
            for table in ("windows", "spectra", "skipped", "noted")
        ]
    ledger.close()
    return points, tables


@pytest.fixture(scope="module")
def undisturbed(base: Path) -> tuple[tuple[Any, ...], dict[str, int]]:
    counts = run(base / "undisturbed")
    assert counts is not None
    return outcome(base / "undisturbed"), counts


def require_same_end(folder: Path, undisturbed: tuple[tuple[Any, ...], dict[str, int]]) -> None:
    assert run(folder) is not None
    points, tables = outcome(folder)
    expected_points, expected_tables = undisturbed[0]
    assert points.keys() == expected_points.keys()
    assert points == expected_points
    assert tables == expected_tables
    assert not (folder / "work" / "staging").exists()


def test_the_undisturbed_run_does_what_the_others_are_compared_with(
    base: Path, undisturbed: tuple[tuple[Any, ...], dict[str, int]]
) -> None:
    (points, (windows_done, claimed, skipped, _)), counts = undisturbed
    accessions = {str(values[0]["accession"]) for values in points.values()}
    assert len(points) == len(claimed) == 70 + 9 + 4
    assert {f"S{i}#2" for i in range(9)} <= accessions
    assert {f"S{i}-again" for i in range(4)} <= accessions
    assert len(skipped) == 4 + 9
    assert len(windows_done) == 3 + 3 + 1
    for event in (
        "record",
        "statement",
        "before point",
        "after embed_inputs",
        "after optimize",
        "after close",
    ):
        assert counts[event] > 0, event


@pytest.mark.parametrize(
    ("event", "share"),
    [
        ("record", 0.3),
        ("after embed_inputs", 0.5),
        ("before point", 0.55),
        ("after upsert", 0.4),
        ("statement", 0.5),
        ("after close", 1.0),
    ],
)
def test_killed_at_a_chosen_point(
    base: Path,
    undisturbed: tuple[tuple[Any, ...], dict[str, int]],
    event: str,
    share: float,
) -> None:
    folder = base / event.replace(" ", "-")
    number = max(1, round(share * undisturbed[1][event]))
    assert run(folder, event, number) is None, "the bomb did not go off"
    require_same_end(folder, undisturbed)


def test_killed_inside_optimize(
    base: Path,
    undisturbed: tuple[tuple[Any, ...], dict[str, int]],
) -> None:
    folder = base / "inside-optimize"
    assert run(folder, "inside optimize", 2) is None  # milliseconds
    require_same_end(folder, undisturbed)


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_again_and_again(
    base: Path,
    undisturbed: tuple[tuple[Any, ...], dict[str, int]],
    seed: int,
) -> None:
    """Kills in a row at random events, each run going on from what the last one left."""
    folder = base / f"again-{seed}"
    rng = np.random.default_rng(seed)
    for _ in range(3):
        assert run(folder, ANY, int(rng.integers(1, 0.4 * undisturbed[1][ANY]))) is None
    require_same_end(folder, undisturbed)
