"""``specsearch index --dry-run``: what files hold, without touching a library."""

from __future__ import annotations

from collections import Counter


def show_trial(files: tuple[str, ...]) -> None:
    """Read every file and print what would be indexed, and what skipped and why.

    Raises
    ------
    InputFileError
        If a file that was named cannot be read.
    """
    from specsearch.cli.screen import progress_bar, say, screen
    from specsearch.errors import Skipped
    from specsearch.report.tables import make_table
    from specsearch.spectra.readers import find_files, read_spectra
    from specsearch.spectra.readers.detect import detect_format

    found = find_files(files)
    reasons: Counter[str] = Counter(one.reason for one in found.skipped)
    rows, n_all = [], 0
    with progress_bar() as bar:
        task = bar.add_task("reading", total=len(found.files))
        for path in found.files:
            records = [
                record.reason if isinstance(record, Skipped) else None for record in read_spectra(path)
            ]
            n_good = records.count(None)
            reasons.update(reason for reason in records if reason is not None)
            rows.append((path.name, str(detect_format(path)), f"{n_good:,}", f"{len(records) - n_good:,}"))
            n_all += n_good
            bar.advance(task)
    columns = ("file", "format", "spectra", "skipped")
    screen().print(make_table("", columns, rows, right="spectra skipped"))
    for reason, count in reasons.most_common():
        say(f"Would be skipped, {count:,} x {reason}.")
    say(f"{n_all:,} spectra of {len(rows):,} files would be indexed. Nothing was written.")
