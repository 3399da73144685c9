"""``specsearch serve``: a page to look at and an API to build on."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option
from specsearch.errors import StoreError

if TYPE_CHECKING:
    from specsearch.search.graph_files import Graph
    from specsearch.store.store import Collection, Store
    from specsearch.web.served import Served

KEY_ENV = "SPECSEARCH_SERVE_KEY"
_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
_GRACE_S = 10


@click.command()
@click.option(
    "--library",
    "names",
    multiple=True,
    metavar="NAME",
    help="Library to serve; may be repeated.  [default: all]",
)
@click.option(
    "--bank",
    "bank_names",
    multiple=True,
    metavar="NAME",
    help="Bank to serve; may be repeated.  [default: all]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; others than this need a key.")
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help=f"File with the key that clients must show.  [env var: {KEY_ENV}, the key itself]",
)
@click.option("--rate", default="100/second", show_default=True, help="Requests of one client.")
@click.option(
    "--waiting",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Requests that may wait; more are told to come again.",
)
@click.option("--allow-write", is_flag=True, help="Let clients index files into libraries (POST).")
@store_option
@model_options
def serve(
    names: tuple[str, ...],
    bank_names: tuple[str, ...],
    host: str,
    port: int,
    key_file: Path | None,
    rate: str,
    waiting: int,
    allow_write: bool,
    store: StoreAt,
    model_path: Path | None,
    key_map_path: Path | None,
) -> None:
    """Serve libraries and banks as a page and an HTTP API.

    The page is at http://127.0.0.1:8765/, the API is described at /openapi.json. Without --allow-write
    nothing is written. A library in a folder has one owner: while it is served, no other command opens it.
    """
    if find_spec("uvicorn") is None or find_spec("fastapi") is None:
        raise click.ClickException('Serving needs more: pip install "specsearch[web]".')
    import uvicorn

    from specsearch.cli.screen import say
    from specsearch.cli.serve_index import make_writer
    from specsearch.web.access import Access
    from specsearch.web.app import Limits, make_app
    from specsearch.web.reading import prepare_reading

    # Once it has answered what was begun, the server raises again the signal that ended it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    key = _key(key_file, host)
    access = Access(key, _rate(rate))
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        bound = stack.enter_context(_bound(host, port))
        prepare_reading()
        opened = stack.enter_context(store.open())
        served = _open(stack, store, opened, names, bank_names, ModelAt(model_path, key_map_path))
        hosts = [*_LOOPBACK, host] if key is None else ["*"]
        writer = make_writer(store, opened, served) if allow_write else None
        app = make_app(served, access, hosts, Limits(rate, waiting), writer)
        libraries = f"{len(served.collections)} libraries and {len(served.banks)} banks"
        say(f"Serving {libraries} at http://{host}:{port}/ (end with Ctrl-C).")
        _log_requests()
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # a link holds the spectrum
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
        )
        uvicorn.Server(config).run(sockets=[bound])


def _key(key_file: Path | None, host: str) -> str | None:
    """The key, or None on loopback.

    Raises
    ------
    click.UsageError
        If another address would be open to everybody, or the key could be guessed.
    """
    from specsearch.web.access import LEAST_KEY_LENGTH

    text = key_file.read_text("utf-8") if key_file is not None else os.environ.get(KEY_ENV, "")
    key = text.strip()
    if not key:
        if _is_loopback(host):
            return None
        raise click.UsageError(
            f"{host} can be reached from elsewhere: set a key in {KEY_ENV}, or name its file (--key-file). "
            f"For example: {KEY_ENV}=$(openssl rand -hex 24)."
        )
    if len(key) < LEAST_KEY_LENGTH:
        raise click.UsageError(f"A key needs at least {LEAST_KEY_LENGTH} characters.")
    return key


def _log_requests() -> None:
    """A line a request, where lines are for a program; people have the metrics."""
    from specsearch.cli.screen import say, says_json

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage(), record.levelname.lower())

    if says_json():
        logger = logging.getLogger("specsearch.web")
        logger.addHandler(Lines())
        logger.setLevel(logging.INFO)


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address: whether it is free shows before anything is loaded.

    Raises
    ------
    click.ClickException
        If it is not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen at {host}, port {port} ({error.strerror}): choose another with --port or --host."
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rate(text: str) -> str:
    from limits import parse

    try:
        parse(text)
    except ValueError:
        raise click.BadParameter(f'{text!r} is no rate such as "100/second".', param_hint="--rate") from None
    return text


def _open(
    stack: ExitStack,
    store: StoreAt,
    opened: Store,
    names: tuple[str, ...],
    bank_names: tuple[str, ...],
    model: ModelAt,
) -> Served:
    """Open what is to be served, and whatever belongs to it."""
    from specsearch.cli.graph_at import graph_folder
    from specsearch.cli.ranker import find_ranker
    from specsearch.encoder.embedder import Embedder
    from specsearch.search.similar import SearchSettings, SimilaritySearch
    from specsearch.store.bank import bank_names as banks_there
    from specsearch.store.bank import open_bank
    from specsearch.web.served import Served

    network, card = model.read()
    embedder = Embedder(network, card)
    collections = {
        name: stack.enter_context(opened.open(name)) for name in dict.fromkeys(names or opened.libraries())
    }
    for collection in collections.values():
        SimilaritySearch([collection], embedder, SearchSettings())  # raises where another model filled it
    banks = {
        name: open_bank(store.banks / name, card.digest) for name in bank_names or banks_there(store.banks)
    }
    graphs = {name: graph for name, one in collections.items() if (graph := _graph(store, one)) is not None}
    beside = {name: graph_folder(store, name) for name in collections}
    return Served(collections, banks, graphs, beside, embedder, network, find_ranker(None, card.digest))


def _graph(store: StoreAt, collection: Collection) -> Graph | None:
    """The graph of a library, or None, said so where it is there and does not fit."""
    from specsearch.cli.graph_at import graph_folder
    from specsearch.cli.screen import say
    from specsearch.search.graph_files import find_graph

    graph = find_graph(graph_folder(store, collection.name))
    try:
        if graph is not None:
            graph.require_size(collection)
    except StoreError as error:
        say(f"Families of {collection.name!r} are not served. {error}")
        return None
    return graph
