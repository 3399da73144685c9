"""Names of libraries: they become folders and parts of addresses, so little is allowed in them."""

from __future__ import annotations

import re

from specsearch.errors import StoreError

BANKS, SERVERS, SET_ASIDE = "banks", "servers", "set-aside"
"""Folders that lie among those of the libraries, so that none can have their names."""

_ALLOWED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def require_library_name(name: str, kind: str = "library") -> str:
    """Return the name of a library or a bank (`kind`, for the message), or raise.

    Raises
    ------
    StoreError
        Unless it is 1 to 100 letters, digits, ``.``, ``_`` or ``-`` and does not begin with ``.`` or ``-``
        (no hidden folder, no parent folder, no option of a command), and for names of folders of ours.
    """
    if not _ALLOWED.fullmatch(name) or name in (BANKS, SERVERS, SET_ASIDE):
        raise StoreError(
            f"{name!r} cannot be the name of a {kind}.",
            "Use 1 to 100 letters, digits, '.', '_' or '-', beginning with a letter, a digit or '_'.",
        )
    return name
