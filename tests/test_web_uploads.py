"""Files that nobody should trust: a clear word, nothing left behind, and the server goes on."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from samples import mgf
from web_material import HOSTILE, records, small_app, small_server

from specsearch.errors import InvalidSpectrum
from specsearch.web import uploads
from specsearch.web.links import link_text, parse_link
from specsearch.web.records import MOST_PEAKS
from specsearch.web.uploads import parse_pasted

LAUGHS = '<!DOCTYPE mzML [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {new} "{"&" + old + ";" * 1}{("&" + old + ";") * 9}">'
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
ENTITY = '<!DOCTYPE mzML [<!ENTITY a SYSTEM "file:///etc/passwd">]><mzML>&a;</mzML>'


def one_record(peaks: str, **fields: str) -> bytes:
    lines = "".join(f"{name}={value}\n" for name, value in fields.items())
    return f"BEGIN IONS\nPEPMASS=300\n{lines}{peaks}END IONS\n".encode()


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3]}), stream)
    return stream.getvalue()


GOOD = mgf(records()[:3]).encode()
REFUSED = {
    "empty": b"",
    "blank": b" \n\n",
    "binary": np.random.default_rng(0).bytes(5000),
    "zip": b"PK\x03\x04" + b"0" * 100,
    "cut gzip": gzip.compress(GOOD * 50)[:60],
    "no spectra": b"name,value\n1,2\n",
    "foreign parquet": parquet(),
    "cut parquet": parquet()[:-40],
    "html": b"<html><script>alert(1)</script></html>",
    "a pickle": b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
}
MENDED = {
    "NaN": one_record("100 nan\n"),
    "infinite": one_record("inf 5\n"),
    "negative": one_record("-100 5\n"),
    "no peaks": one_record(""),
    "words": one_record("abc def\n"),
    "too many peaks": one_record("100 1\n" * (MOST_PEAKS + 1)),
    "a million peaks": one_record("100.5 1\n" * 1_000_000),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    uploads.read_sent(GOOD, "first", MOST_PEAKS)  # what reads has a folder of its own from then on
    with small_server(tmp_path_factory.mktemp("web")) as served, TestClient(small_app(served)) as made:
        yield made


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, and must be gone from."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_spectra_is_refused_in_words(client: TestClient, temporary: Path, what: str) -> None:
    for path in ("/v1/read", "/read"):
        found = client.post(
            path, files={"file": ("some.mgf", REFUSED[what])}, headers={"accept": "text/html"}
        )
        assert found.status_code == 422, found.text
        assert ("some.mgf" in found.text) == (what != "cut gzip")
        assert str(temporary) not in found.text
        assert "Traceback" not in found.text
    assert not list(temporary.iterdir())
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize("what", MENDED)
def test_a_bad_record_is_left_out_with_its_reason(client: TestClient, temporary: Path, what: str) -> None:
    found = client.post("/v1/read", files={"file": ("some.mgf", MENDED[what] + GOOD)})
    assert found.status_code == 200, found.text
    assert len(found.json()["spectra"]) == 3
    (skipped,) = found.json()["skipped"]
    assert skipped["reason"]
    assert skipped["source"] == "some.mgf"
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("text", [LAUGHS + "]><mzML>&j;</mzML>", ENTITY])
def test_entities_are_not_expanded(client: TestClient, temporary: Path, text: str) -> None:
    found = client.post("/v1/read", files={"file": ("some.mzML", text.encode())})
    assert found.status_code in (200, 422)
    assert "root:" not in found.text
    assert len(found.content) < 10_000
    if found.status_code == 200:
        assert found.json()["spectra"] == []


def test_a_gzip_bomb_is_stopped(client: TestClient, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred megabytes of one record's peaks in two hundred kilobytes."""
    bomb = gzip.compress(b"BEGIN IONS\nPEPMASS=300\n" + b"100.5 1\n" * 25_000_000)
    assert len(bomb) < 2_000_000
    found = client.post("/v1/read", files={"file": ("some.mgf.gz", bomb)})
    assert found.status_code == 422
    assert "MiB" in found.json()["detail"]
    assert not list(temporary.iterdir())


