"""Names of libraries: they become folders and parts of addresses, so little is allowed in them."""

from __future__ import annotations

import re

from specsearch.errors import StoreError

_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def require_library_name(name: str) -> str:
    """Return the name, or raise.

    Raises
    ------
    StoreError
        Unless it is 1 to 100 letters, digits, ``.``, ``_`` or ``-`` and does not begin with ``.`` or ``-``
        (no hidden folder, no parent folder, no option of a command).
    """
    if not _ALLOWED.fullmatch(name):
        raise StoreError(
            f"{name!r} cannot be the name of a library.",
            "Use 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter, a digit or '_'.",
        )
    return name
