"""Whether a ledger and its library know the same spectra, by their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ingest.ledger import Ledger

_N_EXAMPLES = 3


@dataclass(frozen=True)
class Difference:
    """Names that only one of the two has.

    Parameters
    ----------
    n_only_ledger, n_only_library : int
    examples : tuple of str
        A few of them, those of the ledger first.
    """

    n_only_ledger: int
    n_only_library: int
    examples: tuple[str, ...]


def compare_names(ledger: Ledger, accessions: Iterable[str]) -> Difference:
    """Compare the names in a ledger, read one by one, with those in its library.

    Parameters
    ----------
    ledger : Ledger
    accessions : iterable of str
        Of all spectra of the library.
    """
    only_library, n_only_ledger = set(accessions), 0
    only_ledger: list[str] = []
    for accession in ledger.accessions():
        if accession in only_library:
            only_library.remove(accession)
            continue
        n_only_ledger += 1
        if len(only_ledger) < _N_EXAMPLES:
            only_ledger.append(accession)
    examples = [*only_ledger, *sorted(only_library)][:_N_EXAMPLES]
    return Difference(n_only_ledger, len(only_library), tuple(examples))
