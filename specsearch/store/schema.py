"""The one file that knows what a collection holds: payload keys, vectors, indexes, and the contract.

Ingest writes by these names and search reads by them, so the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from specsearch.errors import ContractMismatch, StoreDamaged, StoreError

PAYLOAD_VERSION: Final = 2


class Key:
    """Keys of a point's payload; a key without a value is absent."""

    SPECTRUM_ID: Final = "spectrum_id"  # "library:accession"
    LIBRARY: Final = "library"
    ACCESSION: Final = "accession"
    PRECURSOR_MZ: Final = "precursor_mz"
    CHARGE: Final = "charge"
    ION_MODE: Final = "ion_mode"  # "positive" or "negative"
    ADDUCT: Final = "adduct"
    EXACT_MASS: Final = "exact_mass"
    FORMULA: Final = "formula"
    SMILES: Final = "smiles"
    INCHIKEY14: Final = "inchikey14"
    COMPOUND_NAME: Final = "compound_name"
    INSTRUMENT_TYPE: Final = "instrument_type"
    COLLISION_ENERGY: Final = "collision_energy"
    SPLASH: Final = "splash"
    SOURCE: Final = "source"
    CONTENT: Final = "content"  # digest of the record as read, hex: tells a repeated record from another
    N_PEAKS: Final = "n_peaks"
    PEAKS: Final = "peaks"  # text, see `specsearch.store.points.encode_peaks`
    METADATA: Final = "metadata"  # whatever else the record said: a mapping of texts


ALL_KEYS: Final = frozenset(value for name, value in vars(Key).items() if name.isupper())


class VectorName:
    """Names of a point's three vectors."""

    EMBEDDING: Final = "embedding"  # dense, unit norm, cosine
    PEAKS: Final = "peaks"  # sparse, m/z bins, dot product
    LOSSES: Final = "losses"  # sparse, neutral-loss bins; missing where the precursor is


SPARSE_VECTORS: Final = (VectorName.PEAKS, VectorName.LOSSES)
FLOAT_INDEXES: Final = (Key.PRECURSOR_MZ, Key.EXACT_MASS)
KEYWORD_INDEXES: Final = (
    Key.ION_MODE,
    Key.ADDUCT,
    Key.FORMULA,
    Key.INCHIKEY14,
    Key.LIBRARY,
    Key.SPLASH,
    Key.INSTRUMENT_TYPE,
)

TARGET_PROJECTION: Final = "target projection"  # the kind of embedding that candidate molecules have


@dataclass(frozen=True)
class Layout:
    """What the points of a collection have beside their dense vector.

    Parameters
    ----------
    sparse_vectors : tuple of str
        Names of vectors, of which a point may lack some.
    float_indexes, keyword_indexes : tuple of str
        Keys of the payload that are filtered by.
    required : tuple of str
        Keys of the payload that no point may lack.
    """

    sparse_vectors: tuple[str, ...]
    float_indexes: tuple[str, ...]
    keyword_indexes: tuple[str, ...]
    required: tuple[str, ...]


SPECTRA: Final = Layout(
    SPARSE_VECTORS, FLOAT_INDEXES, KEYWORD_INDEXES, (Key.SPECTRUM_ID, Key.LIBRARY, Key.ACCESSION)
)
CANDIDATES: Final = Layout(
    (), (Key.EXACT_MASS,), (Key.FORMULA, Key.INCHIKEY14), (Key.INCHIKEY14, Key.EXACT_MASS)
)

# Floats in a payload are rounded: the engine returns 8.6 % of float64 one ulp off.
FLOAT_DECIMALS: Final = 6

_INFORMATIVE = {"informative": True}


@dataclass(frozen=True)
class Contract:
    """Who filled a collection, and how; vectors of different makers are never compared.

    Parameters
    ----------
    encoder_digest : str
        Digest of the model file.
    embedding_kind : str
        Which of the encoder's outputs was stored.
    embedding_size : int
    cleaning_recipe, sparse_recipe : str
        Names of the recipes behind the embedding and behind the sparse vectors.
    payload_version : int
        Version of the payload's keys.
    specsearch_version, engine, engine_version : str
        Informative: they may differ between the maker of a collection and its reader.
    """

    encoder_digest: str
    embedding_kind: str
    embedding_size: int
    cleaning_recipe: str
    sparse_recipe: str
    payload_version: int = PAYLOAD_VERSION
    specsearch_version: str = field(default="", metadata=_INFORMATIVE)
    engine: str = field(default="", metadata=_INFORMATIVE)
    engine_version: str = field(default="", metadata=_INFORMATIVE)

    @property
    def layout(self) -> Layout:
        """What a point holds: that of a spectrum, or of a candidate molecule."""
        return CANDIDATES if self.embedding_kind == TARGET_PROJECTION else SPECTRA

    def to_dict(self) -> dict[str, Any]:
        """The contract as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Contract:
        """Read a contract; entries of later versions that this one does not know are left out.

        Raises
        ------
        StoreDamaged
            If an entry that decides compatibility is missing or of another type.
        """
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        for f in fields(cls):
            wanted = int if f.type == "int" else str
            if f.name not in known and not f.metadata:
                raise StoreDamaged(f"The contract has no entry {f.name!r}.", "Index the library again.")
            if f.name in known and not isinstance(known[f.name], wanted):
                raise StoreDamaged(
                    f"The contract's entry {f.name!r} is {known[f.name]!r}.", "Index the library again."
                )
        return cls(**known)

    def require_readable(self, library: str) -> None:
        """Raise if records of a library are written in a way that this version does not read.

        Raises
        ------
        StoreError
        """
        if self.payload_version == PAYLOAD_VERSION:
            return
        maker, next_step = (
            "an older",
            f'Index it again: "specsearch drop {library}", then "specsearch index".',
        )
        if self.layout == CANDIDATES:
            next_step = 'Build the bank again: "specsearch bank remove", then "specsearch bank add".'
        if self.payload_version > PAYLOAD_VERSION:
            maker, next_step = "a newer", "Update specsearch."
        raise StoreError(
            f"The library {library!r} was written by {maker} specsearch: its records are of version "
            f"{self.payload_version}, this one reads {PAYLOAD_VERSION}.",
            next_step,
        )

    def _differing(self, other: Contract) -> list[str]:
        return [
            f.name for f in fields(self) if not f.metadata and getattr(self, f.name) != getattr(other, f.name)
        ]

    def is_same(self, other: Contract) -> bool:
        """Whether vectors made under the two can be compared."""
        return not self._differing(other)

    def require_same(self, other: Contract, library: str = "") -> None:
        """Raise if vectors made under `other` cannot be compared with those of this collection.

        Parameters
        ----------
        other : Contract
            Of whoever asks.
        library : str
            Named in the message.

        Raises
        ------
        ContractMismatch
            Naming each entry that differs.
        """
        differing = [
            f"{name} is {getattr(self, name)!r} there and {getattr(other, name)!r} here"
            for name in self._differing(other)
        ]
        if differing:
            name = f"The library {library!r}" if library else "The library"
            raise ContractMismatch(
                f"{name} was indexed by another encoder or recipe: {'; '.join(differing)}.",
                f'Embed it again with this one: "specsearch reembed {library or "LIBRARY"}", or name the '
                "encoder that made it with --model.",
            )
