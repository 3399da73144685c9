"""``specsearch index --dry-run``: what would become of files, without touching a library."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from specsearch.cli.settings import StoreAt


def show_trial(
    files: tuple[str, ...], library: str, store: StoreAt, duplicates: Literal["keep", "collapse"]
) -> None:
    """Read every file and print what would be indexed, what is there already, and what skipped and why.

    Raises
    ------
    InputFileError
        If a file that was named cannot be read.
    """
    from ingest.names import ALREADY_THERE
    from ingest.trial import NEW, trial_ledger, try_file
    from specsearch.cli.screen import progress_bar, say, screen
    from specsearch.report.tables import make_table
    from specsearch.spectra.readers import find_files
    from specsearch.spectra.readers.detect import detect_format

    found = find_files(files)
    reasons: Counter[str] = Counter(one.reason for one in found.skipped)
    rows, n_new, n_there = [], 0, 0
    with progress_bar() as bar, trial_ledger(_ledger(library, store)) as ledger:
        task = bar.add_task("reading", total=len(found.files))
        for path in found.files:
            counts = try_file(path, ledger, duplicates)
            of_file = (counts.pop(NEW, 0), counts.pop(ALREADY_THERE, 0), counts.total())
            rows.append((path.name, str(detect_format(path)), *(f"{count:,}" for count in of_file)))
            n_new, n_there = n_new + of_file[0], n_there + of_file[1]
            reasons.update(counts)
            bar.advance(task)
    columns = ("file", "format", "new", "known", "skipped")
    screen().print(make_table("", columns, rows, right="new known skipped"))
    for reason, count in reasons.most_common():
        say(f"Would be skipped, {count:,} x {reason}.")
    say(
        f"{n_new:,} spectra of {len(rows):,} files would be indexed into {library!r}; {n_there:,} are there "
        "already. Nothing was written."
    )


def _ledger(library: str, store: StoreAt) -> Path | None:
    """The ledger of a library that is there; None where there is none, and where it matters, said so."""
    from ingest.settling import ledger_path
    from specsearch.cli.screen import say

    path = ledger_path(store.work_folder(library))
    with store.open() as opened:
        is_there = opened.exists(library)
    if is_there and not path.exists():
        say(
            f"No ledger of {library!r} is on this machine: what is there already is not known, and counts as "
            "new."
        )
    return path if is_there and path.exists() else None
