"""A measurement is a file with its circumstances: what was run, on what, with what."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("specsearch", "torch", "qdrant-edge-py", "numpy", "ms_entropy", "matchms", "hnswlib")


def circumstances(arguments: argparse.Namespace, model_digest: str = "") -> dict[str, Any]:
    """Everything needed to judge or repeat a measurement; paths are given by name only."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "writes_bytecode": not sys.dont_write_bytecode,
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch_threads": torch.get_num_threads(),
        "model_digest": model_digest,
        "arguments": {name: _plain(value) for name, value in vars(arguments).items()},
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


def _git(*words: str) -> str:
    answer = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _plain(value: object) -> object:
    """A value for JSON; of a path the last part, since folders are this machine's own business."""
    return value.name if isinstance(value, Path) else value
