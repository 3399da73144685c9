"""Whole files to damage: one small file or two of each format, and the texts that parsers read."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from specsearch.spectra.spectrum import Spectrum
from specsearch.spectra.writers import write_spectra

_ROWS = 5  # of a table in a seed

MASSBANK = """ACCESSION: MSBNK-Test-A1
RECORD_TITLE: Caffeine; LC-ESI-QTOF; MS2
CH$NAME: Caffeine
CH$NAME: Guaranine
CH$FORMULA: C8H10N4O2
CH$SMILES: CN1C=NC2=C1C(=O)N(C(=O)N2C)C
CH$LINK: INCHIKEY RYYVLZVUVIJVGH-UHFFFAOYSA-N
AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
AC$MASS_SPECTROMETRY: COLLISION_ENERGY 30 eV
MS$FOCUSED_ION: PRECURSOR_M/Z 195.0877
MS$FOCUSED_ION: PRECURSOR_TYPE [M+H]+
PK$ANNOTATION: m/z tentative_formula
  138.0662 C6H8N3O+
PK$NUM_PEAK: 3
PK$PEAK: m/z int. rel.int.
  110.0713 120.5 210
  138.0662 571 999
  195.0877 88 154
//
"""
MSP = """Name: Caffeine
DB#: A1
PrecursorMZ: 195.0877
Precursor_type: [M+H]+
Comments: "SMILES=CN1C=NC2=C1C(=O)N(C(=O)N2C)C" "ms level=MS2" "note"
Num Peaks: 3
110.0713 120.5 "a; b"
138.0662:571; 195.0877,88

NAME: second
IONMODE: Negative
CHARGE: 1-
Num Peaks: 2
(60.5,1)(61.5,2)
"""
MGF = """BEGIN IONS
FEATURE_ID=1
PEPMASS=195.0877 3000
CHARGE=1+
ADDUCT=[M+H]+
SMILES="CN1C=NC2=C1C(=O)N(C(=O)N2C)C"
RTINSECONDS=12.5
110.0713 120.5
138.0662\t571 1+
END IONS

