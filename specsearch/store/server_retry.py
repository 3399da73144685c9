"""Every call to a Qdrant server goes through here: tried again where that may help, then told in words.

A try whose answer was lost may have taken effect, so only calls that may be made twice belong here. All of
ours may: points have the ids of their records (uuid5), so a repeated write replaces each by itself and never
doubles one; deleting, annotating and setting options end the same; a collection is known by a mark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random

from specsearch.errors import SpecsearchError, StoreError
from specsearch.store.server_failures import in_words, read_failure

N_TRIES: Final = 5
LIMIT_S: Final = 30.0  # of waiting; a try that ran into its own timeout gets one more all the same
FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S: Final = 8.0

Answer = TypeVar("Answer")


def ask(action: str, call: Callable[[], Answer], *, is_write: bool = False) -> Answer:
    """Make a call, several times if need be.

    Parameters
    ----------
    action : str
        What it is for, as in "could not ...".
    call : callable
        May be made twice with the same end.
    is_write : bool
        Whether it changes anything.

    Raises
    ------
    StoreError
        If the last try failed, or one in a way that does not pass.
    """
    tries = Retrying(retry=retry_if_exception(_may_pass), wait=_wait_s, stop=_is_enough, reraise=True)
    try:
        return tries(call)
    except SpecsearchError:
        raise
    except ValueError as error:  # the client's own checks, and its local mode
        raise StoreError(f"The Qdrant client could not {action}: {error}.") from error
    except Exception as error:
        failure = read_failure(error)
        if failure is None:
            raise
        raise in_words(failure, action, is_write=is_write) from error


def _may_pass(error: BaseException) -> bool:
    failure = read_failure(error)
    return failure is not None and failure.may_pass


def _wait_s(state: RetryCallState) -> float:
    """Twice as long each time, a little by chance so that many clients do not come back at once."""
    backoff = wait_exponential(multiplier=FIRST_WAIT_S, max=_LONGEST_WAIT_S) + wait_random(0, FIRST_WAIT_S)
    error = state.outcome.exception() if state.outcome else None
    failure = None if error is None else read_failure(error)
    asked = None if failure is None else failure.retry_after_s
    return max(backoff(state), asked or 0.0)


def _is_enough(state: RetryCallState) -> bool:
    took_s = state.seconds_since_start or 0.0
    return (
        state.attempt_number >= N_TRIES
        or state.idle_for + state.upcoming_sleep > LIMIT_S
        or (state.attempt_number > 1 and took_s > LIMIT_S)
    )
