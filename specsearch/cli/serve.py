"""``specsearch serve``: a page to look at and an API to build on."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import click

from specsearch.cli.serve_open import Serving
from specsearch.cli.settings import ModelAt, StoreAt, model_options, store_option

KEY_ENV = "SPECSEARCH_SERVE_KEY"
_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


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
    help=f"File with the keys that clients must show, one a line.  [env var: {KEY_ENV}, the key itself]",
)
@click.option(
    "--rate",
    default="100/second",
    show_default=True,
    help="Requests of one key, or of one address where none is needed.",
)
@click.option(
    "--waiting",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Requests that may wait; more are told to come again.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that answer, over a Qdrant server; --rate, --waiting and /metrics are each one's own.",
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
    workers: int,
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
    from specsearch.cli.serve_run import run

    if workers > 1:
        _require_shareable(store, allow_write)
    # Once it has answered what was begun, the server raises again the signal that ended it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keys = _keys(key_file, host)
    hosts = ["*"] if keys else [*_LOOPBACK, host]
    model = ModelAt(model_path, key_map_path)
    serving = Serving(store, model, names, bank_names, keys, hosts, _rate(rate), waiting, allow_write)
    with suppress(KeyboardInterrupt), _bound(host, port) as bound:
        run(serving, bound, f"http://{host}:{port}/", workers)


def _require_shareable(store: StoreAt, allow_write: bool) -> None:
    """Raise unless several processes can serve the store.

    Raises
    ------
    click.UsageError
    """
    if not store.is_server:
        raise click.UsageError(
            "--workers needs a Qdrant server (--store http://...): one process opens a library in a folder."
        )
    if allow_write:
        raise click.UsageError("--workers cannot go with --allow-write: one process writes at a time.")


def _keys(key_file: Path | None, host: str) -> tuple[str, ...]:
    """The keys, of which loopback needs none.

    Raises
    ------
    click.UsageError
        If another address would be open to everybody, or a key could be guessed.
    """
    from specsearch.web.access import LEAST_KEY_LENGTH

    try:
        text = key_file.read_text("utf-8") if key_file is not None else os.environ.get(KEY_ENV, "")
    except UnicodeDecodeError:
        raise click.UsageError(f"{key_file} is no text: write the keys into it, one a line.") from None
    keys = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not keys:
        if _is_loopback(host):
            return ()
        raise click.UsageError(
            f"{host} can be reached from elsewhere: set a key in {KEY_ENV}, or name its file (--key-file). "
            f"For example: {KEY_ENV}=$(openssl rand -hex 24)."
        )
    if min(map(len, keys)) < LEAST_KEY_LENGTH:
        raise click.UsageError(f"A key needs at least {LEAST_KEY_LENGTH} characters.")
    return keys


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address: whether it is free shows before anything is loaded.

    Raises
    ------
    click.ClickException
        If it is not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen at {host}, port {port} ({error.strerror}): choose another with --port or --host."
        ) from None
    # Inherited by every connection. asyncio would see to it, but not for sockets made like this one; without,
    # the second part of an answer waits 40 ms until the client has acknowledged the first.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


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
