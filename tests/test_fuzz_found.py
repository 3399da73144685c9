"""What fuzzing found, and bombs: files made to fill memories are refused, and what is read stays small."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz_seeds import GNPS, MASSBANK, MGF, MSP, TSV, write_seeds

from ingest.plan import prepare_source
from specsearch.chemistry.structures import parse_molecule
from specsearch.errors import InputFileError, ParseError, Skipped
from specsearch.search.constraints import parse_elements
from specsearch.spectra.readers import hdf5_texts, read_spectra, sources
from specsearch.spectra.readers.massspecgym import read_massspecgym
from specsearch.spectra.readers.record import MAX_FIELDS
from specsearch.spectra.spectrum import Spectrum

MANY_DIGITS = "9" * 5000


def outcomes(path: Path) -> list[str]:
    """Reasons of what was skipped, accessions of what was read."""
    return [r.accession if isinstance(r, Spectrum) else r.reason for r in read_spectra(path)]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_line_of_punctuation_is_no_peak(tmp_path: Path) -> None:
    text = MSP.replace("110.0713", '"a"\n110.0713', 1)
    assert outcomes(written(tmp_path / "a.msp", text))[0] == "bad number"


@pytest.mark.parametrize("digits", ["9" * 400, MANY_DIGITS])
def test_json_numbers_that_no_float_holds(tmp_path: Path, digits: str) -> None:
    lines = "\n".join([json.dumps(GNPS[0]).replace("138.06", digits), json.dumps(GNPS[1])])
    assert outcomes(written(tmp_path / "lines.json", lines)) == ["bad number", "A2"]
    array = json.dumps([GNPS[0], {**GNPS[1], "charge": 777}]).replace("777", digits)
    found = outcomes(written(tmp_path / "array.json", array))
    assert found[0] == "A1"
    assert found[1:] == (["not valid JSON"] if digits == MANY_DIGITS else ["A2"])


def test_json_nested_deeply(tmp_path: Path) -> None:
    nested = "[" * 3000 + "]" * 3000
    line = json.dumps({**GNPS[0], "extra": 1}).replace(": 1}", f": {nested}}}")
    assert outcomes(written(tmp_path / "a.json", line)) == ["not valid JSON"]
    assert outcomes(written(tmp_path / "b.json", f"[{line}]")) == ["not valid JSON"]


@pytest.mark.parametrize("head", ["", "identifier\tmzs", TSV.splitlines()[1]])
def test_tables_without_their_header(tmp_path: Path, head: str) -> None:
    with pytest.raises(InputFileError, match="has no column"):
        list(read_massspecgym(written(tmp_path / "a.tsv", head)))


def test_mzml_with_a_term_for_an_array(tmp_path: Path) -> None:
    write_seeds("mzml", tmp_path / "seeds", None)
    (seed,) = (tmp_path / "seeds").iterdir()
    term = '<cvParam accession="MS:1000514" name="m/z array" value="5"/><binaryDataArrayList'
    text = seed.read_text().replace('"MS:1000514" name="m/z array"', '"MS:1000786" name="other array"')
    text = text.replace("<binaryDataArrayList", term)
    assert set(outcomes(written(tmp_path / "a.mzML", text))) == {"peak array damaged"}


@pytest.mark.parametrize("text", ["C\udcceC", "CÇ", "", "C C", "C\0"])
def test_smiles_are_ascii(text: str) -> None:
    with pytest.raises(ParseError, match="is not a SMILES"):
        parse_molecule(text)


def test_complaints_are_short() -> None:
    with pytest.raises(ParseError) as raised:
        parse_elements("A" * 10_000)
    assert len(str(raised.value)) < 300


def test_damaged_parquet_is_refused_at_ingest(tmp_path: Path) -> None:
    pq.write_table(pa.table({"mz": [[1.0]], "intensity": [[1.0]]}), tmp_path / "a.parquet")
    path = written(tmp_path / "b.parquet", (tmp_path / "a.parquet").read_bytes()[:-9] + b"\0" * 5 + b"PAR1")
    with pytest.raises(InputFileError, match="not a readable Parquet file"):
        prepare_source(path, tmp_path)


def test_texts_in_a_damaged_heap_hold_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object of the heap that takes no space is met again and again."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("spectrum", data=np.full((3, 2, 4), 60.5, np.float32))
        file.create_dataset("name", data=["a", "b", "c"])
    assert {r.metadata["file_name"] for r in read_spectra(path)} == {"a", "b", "c"}
    raw = bytearray(path.read_bytes())
    heap = raw.index(b"GCOL")
    # of the first object: number, references, four empty bytes, size (HDF5 format specification, III.E)
    assert struct.unpack_from("<HHIQ", raw, heap + 16) == (1, 0, 0, 1)
    struct.pack_into("<Q", raw, heap + 24, 2**64 - 16)
    path.write_bytes(raw)
    monkeypatch.setattr(hdf5_texts, "_START_S", 3.0)
    with pytest.raises(InputFileError, match="texts that cannot be read"):
        list(read_spectra(path))


BLOCKS = {"mgf": MGF, "msp": MSP, "massbank": MASSBANK, "json": json.dumps(GNPS), "massspecgym": TSV}


@pytest.mark.parametrize(
    ("kind", "filling"),
    [*((kind, b"a") for kind in (*BLOCKS, "mzml", "mzxml")), ("mgf", b"\n"), ("json", b" ")],
)
def test_gzip_bombs_are_refused(tmp_path: Path, kind: str, filling: bytes) -> None:
    """60 MB in 60 kB behind a good beginning; the process that reads it may not take much."""
    write_seeds(kind, tmp_path / "seeds", None)
    head = sorted((tmp_path / "seeds").iterdir())[0].read_bytes().rstrip()
    for end in (b"</spectrumList></run></mzML>", b"</msRun></mzXML>", b"]"):
        head = head.removesuffix(end)
    with gzip.open(tmp_path / "bomb.gz", "wb", compresslevel=9) as bomb:
        bomb.write(head + b"\n")
        for _ in range(60):
            bomb.write(filling * 1_000_000)
    told = _read_in_little_memory(tmp_path / "bomb.gz")
    # XML and JSON may be refused at the first word that makes no sense
    assert "unpacks to more than" in told or (kind in ("mzml", "mzxml", "json") and filling == b"a")


def _read_in_little_memory(path: Path) -> str:
    """Read a file in a process that may take 300 MB beyond its imports; what it says in the end."""
    code = (
        "import resource, sys\n"
        "from specsearch.errors import SpecsearchError\n"
        "from specsearch.spectra.readers import read_spectra\n"
        "import specsearch.spectra.readers.mzml, specsearch.spectra.readers.mzxml\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 300_000_000,) * 2)\n"
        "try:\n"
        "    for record in read_spectra(sys.argv[1]): print(str(record)[:200])\n"
        "except SpecsearchError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert told.returncode == 0, told.stderr[-2000:]
    return told.stdout


def test_what_is_packed_well_is_no_bomb(tmp_path: Path) -> None:
    """Forty times smaller, as no text of spectra is, and still read."""
    text = "".join(f"BEGIN IONS\nSCANS={n % 7}\n100.5 10\nEND IONS\n" for n in range(50_000))
    path = written(tmp_path / "a.mgf.gz", gzip.compress(text.encode()))
    assert path.stat().st_size * 40 < len(text)
    assert len(outcomes(path)) == 50_000


def test_lines_and_fields_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = "".join(f"K{n}=1\n" for n in range(MAX_FIELDS + 1))
    text = MGF.replace("SCANS=2\n", fields)
    assert outcomes(written(tmp_path / "a.mgf", text)) == ["1", "too many fields"]
    text = MSP.replace("CHARGE: 1-\n", fields.replace("=", ": "))
    assert "too many fields" in outcomes(written(tmp_path / "a.msp", text))
    text = MASSBANK.replace("CH$NAME: Caffeine\n", fields.replace("=", ": "))
    assert outcomes(written(tmp_path / "a.txt", text)) == ["too many fields"]
    monkeypatch.setattr(sources, "_LONGEST_LINE", 1000)
    with pytest.raises(InputFileError, match="no end of line 3"):
        outcomes(written(tmp_path / "b.mgf", MGF.replace("PEPMASS", "A" * 2000)))


def test_xml_nested_deeply_and_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_seeds("mzml", tmp_path / "seeds", None)
    (seed,) = (tmp_path / "seeds").iterdir()
    text = seed.read_text()
    for depth in (500, 5_000, 200_000):
        nested = text.replace("<scanList", "<a>" * depth + "</a>" * depth + "<scanList", 2)
        assert outcomes(written(tmp_path / "nested.mzML", nested))[-1] != ""
    monkeypatch.setattr("specsearch.spectra.readers.pyteomics_xml._MOST_BETWEEN", 200_000)
    long = text.replace("<scanList", "<a>b</a>" * 100_000 + "<scanList")
    assert outcomes(written(tmp_path / "long.mzML", long)) == ["record too long"]


def test_hdf5_that_declares_what_it_does_not_hold(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for number, shape in enumerate([(10**12, 2, 128), (1, 2, 10**12), (10**9, 2, 1)]):
        path = tmp_path / f"{number}.hdf5"
        with h5py.File(path, "w") as file:
            file.create_dataset("spectrum", shape, "f4", chunks=(1, 2, 1))
        with pytest.raises(InputFileError, match="more than its size can hold"):
            list(read_spectra(path))


def test_hdf5_that_names_another_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    secret = written(tmp_path / "secret", bytes(range(1, 65)))
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("spectrum", (1, 2, 8), "f4", external=[(str(secret), 0, 64)])
    with pytest.raises(InputFileError, match="no dataset 'spectrum'"):
        list(read_spectra(tmp_path / "a.hdf5"))
    with h5py.File(tmp_path / "real.hdf5", "w") as file:
        file.create_dataset("spectrum", data=np.full((1, 2, 4), 60.5))
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["spectrum"] = h5py.ExternalLink("real.hdf5", "spectrum")
    assert isinstance(next(read_spectra(tmp_path / "real.hdf5")), Spectrum)
    with pytest.raises(InputFileError, match="no dataset 'spectrum'"):
        list(read_spectra(tmp_path / "b.hdf5"))


@pytest.mark.parametrize("dtype", ["S4", "c16", ">f4", "<i2", "f2", "?"])
def test_hdf5_numbers_of_any_kind(tmp_path: Path, dtype: str) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("spectrum", data=np.full((1, 2, 4), 60).astype(dtype))
    if dtype in (">f4", "<i2", "f2"):
        (spectrum,) = read_spectra(tmp_path / "a.hdf5")
        assert not isinstance(spectrum, Skipped)
        assert spectrum.mz.tolist() == [60] * 4
    else:
        with pytest.raises(InputFileError):
            list(read_spectra(tmp_path / "a.hdf5"))


def test_mzxml_of_a_namespace_with_a_brace(tmp_path: Path) -> None:
    write_seeds("mzxml", tmp_path / "seeds", None)
    (seed,) = (tmp_path / "seeds").iterdir()
    path = written(tmp_path / "a.mzXML", seed.read_text().replace("schema_revision", "schema_re}vision"))
    assert outcomes(path) == ["a:scan=2", "a:scan=3", "XML not well-formed"]


def test_hdf5_names_that_are_no_utf8(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("spectrum", data=np.full((1, 2, 4), 60.5))
        file.create_dataset(b"na\xffme", data=["text"])
    (spectrum,) = read_spectra(tmp_path / "a.hdf5")
    assert isinstance(spectrum, Spectrum)
    assert "text" in spectrum.metadata.values()