def test_a_file_without_end_is_read_so_far(
    client: TestClient, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_SPECTRA", 10)
    found = client.post("/v1/read", files={"file": ("some.mgf", GOOD * 20)}).json()
    assert (len(found["spectra"]), found["is_complete"]) == (10, False)
    monkeypatch.setattr(uploads, "_MOST_SECONDS", 0.0)
    found = client.post("/v1/read", files={"file": ("some.mgf", GOOD * 20)}).json()
    assert (len(found["spectra"]), found["is_complete"]) == (1, False)


BAD = one_record("")
N_PEAKS = [len(one) for one in records()[:3]]


@pytest.mark.parametrize(
    ("limit", "most", "content", "ended_by"),
    [
        ("MOST_SPECTRA", 3, GOOD, ""),
        ("MOST_SPECTRA", 3, GOOD + GOOD, "3 spectra"),
        ("MOST_SPECTRA", 3, GOOD + BAD, "3 spectra"),
        ("_MOST_SKIPPED", 2, BAD + GOOD + BAD, ""),
        ("_MOST_SKIPPED", 2, BAD + BAD + GOOD, "2 records that cannot be used"),
        ("_MOST_PEAKS", sum(N_PEAKS), GOOD, ""),
        ("_MOST_PEAKS", sum(N_PEAKS[:2]), GOOD, f"{sum(N_PEAKS[:2])} peaks"),
        ("_MOST_SECONDS", 0.0, one_record("100 1\n"), ""),
        ("_MOST_SECONDS", 0.0, GOOD, "0 seconds"),
    ],
)
def test_only_a_file_with_more_in_it_is_not_read_whole(
    monkeypatch: pytest.MonkeyPatch, limit: str, most: float, content: bytes, ended_by: str
) -> None:
    monkeypatch.setattr(uploads, limit, most)
    found = uploads.read_sent(content, "some.mgf", MOST_PEAKS)
    assert (found.ended_by, found.is_complete) == (ended_by, not ended_by)


def test_the_limit_itself_is_allowed(client: TestClient) -> None:
    just = one_record("100 1\n") * uploads.MOST_SPECTRA
    for content, is_complete in ((just, True), (just + one_record("100 1\n"), False)):
        found = client.post("/v1/read", files={"file": ("some.mgf", content)}).json()
        assert (len(found["spectra"]), found["is_complete"]) == (1000, is_complete)
        page = client.post("/read", files={"file": ("some.mgf", content)}, headers={"accept": "text/html"})
        assert ("Reading ended after 1,000 spectra" in page.text) == (not is_complete)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\x00b.mgf", "\u202egfm.exe", "x" * 5000, HOSTILE, ""])
def test_a_name_is_only_shown(client: TestClient, temporary: Path, name: str) -> None:
    before = sorted(Path(__file__).parents[1].rglob("passwd*"))
    found = client.post("/read", files={"file": (name, GOOD)}, headers={"accept": "text/html"})
    assert found.status_code in (200, 400, 422)
    assert HOSTILE not in found.text
    assert "\u202e" not in found.text
    assert sorted(Path(__file__).parents[1].rglob("passwd*")) == before
    assert not list(temporary.iterdir())


def test_pasted_peaks_say_which_line_is_wrong(client: TestClient) -> None:
    sent = {"peaks": "100.1 5\nabc\n", "precursor_mz": "200"}
    found = client.post("/read", data=sent, headers={"accept": "text/html"})
    assert found.status_code == 422
    assert "line 2" in found.text
    assert client.post("/read", data={"peaks": "100 5", "precursor_mz": "x"}).status_code == 422
    assert client.post("/read").status_code == 422
    assert client.post("/read", data={"peaks": "100.1\t5\n110,2;7"}).status_code == 200


@pytest.mark.parametrize(
    "line",
    [
        "69.0447 8.2",
        "69,0447 8,2",
        "69,0447\t8,2",
        "69,0447;8,2",
        "69,0447 ; 8,2;",
        "69.0447,8.2",
        "69.0447, 8.2",
        "69.0447 , 8.2,",
        "69.0447:8.2",
        "69,0447\u00a08,2",
        "69.0447 8.2 C4H5N2+",
        "69,0447 8,2 C4H5N2+, a fragment",
        "69.0447,8.2,C4H5N2+",
        "+6.90447e1 8.2E+0",
    ],
)
def test_a_pasted_line_is_read_with_points_and_with_commas(line: str) -> None:
    found = parse_pasted(f"\n{line}\n \n;\n138,0662 100\n", None)
    assert found.mz.tolist() == [69.0447, 138.0662]
    assert found.intensity.tolist() == [8.2, 100.0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("69,0447,8,2", "line 2 has more than two numbers"),
        ("69.0447 8.2 82", "line 2 has more than two numbers"),
        ("69.0447 8.2 138.0662 100", "line 2 has more than two numbers"),
        ("69.0447:8.2 138.0662:100", "line 2 has more than two numbers"),
        ("1,169.0447 8.2", "line 2 is not an m/z and an intensity"),
        ("169.0447 8,200", "line 2 is not an m/z and an intensity"),
        ("69.0447", "line 2 is not an m/z and an intensity"),
        ("m/z intensity", "line 2 is not an m/z and an intensity"),
    ],
)
def test_a_pasted_line_that_could_mean_several_things_is_refused(line: str, why: str) -> None:
    with pytest.raises(InvalidSpectrum) as refused:
        parse_pasted(f"138.0662 100\n{line}\n", None)
    assert refused.value.reason == why
    assert line in refused.value.detail


