"""Running a server: in this process, or in several that share one socket."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, Any

import click

from specsearch.cli.screen import say
from specsearch.cli.serve_open import Serving, encoder_apart, open_app, open_served
from specsearch.errors import SpecsearchError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from specsearch.web.served import Served

_GRACE_S = 10
_SWITCH_S = 0.0005  # between threads: the encoder comes back for Python's lock a hundred times a spectrum


def run(serving: Serving, bound: socket, address: str, n_workers: int) -> None:
    """Serve until a signal ends it, after what was begun is answered."""
    import uvicorn

    if n_workers > 1:
        _run_several(serving, bound, address, n_workers)
        return
    with ExitStack() as stack:
        app = open_app(stack, serving)
        served = app.state.work.served
        served.encode = encoder_apart(stack, served.embedder)  # of several workers, each has a core at most
        sys.setswitchinterval(_SWITCH_S)
        _say_so(served, address)
        uvicorn.Server(_config(app)).run(sockets=[bound])


def _run_several(serving: Serving, bound: socket, address: str, n_workers: int) -> None:
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    with ExitStack() as stack:  # what is wrong with it is said once, not by each of them
        _say_so(open_served(stack, serving, stack.enter_context(serving.store.open())), address)
    config = _config(partial(_app_of_worker, serving), factory=True, workers=n_workers)
    supervisor = Multiprocess(config, sockets=[bound])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise click.ClickException("A worker could not start: its message is above.")


def _app_of_worker(serving: Serving) -> FastAPI:
    """Called in each process; what it opens stays open until that ends."""
    from uvicorn.config import STARTUP_FAILURE

    sys.setswitchinterval(_SWITCH_S)
    try:
        return open_app(ExitStack(), serving)
    except SpecsearchError as error:
        say(str(error), "error")
        sys.exit(STARTUP_FAILURE)  # which tells the others' parent not to begin it again


def _config(app: Any, **more: Any) -> Any:
    import uvicorn

    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # a link holds the spectrum
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
        **more,
    )


def _say_so(served: Served, address: str) -> None:
    libraries = f"{len(served.collections)} libraries and {len(served.banks)} banks"
    say(f"Serving {libraries} at {address} (end with Ctrl-C).")
