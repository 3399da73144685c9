"""What a run reports as it goes: one JSON object a line, in a file that agrees with the state."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specsearch.errors import TrainingError


class Metrics:
    """A file of JSON Lines, each with the ``step`` it was written at.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise TrainingError(f"{self.path} cannot be written: {error.strerror}.") from error

    def rewind(self, step: int) -> None:
        """Drop what was written after `step`: a killed run got further than its state, and does it again."""
        if not self.path.exists():
            return
        kept = [line for line in self.read() if line["step"] <= step]
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        os.replace(partial, self.path)

    def read(self) -> list[dict[str, Any]]:
        """All whole lines; the last one may have been cut off by a kill."""
        lines = []
        for text in self.path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines
