"""The metadata section of an mzTab-M file: what was asked, of which files, against which bank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NULL = "null"
MASS_ERROR = "opt_global_mass_error"
_PSI_MS = "https://raw.githubusercontent.com/HUPO-PSI/psi-ms-CV/master/psi-ms.obo"
_UNITS = "http://purl.obolibrary.org/obo/uo.owl"
# Format of a file and how its spectra are counted (mzTab-M 2.0, table 1 and ms_run[1-n]-format).
_FORMATS = {
    ".mgf": (
        "[MS, MS:1001062, Mascot MGF file, ]",
        "[MS, MS:1000774, multiple peak list nativeID format, ]",
    ),
    ".mzml": ("[MS, MS:1000584, mzML file, ]", "[MS, MS:1001530, mzML unique identifier, ]"),
    ".mzxml": ("[MS, MS:1000566, ISB mzXML file, ]", "[MS, MS:1000776, scan number only nativeID format, ]"),
}
_POLARITY = {True: "[MS, MS:1000130, positive scan, ]", False: "[MS, MS:1000129, negative scan, ]"}
_NOT_QUANTIFIED = "no quantification"
_NOTICE = "Candidate shortlists from fragment spectra: candidates, not identifications."


@dataclass(frozen=True)
class MzTabSource:
    """Where the queries and their candidates come from.

    Parameters
    ----------
    files : sequence of Path
        Of the queries, in the order that their `run` counts; written with their folders, as URIs (RFC 8089).
    bank : str
        Name of the candidate bank.
    bank_version : str
        E.g. its digest or date.
    version : str
        Of specsearch.
    settings : sequence of str
        ``name=value``: options, and digests of encoder and ranker.
    mztab_id : str
        Of the file; local, not globally unique.
    """

    files: Sequence[Path]
    bank: str
    bank_version: str
    version: str
    settings: Sequence[str] = ()
    mztab_id: str = "specsearch"

    @property
    def prefix(self) -> str:
        """How identifiers from the bank begin."""
        return (
            "".join(character for character in self.bank if character.isalnum() or character in "-_.")
            or "bank"
        )

    def identifier(self, inchikey: str) -> str:
        """An InChIKey as an identifier of the bank."""
        return f"{self.prefix}:{plain(inchikey) or NULL}"


def metadata_lines(
    source: MzTabSource, polarities: Sequence[Sequence[bool]], scores: Sequence[str]
) -> Iterator[str]:
    """The MTD lines, in the order that the specification prescribes.

    Parameters
    ----------
    source : MzTabSource
    polarities : sequence of sequence of bool
        Of the queries of each file: True is positive.
    scores : sequence of str
        Names, the one that ranks first.
    """
    for name, value in _entries(source, polarities, scores):
        yield f"MTD\t{name}\t{value}"


def _entries(
    source: MzTabSource, polarities: Sequence[Sequence[bool]], scores: Sequence[str]
) -> Iterator[tuple[str, str]]:
    yield "mzTab-version", "2.0.0-M"
    yield "mzTab-ID", plain(source.mztab_id)
    yield "title", "Candidate shortlists by specsearch"
    yield "description", _NOTICE
    yield "software[1]", parameter("specsearch", source.version)
    for number, setting in enumerate(source.settings, start=1):
        yield f"software[1]-setting[{number}]", plain(setting)
    yield "quantification_method", parameter(_NOT_QUANTIFIED)
    yield from _runs(source, polarities)
    yield from _vocabularies()
    yield "database[1]", parameter(source.bank)
    yield "database[1]-prefix", source.prefix
    yield "database[1]-version", plain(source.bank_version) or "Unknown"
    yield "database[1]-uri", NULL
    yield "small_molecule-quantification_unit", parameter(_NOT_QUANTIFIED)
    yield "small_molecule_feature-quantification_unit", parameter(_NOT_QUANTIFIED)
    reliability = "[MS, MS:1002955, hr-ms compound identification confidence level, ]"
    yield "small_molecule-identification_reliability", reliability
    for number, name in enumerate(scores or ("no score",), start=1):
        yield f"id_confidence_measure[{number}]", parameter(name)
    yield "colunit-small_molecule_evidence", f"{MASS_ERROR}=[UO, UO:0000169, parts per million, ]"


def _runs(source: MzTabSource, polarities: Sequence[Sequence[bool]]) -> Iterator[tuple[str, str]]:
    """Files, one assay for each, and the one study variable that files without a design must have."""
    numbered = list(enumerate(zip(source.files, polarities, strict=True), start=1))
    for number, (file, positive) in numbered:
        yield f"ms_run[{number}]-location", file.absolute().as_uri()
        for what, known in zip(("format", "id_format"), _format_of(file), strict=False):
            yield f"ms_run[{number}]-{what}", known
        for place, is_positive in enumerate(positive or (True,), start=1):
            yield f"ms_run[{number}]-scan_polarity[{place}]", _POLARITY[is_positive]
    for number, (file, _) in numbered:
        yield f"assay[{number}]", plain(file.name)
        yield f"assay[{number}]-ms_run_ref", f"ms_run[{number}]"
    yield "study_variable[1]", "undefined"
    yield "study_variable[1]-assay_refs", "|".join(f"assay[{number}]" for number, _ in numbered)
    yield "study_variable[1]-description", "all queries"


def _vocabularies() -> Iterator[tuple[str, str]]:
    known = (
        ("MS", "PSI-MS controlled vocabulary", "4.1.11", _PSI_MS),
        ("UO", "Units of Measurement Ontology", "2017-09-25", _UNITS),
    )
    for number, values in enumerate(known, start=1):
        for what, value in zip(("label", "full_name", "version", "uri"), values, strict=True):
            yield f"cv[{number}]-{what}", value


def parameter(name: str, value: str = "") -> str:
    """A user parameter; names with commas are quoted, as the specification asks."""
    name = plain(name).replace('"', "'")
    quoted = f'"{name}"' if "," in name else name
    return f"[, , {quoted}, {plain(value)}]"


def plain(text: str) -> str:
    """Text on one line, without what separates cells."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _format_of(file: Path) -> tuple[str, ...]:
    name = file.name.lower().removesuffix(".gz")
    return next((known for ending, known in _FORMATS.items() if name.endswith(ending)), ())
