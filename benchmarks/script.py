"""What every benchmark script shares: its arguments, its table, its verdicts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT

_ROOT = Path(__file__).resolve().parents[1]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that all scripts understand."""
    data = Path(os.environ.get("SPECSEARCH_DATA", _ROOT.parent / "shared" / "data"))
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=data, help="folder with massbank.parquet")
    parser.add_argument("--model", type=Path, default=DEFAULT_CHECKPOINT, help="model file")
    parser.add_argument("--limit", type=int, help="a sample of this size instead of everything")
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results", help="results folder")
    return parser


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of equal keys; numbers to four figures."""
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*[_text(value) for value in row.values()])
    Console(width=160).print(table)


def verdict(value: float, bound: float, *, at_most: bool) -> dict[str, Any]:
    """A figure with the bound it is held against."""
    met = value <= bound if at_most else value >= bound
    return {"value": value, "bound": bound, "kind": "at most" if at_most else "at least", "met": bool(met)}


def print_verdicts(bounds: Mapping[str, Mapping[str, Any]]) -> None:
    """Print which bounds were met."""
    rows = [
        {
            "bound": name,
            "found": entry["value"],
            "wanted": f"{entry['kind']} {entry['bound']:g}",
            "met": "yes" if entry["met"] else "NO",
        }
        for name, entry in bounds.items()
    ]
    print_table("Bounds", rows)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
