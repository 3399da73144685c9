"""What mutants are read by, and what may become of them: a spectrum, a complaint, or an error in words."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path

from fuzz_seeds import TOKENS
from fuzz_words import PARSER_TOKENS

from specsearch.errors import Skipped, SpecsearchError
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.spectrum import Spectrum

READERS = {
    "mgf": "mgf.read_mgf",
    "msp": "msp.read_msp",
    "mzml": "mzml.read_mzml",
    "mzxml": "mzxml.read_mzxml",
    "massbank": "massbank.read_massbank",
    "json": "gnps_json.read_json",
    "massspecgym": "massspecgym.read_massspecgym",
    "parquet": "parquet.read_parquet",
    "hdf5": "hdf5.read_hdf5",
}
PARSERS = {
    "adduct": "specsearch.chemistry.adducts.parse_adduct",
    "formula": "specsearch.chemistry.masses.parse_formula",
    "formulas": "specsearch.search.constraints.parse_formulas",
    "elements": "specsearch.search.constraints.parse_elements",
    "tolerance": "specsearch.chemistry.tolerance.parse_tolerance",
    "usi": "specsearch.spectra.usi.parse_usi",
    "molecule": "specsearch.chemistry.structures.parse_molecule",
}
ZIPPED = frozenset(READERS) - {"parquet", "hdf5"}
_WHOLE_DOOR = 4  # every fourth mutant comes in by `read_spectra`, which first looks what it is


def outcomes_of(target: str) -> Callable[[bytes, int], Iterable[str]]:
    """What to do with the content and the number of a mutant; yields what became of it."""
    return _reading(target) if target in READERS else _parsing(target)


def tokens_of(target: str) -> tuple[bytes, ...]:
    return TOKENS[target] if target in TOKENS else PARSER_TOKENS[target]


def _reading(target: str) -> Callable[[bytes, int], Iterable[str]]:
    module, _, name = READERS[target].partition(".")
    reader = getattr(import_module(f"specsearch.spectra.readers.{module}"), name)
    path = Path(tempfile.mkdtemp()) / "mutant"

    def outcomes(content: bytes, number: int) -> Iterator[str]:
        path.write_bytes(content)
        try:
            for record in (read_spectra if number % _WHOLE_DOOR == 0 else reader)(path):
                yield _outcome(record)
        except SpecsearchError as error:
            _require_words(error)
            yield "refused"

    return outcomes


def _outcome(record: object) -> str:
    assert isinstance(record, Spectrum | Skipped), type(record)
    if isinstance(record, Skipped):
        str(record).encode()
        assert record.reason
        assert record.position
        return "skipped"
    texts = (
        record.accession,
        record.adduct or "",
        *record.metadata.values(),
        *record.notes,
        *record.metadata,
    )
    "".join(texts).encode()
    assert all("\n" not in value for value in record.metadata.values())
    assert len(record) == len(record.intensity) > 0
    assert 0 < record.mz[0] <= record.mz[-1] < math.inf
    assert record.intensity.min() >= 0
    assert record.intensity.max() < math.inf
    assert record.precursor_mz is None or 0 < record.precursor_mz < math.inf
    return "spectrum"


def _parsing(target: str) -> Callable[[bytes, int], Iterable[str]]:
    module, _, name = PARSERS[target].rpartition(".")
    parse = getattr(import_module(module), name)

    def outcomes(content: bytes, number: int) -> Iterator[str]:
        text = content.decode("utf-8", "replace" if number % 2 else "surrogateescape")
        try:
            value = parse(text.splitlines() if target == "formulas" else text)
        except SpecsearchError as error:
            _require_words(error)
            yield "refused"
        else:
            str(value)
            yield "read"

    return outcomes


def _require_words(error: SpecsearchError) -> None:
    assert error.message
    assert len(str(error)) < 10_000
