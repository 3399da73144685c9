"""What can go wrong, in words a user can act on.

Low floors raise these; only the command line turns them into text on a screen.
A record that cannot be used is not an exception but a `Skipped`: counted, located and named.
"""

from __future__ import annotations

from dataclasses import dataclass


class SpecsearchError(Exception):
    """An error whose message is one sentence for the user.

    Parameters
    ----------
    message : str
        What happened.
    next_step : str, optional
        What the user can do about it.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()


class ParseError(SpecsearchError):
    """A text (adduct, tolerance, formula, SMILES, USI) that does not follow its notation."""


class InvalidSpectrum(SpecsearchError):
    """Peaks or metadata that no spectrum can have."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class InvalidMolecule(SpecsearchError):
    """A structure that can be read but is no candidate."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class InputFileError(SpecsearchError):
    """A file that cannot be opened, recognised or read further."""


class CheckpointError(SpecsearchError):
    """A model file that is damaged, foreign or does not fit the network."""


class TrainingError(SpecsearchError):
    """Training that cannot start or go on."""


class StoreError(SpecsearchError):
    """A store that cannot do what was asked."""


class StoreLocked(StoreError):
    """Another process has the store open."""


class StoreDamaged(StoreError):
    """Files of the store are missing, truncated or changed."""


class StoreFull(StoreError):
    """Not enough free space to write safely."""


class ContractMismatch(StoreError):
    """A collection filled by another encoder or recipe than the one that asks."""


class LibraryNotFound(StoreError):
    """No collection of that name in the store."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A located complaint about one record that was left out.

    Parameters
    ----------
    source : str
        File (or other origin) of the record.
    position : str
        Where in the source, e.g. ``"line 120"``, ``"record 7"``, ``"row 3"``.
    reason : str
        Short and countable, e.g. ``"no peaks"``; the same words for the same fault in every format.
    accession : str
        The record's own name where it has one.
    detail : str
        What exactly was found.
    """

    source: str
    position: str
    reason: str
    accession: str = ""
    detail: str = ""

    def __str__(self) -> str:
        name = f" ({self.accession})" if self.accession else ""
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.source}, {self.position}{name}: {self.reason}{detail}"
