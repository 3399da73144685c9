"""specsearch: search tandem mass spectra by learned embedding and by peaks at once.

The public names below are loaded when they are first used: PyTorch and the engine cost seconds to import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specsearch.chemistry.tolerance import Tolerance, parse_tolerance
    from specsearch.encoder.embedder import Embedder
    from specsearch.errors import Skipped, SpecsearchError
    from specsearch.report.frames import to_pandas
    from specsearch.search.similar import Answer, SearchSettings, SimilarHit, SimilaritySearch
    from specsearch.spectra.matchms import from_matchms, to_matchms
    from specsearch.spectra.readers import find_files, read_spectra
    from specsearch.spectra.spectrum import Spectrum
    from specsearch.spectra.writers import write_spectra
    from specsearch.store.filters import Filter
    from specsearch.store.store import Store, open_store

_HOMES = {
    "Answer": "specsearch.search.similar",
    "Embedder": "specsearch.encoder.embedder",
    "Filter": "specsearch.store.filters",
    "SearchSettings": "specsearch.search.similar",
    "SimilarHit": "specsearch.search.similar",
    "SimilaritySearch": "specsearch.search.similar",
    "Skipped": "specsearch.errors",
    "SpecsearchError": "specsearch.errors",
    "Spectrum": "specsearch.spectra.spectrum",
    "Store": "specsearch.store.store",
    "Tolerance": "specsearch.chemistry.tolerance",
    "find_files": "specsearch.spectra.readers",
    "from_matchms": "specsearch.spectra.matchms",
    "open_store": "specsearch.store.store",
    "parse_tolerance": "specsearch.chemistry.tolerance",
    "read_spectra": "specsearch.spectra.readers",
    "to_matchms": "specsearch.spectra.matchms",
    "to_pandas": "specsearch.report.frames",
    "write_spectra": "specsearch.spectra.writers",
}

__all__ = [
    "Answer",
    "Embedder",
    "Filter",
    "SearchSettings",
    "SimilarHit",
    "SimilaritySearch",
    "Skipped",
    "SpecsearchError",
    "Spectrum",
    "Store",
    "Tolerance",
    "find_files",
    "from_matchms",
    "open_store",
    "parse_tolerance",
    "read_spectra",
    "to_matchms",
    "to_pandas",
    "write_spectra",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("specsearch")
    if name not in _HOMES:
        raise AttributeError(f"module 'specsearch' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: Any) -> None:
    """Show spectra, answers and shortlists in this IPython shell; importing us in one does it, too."""
    from specsearch.report.notebook import register

    register(shell)


if _shell := getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)():
    load_ipython_extension(_shell)
