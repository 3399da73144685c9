"""Faults, each written in sight: what is skipped says where and why, and reading goes on."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers import read_spectra
from specsearch.spectra.readers.detect import Format, detect_format
from specsearch.spectra.readers.ionization import ionization
from specsearch.spectra.spectrum import Spectrum


def read(tmp_path: Path, text: str, name: str = "file.txt") -> list[Spectrum | Skipped]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return list(read_spectra(path))


def only(records: list[Spectrum | Skipped]) -> Spectrum:
    (record,) = records
    assert isinstance(record, Spectrum), record
    return record


def outline(records: list[Spectrum | Skipped]) -> list[tuple[str, ...]]:
    """Accession of a spectrum, or position, reason and accession of a skipped record."""
    return [
        (record.accession,)
        if isinstance(record, Spectrum)
        else (record.position, record.reason, record.accession)
        for record in records
    ]


def test_mgf_with_every_fault(tmp_path: Path) -> None:
    text = """some junk, then a good block
SEARCH=MIS
BEGIN IONS
FEATURE_ID=1
PEPMASS=200.5 3000
CHARGE=2-
INCHI="InChI=1S/CH4/h1H4"
TAGS= 
100.5 10 1+
# a comment
110.5\t20
END IONS
BEGIN IONS
FEATURE_ID=2
100.5 ten
END IONS
BEGIN IONS
FEATURE_ID=3
100.5 nan
END IONS
BEGIN IONS
FEATURE_ID=4
-100.5 10
END IONS
BEGIN IONS
FEATURE_ID=5
100.5 0
END IONS
BEGIN IONS
FEATURE_ID=6
END IONS
BEGIN IONS
FEATURE_ID=7
100.5
END IONS
BEGIN IONS
FEATURE_ID=8
PEPMASS=two hundred
100.5 10
END IONS
BEGIN IONS
FEATURE_ID=9
PEPMASS=-200.5
100.5 10
END IONS
BEGIN IONS
FEATURE_ID=10
100.5 -1
END IONS
BEGIN IONS
FEATURE_ID=11
100.5 10
BEGIN IONS
FEATURE_ID=12
PEPMASS=0.0
CHARGE=0
100.5 10
END IONS
BEGIN IONS
FEATURE_ID=13
100.5 10
"""
    records = read(tmp_path, text)
    first, *faults, mended, last = records
    assert isinstance(first, Spectrum)
    assert isinstance(mended, Spectrum)
    assert (first.precursor_mz, first.charge, len(first)) == (200.5, -2, 2)
    assert first.metadata == {
        "feature_id": "1",
        "precursor_intensity": "3000",
        "inchi": "InChI=1S/CH4/h1H4",
    }
    assert outline(faults) == [
        ("line 13", "bad number", "2"),
        ("line 17", "intensity not finite", "3"),
        ("line 21", "m/z not positive", "4"),
        ("line 25", "all intensities zero", "5"),
        ("line 29", "no peaks", "6"),
        ("line 32", "bad number", "7"),
        ("line 36", "precursor m/z not a number", "8"),
        ("line 41", "precursor m/z not positive", "9"),
        ("line 46", "intensity negative", "10"),
        ("line 50", "record truncated", "11"),
    ]
    assert (mended.accession, mended.precursor_mz, mended.charge) == ("12", None, None)
    assert outline([last]) == [("line 59", "record truncated", "13")]
    assert isinstance(faults[0], Skipped)
    assert faults[0].detail == "line 15: 100.5 ten"


def test_msp_dialects_in_one_file_without_blank_lines(tmp_path: Path) -> None:
    text = """Name: NIST
Synon: first
Synon: second
PrecursorMZ: 0
Comments: Parent=250.5 Collision_gas="N2, pure" Ion_mode=N made by hand
Num Peaks: 4
41 5; 42 6.5;
\t43,7 ; 44 8 "C2H4O+; 3 ppm"
Name: MoNA
DB#: MoNA1
Comments: "ms level=MS2" "computed SMILES=C=O" "exact mass=30.01"
Num Peaks: 3
50.5\t1\t"a: b"
51.5 2 C4H4+
52.5 3
NAME: RIKEN
PRECURSORMZ: 100.25
PRECURSORTYPE: [M+H]+
IONMODE: Positive
Num Peaks: 2
(60.5,1)(61.5,2)
COLLISIONENERGY: 20 eV

