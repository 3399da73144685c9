"""One name per field: from the keys of every dialect to matchms' metadata names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# Spellings are compared without case, spaces and punctuation: "PRECURSORMZ", "Precursor_MZ" and
# "precursor m/z" are one key. Sources: the GNPS, NIST, MoNA, RIKEN/MS-DIAL, MassBank and MassSpecGym
# files in circulation, and matchms' table of known key conversions.
_SPELLINGS = {
    "spectrum_id": "accession db dbid identifier libraryid",
    "compound_name": "name compound",
    "synonym": "synon synonyms synonymes",
    "precursor_mz": "precursor precursormass pepmass precursorion parent selectedionmz",
    "precursor_intensity": "",
    "charge": "precursorcharge chargestate",
    "ionmode": "polarity ionpolarity ionpol ionizationmode ionisationmode",
    "adduct": "precursortype adducttype adductionname ionname iontype",
    "formula": "molecularformula elementformula formulasmiles",
    "exact_mass": "",
    "nominal_mass": "mw molecularweight",
    "smiles": "computedsmiles canonicalsmiles",
    "inchi": "computedinchi stdinchi iupac",
    "inchikey": "inchikeysmiles computedinchikey stdinchikey",
    "inchi_aux": "",
    "collision_energy": "collisionenergyvoltage colenergy ce",
    "instrument": "instrumentname",
    "instrument_type": "sourceinstrument",
    "ionization": "ionimethod ionsource",
    "fragmentation": "fragmentationmode fragmentationmethod activationmethod activation",
    "retention_time": "rt rettime rtinseconds rtquery",
    "retention_index": "ri",
    "ms_level": "spectrumtype mstype",
    "splash": "",
    "scans": "scan scannumber scannumbers",
    "feature_id": "",
    "title": "recordtitle spectrumtitle",
    "usi": "",
    "cas": "casno casnumber",
    "comment": "comments",
    "file_name": "sourcefile",
    "num_peaks": "numpeak npeaks",
}
_PUNCTUATION = re.compile(r"[^a-z0-9]")
_SEPARATORS = re.compile(r"[\s=:]+")
_CONTROL = {code: " " for code in (*range(32), 127, 0x85, 0x2028, 0x2029)}
_MISSING = frozenset({"", "n/a", "nan", "null", "none"})
_MODES = dict.fromkeys(("positive", "pos", "p", "+", "esi+", "positive ion mode"), "positive")
_MODES |= dict.fromkeys(("negative", "neg", "n", "-", "esi-", "negative ion mode"), "negative")
_LEVEL = re.compile(r"MS(?=\d$)", re.IGNORECASE)
_REPEATABLE = frozenset({"synonym", "comment"})


def _compact(key: str) -> str:
    return _PUNCTUATION.sub("", key.lower())


_STANDARD = {_compact(name): name for name in _SPELLINGS} | {
    spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()
}


@lru_cache(maxsize=4096)
def standard_name(key: str) -> str:
    """The metadata name of a key; an unknown key in lower case, with ``_`` for spaces, ``=`` and ``:``.

    >>> standard_name("PRECURSORMZ"), standard_name("DB#"), standard_name("Column Temperature")
    ('precursor_mz', 'spectrum_id', 'column_temperature')
    """
    known = _STANDARD.get(_compact(key))
    return known or _SEPARATORS.sub("_", cleaned(key).lower()).strip("_") or "unnamed"


def cleaned(value: str) -> str:
    """A value on one line, without the quotes around it; ``""`` where it says that it is missing."""
    if not value.isprintable():
        value = value.translate(_CONTROL).encode("utf-8", "replace").decode("utf-8")
    value = value.strip()
    while len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].strip()
    return "" if len(value) < 5 and value.lower() in _MISSING else value


def standard_fields(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fields under their metadata names, missing values left out.

    Of a repeated field the first value counts, save comments, synonyms and unknown keys, whose
    different values are kept side by side.
    """
    fields: dict[str, str] = {}
    for key, raw in pairs:
        value = cleaned(raw)
        if not value:
            continue
        name = standard_name(key)
        if name not in fields:
            fields[name] = _one_spelling(name, value)
        elif (name in _REPEATABLE or name not in _SPELLINGS) and value not in fields[name].split("; "):
            fields[name] += f"; {value}"
    return fields


def _one_spelling(name: str, value: str) -> str:
    """Ion modes as ``positive`` or ``negative``, levels as digits; everything else as it is."""
    if name == "ionmode":
        return _MODES.get(value.lower(), value)
    if name == "ms_level":
        return _LEVEL.sub("", value)
    return value
