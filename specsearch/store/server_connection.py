"""The way to a Qdrant server: HTTP for all calls, gRPC for writing many points where it answers."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from specsearch.errors import InputFileError, StoreError

TIMEOUT_S: Final = 60
GRPC_PORT: Final = 6334
_PROBE_S: Final = 3
_HERE: Final = ("localhost", "127.0.0.1", "::1")


def _silent(sentence: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ServerAccess:
    """How a server is reached.

    Parameters
    ----------
    api_key : str, optional
    ca_file : Path, optional
        Certificates (PEM) of the authority that signed the server's own.
    grpc_port : int
    timeout_s : int
        Of one try of one call.
    is_private_network : bool
        Nobody else is on the network to the server, so the key may travel over it unencrypted.
    tell : callable
        Given a sentence when something is done in another way than was hoped for.
    """

    api_key: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    grpc_port: int = GRPC_PORT
    timeout_s: int = TIMEOUT_S
    is_private_network: bool = False
    tell: Callable[[str], None] = _silent


class Connection:
    """Clients of one server; nothing is sent before it is asked for.

    Parameters
    ----------
    url : str
    access : ServerAccess
    more : dict
        Handed on to the client.

    Raises
    ------
    StoreError
        If the key would travel unencrypted to another machine over a network that nobody called private, or
        key or address are such as no server has.
    InputFileError
        If the certificates cannot be read.
    """

    def __init__(self, url: str, access: ServerAccess, **more: Any) -> None:
        _require_no_name_in(url)
        _require_sendable(access.api_key or "")
        if access.api_key and not access.is_private_network:
            _require_safe_road(url)
        self._url = url
        self._access = access
        self._more = more | _trusting(access.ca_file)
        self.client = self._made(access.timeout_s)

    def _made(self, timeout_s: int, **how: Any) -> QdrantClient:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            return QdrantClient(
                url=self._url,
                api_key=self._access.api_key,
                timeout=timeout_s,
                check_compatibility=False,
                **self._more,
                **how,
            )

    @cached_property
    def _over_grpc(self) -> QdrantClient:
        return self._made(self._access.timeout_s, **self._grpc)

    @property
    def _grpc(self) -> dict[str, Any]:
        ca_file = self._access.ca_file
        options = {} if ca_file is None else {"root_certificates": ca_file.read_bytes()}
        return {"prefer_grpc": True, "grpc_port": self._access.grpc_port, "grpc_options": options}

    def for_writing(self, name: str, mark: tuple[str, str]) -> QdrantClient:
        """The quickest client that writes to a collection.

        Parameters
        ----------
        name : str
        mark : tuple of str
            Key and value of the collection's metadata that no other collection has: on the usual gRPC port
            of a machine with several servers, another one may listen.
        """
        try:
            with closing(self._made(_PROBE_S, **self._grpc)) as probe:
                metadata = probe.get_collection(name).config.metadata or {}
        except (grpc.RpcError, ApiException, QdrantException, ValueError) as error:
            code = error.code().name if isinstance(error, grpc.RpcError) else type(error).__name__
            return self._over_http(f"does not answer ({code})")
        key, value = mark
        if metadata.get(key) != value:
            return self._over_http("answers for another server")
        return self._over_grpc

    def _over_http(self, why: str) -> QdrantClient:
        port = self._access.grpc_port
        self._access.tell(f"The gRPC port {port} {why}: writing over HTTP, which takes longer.")
        return self.client

    def close(self) -> None:
        """Close all clients."""
        self.client.close()
        if "_over_grpc" in self.__dict__:
            self._over_grpc.close()


def _require_safe_road(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise StoreError(
            "The API key would travel unencrypted.",
            "Use an https:// address for a server elsewhere, or set SPECSEARCH_QDRANT_INSECURE=1 if nobody "
            "else is on the network between.",
        )


def _require_no_name_in(url: str) -> None:
    parts = urlsplit(url)
    if parts.username or parts.password:  # the client leaves them out, and messages name the address
        raise StoreError(
            "The address of a Qdrant server holds no name or password.",
            "Give the API key in SPECSEARCH_QDRANT_API_KEY, and the address without what is before the @.",
        )


def _require_sendable(key: str) -> None:
    """Raise without a word of the key, as the client would not."""
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise StoreError(
            "The API key of the Qdrant server holds characters that no key has.",
            "Look how SPECSEARCH_QDRANT_API_KEY was set: line breaks and quotation marks often slip in.",
        )


def _trusting(ca_file: Path | None) -> dict[str, Any]:
    if ca_file is None:
        return {}
    try:
        return {"verify": ssl.create_default_context(cafile=str(ca_file))}
    except (OSError, ssl.SSLError) as error:
        raise InputFileError(
            f"The certificates in {ca_file} cannot be read: {error.strerror or error}.",
            "Name a PEM file with the certificate of the server's authority.",
        ) from error
