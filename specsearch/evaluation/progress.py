"""How long evaluations say where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

Item = TypeVar("Item")


def silent(what: str, n_done: int, n_all: int) -> None:
    """A `Progress` that tells nobody."""


def told(items: Sequence[Item], what: str, progress: Progress) -> Iterator[Item]:
    """The items, each told about when it is done."""
    for number, item in enumerate(items, start=1):
        yield item
        progress(what, number, len(items))
