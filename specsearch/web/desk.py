"""Where requests wait for the engine: lanes of one thread, and questions answered together or once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Question = TypeVar("Question")
Result = TypeVar("Result")


class Overloaded(Exception):
    """The queue is full; nothing was begun."""


class Lane:
    """One thread that runs calls in their order: the embedded engine holds Python's lock in every call.

    Parameters
    ----------
    name : str
    n_places : int
        Calls that may wait or run at once; one more raises `Overloaded`.
    """

    def __init__(self, name: str, n_places: int) -> None:
        self.name = name
        self._n_places = n_places
        self._n_taken = 0
        self._thread = ThreadPoolExecutor(1, name)

    @property
    def n_waiting(self) -> int:
        """Calls that wait or run."""
        return self._n_taken

    async def run(self, call: Callable[[], Result]) -> Result:
        """The result of `call`; to be awaited from one event loop only. Cancelled in time it never runs."""
        if self._n_taken >= self._n_places:
            raise Overloaded
        self._n_taken += 1
        held = [call]
        begun = self._thread.submit(lambda: held.pop()())
        future = asyncio.wrap_future(begun)
        # What has begun keeps its place until it ends, whether anybody still waits for it or not.
        future.add_done_callback(self._leave)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if begun.cancel():
                held.clear()  # the thread forgets the call only when its turn comes
            raise

    def hold(self, call: Callable[[], Result]) -> Result:
        """The result of `call`, made here while the thread that asks, another lane's, waits for it."""
        return self._thread.submit(call).result()

    def _leave(self, future: asyncio.Future[Result]) -> None:
        self._n_taken -= 1
        if not future.cancelled():
            future.exception()  # was raised where somebody still waited

    def close(self) -> None:
        """Wait for the call that runs; those that wait are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)


class Shared(Generic[Result]):
    """One answer for all who ask at once or soon after: who asks often takes no more than one place.

    Parameters
    ----------
    ask : callable
    kept_s : float
        How long an answer is good for.
    """

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Result]], kept_s: float) -> None:
        self._ask = ask
        self._kept_s = kept_s
        self._asked: asyncio.Task[Result] | None = None
        self._end_s = 0.0

    async def get(self) -> Result:
        """The answer; an error is not kept."""
        if self._asked is None or (self._asked.done() and time.monotonic() >= self._end_s):
            self._asked = asyncio.create_task(self._answer())
        return await asyncio.shield(self._asked)

    async def _answer(self) -> Result:
        answer = await self._ask()
        self._end_s = time.monotonic() + self._kept_s
        return answer


@dataclass(eq=False)
class _Waiting(Generic[Question, Result]):
    question: Question
    answer: asyncio.Future[Result]


def _fail(batch: Sequence[_Waiting[Question, Result]], error: Exception) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)


class Batches(Generic[Key, Question, Result]):
    """Questions that arrive while the engine is busy, answered together as soon as it is free.

    Parameters
    ----------
    lane : Lane
    answer : callable
        Answers to questions that share a key, in their order.
    n_places : int
        Questions that may wait; one more raises `Overloaded`.
    most : int
        Questions answered together.
    """

    def __init__(
        self,
        lane: Lane,
        answer: Callable[[Key, Sequence[Question]], Sequence[Result]],
        n_places: int,
        most: int = 16,
    ) -> None:
        self._lane = lane
        self._answer = answer
        self._n_places = n_places
        self._most = most
        self._waiting: dict[Key, list[_Waiting[Question, Result]]] = {}
        self._worker: asyncio.Task[None] | None = None

    @property
    def n_waiting(self) -> int:
        """Questions that wait."""
        return sum(map(len, self._waiting.values()))

    async def ask(self, key: Key, question: Question) -> Result:
        """The answer to one question."""
        if self.n_waiting >= self._n_places:
            raise Overloaded
        waiting = _Waiting[Question, Result](question, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(key, []).append(waiting)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await waiting.answer

    async def _work(self) -> None:
        while self._waiting:
            key, batch = self._next()
            try:
                await self._answer_all(key, batch)
            except Overloaded as error:
                _fail(batch, error)
            except Exception:  # noqa: BLE001  one question in it is at fault: the others shall not suffer
                for one in batch:
                    try:
                        await self._answer_all(key, [one])
                    except Exception as error:  # noqa: BLE001  who asked it gets it
                        _fail([one], error)
        self._worker = None

    async def _answer_all(self, key: Key, batch: Sequence[_Waiting[Question, Result]]) -> None:
        batch = [one for one in batch if not one.answer.done()]
        if not batch:
            return
        answers = await self._lane.run(partial(self._answer, key, [one.question for one in batch]))
        for one, answer in zip(batch, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)

    def _next(self) -> tuple[Key, list[_Waiting[Question, Result]]]:
        """The key that waits longest, and its questions; of those that hung up nothing is asked."""
        key = next(iter(self._waiting))
        waiting = [one for one in self._waiting.pop(key) if not one.answer.done()]
        if rest := waiting[self._most :]:
            self._waiting[key] = rest
        return key, waiting[: self._most]
