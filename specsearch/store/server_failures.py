"""What a Qdrant server or the way to it can do wrong: may it pass, and how is it said."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import grpc
import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from specsearch.errors import LibraryNotFound, StoreError, StoreFull

NO_ANSWER: Final = 0
_BUSY: Final = 429
_PASSING: Final = frozenset({NO_ANSWER, _BUSY, 500, 502, 503, 504})
_STATUS_OF_GRPC: Final = {
    grpc.StatusCode.UNAVAILABLE: NO_ANSWER,
    grpc.StatusCode.DEADLINE_EXCEEDED: NO_ANSWER,
    grpc.StatusCode.CANCELLED: NO_ANSWER,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _BUSY,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.ABORTED: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
}
# How servers since 1.1 say that a node is away: they have no code of its own for it.
_NODE_AWAY = re.compile(
    r"enough (active )?replicas|write consistency|at least one `?active`? replica|shard \S+ .*not available"
    r"|(read|write|update) operations? failed|tonic status error|no leader|consensus",
    re.IGNORECASE,
)
_DISK_FULL = re.compile(r"no space left|out of disk|disk (space|is full)", re.IGNORECASE)
_BAD_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_LONGEST_DETAIL = 300


@dataclass(frozen=True)
class Failure:
    """One try of a call that failed.

    Parameters
    ----------
    status : int
        As of HTTP; `NO_ANSWER` where none came.
    detail : str
        The server's or the network's own words.
    may_pass : bool
        Whether the same call may go well a little later.
    retry_after_s : float, optional
        What the server asks to wait.
    """

    status: int
    detail: str
    may_pass: bool
    retry_after_s: float | None = None


def read_failure(error: BaseException) -> Failure | None:
    """What the client's exception says; None for one that is none of its own."""
    if isinstance(error, UnexpectedResponse):
        status = error.status_code or NO_ANSWER
        text = error.content.decode(errors="replace")
        return Failure(status, _detail(text), status in _PASSING, _retry_after_s(error.headers))
    if isinstance(error, ResourceExhaustedResponse):
        return Failure(_BUSY, str(error), True, error.retry_after_s)
    if isinstance(error, QdrantException):  # HTTP 429 with a date where the client wants seconds
        return Failure(_BUSY, str(error), True)
    if isinstance(error, ResponseHandlingException):
        return _unanswered(error.source)
    if isinstance(error, grpc.RpcError):
        return _of_grpc(error)
    return None


def _unanswered(source: Exception) -> Failure:
    may_pass = isinstance(source, httpx.TransportError) and _BAD_CERTIFICATE not in str(source)
    return Failure(NO_ANSWER, str(source), may_pass)


def _of_grpc(error: Any) -> Failure:
    code, detail = error.code(), error.details() or ""
    status = _STATUS_OF_GRPC.get(code, 400)
    may_pass = status in _PASSING and _BAD_CERTIFICATE not in detail
    return Failure(status, _detail(detail or code.name), may_pass)


def _detail(text: str) -> str:
    """The server's sentence out of its JSON, or the beginning of whatever it sent."""
    found = re.search(r'"error"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    return (found[1] if found else text)[:_LONGEST_DETAIL].strip().rstrip(".")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, or those until a date: HTTP allows both."""
    asked = headers.get("Retry-After", "")
    with suppress(ValueError):
        return max(0.0, float(asked))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    return None


def in_words(failure: Failure, action: str, *, is_write: bool) -> StoreError:
    """The sentence and the next step."""
    if _NODE_AWAY.search(failure.detail):
        return StoreError(
            f"A node of the Qdrant cluster is away, or too few hold the library; could not {action}: "
            f"{failure.detail}.",
            "Start the node again, wait until it has caught up, and run the same command: what was stored "
            "is kept, and nothing is stored twice.",
        )
    if _DISK_FULL.search(failure.detail):
        return StoreFull(
            f"The Qdrant server's disk is full; could not {action}: {failure.detail}.",
            "Free some space there and run the same command again; what was stored so far is kept.",
        )
    if failure.status in _WORDS:
        return _WORDS[failure.status](failure, action, is_write)
    next_step = "Look into the server's log." if failure.status >= 500 else ""
    return StoreError(
        f"The Qdrant server answered HTTP {failure.status}; could not {action}: {failure.detail}.", next_step
    )


def _no_answer(failure: Failure, action: str, is_write: bool) -> StoreError:
    if _BAD_CERTIFICATE in failure.detail:
        return StoreError(
            f"The Qdrant server's certificate is not trusted; could not {action}.",
            "If it is your own, name the file of its authority in SPECSEARCH_QDRANT_CA_FILE.",
        )
    again = " Then run the same command again: nothing is stored twice." if is_write else ""
    return StoreError(
        f"The Qdrant server did not answer ({failure.detail}); could not {action}.",
        f"Check the address, that the server runs, and the network.{again}",
    )


def _unknown_key(failure: Failure, action: str, is_write: bool) -> StoreError:
    return StoreError(
        f"The Qdrant server does not accept the API key (HTTP 401); could not {action}.",
        "Give the right key in SPECSEARCH_QDRANT_API_KEY.",
    )


def _forbidden(failure: Failure, action: str, is_write: bool) -> StoreError:
    if is_write:
        return StoreError(
            f"The API key may only read (HTTP 403); could not {action}.", "Give a key that may write."
        )
    return StoreError(
        f"The Qdrant server does not accept the API key for this (HTTP 403); could not {action}.",
        "Give a key with the needed rights.",
    )


def _not_found(failure: Failure, action: str, is_write: bool) -> StoreError:
    return LibraryNotFound(
        f"The Qdrant server has no such library or path (HTTP 404); could not {action}.",
        "Check the address and the name.",
    )


def _taken(failure: Failure, action: str, is_write: bool) -> StoreError:
    return StoreError(
        f"Another command made something of that name on the Qdrant server; could not {action}.",
        "Run the same command again, or choose another name.",
    )


def _busy(failure: Failure, action: str, is_write: bool) -> StoreError:
    waits = f"in {failure.retry_after_s:.0f} seconds" if failure.retry_after_s else "in a while"
    return StoreError(
        f"The Qdrant server is too busy (HTTP 429); could not {action}: {failure.detail}.",
        f"Run the same command again {waits}.",
    )


_WORDS: Final[dict[int, Callable[[Failure, str, bool], StoreError]]] = {
    NO_ANSWER: _no_answer,
    401: _unknown_key,
    403: _forbidden,
    404: _not_found,
    409: _taken,
    _BUSY: _busy,
}