INCHIKEY: QTBSBXVTEAMEQO-UHFFFAOYSA-N
NUM PEAKS: 2
70.5 1 71.5 2
INCHIKEY: RYYVLZVUVIJVGH-UHFFFAOYSA-N
NUM PEAKS: 1
80.5:1
"""
    nist, mona, riken, nameless, last = read(tmp_path, text)
    assert isinstance(nist, Spectrum)
    assert isinstance(mona, Spectrum)
    assert isinstance(riken, Spectrum)
    assert isinstance(nameless, Spectrum)
    assert isinstance(last, Spectrum)
    assert (nist.mz.tolist(), nist.intensity.tolist()) == ([41, 42, 43, 44], [5, 6.5, 7, 8])
    assert (nist.precursor_mz, nist.charge) == (None, -1)
    assert nist.metadata["synonym"] == "first; second"
    assert nist.metadata["collision_gas"] == "N2, pure"
    assert nist.metadata["comment"] == "made by hand"
    assert mona.intensity.tolist() == [1, 2, 3]
    assert mona.accession == "MoNA1"
    assert dict(mona.metadata) | {"smiles": "C=O", "exact_mass": "30.01", "ms_level": "2"} == mona.metadata
    assert (riken.precursor_mz, riken.adduct, riken.charge) == (100.25, "[M+H]+", 1)
    assert (riken.mz.tolist(), riken.metadata["collision_energy"]) == ([60.5, 61.5], "20 eV")
    assert (nameless.mz.tolist(), nameless.accession) == ([70.5, 71.5], "file:4")
    assert last.metadata["inchikey"] == "RYYVLZVUVIJVGH-UHFFFAOYSA-N"


def test_msp_with_faults(tmp_path: Path) -> None:
    text = """Name: few
DB#: a
Num Peaks: 3
41 5

Name: word
DB#: b
Num Peaks: 1
forty 5

Name: good
DB#: c
Num Peaks: 1
41 5

Name: no count
DB#: d

Name: none
DB#: e
Num Peaks: 0

Name: cut
DB#: f
Num Peaks: 2
41 5
"""
    assert outline(read(tmp_path, text)) == [
        ("line 1", "record truncated", "a"),
        ("line 6", "bad number", "b"),
        ("c",),
        ("line 16", "record truncated", "d"),
        ("line 19", "no peaks", "e"),
        ("line 23", "record truncated", "f"),
    ]


def test_massbank_with_faults(tmp_path: Path) -> None:
    text = """ACCESSION: A1
RECORD_TITLE: one
PK$NUM_PEAK: 1
PK$PEAK: m/z int. rel.int.
  100.5 10 999
//
ACCESSION: A2
PK$NUM_PEAK: 2
PK$PEAK: m/z int. rel.int.
  100.5 10 999
//
ACCESSION: A3
PK$NUM_PEAK: 1
PK$PEAK: m/z int. rel.int.
  100.5 10 999
ACCESSION: A4
PK$NUM_PEAK: 1
PK$PEAK: m/z int. rel.int.
  100.5 x 999
