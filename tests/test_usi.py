"""USIs: examples from the specification and the GNPS resolver, faults, and the way back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specsearch.errors import ParseError
from specsearch.spectra.usi import Usi, parse_usi

EXAMPLES = {
    "mzspec:GNPS:GNPS-LIBRARY:accession:CCMSLIB00000001547": (
        "GNPS",
        "GNPS-LIBRARY",
        "accession",
        "CCMSLIB00000001547",
        "",
    ),
    "mzspec:MASSBANK::accession:SM858102": ("MASSBANK", "", "accession", "SM858102", ""),
    "mzspec:PXD000561:Adult_Frontalcortex_bRP_Elite_85_f09:scan:17555:VLHPLEGAVVIIFK/2": (
        "PXD000561",
        "Adult_Frontalcortex_bRP_Elite_85_f09",
        "scan",
        "17555",
        "VLHPLEGAVVIIFK/2",
    ),
    "mzspec:PXD000966:CPTAC_CompRef:scan:11850:[UNIMOD:214]YYWGGLYSWDMSK[UNIMOD:214]/2": (
        "PXD000966",
        "CPTAC_CompRef",
        "scan",
        "11850",
        "[UNIMOD:214]YYWGGLYSWDMSK[UNIMOD:214]/2",
    ),
    "mzspec:GNPS:TASK-c95481f0c53d42e78a61bf899e9f9adb-spectra/specs_ms.mgf:scan:1943": (
        "GNPS",
        "TASK-c95481f0c53d42e78a61bf899e9f9adb-spectra/specs_ms.mgf",
        "scan",
        "1943",
        "",
    ),
    "mzspec:PXD010154:01284_E04_P013188_B00_N29_R1.mzML:nativeId:1,1,2740": (
        "PXD010154",
        "01284_E04_P013188_B00_N29_R1.mzML",
        "nativeId",
        "1,1,2740",
        "",
    ),
    "mzspec:MSV000078547:a run: with colons:index:7": (
        "MSV000078547",
        "a run: with colons",
        "index",
        "7",
        "",
    ),
}


@pytest.mark.parametrize(("text", "parts"), EXAMPLES.items())
def test_examples_both_ways(text: str, parts: tuple[str, ...]) -> None:
    assert parse_usi(f" {text}\n") == Usi(*parts)
    assert str(Usi(*parts)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mzspec",
        "mzspec:",
        "mzspec:GNPS",
        "mzspec:GNPS:run",
        "mzspec:GNPS:run:scan",
        "mzspec:GNPS:run:scan:",
        "mzspec:GNPS:run:scan:abc",
        "mzspec:GNPS:run:index:-1",
        "mzspec:GNPS:run:peak:1",
        "mzspec::run:scan:1",
        "mzdraft:GNPS:run:scan:1",
        "http://x/?usi=mzspec:GNPS:run:scan:1",
        "mzspec:GNPS:run:scan:1:",
        "mzspec:GNPS:r\nun:scan:1",
        "mzspec:GNPS:run:scan:٣",
        "mzspec:A:" + ":scan" * 5000 + ":1",
    ],
)
def test_refusals_name_a_next_step(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_usi(text)
    assert "mzspec:" in caught.value.next_step
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "parts",
    [
        ("A:B", "run", "scan", "1"),
        ("A", "run:scan:7", "scan", "1"),
        ("A", "run", "scan", "one"),
        ("A", "run", "trace", "1"),
        ("A", "run", "accession", "B:C"),
        ("A", "run", "accession", ""),
    ],
)
def test_parts_that_would_be_read_as_others_are_refused(parts: tuple[str, str, str, str]) -> None:
    with pytest.raises(ParseError):
        Usi(*parts)


names = st.text(alphabet="abcXYZ019._-/ ", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.tuples(names, names, st.integers(0, 10**9), names))
def test_the_way_back(parts: tuple[str, str, int, str]) -> None:
    collection, run, scan, interpretation = parts
    usi = Usi(collection.replace(" ", "_"), run, "scan", str(scan), interpretation)
    assert parse_usi(str(usi)) == usi
