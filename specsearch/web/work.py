"""How requests reach what is served: short questions together, long ones slice by slice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from specsearch.search.candidates import CandidateSettings
from specsearch.search.shortlists import Shortlist
from specsearch.search.similar import Answer, SearchSettings
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Bank
from specsearch.web.desk import Batches, Lane, Overloaded, Shared
from specsearch.web.served import Served, in_slices

Result = TypeVar("Result")
_Search = tuple[tuple[str, ...], SearchSettings]
_Embedded = tuple[Spectrum, NDArray[np.float32]]

_N_FILES = 8  # that may wait, each held in memory
_FEW = 4  # spectra that a person waits for
_PATIENCE_OF_PROBES_S, _KEPT_S = 5.0, 1.0
_SEARCH_SLICE, _IDENTIFY_SLICE, _EMBED_SLICE = 16, 4, 32


class Work:
    """Lanes over one `Served`, so that a long job does not hold up a short one.

    Parameters
    ----------
    served : Served
    n_places : int
        Requests that may wait in each lane; one more raises `Overloaded`.
    patience_s : float
        Longest wait for one answer; then `TimeoutError`.
    """

    def __init__(self, served: Served, n_places: int, patience_s: float) -> None:
        self.served = served
        self.quick = Lane("quick", n_places)
        self.slow = Lane("slow", n_places)
        self.pages = Lane("pages", n_places)
        self.files = Lane("files", min(n_places, _N_FILES))
        self._patience_s = patience_s
        # While the engine answers some questions, the encoder works on the next.
        self._encoder = Lane("encoder", n_places)
        self._embeddings: Batches[None, Spectrum, NDArray[np.float32]] = Batches(
            self._encoder, lambda key, spectra: list(served.embeddings(spectra)), n_places
        )
        self._searches: Batches[_Search, _Embedded, Answer] = Batches(self.quick, self._answers, n_places)
        self._state = Shared(self._probe, _KEPT_S)

    @property
    def waiting(self) -> dict[str, int]:
        """Requests that wait or run, by lane."""
        quick = self.quick.n_waiting + self._searches.n_waiting + self._embeddings.n_waiting
        lanes = (self.slow, self.pages, self.files)
        return {"quick": quick, **{lane.name: lane.n_waiting for lane in lanes}}

    async def state(self) -> str:
        """Whether questions would be answered now: "ready", or a word for why not; at most a second old."""
        return await self._state.get()

    async def _probe(self) -> str:
        try:
            async with asyncio.timeout(_PATIENCE_OF_PROBES_S):
                is_answering = await self.quick.run(self.served.is_answering)
        except (Overloaded, TimeoutError):
            return "busy"
        return "ready" if is_answering else "without its store"

    async def soon(self, call: Callable[[], Result]) -> Result:
        """Something that takes milliseconds."""
        async with asyncio.timeout(self._patience_s):
            return await self.quick.run(call)

    async def later(self, call: Callable[[], Result]) -> Result:
        """Something that takes longer."""
        async with asyncio.timeout(self._patience_s):
            return await self.slow.run(call)

    async def shown(self, call: Callable[[], Result]) -> Result:
        """A page or a file made of answers, which a person waits for; it asks the engine nothing."""
        async with asyncio.timeout(self._patience_s):
            return await self.pages.run(call)

    async def apart(self, call: Callable[[], Result]) -> Result:
        """Something that waits for another process, and holds up no search."""
        async with asyncio.timeout(self._patience_s):
            return await self.files.run(call)

    async def alone(self, call: Callable[[], Result]) -> Result:
        """Something that nobody may see half done: both lanes of the engine hold still, however long."""
        return await self.slow.run(lambda: self.quick.hold(call))

    async def search(
        self, libraries: tuple[str, ...], settings: SearchSettings, spectra: Sequence[Spectrum]
    ) -> AsyncIterator[Answer]:
        """What looks like these spectra, in their order."""
        if len(spectra) <= _FEW:
            async with asyncio.timeout(self._patience_s):
                answers = await asyncio.gather(*(self._ask((libraries, settings), one) for one in spectra))
            for answer in answers:
                yield answer
            return
        for some in in_slices(spectra, _SEARCH_SLICE):
            for answer in await self.later(partial(self.served.search, libraries, settings, some)):
                yield answer

    async def _ask(self, key: _Search, spectrum: Spectrum) -> Answer:
        embedding = await self._embeddings.ask(None, spectrum)
        return await self._searches.ask(key, (spectrum, embedding))

    def _answers(self, key: _Search, questions: Sequence[_Embedded]) -> list[Answer]:
        spectra, embeddings = zip(*questions, strict=True)
        return self.served.search(*key, spectra, np.stack(embeddings))

    async def identify(
        self, bank: Bank, libraries: Sequence[str], settings: CandidateSettings, spectra: Sequence[Spectrum]
    ) -> AsyncIterator[Shortlist]:
        """What these spectra could be, in their order."""
        for some in in_slices(spectra, _IDENTIFY_SLICE):
            found = await self.later(partial(self.served.identify, bank, libraries, settings, some))
            for shortlist in found:
                yield shortlist

    async def embed(self, spectra: Sequence[Spectrum]) -> AsyncIterator[tuple[Spectrum, list[float] | None]]:
        """These spectra with their embeddings, in their order."""
        for some in in_slices(spectra, _EMBED_SLICE):
            for embedded in zip(some, await self.later(partial(self.served.embed, some)), strict=True):
                yield embedded

    def close(self) -> None:
        """Wait for what runs; what waits is dropped."""
        self._encoder.close()
        self.quick.close()
        self.slow.close()
        self.pages.close()
        self.files.close()
