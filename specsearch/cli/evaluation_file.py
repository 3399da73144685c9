"""The file an evaluation leaves: its figures, whose they are, and under which circumstances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specsearch.errors import InputFileError

if TYPE_CHECKING:
    from specsearch.encoder.checkpoint import Card


def require_folder_of(path: Path | None) -> None:
    """Say before an hour's work, not after it, that there is no folder for the file.

    Raises
    ------
    InputFileError
        If a file is named whose folder does not exist.
    """
    if path is not None and not path.parent.is_dir():
        raise InputFileError(f"There is no folder {path.parent} for the report.", "Make it first.")


def write_evaluation(
    path: Path,
    name: str,
    report: Mapping[str, Any],
    card: Card,
    asked: Mapping[str, Any],
    files: Sequence[Path],
) -> None:
    """Write a report as JSON.

    Parameters
    ----------
    path : Path
    name : str
        Of the evaluation.
    report : mapping
        Ready for JSON.
    card : Card
        Of the model.
    asked : mapping
        Options of the command.
    files : sequence of Path
        What was measured on; their hashes are written down.
    """
    from ingest.plan import content_hash
    from specsearch.report.circumstances import circumstances
    from specsearch.spectra.writers.atomic import replacing_text

    content = {
        "name": name,
        "model": {"name": card.name, "digest": card.digest},
        "data": {file.name: content_hash(file) for file in files},
        **report,
        "circumstances": circumstances(asked, card.digest),
    }
    with replacing_text(path) as stream:
        stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
