"""What ranks candidates: a named file, or what is shipped for the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specsearch.search.decision import DecisionLayer

_NONE = "none"


def find_ranker(name: str | None, encoder: str) -> DecisionLayer | None:
    """What ranks: a named file, the shipped one if it was fitted for this model, or nothing."""
    from specsearch.cli.screen import say
    from specsearch.search.decision import DEFAULT_RANKER, read_decision

    if name == _NONE:
        return None
    if name is not None:
        return read_decision(Path(name), encoder)
    shipped = read_decision(DEFAULT_RANKER)
    if shipped.encoder == encoder:
        return shipped
    say(
        "The shipped ranker is for another model: candidates are ranked by a fixed rule, without "
        'probabilities. Fit one with "specsearch train ranker".'
    )
    return None
