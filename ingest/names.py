"""What each spectrum is called in a library, and which are not to go there once more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.ledger import Claim, Ledger
from specsearch.spectra.spectrum import Spectrum

Duplicates = Literal["keep", "collapse"]
ALREADY_THERE = "already in the library"
DUPLICATE_SPLASH = "duplicate spectrum (same SPLASH)"


@dataclass(frozen=True, eq=False)
class Named:
    """A spectrum and its name, or why it has none.

    Parameters
    ----------
    spectrum : Spectrum
        As it was read.
    claim : Claim or None
        With its name in the library; None if it does not go there.
    reason, detail : str
        Why it does not.
    """

    spectrum: Spectrum
    claim: Claim | None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Names:
    """Gives spectra their names in a library.

    A name that is taken by the same record is not given again; one taken by another record gets a number, so
    that nothing is lost: ``A``, ``A#2``, ``A#3``.

    Parameters
    ----------
    ledger : Ledger
        Knows the names taken so far.
    duplicates : {"keep", "collapse"}
        Whether spectra with a SPLASH already in the library get a name.
    """

    ledger: Ledger
    duplicates: Duplicates = "keep"

    def give(self, spectra: Sequence[Spectrum]) -> Iterator[Named]:
        """Name spectra that come together, in their order; the caller is to claim the names."""
        taken = self.ledger.known([spectrum.accession for spectrum in spectra])
        splashes: dict[str, str] = {}
        for spectrum in spectra:
            content = content_digest(spectrum)
            name = self._free_name(spectrum.accession, content, taken)
            if name is None:
                yield Named(spectrum, None, ALREADY_THERE)
                continue
            if owner := self._owner(spectrum.splash, splashes):
                yield Named(spectrum, None, DUPLICATE_SPLASH, f"same as {owner}")
                continue
            taken[name] = content
            splashes[spectrum.splash] = name
            yield Named(spectrum, Claim(name, content, spectrum.splash))

    def _free_name(self, accession: str, content: bytes, taken: dict[str, bytes]) -> str | None:
        """The first free name, or None where the very record is already there."""
        name, number = accession, 1
        while name in taken:
            if taken[name] == content:
                return None
            number += 1
            name = f"{accession}#{number}"
            taken.update(self.ledger.known([name]))
        return name

    def _owner(self, splash: str, splashes: dict[str, str]) -> str | None:
        """Who has these peaks already, where such spectra are left out."""
        if self.duplicates == "keep":
            return None
        return splashes.get(splash) or self.ledger.owner_of_splash(splash)


def content_digest(spectrum: Spectrum) -> bytes:
    """Sixteen bytes that two records share only if they say the same."""
    state = hashlib.blake2b(spectrum.mz.tobytes(), digest_size=16)
    state.update(spectrum.intensity.tobytes())
    told = (spectrum.precursor_mz, spectrum.charge, spectrum.adduct, sorted(spectrum.metadata.items()))
    state.update(repr(told).encode())
    return state.digest()
