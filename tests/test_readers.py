"""Every real file is read, and read as other libraries read it."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lxml import etree

from specsearch.errors import InputFileError, Skipped
from specsearch.spectra.readers import find_files, read_spectra
from specsearch.spectra.readers.detect import Format, detect_format
from specsearch.spectra.readers.fields import standard_name
from specsearch.spectra.readers.mgf import read_mgf
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum

FORMAT_OF_FOLDER = {
    "mgf": Format.MGF,
    "msp": Format.MSP,
    "mzml": Format.MZML,
    "mzxml": Format.MZXML,
    "massbank": Format.MASSBANK,
    "json": Format.JSON,
}
NOT_SPECTRA = "massspecgym_example_5_candidates.json"
MGF_BLOCK = "BEGIN IONS\nSCANS={0}\nPEPMASS=250.1\n100.5 1\n200.25 3\nEND IONS\n"


def spectra_of(path: Path) -> list[Spectrum]:
    records = list(read_spectra(path))
    assert not [record for record in records if isinstance(record, Skipped)]
    return [record for record in records if isinstance(record, Spectrum)]


def assert_same_peaks(spectra: list[Spectrum], expected: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert len(spectra) == len(expected)
    for spectrum, (mz, intensity) in zip(spectra, expected, strict=True):
        order = np.argsort(mz, kind="stable")
        np.testing.assert_array_equal(spectrum.mz, np.asarray(mz, dtype=np.float64)[order])
        np.testing.assert_array_equal(spectrum.intensity, np.asarray(intensity, dtype=np.float64)[order])


def real_files(data_dir: Path) -> list[Path]:
    return sorted(path for path in (data_dir / "formats").rglob("*") if path.is_file())


def test_every_real_file_is_recognised_by_content(data_dir: Path, tmp_path: Path) -> None:
    for path in real_files(data_dir):
        if path.name == NOT_SPECTRA:
            continue
        assert detect_format(path) is FORMAT_OF_FOLDER[path.parent.name], path
        misnamed = shutil.copy(path, tmp_path / "misnamed.mgf")
        assert detect_format(misnamed) is FORMAT_OF_FOLDER[path.parent.name], path


def test_every_real_file_is_read_without_a_loss(data_dir: Path) -> None:
    found = find_files([data_dir / "formats"])
    assert [Path(skipped.source).name for skipped in found.skipped] == [NOT_SPECTRA]
    assert len(found.files) == len(real_files(data_dir)) - 1
    for path in found.files:
        spectra_of(path)


def pyteomics_mgf(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    from pyteomics import mgf

    with mgf.MGF(str(path), convert_arrays=1) as reader:
        return [(entry["m/z array"], entry["intensity array"]) for entry in reader]


def test_mgf_agrees_with_pyteomics(data_dir: Path) -> None:
    for path in (data_dir / "formats" / "mgf").iterdir():
        assert_same_peaks(spectra_of(path), pyteomics_mgf(path))


def numbers(text: str | None, dtype: str, *, is_zipped: bool) -> np.ndarray:
    data = base64.b64decode(text or "")
    return np.frombuffer(zlib.decompress(data) if is_zipped else data, dtype)


def mzml_term(element: etree._Element, accession: str) -> etree._Element | None:
    return element.find(f".//{{*}}cvParam[@accession='{accession}']")


def mzml_value(element: etree._Element, accession: str) -> str | None:
    term = mzml_term(element, accession)
    return None if term is None else term.get("value")


def mzml_numbers(spectrum: etree._Element, accession: str) -> np.ndarray:
    (array,) = (
        each for each in spectrum.iter("{*}binaryDataArray") if mzml_term(each, accession) is not None
    )
    dtype = "<f8" if mzml_term(array, "MS:1000523") is not None else "<f4"
    is_zipped = mzml_term(array, "MS:1000574") is not None
    return numbers(array.findtext("{*}binary"), dtype, is_zipped=is_zipped)


def test_mzml_agrees_with_its_elements(data_dir: Path) -> None:
    """The whole tree at once, found by path; terms by accession, arrays by hand."""
    for path in (data_dir / "formats" / "mzml").iterdir():
        elements = etree.parse(path).iterfind(".//{*}spectrum")
        expected = [element for element in elements if mzml_value(element, "MS:1000511") == "2"]
        arrays = [(mzml_numbers(each, "MS:1000514"), mzml_numbers(each, "MS:1000515")) for each in expected]
        spectra = spectra_of(path)
        assert_same_peaks(spectra, arrays)
        for spectrum, element in zip(spectra, expected, strict=True):
            assert element.get("id", "").endswith(spectrum.accession.partition(":")[2])
            assert spectrum.precursor_mz == float(mzml_value(element, "MS:1000744") or "")
            sign = 1 if mzml_term(element, "MS:1000130") is not None else -1
            assert spectrum.charge == sign * int(mzml_value(element, "MS:1000041") or 1)
            assert spectrum.metadata.get("collision_energy") == mzml_value(element, "MS:1000045")
            time = mzml_term(element, "MS:1000016")
            assert time is not None
            seconds = float(time.get("value", "")) * {"minute": 60, "second": 1}[time.get("unitName", "")]
            assert float(spectrum.metadata["retention_time"]) == pytest.approx(seconds)


def test_mzxml_agrees_with_its_elements(data_dir: Path) -> None:
    for path in (data_dir / "formats" / "mzxml").iterdir():
        expected = etree.parse(path).findall(".//{*}scan[@msLevel='2']")
        arrays = []
        for element in expected:
            peaks = element.find("{*}peaks")
            assert peaks is not None
            is_zipped = peaks.get("compressionType") == "zlib"
            pairs = numbers(peaks.text, f">f{int(peaks.get('precision', '')) // 8}", is_zipped=is_zipped)
            arrays.append(tuple(pairs.reshape(-1, 2).T))
        spectra = spectra_of(path)
        assert_same_peaks(spectra, arrays)
        for spectrum, element in zip(spectra, expected, strict=True):
            assert spectrum.metadata["scans"] == element.get("num")
            assert spectrum.precursor_mz == float(element.findtext("{*}precursorMz") or "")
            assert (
                spectrum.metadata["ionmode"]
                == {"+": "positive", "-": "negative"}[element.get("polarity", "")]
            )
            seconds = float(element.get("retentionTime", "").removeprefix("PT").removesuffix("S"))
            assert float(spectrum.metadata["retention_time"]) == pytest.approx(seconds)


def matchms_entries(path: Path) -> Iterator:
    from matchms.importing import load_from_json, load_from_mgf, load_from_msp

    loaders = {".msp": load_from_msp, ".json": load_from_json, ".mgf": load_from_mgf}
    return iter(list(loaders[path.suffix](str(path), metadata_harmonization=False)))


@pytest.mark.parametrize("folder", ["msp", "json", "mgf"])
def test_library_files_agree_with_matchms(data_dir: Path, folder: str) -> None:
    for path in (data_dir / "formats" / folder).iterdir():
        if path.name != NOT_SPECTRA:
            expected = [(entry.peaks.mz, entry.peaks.intensities) for entry in matchms_entries(path)]
            assert_same_peaks(spectra_of(path), expected)


def test_massbank_records_agree_with_their_own_counts_and_hashes(data_dir: Path) -> None:
    for path in (data_dir / "formats" / "massbank").iterdir():
        text = path.read_text(encoding="utf-8")
        (spectrum,) = spectra_of(path)
        assert f"PK$NUM_PEAK: {len(spectrum)}\n" in text
        assert f"ACCESSION: {spectrum.accession}\n" in text
        assert f"PK$SPLASH: {spectrum.splash}\n" in text
        assert f"CH$LINK: INCHIKEY {spectrum.metadata['inchikey']}\n" in text


def test_massbank_records_in_one_file(data_dir: Path, tmp_path: Path) -> None:
    records = sorted((data_dir / "formats" / "massbank").iterdir())
    joined = tmp_path / "all.txt"
    joined.write_text("".join(path.read_text(encoding="utf-8") for path in records), encoding="utf-8")
    assert [spectrum.accession for spectrum in spectra_of(joined)] == [path.stem for path in records]


def test_all_of_massbank_comes_through_with_its_splashes(data_dir: Path) -> None:
    path = data_dir / "massbank.parquet"
    n_read = 0
    for record in read_parquet(path):
        assert isinstance(record, Spectrum)
        if n_read % 10 == 0:
            assert record.splash == record.metadata["splash"], record.accession
        n_read += 1
    assert n_read == pq.ParquetFile(path).metadata.num_rows


def test_a_window_of_rows_equals_that_slice_of_all_rows(data_dir: Path) -> None:
    path = data_dir / "massbank.parquet"
    names = pq.read_table(path, columns=["spectrum_id"])["spectrum_id"].to_pylist()
    for start, stop in ((0, 3), (8190, 8195), (20_000, 20_001), (71_619, None), (5, 5), (80_000, None)):
        assert [record.accession for record in read_parquet(path, start, stop)] == names[start:stop]


def test_keys_are_named_as_matchms_names_them() -> None:
    """For the fields that search and training stand on."""
    import matchms

    table = (Path(matchms.__file__).parent / "data" / "known_key_conversions.csv").read_text("utf-8-sig")
    wanted = {"precursor_mz", "charge", "adduct", "ionmode", "compound_name", "smiles", "inchi", "inchikey"}
    wanted |= {
        "instrument",
        "instrument_type",
        "collision_energy",
        "retention_time",
        "spectrum_id",
        "formula",
    }
    for line in table.splitlines()[1:]:
        key, name = line.split(",")
        if "$" not in key and ":" not in key and not key.startswith("synon_") and name in wanted:
            assert standard_name(key) == name, key


def write_hdf5(path: Path) -> None:
    peaks = np.zeros((3, 2, 5))
    peaks[0, :, :3] = [[50.5, 100.25, 150.125], [0.2, 1.0, 0.5]]
    peaks[1, :, :1] = [[75.5], [1.0]]
    with h5py.File(path, "w") as file:
        file["spectrum"] = peaks.astype(np.float32)
        file["precursor_mz"] = np.array([200.5, 300.5, 400.5])
        file["charge"] = np.array([1, 2, 0])
        file["RT"] = np.array([12.5, 13.5, 14.5])
        file["name"] = np.array([b"run.mzML"] * 3)
        file["DreaMS_embedding"] = np.zeros((3, 4))


def test_hdf5_of_gems(tmp_path: Path) -> None:
    path = tmp_path / "gems.hdf5"
    write_hdf5(path)
    first, second, third = read_spectra(path)
    assert isinstance(first, Spectrum)
    assert isinstance(second, Spectrum)
    assert first.intensity.tolist() == [0.2, 1.0, 0.5]
    assert (second.precursor_mz, second.charge, len(second)) == (300.5, 2, 1)
    assert first.metadata == {"retention_time": "12.5", "file_name": "run.mzML"}
    assert third == Skipped(str(path), "row 3", "no peaks", "gems:3")


def test_hdf5_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gems.hdf5"
    write_hdf5(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputFileError, match=r"specsearch\[hdf5\]"):
        read_spectra(path)


def test_massspecgym_table(tmp_path: Path) -> None:
    path = tmp_path / "MassSpecGym.tsv"
    path.write_text(
        "identifier\tmzs\tintensities\tsmiles\tinchikey\tformula\tprecursor_formula\tparent_mass\tprecursor_mz\t"
        "adduct\tinstrument_type\tcollision_energy\tfold\tsimulation_challenge\n"
        "MassSpecGymID0000001\t91.0542,125.0233\t0.24,1.0\tCC\tOTMSDBZUPAUEDD-UHFFFAOYSA-N\tC2H6\tC2H7\t30.0\t"
        "31.05\t[M+H]+\tOrbitrap\t30.0\ttrain\tTrue\n"
    )
    (spectrum,) = spectra_of(path)
    assert (spectrum.accession, spectrum.precursor_mz, spectrum.charge) == ("MassSpecGymID0000001", 31.05, 1)
    assert spectrum.mz.tolist() == [91.0542, 125.0233]
    assert spectrum.metadata["fold"] == "train"
    assert spectrum.metadata["smiles"] == "CC"


def test_float32_in_parquet_becomes_the_number_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    columns = {
        "mz": pa.array([[100.1, 200.2]], pa.list_(pa.float64())),
        "intensity": pa.array([[0.2, 0.7]], pa.list_(pa.float32())),
        "name": pa.array(["caffeine"]).dictionary_encode(),
        "compound_name": pa.array(["second of that name"]),
    }
    pq.write_table(pa.table(columns), path)
    (spectrum,) = spectra_of(path)
    assert spectrum.intensity.tolist() == [0.2, 0.7]
    assert spectrum.metadata == {"compound_name": "caffeine"}
    assert spectrum.accession == "table:1"


@pytest.mark.parametrize("name", ["mgf/matchms_testdata.mgf", "mzxml/matchms_testdata.mzXML"])
def test_gzip_changes_nothing(data_dir: Path, tmp_path: Path, name: str) -> None:
    path = data_dir / "formats" / name
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    plain, unpacked = spectra_of(path), spectra_of(packed)
    assert [spectrum.splash for spectrum in unpacked] == [spectrum.splash for spectrum in plain]
    assert [spectrum.accession for spectrum in unpacked] == [spectrum.accession for spectrum in plain]


class EndlessLines:
    """What `numbered_lines` gives of a file that never ends; counts what was taken from it."""

    def __init__(self) -> None:
        self.n_taken = 0

    def __call__(self, path: Path) -> Iterator[tuple[int, str]]:
        for number, line in enumerate(itertools.cycle(MGF_BLOCK.splitlines()), 1):
            self.n_taken = number
            yield number, line


def test_reading_takes_no_more_of_a_file_than_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = EndlessLines()
    monkeypatch.setattr("specsearch.spectra.readers.mgf.numbered_lines", endless)
    reader = read_mgf(Path("endless.mgf"))
    for n_read in range(1, 4):
        assert isinstance(next(reader), Spectrum)
        assert endless.n_taken == n_read * len(MGF_BLOCK.splitlines())


def as_mgf(n_spectra: int) -> Iterator[str]:
    block = MGF_BLOCK.replace("SCANS", f"TITLE={'x' * 4000}\nSCANS")
    return (block.format(number) for number in range(n_spectra))


def as_json(n_spectra: int) -> Iterator[str]:
    record = json.dumps({"peaks_json": [[100.5, 1.0]] * 400, "precursor_mz": 250.1})
    return itertools.chain(["["], (f"{record},\n" for _ in range(n_spectra - 1)), [f"{record}]"])


def as_mzml(n_spectra: int) -> Iterator[str]:
    level = '<cvParam accession="MS:1000511" name="ms level" value="1"/>'
    spectrum = f'<spectrum id="scan=1">{level}<x>{"A" * 500}</x></spectrum>\n'
    return itertools.chain(["<mzML>"], itertools.repeat(spectrum, n_spectra), ["</mzML>"])


def as_mzxml(n_spectra: int) -> Iterator[str]:
    """All of level 2, one number: nothing to wait for, nothing to sort by."""
    scan = f'<scan num="1" msLevel="2"><peaks>{base64.b64encode(bytes(400)).decode()}</peaks></scan>\n'
    return itertools.chain(["<mzXML>"], itertools.repeat(scan, n_spectra), ["</mzXML>"])


READ_AND_WEIGH = """
import re, sys
from pathlib import Path
from specsearch.spectra.readers import read_spectra
for _ in read_spectra(sys.argv[1]):
    pass
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize(
    ("make", "n_spectra"), [(as_mgf, 8_000), (as_json, 6_000), (as_mzml, 60_000), (as_mzxml, 20_000)]
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, make: Callable[[int], Iterator[str]], n_spectra: int
) -> None:
    """A process that reads a file twenty times as long peaks at the same size, give or take some chunks."""
    sizes = []
    for n_records in (n_spectra // 20, n_spectra):
        path = tmp_path / f"{n_records}.txt"
        with path.open("w") as file:
            file.writelines(make(n_records))
        command = [sys.executable, "-c", READ_AND_WEIGH, str(path)]
        sizes.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert sizes[1] < sizes[0] + 4_000


def test_folders_files_and_patterns(tmp_path: Path) -> None:
    for name in ("b/two.mgf", "a/one.mgf", "three.mgf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MGF_BLOCK)
    (tmp_path / "notes.txt").write_text("no spectra here")
    found = find_files([tmp_path])
    assert [str(path.relative_to(tmp_path)) for path in found.files] == [
        "three.mgf",
        "a/one.mgf",
        "b/two.mgf",
    ]
    assert [(Path(each.source).name, each.reason) for each in found.skipped] == [
        ("notes.txt", "no spectra understood")
    ]
    assert find_files([tmp_path / "**" / "*.mgf"]).files == sorted(found.files)
    assert find_files([tmp_path / "a", tmp_path / "a" / "one.mgf"]).files == [tmp_path / "a" / "one.mgf"]
    assert find_files([tmp_path / "notes.txt"]).files == [tmp_path / "notes.txt"]
    with pytest.raises(InputFileError, match="does not exist"):
        find_files([tmp_path / "*.msp"])


def test_importing_the_readers_loads_nothing_heavy() -> None:
    code = (
        "import sys, specsearch.spectra.readers as _; "
        "print({'pyarrow', 'lxml', 'pyteomics', 'h5py', 'numpy'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
