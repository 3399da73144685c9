"""``specsearch libraries`` and ``specsearch drop``: what is there, and away with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option
from specsearch.errors import CheckpointError, StoreDamaged, StoreError, StoreLocked

if TYPE_CHECKING:
    from specsearch.store.store import Store


@click.command()
@store_option
@model_options
def libraries(store: StoreAt, model_path: Path | None, key_map_path: Path | None) -> None:
    """List the libraries: spectra, encoder, size on disk, health.

    Also those that are damaged or in use: their row says so.
    """
    from specsearch.cli.screen import say, screen
    from specsearch.report.tables import make_table

    with store.open() as opened:
        names = opened.libraries()
        if not names:
            say(f'No library in {store.location} yet. Make one: "specsearch index FILES --library NAME".')
            return
        digest = _digest(ModelAt(model_path, key_map_path))
        rows = [(name, *_state(opened, name, digest), _size(store, name)) for name in names]
    columns = ("library", "spectra", "encoder", "health", "size")
    screen().print(make_table(f"Libraries in {store.location}", columns, rows, right="spectra size"))


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def drop(name: str, yes: bool, store: StoreAt) -> None:
    """Remove the library NAME.

    For example to index it again with another model: nothing of it is kept, so keep your files.
    """
    from specsearch.cli.screen import say

    with store.open() as opened:
        if opened.exists(name) and not yes:
            click.confirm(f"Remove the library {name!r} from {store.location}?", abort=True, err=True)
        opened.drop(name)
    # Its ledger speaks of nothing any more; what was set aside has vectors of a model it may not get again.
    for folder in (store.work_folder(name), store.set_aside_folder(name)):
        shutil.rmtree(folder, ignore_errors=True)
    say(f"The library {name!r} was removed.")


def _digest(model: ModelAt) -> str:
    """Digest of the model at hand; empty, and said so, where there is none."""
    from specsearch.cli.screen import say

    try:
        return model.read()[1].digest
    except CheckpointError as error:
        say(f"The encoders are not compared: {error}")
        return ""


def _state(store: Store, name: str, digest: str) -> tuple[str, str, str]:
    """Count, encoder and health of a library, or what keeps it from being opened."""
    try:
        with store.open(name) as collection:
            info, contract = collection.info(), collection.contract
    except StoreLocked:
        return "?", "?", "in use by another process"
    except StoreDamaged as error:
        return "?", "?", f"damaged: {error}"
    except StoreError as error:
        return "?", "?", f"cannot be opened: {error}"
    is_good = info.is_healthy and not info.next_step
    health = "good" if is_good else f"{info.detail}. {info.next_step}".rstrip(". ")
    return f"{info.n_points:,}", _encoder(contract.encoder_digest, digest), health


def _encoder(theirs: str, ours: str) -> str:
    kinship = "" if not ours else " (this model)" if theirs == ours else " (another model)"
    return f"{theirs[:8]}{kinship}"


def _size(store: StoreAt, name: str) -> str:
    from specsearch.store.space import used_bytes

    if store.is_server:
        return "on the server"
    return f"{used_bytes(store.folder / name) / 1e6:,.1f} MB"
