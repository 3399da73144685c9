"""Where results go, and in what state the code was that gave them."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from specsearch.report import circumstances as report

_ROOT = Path(__file__).resolve().parents[1]
_PROC_STAT = Path("/proc/stat")
_STEAL = 7


def circumstances(arguments: argparse.Namespace, model_digest: str = "") -> dict[str, Any]:
    """Everything needed to judge or repeat a measurement; paths are given by name only."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "writes_bytecode": not sys.dont_write_bytecode,
        "stolen_share": _stolen_share(),
        **report.circumstances(vars(arguments), model_digest),
    }


def write_result(
    name: str, arguments: argparse.Namespace, figures: dict[str, Any], model_digest: str = ""
) -> Path:
    """Write a measurement to ``<out>/<name>.json`` and say where."""
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    content = {"name": name, "figures": figures, "circumstances": circumstances(arguments, model_digest)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return path


def _stolen_share() -> float | None:
    """Share of the processors' time, since this module was loaded, that a virtual machine's host withheld."""
    if not _PROC_STAT.is_file():
        return None
    began, now = _BEGAN, _processor_times()
    return (now[_STEAL] - began[_STEAL]) / max(1, sum(now) - sum(began))


def _processor_times() -> list[int]:
    """See proc_stat(5): ticks of user, nice, system, idle, iowait, irq, softirq and steal."""
    if not _PROC_STAT.is_file():
        return []
    return [int(word) for word in _PROC_STAT.read_text(encoding="ascii").splitlines()[0].split()[1:9]]


def _git(*words: str) -> str:
    answer = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


_BEGAN = _processor_times()
