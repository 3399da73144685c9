"""Who may ask: keys, compared in constant time, and a pace for each."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage  # the other one starts a thread for every request
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.requests import Request

COOKIE = "specsearch"
LEAST_KEY_LENGTH = 16


@dataclass(frozen=True)
class Access:
    """What a request must show, and how often one may ask.

    Parameters
    ----------
    keys : tuple of str
        Any of them opens; none lets everybody in: for loopback only.
    rate : str
        As ``"50/second"``: of each key, and of each address that shows none.
    """

    keys: tuple[str, ...]
    rate: str
    _limiter: MovingWindowRateLimiter = field(
        default_factory=lambda: MovingWindowRateLimiter(MemoryStorage()), repr=False
    )

    def __post_init__(self) -> None:
        if isinstance(self.keys, str):
            raise TypeError("Keys are a tuple of str: of a str, each letter would be a key.")

    @property
    def _item(self) -> RateLimitItem:
        return parse(self.rate)

    @staticmethod
    def cookie(key: str) -> str:
        """What a browser holds instead of a key: nothing that opens the API elsewhere."""
        return hmac.new(key.encode(), b"specsearch page", hashlib.sha256).hexdigest()

    def is_key(self, given: str) -> bool:
        """Whether this is one of the keys, or none is needed."""
        return not self.keys or _place(given, self.keys) is not None

    def allows(self, request: Request) -> bool:
        """Whether a request shows a key, in a header or by a browser's cookie."""
        return not self.keys or self._shown(request) is not None

    async def is_too_fast(self, request: Request) -> bool:
        """Count a request; whether it is one too many."""
        key = self._shown(request)
        host = request.client.host if request.client else ""
        return not await self._limiter.hit(self._item, f"address {host}" if key is None else f"key {key}")

    def _shown(self, request: Request) -> int | None:
        """Which key a request shows."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
        by_header = _place(given, self.keys)
        by_cookie = _place(request.cookies.get(COOKIE, ""), map(self.cookie, self.keys))
        return by_cookie if by_header is None else by_header


def _place(given: str, known: Iterable[str]) -> int | None:
    """Where this is among what is known; every one is compared, so that the time tells nothing."""
    matches = [hmac.compare_digest(given.encode(), one.encode()) for one in known]
    return matches.index(True) if any(matches) else None