@pytest.mark.parametrize(
    ("adduct", "ion_mode", "charge", "shown", "notes"),
    [
        ("[M-H]-", "", -1, "[M-H]-", ()),
        (" [M-H]- ", "positive", -1, "[M-H]-", ("adduct contradicts ion mode",)),
        ("[M+2H]2+", "positive", 2, "[M+2H]2+", ()),
        ("M+H", "negative", 1, "[M+H]+", ("adduct contradicts ion mode",)),
        ("a proton", "negative", -1, "a proton", ("adduct not understood: a proton",)),
        ("", "positive", 1, None, ()),
        ("", "", None, None, ()),
    ],
)
def test_the_adduct_of_pasted_peaks_says_the_charge(
    adduct: str, ion_mode: str, charge: int | None, shown: str | None, notes: tuple[str, ...]
) -> None:
    found = parse_pasted("69.0447 8.2\n", 195.0877, adduct, ion_mode)
    assert (found.charge, found.adduct, found.notes) == (charge, shown, notes)
    again = parse_link(link_text(found))
    assert (again.charge, again.adduct, again.notes) == (charge, shown, notes)


def test_what_was_noticed_of_pasted_peaks_is_shown(client: TestClient) -> None:
    sent = {"peaks": "138.0662 100\n69.0447 8.2", "adduct": "[M-H]-", "ion_mode": "positive"}
    page = client.post("/read", data=sent, headers={"accept": "text/html"}).text
    assert "adduct contradicts ion mode" in page
    assert "peaks were not sorted" in page
    assert "<span>negative</span>" in page
    unsaid = client.post("/read", data={"peaks": "138.0662 100"}, headers={"accept": "text/html"}).text
    assert "<span>unknown ion mode</span>" in unsaid


def test_notes_of_a_link_are_bounded() -> None:
    noted = replace(records()[0], notes=tuple(f"{i}" * 5000 for i in range(50)))
    assert [len(note) for note in parse_link(link_text(noted)).notes] == [200] * 10


@pytest.mark.parametrize("link", ["", "x", "e30", "AAAA" * 3000, "eNqrVspVslKINjSIBQAP7QLq", "ü"])
def test_a_broken_link_is_told(client: TestClient, link: str) -> None:
    for page in ("search", "identify", "family"):
        found = client.get(f"/{page}", params={"s": link})
        assert found.status_code == 422
        assert found.json()["next_step"]
