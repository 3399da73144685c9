"""Options of commands that make libraries on a Qdrant server."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from specsearch.cli.settings import StoreAt

if TYPE_CHECKING:
    from specsearch.store.server_settings import ServerSettings
    from specsearch.store.store import Store

_COUNT = click.IntRange(min=1)
_OPTIONS = (
    click.option(
        "--shards",
        type=_COUNT,
        help="On a Qdrant server, a new library: parts it is cut into.  [default: a part for each node]",
    ),
    click.option(
        "--replicas", type=_COUNT, help="Likewise: copies of each part, on different nodes.  [default: one]"
    ),
    click.option(
        "--write-consistency",
        type=_COUNT,
        help="Likewise: copies that must have a write before it counts.  [default: one]",
    ),
    click.option(
        "--quantization",
        type=click.Choice(["none", "int8", "binary"]),
        help="Likewise: search over smaller vectors, then rescore by the stored ones.  [default: none]",
    ),
    click.option(
        "--on-disk",
        is_flag=True,
        help="Likewise: keep vectors, records and their indexes on disk.",
    ),
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add them, handed on as `settings`: a `ServerSettings`, or None where none was given."""

    @wraps(command)
    def collected(
        *args: Any,
        shards: int | None,
        replicas: int | None,
        write_consistency: int | None,
        quantization: str | None,
        on_disk: bool,
        **others: Any,
    ) -> Any:
        given = (shards, replicas, write_consistency, quantization, on_disk or None)
        settings = None if given == (None,) * len(given) else _settings(*given)
        return command(*args, settings=settings, **others)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _settings(
    shards: int | None,
    replicas: int | None,
    write_consistency: int | None,
    quantization: str | None,
    on_disk: bool | None,
) -> ServerSettings:
    from specsearch.errors import StoreError
    from specsearch.store.server_settings import Quantization, ServerSettings

    try:
        return ServerSettings(
            shards, replicas, write_consistency, Quantization(quantization or "none"), bool(on_disk)
        )
    except StoreError as error:
        raise click.UsageError(str(error)) from error


def require_server(store: StoreAt, settings: ServerSettings | None) -> None:
    """Refuse the options for a library in a folder, which has none of them."""
    if settings is not None and not store.is_server:
        raise click.UsageError(
            "--shards, --replicas, --write-consistency, --quantization and --on-disk are for a library on a "
            f"Qdrant server, and {store.location} is a folder. Leave them out, or name a server's address."
        )


def tell_how_made(store: Store, library: str, settings: ServerSettings | None) -> None:
    """Say that the options change nothing where the library is there already."""
    from specsearch.cli.screen import say
    from specsearch.store.server import ServerStore

    if settings is None or not isinstance(store, ServerStore) or not store.exists(library):
        return
    say(
        f"The library {library!r} exists already, made with {store.made_with(library)}, and stays so. To "
        'have it otherwise, make a copy: "specsearch copy" with these options and --as.'
    )
