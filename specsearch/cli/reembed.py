"""``specsearch reembed``: another model for a library that stays in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option
from specsearch.cli.transfer_trial import size_of, space_for, trial_option
from specsearch.errors import StoreError

if TYPE_CHECKING:
    from specsearch.encoder.embedder import Embedder
    from specsearch.store.store import Collection

_DIGITS = 8  # of a model's digest, where people compare


@click.command()
@click.argument("library")
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Spectra to embed once more, and to search for, before anything changes.",
)
@click.option("--undo", "is_undone", is_flag=True, help="Go back to the library as it was before.")
@click.option("--drop-old", "is_dropped", is_flag=True, help="Remove the library as it was before.")
@trial_option
@store_option
@model_options
def reembed(
    library: str,
    sample: int,
    is_undone: bool,
    is_dropped: bool,
    is_trial: bool,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Embed the spectra of LIBRARY again, with another model, without its files.

    Searches find the old library until the new one is complete and was checked: all records as they were,
    vectors made once more, searches by graph against exact ones. Then its name leads to the new one, in one
    step; the old is kept until --drop-old. Ids, names and ledger stay, so the same files can be indexed again
    without change. Interrupted, the same command begins again. Nobody may index into LIBRARY meanwhile; a
    running "specsearch serve" goes on with the old model until it is started again.

    \b
    For example:
      specsearch reembed mylab --model better.safetensors
      specsearch search unknowns.mgf --library mylab --model better.safetensors
      specsearch reembed mylab --undo
      specsearch reembed mylab --drop-old
    """
    if is_undone and is_dropped:
        raise click.UsageError("--undo goes back to what --drop-old removes: name one of them.")
    if is_trial and (is_undone or is_dropped):
        raise click.UsageError("--dry-run is for embedding again, not for --undo or --drop-old.")
    if is_trial:
        _tell(library, store, ModelAt(model_path, key_map_path))
    elif is_undone:
        _undo(library, store)
    elif is_dropped:
        _drop_old(library, store)
    else:
        _reembed(library, sample, store, ModelAt(model_path, key_map_path).load())


def _reembed(library: str, n_sampled: int, store: StoreAt, embedder: Embedder) -> None:
    from ingest.reembed import reembed
    from specsearch.cli.progress import TransferBar
    from specsearch.cli.screen import progress_bar, say
    from specsearch.store.set_aside import count_set_aside

    with store.open() as opened, progress_bar() as bar:
        is_new = reembed(
            library,
            opened,
            embedder,
            store.work_folder(library),
            lambda made, point_ids: _require_good(made, embedder, point_ids),
            n_set_aside=count_set_aside(store.set_aside_folder(library)),
            n_sampled=n_sampled,
            finish=lambda: _forget_map(library, store),
            watcher=TransferBar(bar),
        )
    digest = embedder.card.digest[:_DIGITS]
    if not is_new:
        say(f"The library {library!r} is embedded with this model ({digest}) already.")
        return
    say(
        f"The library {library!r} is embedded with model {digest} now. As it was, it is kept: "
        f'"specsearch reembed {library} --undo{store.option()}" goes back, --drop-old instead removes it.'
    )


def _tell(library: str, store: StoreAt, model: ModelAt) -> None:
    """Say what would be done, or why it would not."""
    from ingest.reembed import require_none_aside
    from specsearch.cli.screen import say
    from specsearch.store.generations import require_none_kept
    from specsearch.store.set_aside import count_set_aside
    from specsearch.store.vectors import contract_of

    card = model.read()[1]
    digest = card.digest[:_DIGITS]
    with store.open() as opened:
        with opened.open(library) as old:
            n_points, contract = old.count(), old.contract
        if contract.is_same(contract_of(card)):
            say(f"The library {library!r} is embedded with this model ({digest}) already.")
            return
        require_none_kept(opened.generations(library).kept(), library)
    require_none_aside(count_set_aside(store.set_aside_folder(library)), library)
    space = space_for(store, library, size_of(store, library))
    say(
        f"{n_points:,} spectra of {library!r} would be embedded with model {digest} instead of "
        f"{contract.encoder_digest[:_DIGITS]}, and kept as they are beside that{space}. Nothing was written."
    )


def _require_good(made: Collection, embedder: Embedder, point_ids: Sequence[str]) -> None:
    """Raise unless a sample of what was made is what the model makes, and is found."""
    from specsearch.search.self_check import check_encoder, check_graph

    findings = [*check_encoder(made, embedder, point_ids), *check_graph(made, point_ids)]
    bad = [f"{found.check} ({found.detail})" for found in findings if found.is_good is False]
    if bad:
        raise StoreError(
            f"What was made of {made.name!r} is not good: {'; '.join(bad)}; the library is as it was.",
            "Run the same command again; if it happens again, please report it.",
        )


def _undo(library: str, store: StoreAt) -> None:
    from specsearch.cli.screen import say
    from specsearch.store.generations import go_back

    with store.open() as opened:
        contract = go_back(opened, library, lambda: _forget_map(library, store))
    say(
        f"The library {library!r} is as it was, with model {contract.encoder_digest[:_DIGITS]}; the other is "
        f'kept: "specsearch reembed {library} --drop-old{store.option()}" removes it.'
    )


def _drop_old(library: str, store: StoreAt) -> None:
    from specsearch.cli.screen import say

    with store.open() as opened:
        opened.generations(library).drop_kept()
    say(f"What was kept of {library!r} beside the library in use was removed.")


def _forget_map(library: str, store: StoreAt) -> None:
    """Remove the picture of the old vectors; a neighbour graph knows its model by itself."""
    from specsearch.cli.graph_at import graph_folder
    from specsearch.search.library_map import forget_map

    forget_map(graph_folder(store, library))
