"""Waiting for the engine: in order, together, and not for ever."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from specsearch.web.desk import Batches, Lane, Overloaded, Shared


@contextmanager
def lane(n_places: int = 100) -> Iterator[Lane]:
    made = Lane("test", n_places)
    yield made
    made.close()


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 20))


def test_calls_run_one_by_one_in_their_order() -> None:
    order: list[int] = []

    def call(number: int) -> int:
        order.append(number)
        time.sleep(0.001)
        order.append(number)
        return number

    with lane() as made:

        async def work() -> list[int]:
            return await asyncio.gather(*(made.run(lambda n=n: call(n)) for n in range(20)))

        assert run(work) == list(range(20))
    assert order == [number for number in range(20) for _ in range(2)]
    assert made.n_waiting == 0


def test_a_full_lane_refuses_and_begins_nothing() -> None:
    gate, begun = threading.Event(), []

    with lane(2) as made:

        async def work() -> int:
            waiting = [asyncio.create_task(made.run(gate.wait)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await made.run(lambda: begun.append(1))
            gate.set()
            await asyncio.gather(*waiting)
            return await made.run(lambda: 7)

        assert run(work) == 7
    assert not begun


def test_a_client_that_hangs_up_keeps_its_place_until_the_work_ends() -> None:
    gate = threading.Event()

    with lane(1) as made:

        async def work() -> int:
            gone = asyncio.create_task(made.run(gate.wait))
            await asyncio.sleep(0.02)
            gone.cancel()
            await asyncio.sleep(0)
            assert made.n_waiting == 1
            with pytest.raises(Overloaded):
                await made.run(lambda: 1)
            gate.set()
            while made.n_waiting:
                await asyncio.sleep(0.001)
            return await made.run(lambda: 2)

        assert run(work) == 2


def test_who_hangs_up_before_the_turn_frees_the_place_and_nothing_runs() -> None:
    gate, begun = threading.Event(), []

    with lane(2) as made:

        async def work() -> int:
            first = asyncio.create_task(made.run(gate.wait))
            await asyncio.sleep(0.02)
            for _ in range(5):
                gone = asyncio.create_task(made.run(lambda: begun.append(1)))
                await asyncio.sleep(0)
                gone.cancel()
                await asyncio.sleep(0.01)
                assert made.n_waiting == 1
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await made.run(lambda: begun.append(1))
            await asyncio.sleep(0.01)
            last = asyncio.create_task(made.run(lambda: 2))
            gate.set()
            await first
            return await last

        assert run(work) == 2
    assert not begun
    assert made.n_waiting == 0


def test_what_nobody_waits_for_is_let_go_of() -> None:
    class Held:
        def __call__(self) -> None: ...

    gate, call = threading.Event(), Held()
    is_held = weakref.ref(call)

    with lane() as made:

        async def work(given: list[Held]) -> None:
            first = asyncio.create_task(made.run(gate.wait))
            await asyncio.sleep(0.02)
            gone = asyncio.create_task(made.run(given.pop()))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
            del gone
            await asyncio.sleep(0)
            gc.collect()
            assert is_held() is None
            gate.set()
            await first

        given = [call]
        del call
        run(lambda: work(given))


def test_questions_that_wait_are_answered_together_and_by_their_key() -> None:
    gate, asked = threading.Event(), []

    def answer(key: str, questions: Sequence[int]) -> list[str]:
        gate.wait()
        asked.append((key, list(questions)))
        return [f"{key}{question}" for question in questions]

    with lane() as made:
        batches = Batches(made, answer, n_places=100, most=4)

        async def work() -> list[str]:
            first = asyncio.create_task(batches.ask("a", 0))
            await asyncio.sleep(0.02)  # it is under way, the others have to wait
            others = [asyncio.create_task(batches.ask("ab"[n % 2], n)) for n in range(1, 13)]
            await asyncio.sleep(0.02)
            gate.set()
            return [await one for one in (first, *others)]

        assert run(work) == ["a0", *("ab"[n % 2] + str(n) for n in range(1, 13))]
    assert asked[0] == ("a", [0])
    assert all(len(questions) <= 4 for _, questions in asked)
    assert len(asked) == 5  # six of each key, at most four together


def test_who_hung_up_is_not_asked_for() -> None:
    gate, asked = threading.Event(), []

    def answer(key: str, questions: Sequence[int]) -> list[int]:
        gate.wait()
        asked.extend(questions)
        return list(questions)

    with lane() as made:
        batches = Batches(made, answer, n_places=100)

        async def work() -> int:
            first = asyncio.create_task(batches.ask("a", 0))
            await asyncio.sleep(0.02)
            gone, stays = (asyncio.create_task(batches.ask("a", n)) for n in (1, 2))
            await asyncio.sleep(0)
            gone.cancel()
            gate.set()
            await first
            return await stays

        assert run(work) == 2
    assert asked == [0, 2]


def test_an_error_reaches_all_who_asked_and_the_next_is_answered() -> None:
    def answer(key: str, questions: Sequence[int]) -> list[int]:
        if key == "bad":
            raise ValueError("broken")
        return list(questions)

    with lane() as made:
        batches = Batches(made, answer, n_places=100)

        async def work() -> list[object]:
            asked = [batches.ask("bad", 1), batches.ask("bad", 2), batches.ask("good", 3)]
            return await asyncio.gather(*asked, return_exceptions=True)

        first, second, third = run(work)
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == 3


def test_too_many_questions_are_refused() -> None:
    gate = threading.Event()

    with lane() as made:
        batches = Batches(made, lambda key, questions: (gate.wait(), list(questions))[1], n_places=2)

        async def work() -> list[int]:
            first = asyncio.create_task(batches.ask("a", 0))
            await asyncio.sleep(0.02)
            waiting = [asyncio.create_task(batches.ask("a", n)) for n in (1, 2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await batches.ask("a", 3)
            gate.set()
            return [await one for one in (first, *waiting)]

        assert run(work) == [0, 1, 2]


def test_who_asks_at_once_or_soon_after_shares_an_answer() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(len(asked))
        await asyncio.sleep(0.05)
        return asked[-1]

    async def work() -> None:
        shared = Shared(ask, kept_s=0.2)
        gone = asyncio.create_task(shared.get())
        others = [asyncio.create_task(shared.get()) for _ in range(50)]
        await asyncio.sleep(0)
        gone.cancel()  # the others are answered all the same
        assert {await one for one in others} == {await shared.get()} == {0}
        await asyncio.sleep(0.3)
        assert {await shared.get(), await shared.get()} == {1}

    run(work)
    assert asked == [0, 1]


def test_an_error_is_shared_but_not_kept() -> None:
    answers = iter([ValueError("broken"), 7])

    async def ask() -> int:
        answer = next(answers)
        await asyncio.sleep(0)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    async def work() -> list[object]:
        shared = Shared(ask, kept_s=60)
        first = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
        return [*map(str, first), await shared.get(), await shared.get()]

    assert run(work) == ["broken", "broken", 7, 7]
