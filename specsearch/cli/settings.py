"""What commands share: where the store is, which model, and where real data may lie."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from specsearch.chemistry.tolerance import Tolerance
    from specsearch.encoder.checkpoint import Card
    from specsearch.encoder.embedder import Embedder
    from specsearch.encoder.network import Encoder
    from specsearch.store.server_connection import ServerAccess
    from specsearch.store.server_settings import ServerSettings
    from specsearch.store.store import Store

STORE_ENV = "SPECSEARCH_STORE"
API_KEY_ENV = "SPECSEARCH_QDRANT_API_KEY"
CA_FILE_ENV = "SPECSEARCH_QDRANT_CA_FILE"
INSECURE_ENV = "SPECSEARCH_QDRANT_INSECURE"  # 1: "I know that nobody else is on the network to the server"
GRPC_PORT_ENV = "SPECSEARCH_QDRANT_GRPC_PORT"
MODEL_ENV = "SPECSEARCH_MODEL"
DATA_ENV = "SPECSEARCH_DATA"
_INGEST = "ingest"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class StoreAt:
    """A store that is not open yet.

    Parameters
    ----------
    location : str
        A folder, or the address of a Qdrant server.
    """

    location: str

    @property
    def is_server(self) -> bool:
        """Whether it is a server's address."""
        return self.location.startswith(("http://", "https://"))

    @property
    def folder(self) -> Path:
        """The folder of an embedded store."""
        return Path(self.location).expanduser()

    def open(self, settings: ServerSettings | None = None) -> Store:
        """Open it; a server's API key comes from the environment and nowhere else.

        Parameters
        ----------
        settings : ServerSettings, optional
            How new libraries are made on a server.
        """
        from specsearch.store.store import open_store

        if not self.is_server:
            return open_store(self.folder)
        key = os.environ.get(API_KEY_ENV, "").strip() or None  # secrets' files end with a line break
        return open_store(self.location, key, _server_access(), settings)

    def work_folder(self, library: str) -> Path:
        """Where a library's ledger lies: in the library's folder, or for a server among the user's data."""
        from specsearch.store.names import require_library_name

        require_library_name(library)
        return self._local / library if self.is_server else self._local / library / _INGEST

    def set_aside_folder(self, library: str) -> Path:
        """Where spectra lie that "dedup" took out of a library."""
        from specsearch.store.names import SET_ASIDE

        folder = self.work_folder(library).parent / SET_ASIDE
        return folder / library if self.is_server else folder

    @property
    def banks(self) -> Path:
        """Folder of the banks' files, each in a folder of its own."""
        from specsearch.store.names import BANKS

        return self._local / BANKS

    @property
    def _local(self) -> Path:
        """The store's folder; a server has none of ours, so it goes by a hash of its address."""
        from specsearch.store.names import SERVERS

        if not self.is_server:
            return self.folder
        server = hashlib.sha256(self.location.rstrip("/").encode()).hexdigest()[:16]
        return _user_data() / SERVERS / server

    def option(self) -> str:
        """The option that leads here, for commands shown to the user; empty where it is the default."""
        return "" if self.location == default_store() else f" --store {shlex.quote(self.location)}"


@dataclass(frozen=True)
class ModelAt:
    """A model file that is not loaded yet; None is the shipped one."""

    path: Path | None
    key_map: Path | None = None

    def read(self) -> tuple[Encoder, Card]:
        """Read and check the file."""
        from specsearch.encoder.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint, read_key_map

        names = None if self.key_map is None else read_key_map(self.key_map)
        return load_checkpoint(self.path or DEFAULT_CHECKPOINT, names)

    def load(self) -> Embedder:
        """Load it onto the devices at hand."""
        from specsearch.encoder.embedder import Embedder

        return Embedder(*self.read())


def _server_access() -> ServerAccess:
    """How a server is reached, from the environment."""
    from specsearch.cli.screen import say
    from specsearch.store.server_connection import GRPC_PORT, ServerAccess

    port, ca_file = os.environ.get(GRPC_PORT_ENV) or str(GRPC_PORT), os.environ.get(CA_FILE_ENV)
    if not (port.isdecimal() and 0 < int(port) < 2**16):
        raise click.UsageError(f"{GRPC_PORT_ENV} is {port!r}: give a port's number.")
    return ServerAccess(
        ca_file=Path(ca_file) if ca_file else None,
        grpc_port=int(port),
        is_private_network=os.environ.get(INSECURE_ENV) == "1",
        tell=say,
    )


def _user_data() -> Path:
    from platformdirs import user_data_path

    return user_data_path("specsearch", appauthor=False)


def default_store() -> str:
    """The folder used where neither option nor environment names a store."""
    return str(_user_data())


def find_real_data() -> Path | None:
    """The folder with ``massbank.parquet``, or None.

    Looked for in ``SPECSEARCH_DATA``, else in ``../shared/data`` beside the current folder or the checkout.
    """
    checkout = Path(__file__).resolve().parents[2]
    folders = [Path.cwd().parent / "shared" / "data", checkout.parent / "shared" / "data"]
    if named := os.environ.get(DATA_ENV):
        folders = [Path(named)]
    return next((folder for folder in folders if (folder / "massbank.parquet").is_file()), None)


def find_file(named: Path | None, usual: str, option: str) -> Path:
    """The file that was named, or the usual one where real data lies."""
    if named is not None:
        return named
    folder = find_real_data()
    if folder is None or not (folder / usual).is_file():
        raise click.UsageError(f"There is no {usual} at hand: name a file with {option}.")
    return folder / usual


def store_option(command: Command) -> Command:
    """Add ``--store``, handed on as `store`: a `StoreAt`."""
    return click.option(
        "--store",
        metavar="FOLDER|URL",
        envvar=STORE_ENV,
        show_envvar=True,
        default=default_store,
        callback=lambda ctx, option, value: StoreAt(value),
        help=f"Folder of the store, or address of a Qdrant server (its API key from {API_KEY_ENV}).  "
        "[default: the user's data folder]",
    )(command)


def model_options(command: Command) -> Command:
    """Add ``--model`` and ``--key-map``."""
    model = click.option(
        "--model",
        "model_path",
        metavar="FILE",
        envvar=MODEL_ENV,
        show_envvar=True,
        type=click.Path(path_type=Path),
        help="Model file (safetensors, or PyTorch weights).  [default: the shipped model]",
    )
    key_map = click.option(
        "--key-map",
        "key_map_path",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="JSON file that translates the tensor names of a foreign model file into ours.",
    )
    return model(key_map(command))


class ToleranceType(click.ParamType):
    """A mass tolerance with its unit, as ``10ppm`` or ``0.02Da``."""

    name = "tolerance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tolerance:
        """Read the text; what is no tolerance is wrong usage."""
        from specsearch.chemistry.tolerance import Tolerance, parse_tolerance
        from specsearch.errors import ParseError

        if isinstance(value, Tolerance):
            return value
        try:
            return parse_tolerance(value)
        except ParseError as error:
            self.fail(str(error), param, ctx)
