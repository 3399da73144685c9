"""Who may ask: a key, compared in constant time, and a pace."""

from __future__ import annotations

import hashlib
import hmac
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
    key : str or None
        None lets everybody in: for loopback only.
    rate : str
        As ``"50/second"``, for each client: there is one key.
    """

    key: str | None
    rate: str
    _limiter: MovingWindowRateLimiter = field(
        default_factory=lambda: MovingWindowRateLimiter(MemoryStorage()), repr=False
    )

    @property
    def _item(self) -> RateLimitItem:
        return parse(self.rate)

    @property
    def cookie(self) -> str:
        """What a browser holds instead of the key: nothing that opens the API elsewhere."""
        return hmac.new((self.key or "").encode(), b"specsearch page", hashlib.sha256).hexdigest()

    def is_key(self, given: str) -> bool:
        """Whether this is the key."""
        return self.key is None or hmac.compare_digest(given.encode(), self.key.encode())

    def allows(self, request: Request) -> bool:
        """Whether a request shows the key, in a header or by a browser's cookie."""
        if self.key is None:
            return True
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
        held = request.cookies.get(COOKIE, "")
        return self.is_key(given) or hmac.compare_digest(held.encode(), self.cookie.encode())

    async def is_too_fast(self, request: Request) -> bool:
        """Count a request; whether it is one too many."""
        host = request.client.host if request.client else ""
        return not await self._limiter.hit(self._item, host)
