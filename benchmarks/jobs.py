"""Jobs in processes of their own, and the memory they reach."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

_EVERY_S = 0.05


def run_job(module: str, *words: str | Path) -> dict[str, Any]:
    """Run ``python -m module words...``; its last line of JSON, with the memory it was seen to hold.

    ``peak_rss_mb`` is resident memory, mapped files included; ``peak_own_mb`` leaves out the pages of
    mapped files, which the system takes back when it needs them. Of the job and its own processes together
    (pages they share count twice), sampled 20 times a second.
    """
    command = [sys.executable, "-m", module, *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak_rss = peak_own = 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            memory = [member.memory_info() for member in (watched, *watched.children(recursive=True))]
        except psutil.NoSuchProcess:  # one of them ended meanwhile
            continue
        peak_rss = max(peak_rss, sum(part.rss for part in memory))
        peak_own = max(peak_own, sum(part.rss - getattr(part, "shared", 0) for part in memory))
        time.sleep(_EVERY_S)
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"The job {module} {words[0]} failed; see above.")
    outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {**outcome, "peak_rss_mb": peak_rss / 1e6, "peak_own_mb": peak_own / 1e6}
