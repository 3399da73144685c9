"""Spectra, answers and shortlists show themselves in Jupyter and IPython.

Formatters go by the names of the classes, so that nothing heavy is imported before something is shown.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

_SHOWN = {
    "spectrum": ("specsearch.spectra.spectrum", "Spectrum"),
    "answer": ("specsearch.search.similar", "Answer"),
    "shortlist": ("specsearch.search.shortlists", "Shortlist"),
}


def register(shell: Any) -> None:
    """Teach an IPython shell to show them: as HTML in a notebook, as one line in a terminal."""
    formatters = shell.display_formatter.formatters
    for kind, (module, name) in _SHOWN.items():
        formatters["text/html"].for_type_by_name(module, name, partial(_html, kind))
        formatters["text/plain"].for_type_by_name(module, name, partial(_print_line, kind))


def _html(kind: str, value: object) -> str:
    text: str = getattr(import_module("specsearch.report.notebook_html"), f"{kind}_html")(value)
    return text


def _print_line(kind: str, value: object, printer: Any, cycle: bool) -> None:
    printer.text(getattr(import_module("specsearch.report.notebook_lines"), f"{kind}_line")(value))
