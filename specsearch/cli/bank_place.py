"""Where a bank lies: its files beside the libraries, its projections in the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.bank import BankPlace
    from specsearch.cli.settings import StoreAt


def bank_folder(store: StoreAt, name: str) -> Path:
    """Folder of a bank's files, there or not.

    Raises
    ------
    StoreError
        If the name is not allowed.
    """
    from specsearch.store.names import require_library_name

    return store.banks / require_library_name(name, "bank")


@contextmanager
def open_place(store: StoreAt, name: str) -> Iterator[BankPlace]:
    """The place of a bank, with its store open.

    In a folder the projections lie with the bank's files; a server holds them in a collection that has the
    bank's name in its own.
    """
    from ingest.bank import BankPlace
    from specsearch.store.candidates import COLLECTION
    from specsearch.store.store import open_store

    folder = bank_folder(store, name)
    if store.is_server:
        with store.open() as opened:
            yield BankPlace(folder, opened, f"{name}.{COLLECTION}")
    else:
        with open_store(folder) as opened:
            yield BankPlace(folder, opened, COLLECTION)
