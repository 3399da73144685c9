"""A measurement with its circumstances: what was run, on what, with what."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

_PACKAGES = ("specsearch", "torch", "qdrant-edge-py", "numpy", "rdkit", "ms_entropy", "matchms", "hnswlib")


def circumstances(arguments: Mapping[str, object], model_digest: str = "") -> dict[str, Any]:
    """Everything needed to judge or repeat a measurement, ready for JSON.

    Parameters
    ----------
    arguments : mapping of str to object
        What the command was asked; of a path only its name is kept, since folders are the machine's own
        business.
    model_digest : str
        Of the model that was measured; empty where there was none.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "torch_threads": torch.get_num_threads(),
        "model_digest": model_digest,
        "arguments": {name: _plain(value) for name, value in arguments.items()},
    }


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
    return value.name if isinstance(value, Path) else value
