"""``--dry-run`` of commands that make a whole library: what they would do, and whether they would be let."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from specsearch.cli.settings import StoreAt
from specsearch.errors import StoreError

Command = TypeVar("Command", bound=Callable[..., Any])


def trial_option(command: Command) -> Command:
    """Add ``--dry-run``, handed on as `is_trial`."""
    return click.option(
        "--dry-run", "is_trial", is_flag=True, help="Only look: say what would be made, and write nothing."
    )(command)


def tell_made(n_points: int, origin: str, name: str, target: StoreAt, n_bytes: int) -> None:
    """Say which library would be made, and where.

    Parameters
    ----------
    n_points : int
    origin : str
        What it would be made of.
    name : str
    target : StoreAt
    n_bytes : int
        About how large it would be; 0 where that is not known.

    Raises
    ------
    StoreError
        If the name is taken there.
    StoreFull
    """
    from specsearch.cli.screen import say

    with target.open() as opened:
        if opened.exists(name):
            raise StoreError(
                f"There is a library {name!r} in {target.location} already, so nothing would be made.",
                "Choose another name with --as.",
            )
    space = space_for(target, name, n_bytes)
    say(
        f"{n_points:,} spectra of {origin} would be the library {name!r} in {target.location}{space}. "
        "Nothing was written."
    )


def space_for(target: StoreAt, name: str, n_bytes: int) -> str:
    """What a library of that size needs, in words; empty for a server, whose disk is not ours to look at.

    Raises
    ------
    StoreFull
        If that is not free.
    """
    from specsearch.store.space import needed_bytes, require_free_space

    if target.is_server:
        return ""
    require_free_space(target.folder / name, n_bytes)
    return f" ({needed_bytes(n_bytes) / 1e6:,.0f} MB are free there, as is needed)"


def size_of(store: StoreAt, library: str) -> int:
    """Bytes of a library's files; 0 for one on a server."""
    from specsearch.store.space import used_bytes

    return 0 if store.is_server else used_bytes(store.folder / library)