BEGIN IONS
SCANS=2
PEPMASS=301.2
ION=[M-H]-
# a comment
60.5,1
61.5 2
END IONS
"""
TSV = """identifier\tmzs\tintensities\tsmiles\tadduct\tprecursor_mz\tfold
A1\t110.0713,138.0662,195.0877\t0.21,1.0,0.15\tCN1C=NC2=C1C(=O)N(C(=O)N2C)C\t[M+H]+\t195.0877\ttrain
A2\t60.5,61.5\t1,2\tCCO\t[M+Na]+\t301.2\tval
"""
GNPS = [
    {"spectrum_id": "A1", "peaks_json": "[[110.07,120.5],[138.06,571]]", "Precursor_MZ": "195.0877"},
    {
        "title": "A2",
        "peaks": [[60.5, 1], [61.5, 2.5e0]],
        "charge": 1,
        "extra": {"a": [None, True, "\\ud800"]},
    },
]


def _term(accession: str, name: str, value: object = "") -> str:
    return f'<cvParam cvRef="MS" accession="{accession}" name="{name}" value="{value}"/>'


def _binary(values: list[float], accession: str, name: str, *, zipped: bool) -> str:
    raw = np.array(values, "<f8").tobytes()
    text = base64.b64encode(zlib.compress(raw) if zipped else raw).decode()
    packing = _term("MS:1000574", "zlib compression") if zipped else _term("MS:1000576", "no compression")
    return (
        f'<binaryDataArray encodedLength="{len(text)}">{_term("MS:1000523", "64-bit float")}{packing}'
        f"{_term(accession, name)}<binary>{text}</binary></binaryDataArray>"
    )


def _mzml_spectrum(scan: int, *, level: int = 2, zipped: bool = False) -> str:
    arrays = _binary([110.07, 138.06, 195.08], "MS:1000514", "m/z array", zipped=zipped)
    arrays += _binary([12.5, 571.0, 88.0], "MS:1000515", "intensity array", zipped=zipped)
    return (
        f'<spectrum index="{scan}" id="scan={scan}" defaultArrayLength="3">'
        f"{_term('MS:1000511', 'ms level', level)}{_term('MS:1000130', 'positive scan')}"
        f'<referenceableParamGroupRef ref="g"/><scanList count="1"><scan><cvParam accession="MS:1000016" '
        'name="scan start time" value="1.5" unitAccession="UO:0000031" unitName="minute"/></scan></scanList>'
        '<precursorList count="1"><precursor><isolationWindow>'
        f"{_term('MS:1000827', 'isolation window target m/z', 195.1)}</isolationWindow><selectedIonList>"
        f"<selectedIon>{_term('MS:1000744', 'selected ion m/z', 195.0877)}"
        f"{_term('MS:1000041', 'charge state', 1)}</selectedIon></selectedIonList><activation>"
        f"{_term('MS:1000422', 'HCD')}{_term('MS:1000045', 'collision energy', 30)}</activation></precursor>"
        f'</precursorList><binaryDataArrayList count="2">{arrays}</binaryDataArrayList></spectrum>'
    )


def _mzml() -> str:
    spectra = _mzml_spectrum(1, level=1) + _mzml_spectrum(2) + "\n" + _mzml_spectrum(3, zipped=True)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1.0">'
        '<referenceableParamGroupList count="1"><referenceableParamGroup id="g">'
        f"{_term('MS:1000127', 'centroid spectrum')}</referenceableParamGroup></referenceableParamGroupList>"
        f'<run id="r"><spectrumList count="3">{spectra}</spectrumList></run></mzML>'
    )


def _mzxml() -> str:
    peaks = base64.b64encode(np.array([110.07, 12.5, 138.06, 571.0], ">f4").tobytes()).decode()
    packed = base64.b64encode(zlib.compress(np.array([60.5, 1, 61.5, 2], ">f8").tobytes())).decode()
    inner = (
        '<scan num="2" msLevel="2" polarity="-" retentionTime="PT1M30.5S" peaksCount="2">'
        '<precursorMz precursorIntensity="3" precursorCharge="1" activationMethod="CID">195.0877</precursorMz>'  # noqa: E501
        f'<peaks precision="32" byteOrder="network" contentType="m/z-int">{peaks}</peaks></scan>'
    )
    last = (
        '<scan num="3" msLevel="2"><precursorMz>301.2</precursorMz><peaks precision="64" '
        f'compressionType="zlib" compressedLen="40">{packed}</peaks></scan>'
    )
    return (
        '<?xml version="1.0"?>\n<mzXML xmlns="http://sashimi.sourceforge.net/schema_revision/mzXML_3.2">'
        '<msRun scanCount="3"><dataProcessing centroided="1"/><scan num="1" msLevel="1">'
        f'<peaks precision="32">{peaks}</peaks>{inner}</scan>{last}</msRun></mzXML>'
    )


def _spectra() -> list[Spectrum]:
    told = {"smiles": "CCO", "compound_name": "ethanol", "collision_energy": "30"}
    return [
        Spectrum.checked([60.5, 61.5 + i], [1.0, 2.0], accession=f"A{i}", precursor_mz=301.2, charge=1, metadata=told)  # noqa: E501
        for i in range(3)
    ]  # fmt: skip


def _write_hdf5(path: Path) -> None:
    import h5py

    peaks = np.zeros((3, 2, 8), np.float32)
    peaks[:, 0, :3], peaks[:, 1, :3] = [60.5, 61.5, 62.5], [1, 2, 3]
    with h5py.File(path, "w") as file:
        file.create_dataset("spectrum", data=peaks, chunks=(2, 2, 8), compression="gzip")
        file.create_dataset("precursor_mz", data=np.full(3, 301.2))
        file.create_dataset("charge", data=np.ones(3, np.int8))
        # of fixed length: texts of any length are tried in a process of their own, half a second each
        file.create_dataset("name", data=np.array([b"a", b"b", b"c"]))


def write_seeds(kind: str, folder: Path, real: Path | None) -> None:
    """Write the seeds of a format into a folder; of real files, where there are any, small ones or pieces."""
    folder.mkdir(parents=True)
    _IN_SIGHT[kind](folder)
    for number, content in enumerate(_real_seeds(kind, real) if real else ()):
        (folder / f"real-{number}").write_bytes(content)


def _written(ending: str) -> Callable[[Path], object]:
    return lambda folder: write_spectra(folder / f"written.{ending}", _spectra())


def _texts(*texts: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        for number, text in enumerate(texts):
            (folder / f"text-{number}").write_text(text, encoding="utf-8")

    return write


def _plain_parquet(folder: Path) -> None:
    """Not compressed, so that a fault reaches the values."""
    rows = [{"mz": [60.5, 61.5], "intensity": [1.0, 2.0], "smiles": "CCO", "precursor_mz": 3.5}] * 3
    pq.write_table(pa.Table.from_pylist(rows), folder / "plain.parquet", compression="none")
    _written("parquet")(folder)


_IN_SIGHT: dict[str, Callable[[Path], object]] = {
    "mgf": lambda folder: (_texts(MGF)(folder), _written("mgf")(folder)),
    "msp": lambda folder: (_texts(MSP)(folder), _written("msp")(folder)),
    "mzml": _texts(_mzml()),
    "mzxml": _texts(_mzxml()),
    "massbank": _texts(MASSBANK, MASSBANK.replace("A1", "A2") + MASSBANK),
    "json": _texts(json.dumps(GNPS), "\n".join(map(json.dumps, GNPS))),
    "massspecgym": _texts(TSV),
    "parquet": _plain_parquet,
    "hdf5": lambda folder: _write_hdf5(folder / "gems.hdf5"),
}


def _real_seeds(kind: str, data: Path) -> list[bytes]:
    if kind == "parquet":
        return [_head_of_parquet(data / "massbank.parquet")]
    files = sorted((data / "formats" / kind).glob("*")) if kind in _PIECES else []
    pieces = [_PIECES[kind](path.read_bytes()) for path in files if path.stat().st_size < 100_000]
    return [piece for piece in pieces if len(piece) < 30_000]


def _head_of_parquet(path: Path) -> bytes:
    table = next(pq.ParquetFile(path).iter_batches(_ROWS))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([table]), sink, compression="none")
    return sink.getvalue().to_pybytes()


def _head_of_mzml(content: bytes) -> bytes:
    """Up to the second spectrum's end."""
    end = content.find(b"</spectrum>", content.find(b"</spectrum>") + 1)
    return content[:end] + b"</spectrum></spectrumList></run></mzML></indexedmzML>"


