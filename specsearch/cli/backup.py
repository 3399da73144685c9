"""``specsearch backup``, ``restore`` and ``copy``: libraries kept safe, and moved between stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from specsearch.cli.server_options import require_server, server_options
from specsearch.cli.settings import API_KEY_ENV, StoreAt, store_option
from specsearch.cli.transfer_trial import size_of, tell_made, trial_option

if TYPE_CHECKING:
    from specsearch.store.archive import Archive
    from specsearch.store.digest import LibraryDigest
    from specsearch.store.server_settings import ServerSettings

_LEDGER = "ledger.sqlite"
_DIGITS = 16  # of a digest, where people compare


@click.command()
@click.argument("library")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Archive to write, e.g. mylab.specsearch; replaced only when the new one is complete.",
)
@store_option
def backup(library: str, output: Path, store: StoreAt) -> None:
    """Write LIBRARY into one file, from which "specsearch restore" makes it again.

    In a folder or on a server, the file is the same: every spectrum with its vectors, and the ledger, so that
    indexing goes on where it was. It is a zip with checksums. Neighbour graphs and banks are not in it; they
    are made again from what is. Nobody may index into the library meanwhile.

    \b
    For example:
      specsearch backup mylab -o mylab.specsearch
      specsearch restore mylab.specsearch --as mylab-2
      specsearch restore mylab.specsearch --store http://localhost:6333
    """
    from specsearch.cli.progress import TransferBar
    from specsearch.cli.screen import progress_bar, say
    from specsearch.store.transfer import back_up

    with (
        store.open() as opened,
        opened.open(library) as collection,
        _ledger_of(library, store) as ledger,
        progress_bar() as bar,
    ):
        manifest = back_up(collection, output, ledger, TransferBar(bar))
    say(
        f"{manifest.n_points:,} spectra of {library!r} are in {output} "
        f"({output.stat().st_size / 1e6:,.1f} MB), digest {manifest.content_digest[:_DIGITS]}."
    )
    _tell_what_stays(library, store)


@click.command()
@click.argument("archive_path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--as", "name", metavar="NAME", help="Name of the library.  [default: the one it had]")
@trial_option
@store_option
@server_options
def restore(
    archive_path: Path, name: str | None, is_trial: bool, store: StoreAt, settings: ServerSettings | None
) -> None:
    """Make the library in FILE, an archive of "specsearch backup", again.

    Into a folder or onto a server, wherever it came from. The library is there when every checksum was right
    and the store gave back every spectrum as it was; until then, nothing has its name. Interrupted, the same
    command begins again. A library that is there already is never touched.
    """
    from specsearch.cli.progress import TransferBar
    from specsearch.cli.screen import progress_bar
    from specsearch.store import transfer
    from specsearch.store.archive import Archive

    require_server(store, settings)
    if is_trial:
        with Archive(archive_path) as archive:
            found = archive.manifest
            origin = f"{found.library!r} in {archive_path}"
            tell_made(found.n_points, origin, name or found.library, store, archive.n_bytes)
        return
    with progress_bar() as bar:
        bar.add_task(f"checking {archive_path.name}", total=None)
        with Archive(archive_path) as archive, _ledger_in(archive) as ledger, store.open(settings) as opened:
            name = name or archive.manifest.library
            finish = _placing(ledger, store, name)
            digest = transfer.restore(archive, opened, name, finish, TransferBar(bar))
            was = archive.manifest.library
    _tell_made(name, was, digest, store)


@click.command()
@click.argument("library")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER|URL",
    callback=lambda ctx, option, value: StoreAt(value),
    help=f"Store to copy to: a folder, or the address of a Qdrant server (its API key from {API_KEY_ENV}).",
)
@click.option("--as", "name", metavar="NAME", help="Name of the copy.  [default: the same]")
@trial_option
@store_option
@server_options
def copy(
    library: str,
    target: StoreAt,
    name: str | None,
    is_trial: bool,
    store: StoreAt,
    settings: ServerSettings | None,
) -> None:
    """Copy LIBRARY to another store: from a folder to a server, or back.

    As "specsearch backup" and "restore" do, without a file between them. The copy is there when it is
    complete and the same; LIBRARY stays as it is.

    \b
    To move one to a server:
      specsearch copy mylab --to http://localhost:6333
      specsearch drop mylab
    """
    from specsearch.cli.progress import TransferBar
    from specsearch.cli.screen import progress_bar
    from specsearch.store import transfer

    require_server(target, settings)
    name = name or library
    if is_trial:
        with store.open() as opened, opened.open(library) as collection:
            n_points = collection.count()
        tell_made(n_points, f"{library!r} in {store.location}", name, target, size_of(store, library))
        return
    with (
        store.open() as opened,
        opened.open(library) as collection,
        _ledger_of(library, store) as ledger,
        target.open(settings) as other,
        progress_bar() as bar,
    ):
        digest = transfer.copy(collection, other, name, _placing(ledger, target, name), TransferBar(bar))
    _tell_made(name, library, digest, target)
    _tell_what_stays(library, store)


@contextmanager
def _ledger_of(library: str, store: StoreAt) -> Iterator[Path | None]:
    """A copy of a library's ledger; None where this machine has none."""
    from ingest.ledger_copy import copy_ledger
    from ingest.settling import ledger_path

    path = ledger_path(store.work_folder(library))
    if not path.exists():
        yield None
        return
    with TemporaryDirectory(prefix="specsearch-") as folder:
        copied = Path(folder) / _LEDGER
        copy_ledger(path, copied)
        yield copied


@contextmanager
def _ledger_in(archive: Archive) -> Iterator[Path | None]:
    """The ledger in an archive as a file; None where there is none."""
    from ingest.ledger_copy import receive_ledger

    if not archive.has_ledger:
        yield None
        return
    with TemporaryDirectory(prefix="specsearch-") as folder:
        received = Path(folder) / _LEDGER
        receive_ledger(archive.ledger(), received)
        yield received


def _placing(ledger: Path | None, store: StoreAt, library: str) -> Callable[[], None]:
    """What puts a ledger, or none, beside a library that is about to be seen."""
    from ingest.ledger_copy import place_ledger
    from ingest.settling import ledger_path

    return lambda: place_ledger(ledger, ledger_path(store.work_folder(library)))


def _tell_made(name: str, was: str, digest: LibraryDigest, store: StoreAt) -> None:
    from specsearch.cli.screen import say

    say(
        f"The library {name!r} with {digest.n_points:,} spectra is in {store.location}, every one as it was; "
        f"digest {digest.content[:_DIGITS]}."
    )
    if name != was:
        say(f"Its spectra are now {name}:..., not {was}:..., so it has another digest than {was!r}.")


def _tell_what_stays(library: str, store: StoreAt) -> None:
    from specsearch.cli.screen import say

    if any(store.set_aside_folder(library).glob("*.parquet")):
        say(
            "Spectra that dedup took out of it are not there. To have them there, too: "
            f'"specsearch dedup {library} --undo{store.option()}", then the same command again.'
        )