//
"""
    assert outline(read(tmp_path, text)) == [
        ("A1",),
        ("line 7", "record truncated", "A2"),
        ("line 12", "record truncated", "A3"),
        ("line 16", "bad number", "A4"),
    ]


def test_json_with_faults(tmp_path: Path) -> None:
    good = {"spectrum_id": "a", "peaks_json": "[[100.5, 1.0]]", "Charge": 1, "extra": {"b": 1}}
    values = [good, 7, {"spectrum_id": "b"}, {"spectrum_id": "c", "peaks": [[1.5, "x"]]}]
    values.append({"spectrum_id": "d", "peaks": [[1.5, float("nan")]]})
    values.append({"spectrum_id": "e", "peaks_json": [[1.5], [2.5]]})
    text = json.dumps(values)
    expected = [
        ("a",),
        ("record 2", "record not understood", "file:2"),
        ("record 3", "no peaks", "b"),
        ("record 4", "bad number", "c"),
        ("record 5", "intensity not finite", "d"),
        ("record 6", "bad number", "e"),
    ]
    records = read(tmp_path, text)
    assert outline(records) == expected
    assert isinstance(records[0], Spectrum)
    assert records[0].metadata == {"extra": '{"b": 1}'}
    assert outline(read(tmp_path, text[:-40])) == [
        *expected[:5],
        ("after record 5", "file truncated", "file:6"),
    ]
    broken = text.replace(', {"spectrum_id": "b"}', ', {"spectrum_id" "b"}')
    assert outline(read(tmp_path, broken))[2:] == [("after record 2", "not valid JSON", "file:3")]


def test_json_lines_lose_only_the_broken_line(tmp_path: Path) -> None:
    lines = [json.dumps({"spectrum_id": name, "peaks": [[100.5, 1.0]]}) for name in "abc"]
    lines[1] = lines[1][:-4]
    assert outline(read(tmp_path, "\n".join(lines))) == [
        ("a",),
        ("line 2", "not valid JSON", "file:2"),
        ("c",),
    ]


def test_json_nested_without_end(tmp_path: Path) -> None:
    records = read(tmp_path, '[{"peaks": [[100.5, 1.0]]}, ' + "[" * 50_000)
    assert outline(records) == [("file:1",), ("after record 1", "not valid JSON", "file:2")]


def test_massspecgym_with_faults(tmp_path: Path) -> None:
    rows = ["identifier\tmzs\tintensities\tfold", "a\t1.5,2.5\t1,2\tval", "b\t1.5,2.5\t1\tval"]
    rows += ["c\t1.5,x\t1,2\tval", "d\t1.5,2.5\t1,2"]
    assert outline(read(tmp_path, "\n".join(rows))) == [
        ("a",),
        ("line 3", "m/z and intensity differ in length", "b"),
        ("line 4", "bad number", "c"),
        ("line 5", "record truncated", "d"),
    ]


def test_parquet_with_faults(tmp_path: Path) -> None:
    path = tmp_path / "faults.parquet"
    columns = {
        "mz": [[100.5], None, [], [100.5, None], [100.5, 90.5], [100.5], [100.5]],
        "intensity": [[1.0], None, [], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [0.0]],
        "spectrum_id": list("abcdefg"),
    }
    pq.write_table(pa.table(columns), path)
    assert outline(list(read_spectra(path))) == [
        ("a",),
        ("row 2", "no peaks", "b"),
        ("row 3", "no peaks", "c"),
        ("row 4", "m/z not finite", "d"),
        ("e",),
        ("row 6", "m/z and intensity differ in length", "f"),
        ("row 7", "all intensities zero", "g"),
    ]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputFileError, match="not a readable Parquet file"):
        list(read_spectra(path))
    pq.write_table(pa.table({"mz": [1.0]}), path)
    with pytest.raises(InputFileError, match="no column mz and intensity"):
        list(read_spectra(path))


def term(accession: str, name: str, value: object = "") -> str:
    return f'<cvParam accession="{accession}" name="{name}" value="{value}"/>'


NEGATIVE, PROFILE = term("MS:1000129", "negative scan"), term("MS:1000128", "profile spectrum")
FLOAT64, ZLIB = term("MS:1000523", "64-bit float"), term("MS:1000574", "zlib compression")


def array(values: list[float], kind: str, *, damage: str = "") -> str:
    text = base64.b64encode(np.array(values, "<f8").tobytes()).decode() + damage
    return f"<binaryDataArray>{FLOAT64}{kind}<binary>{text}</binary></binaryDataArray>"


def mzml(*spectra: str, head: str = "") -> str:
    return (
        f'<?xml version="1.0"?>{head}<mzML><run><spectrumList>{"".join(spectra)}</spectrumList></run></mzML>'
    )


def mzml_spectrum(scan: int, *, level: int = 2, params: str = "", damage: str = "", n_peaks: int = 2) -> str:
    peaks = [float(100 + peak) for peak in range(n_peaks)]
    arrays = array(peaks, term("MS:1000514", "m/z array"))
    arrays += array(peaks, term("MS:1000515", "intensity array"), damage=damage)
    return (
        f'<spectrum id="scan={scan}">{term("MS:1000511", "ms level", level)}{params}'
        f"<binaryDataArrayList>{arrays}</binaryDataArrayList></spectrum>"
    )


def test_mzml_with_faults(tmp_path: Path) -> None:
    numpress = term("MS:1002312", "MS-Numpress linear prediction compression")
    spectra = [
        mzml_spectrum(1, level=1, damage="A"),
        mzml_spectrum(2, params=PROFILE + NEGATIVE),
        mzml_spectrum(3, damage="A"),
        mzml_spectrum(4).replace(FLOAT64, FLOAT64 + numpress),
        mzml_spectrum(5, n_peaks=0),
        mzml_spectrum(6, level=3, damage="A"),
        mzml_spectrum(7),
    ]
    whole = mzml(*spectra)
    records = read(tmp_path, whole)
    assert outline(records) == [
        ("file:scan=2",),
        ("spectrum 3", "peak array damaged", "file:scan=3"),
        ("spectrum 4", "compression not supported", "file:scan=4"),
        ("spectrum 5", "no peaks", "file:scan=5"),
        ("file:scan=7",),
    ]
    assert isinstance(records[0], Spectrum)
    assert records[0].notes == ("profile mode: peaks were not centroided",)
    assert records[0].charge == -1
    cut = whole[: whole.index('id="scan=7"') + 200]
    assert outline(read(tmp_path, cut))[4:] == [("after spectrum 6", "file truncated", "file:5")]
    broken = whole.replace('<spectrum id="scan=5">', "<<spectrum>")
    assert outline(read(tmp_path, broken))[3:] == [("after spectrum 4", "XML not well-formed", "file:4")]


def zipped(values: list[float], *, cut: int = 0) -> str:
    data = zlib.compress(np.array(values, "<f8").tobytes())
    return f"<binary>{base64.b64encode(data[: len(data) - cut]).decode()}</binary>"


def test_mzml_arrays_that_are_not_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specsearch.spectra.readers.pyteomics_xml._MAX_ARRAY_BYTES", 1000)
    plain = mzml_spectrum(1)
    packed = plain.replace(FLOAT64, FLOAT64 + ZLIB)
    damaged = [
        plain.replace("<binary>", "<binary>!!!!"),
        plain.replace(FLOAT64, ""),
        packed,
        re.sub("<binary>.*?</binary>", zipped([100.0, 101.0], cut=3), packed),
        re.sub("<binary>.*?</binary>", zipped([100.0] * 126), packed),
    ]
    good = [
        plain.replace("<binary>", "<binary>\n "),
        re.sub("<binary>.*?</binary>", zipped([100.0, 101.0]), packed),
    ]
    records = read(tmp_path, mzml(*damaged, *good))
    reasons = [record.reason for record in records if isinstance(record, Skipped)]
    assert reasons == ["peak array damaged"] * len(damaged)
    assert outline(records[-2:]) == [("file:scan=1",)] * 2


def test_mzml_that_is_not_understood_costs_one_spectrum(tmp_path: Path) -> None:
    nameless = '<cvParam accession="MS:1000129"/>'
    lost = '<referenceableParamGroupRef ref="lost"/>'
    charge = term("MS:1000041", "charge state", "two")
    text = mzml(
        mzml_spectrum(1, params=nameless), mzml_spectrum(2, params=lost), mzml_spectrum(3, params=charge)
    )
    records = read(tmp_path, text)
    assert outline(records) == [
        ("spectrum 1", "record not understood", "file:scan=1"),
        ("file:scan=2",),
        ("file:scan=3",),
    ]
    assert isinstance(records[2], Spectrum)
    assert records[2].notes == ("charge not understood: two",)


def test_mzml_values_stay_as_written(tmp_path: Path) -> None:
    params = term("MS:1000796", "spectrum title", "007") + term("MS:1000042", "peak intensity", "1.50e3")
    spectrum = only(read(tmp_path, mzml(mzml_spectrum(1, params=params))))
    assert spectrum.metadata["title"] == "007"
    assert spectrum.metadata["precursor_intensity"] == "1.50e3"


def scan(number: int, *, level: int = 2, inside: str = "", damage: str = "", attributes: str = "") -> str:
    text = base64.b64encode(np.array([100, 1, 101, 2], ">f4").tobytes()).decode() + damage
    return (
        f'<scan num="{number}" msLevel="{level}" polarity="-" retentionTime="PT1M30.5S">'
        f'<precursorMz precursorCharge="1">250.5</precursorMz><peaks {attributes}>{text}</peaks>'
        f"{inside}</scan>"
    )


def test_mzxml_with_faults(tmp_path: Path) -> None:
    odd = base64.b64encode(bytes(4)).decode()
    whole = "".join(
        [
            '<mzXML><msRun><dataProcessing centroided="1"/><dataProcessing centroided="0"/>',
            scan(9, level=1, damage="A", inside=scan(2) + scan(3, damage="A")),
            scan(4, attributes='contentType="TOF"'),
            scan(5, damage=odd),
            scan(6).replace("250.5", "two hundred"),
            '<scan num="7" msLevel="2"><peaks precision="32"/></scan><scan num="8" msLevel="2"/>',
            scan(2, attributes='precision="32" byteOrder="network"'),
            "</msRun></mzXML>",
        ]
    )
    records = read(tmp_path, whole)
    assert outline(records) == [
        ("file:scan=2",),
        ("scan 3", "peak array damaged", "file:scan=3"),
        ("scan 4", "peak encoding not supported", "file:scan=4"),
        ("scan 5", "peak array damaged", "file:scan=5"),
        ("scan 6", "precursor m/z not a number", "file:scan=6"),
        ("scan 7", "no peaks", "file:scan=7"),
        ("scan 8", "no peaks", "file:scan=8"),
        ("file:scan=2",),
    ]
    first = records[0]
    assert isinstance(first, Spectrum)
    assert first.notes == ("profile mode: peaks were not centroided",)
    assert (first.precursor_mz, first.charge, first.metadata["retention_time"]) == (250.5, -1, "90.5")
    assert (first.mz.tolist(), first.intensity.tolist()) == ([100, 101], [1, 2])
    cut = whole[: whole.index('<scan num="7"')]
    assert outline(read(tmp_path, cut))[5:] == [("after scan 6", "file truncated", "file:6")]


def test_mzml_of_a_million_peaks_is_skipped_and_a_hundred_thousand_are_fine(tmp_path: Path) -> None:
    text = mzml(mzml_spectrum(1, n_peaks=1_000_001), mzml_spectrum(2, n_peaks=100_000), mzml_spectrum(3))
    first, second, third = read(tmp_path, text)
    assert outline([first]) == [("spectrum 1", "too many peaks", "file:scan=1")]
    assert isinstance(second, Spectrum)
    assert len(second) == 100_000
    assert isinstance(third, Spectrum)


def test_mgf_of_a_million_peaks_is_skipped(tmp_path: Path) -> None:
    peaks = "100.5 1\n" * 1_000_001
    text = f"BEGIN IONS\nSCANS=1\n{peaks}END IONS\nBEGIN IONS\nSCANS=2\n100.5 1\nEND IONS\n"
    assert outline(read(tmp_path, text)) == [("line 1", "too many peaks", "1"), ("2",)]


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE mzML [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE mzML [<!ENTITY file SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE mzML SYSTEM "http://localhost/mzml.dtd">',
    ],
)
def test_xml_with_entities_is_refused(tmp_path: Path, head: str) -> None:
    with pytest.raises(InputFileError, match="document type"):
        read(tmp_path, mzml(mzml_spectrum(1), head=head))


def test_mzml_parameters_by_reference(tmp_path: Path) -> None:
    groups = (
        f'<referenceableParamGroupList><referenceableParamGroup id="g">{NEGATIVE}{PROFILE}'
        "</referenceableParamGroup></referenceableParamGroupList>"
    )
    text = mzml(mzml_spectrum(1, params='<referenceableParamGroupRef ref="g"/>'))
    spectrum = only(read(tmp_path, text.replace("<mzML>", f"<mzML>{groups}")))
    assert spectrum.charge == -1
    assert spectrum.notes == ("profile mode: peaks were not centroided",)


def test_gzip_that_breaks_off(tmp_path: Path) -> None:
    blocks = [f"BEGIN IONS\nSCANS={n}\nTITLE={hash((n, 7))}\n100.5 {n + 1}\nEND IONS\n" for n in range(2000)]
    path = tmp_path / "cut.mgf.gz"
    path.write_bytes(gzip.compress("".join(blocks).encode())[:-5000])
    *records, last = read_spectra(path)
    assert len(records) > 100
    assert all(isinstance(record, Spectrum) for record in records)
    assert isinstance(last, Skipped)
    assert last.reason == "file truncated"
    packed = gzip.compress(mzml(*(mzml_spectrum(n, n_peaks=50 + n % 9) for n in range(400))).encode())
    path.write_bytes(packed[: len(packed) // 2])
    *records, last = read_spectra(path)
    assert len(records) > 10
    assert isinstance(last, Skipped)
    assert last.reason == "file truncated"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (bytes(range(256)) * 8, "binary file"),
        (b"PK\x03\x04rest", "zip archive"),
        ("BEGIN IONS".encode("utf-16"), "UTF-16"),
        (b"<html><body>404</body></html>", "no spectra"),
        (b'{"CCO": ["OCC"]}', "no spectra"),
        (b"just words\n", "no spectra"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
    ],
)
def test_files_without_spectra_are_refused_with_a_next_step(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "spectra.mgf"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=message) as raised:
        read_spectra(path)
    assert raised.value.next_step


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="does not exist"):
        read_spectra(tmp_path / "absent.mgf")
    with pytest.raises(InputFileError, match="is a folder"):
        read_spectra(tmp_path)


def test_the_name_decides_only_where_the_content_leaves_it_open(tmp_path: Path) -> None:
    late = "junk\n" * 20_000 + "BEGIN IONS\nSCANS=1\n100.5 1\nEND IONS\n"
    assert only(read(tmp_path, late, "late.mgf")).accession == "1"
    with pytest.raises(InputFileError):
        read(tmp_path, late, "late.txt")
    (tmp_path / "x.mzML").write_text("Name: a\nNum Peaks: 1\n1 1\n")
    assert detect_format(tmp_path / "x.mzML") is Format.MSP


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "latin.mgf"
    path.write_bytes("BEGIN IONS\nSCANS=1\nNAME=Kondić\n100.5 1\nEND IONS\n".encode("iso8859-2"))
    assert only(list(read_spectra(path))).metadata["compound_name"] == "Kondi\ufffd"


@pytest.mark.parametrize(
    ("charge", "adduct", "mode", "expected"),
    [
        ("", "", "", (None, None, ())),
        ("1+", "", "", (1, None, ())),
        ("2-", "", "", (-2, None, ())),
        ("-2", "", "", (-2, None, ())),
        ("0", "", "", (None, None, ())),
        ("0", "", "negative", (-1, None, ())),
        ("3", "", "negative", (-3, None, ())),
        ("2", "", "", (2, None, ())),
        ("1+", "", "negative", (-1, None, ("charge contradicts ion mode",))),
        ("", "M+H", "", (1, "[M+H]+", ())),
        ("", "[M+2H]2+", "positive", (2, "[M+2H]2+", ())),
        ("1", "[M-H]-", "negative", (-1, "[M-H]-", ())),
        ("1+", "[M-H]-", "negative", (-1, "[M-H]-", ("adduct contradicts charge",))),
        ("", "[M+H]+", "negative", (1, "[M+H]+", ("adduct contradicts ion mode",))),
        ("2+", "[M+H]+", "", (1, "[M+H]+", ("adduct contradicts charge",))),
        ("", "M+?", "negative", (-1, "M+?", ("adduct not understood: M+?",))),
        ("2+ and 3+", "", "", (None, None, ("charge not understood: 2+ and 3+",))),
        ("", "", "both", (None, None, ("ion mode not understood: both",))),
    ],
)
def test_charge_from_three_fields(charge: str, adduct: str, mode: str, expected: tuple) -> None:
    assert tuple(ionization(charge, adduct, mode)) == expected