def _head_of_json(content: bytes) -> bytes:
    values = json.loads(content)
    return json.dumps(values[:2] if isinstance(values, list) else [values]).encode()


_PIECES: dict[str, Callable[[bytes], bytes]] = {
    "mgf": lambda content: b"END IONS".join(content.split(b"END IONS")[:2]) + b"END IONS\n",
    "msp": lambda content: content[:6000],
    "massbank": lambda content: content,
    "mzml": _head_of_mzml,
    "mzxml": lambda content: content,
    "json": _head_of_json,
}


def words(text: str) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in text.split())


TOKENS: dict[str, tuple[bytes, ...]] = {
    "mgf": (b"BEGIN IONS\n", b"END IONS\n", b"PEPMASS=", b"CHARGE=", b"=", b"\n100.5 10\n", *words("# 2+ 1- TITLE")),  # noqa: E501
    "msp": (b"Name: ", b"Num Peaks: ", b"\n\n", b":", b";", b'"', b"Comments: ", b"100.5 10\n", b"( , )", b"DB#: "),  # noqa: E501
    "massbank": (b"ACCESSION: ", b"//\n", b"PK$PEAK: ", b"PK$NUM_PEAK: ", b"  100.5 10 999\n", b"CH$", b"AC$", b"$"),  # noqa: E501
    "mzml": words(
        "<spectrum> </spectrum> <mzML> </mzML> <binary> </binary> <cvParam/> MS:1000523 MS:1000521 MS:1000519 "  # noqa: E501
        "MS:1000574 MS:1002312 MS:1000514 MS:1000515 MS:1000511 MS:1000744 <precursorList> <!DOCTYPE <!ENTITY &a; "  # noqa: E501
        "<![CDATA[ ]]> <!-- --> <?pi ?> xmlns=\"\" xmlns:a=\"b\" a: AAAA ==== !!!! name= value= accession= <scan> id="  # noqa: E501
    ),
    "mzxml": words(
        "<scan> </scan> <peaks> </peaks> <mzXML> </mzXML> <precursorMz> </precursorMz> precision= 64 32 msLevel= "  # noqa: E501
        "contentType= compressionType= zlib none retentionTime= PT1H P1Y PT num= polarity= <!DOCTYPE &amp; &#0; AAAA "  # noqa: E501
        "<dataProcessing centroided=\"0\"/> <scan/> <peaks/>"
    ),
    "json": words('[ ] { } , : " null true NaN Infinity -Infinity "peaks" "peaks_json" [[ ]] "spectrum_id": \\ud800 \\u0000 1e309'),  # noqa: E501
    "massspecgym": (b"\t", b"\n", b",", b"mzs", b"intensities", b"identifier", b"[]", b"\t\t", b"nan"),
    "parquet": (b"PAR1", b"\x15\x00", b"\xff\xff\xff\x7f", b"mz", b"intensity", b"\x19\x1c", b"\x80" * 9),
    "hdf5": (b"\x89HDF\r\n\x1a\n", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"\xff" * 8, b"\x00" * 8, b"spectrum"),
}  # fmt: skip
