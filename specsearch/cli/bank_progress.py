"""The making of a bank as a bar on the screen."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress as Bar

from ingest.bank import BankProgress


class BankBar(BankProgress):
    """Shows where the making of a bank is.

    Parameters
    ----------
    bar : rich.progress.Progress
        Running.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def reading(self, path: Path) -> None:
        self._bar.update(self._task, description=f"molecules of {path.name}")

    def prepared(self, n_records: int) -> None:
        self._bar.advance(self._task, n_records)

    def merging(self) -> None:
        self._bar.update(self._task, description="merging", total=None, completed=0)

    def projected(self, n_done: int, n_molecules: int) -> None:
        self._bar.update(self._task, description="projections", total=n_molecules, completed=n_done)
