"""The two channels: data on stdout, everything said along the way on stderr."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.progress import TimeRemainingColumn as Remaining

LOG_ENV = "SPECSEARCH_LOG"
_PLAIN_WIDTH = 140  # of tables that go into a file or a pipe


def screen(file: TextIO | None = None) -> Console:
    """Console on stdout, or on a file; names are shown as they are, so no markup and no emoji codes."""
    width = None if file is None and sys.stdout.isatty() else _PLAIN_WIDTH
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def says_json() -> bool:
    """Whether lines on stderr are for a program that collects logs."""
    return os.environ.get(LOG_ENV) == "json"


def say(sentence: str, level: str = "info", **values: object) -> None:
    """One line on stderr: the sentence, or a JSON object with it, the time, and what belongs to it."""
    if says_json():
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"time": time, "level": level, "message": sentence, **values}
        sentence = json.dumps(record, ensure_ascii=False)
    click.echo(sentence, err=True)


def progress_bar(*, is_shown: bool = True) -> Progress:
    """A bar on stderr that leaves nothing behind, and nothing at all where stderr is not a terminal."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Elapsed(),
        Remaining(),
        console=console,
        transient=True,
        redirect_stdout=False,  # it would send data to stderr
        redirect_stderr=False,
        disable=not (is_shown and console.is_terminal),
    )
