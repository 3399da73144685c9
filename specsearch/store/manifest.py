"""What an archive says of itself: whose it is, how much is in it, and the checksums."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from specsearch.errors import StoreDamaged, StoreError
from specsearch.store.names import require_library_name
from specsearch.store.schema import PAYLOAD_VERSION, Contract

FORMAT: Final = "specsearch library"
FORMAT_VERSION: Final = 1
POINTS: Final = "points.jsonl"
LEDGER: Final = "ledger.sqlite"


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Parameters
    ----------
    n_bytes : int
        Uncompressed.
    sha256 : str
    """

    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """See `specsearch.store.archive`.

    Parameters
    ----------
    library : str
        Its name when it was backed up.
    contract : Contract
    n_points : int
    content_digest, points_digest : str
        See `specsearch.store.digest.LibraryDigest`.
    members : mapping of str to Member
        The points, and the ledger where there was one.
    specsearch_version, written : str
        Informative: by whom, and when (UTC).
    """

    library: str
    contract: Contract
    n_points: int
    content_digest: str
    points_digest: str
    members: Mapping[str, Member]
    specsearch_version: str
    written: str

    def to_json(self) -> bytes:
        """The manifest as it lies in the archive."""
        values = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}
        return json.dumps(values, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read a manifest.

        Raises
        ------
        StoreError
            If another version wrote it, whose format or records this one does not read.
        StoreDamaged
            If it makes no sense.
        """
        try:
            values = json.loads(text)
            if values["format"] != FORMAT:
                raise ValueError(values["format"])
            _require_known(values)
            return cls(
                require_library_name(values["library"]),
                Contract.from_dict(values["contract"]),
                _whole(values["n_points"]),
                str(values["content_digest"]),
                str(values["points_digest"]),
                {
                    str(name): Member(_whole(member["n_bytes"]), str(member["sha256"]))
                    for name, member in values["members"].items()
                },
                str(values["specsearch_version"]),
                str(values["written"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreDamaged("The manifest of the archive makes no sense.") from error
        except StoreDamaged as error:
            raise StoreDamaged(f"The manifest of the archive makes no sense: {error.message}") from error


def _require_known(values: Mapping[str, Any]) -> None:
    theirs = (values["format_version"], values["contract"]["payload_version"])
    ours = (FORMAT_VERSION, PAYLOAD_VERSION)
    if theirs == ours:
        return
    is_newer = any(found > known for found, known in zip(theirs, ours, strict=True))
    raise StoreError(
        f"{'A newer' if is_newer else 'An older'} specsearch ({values.get('specsearch_version', '?')}) wrote "
        f"this archive: its format is {theirs[0]} with records of version {theirs[1]}, this one knows "
        f"{ours[0]} and {ours[1]}.",
        "Update specsearch, then restore it."
        if is_newer
        else "Restore it with that version, or index the library again from its files.",
    )


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value
