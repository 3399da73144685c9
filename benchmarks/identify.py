"""Making a bank of all molecules, and looking spectra up in it: molecules/s, and milliseconds a query.

A query is timed whole, from a spectrum to its ranked and rated shortlist, alone and on one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.circumstances import write_result
from benchmarks.massbank import FILE
from benchmarks.script import arguments, print_table, print_verdicts, verdict
from benchmarks.timing import timed, use_one_core
from ingest.bank import BankPlace, add_to_bank
from specsearch.encoder.checkpoint import load_checkpoint
from specsearch.encoder.embedder import Embedder
from specsearch.search.candidates import CandidateSearch, CandidateSettings
from specsearch.search.decision import read_decision
from specsearch.search.query_outputs import read_queries
from specsearch.search.whole_bank import best_by_fingerprint
from specsearch.spectra.readers.parquet import read_parquet
from specsearch.spectra.spectrum import Spectrum
from specsearch.store.bank import Bank, open_bank
from specsearch.store.candidates import COLLECTION
from specsearch.store.store import open_store

_LEAST_MOLECULES_PER_S = 1500.0
_MOST_MS, _MOST_MS_FRAGMENTS, _MOST_MS_WHOLE = 50.0, 400.0, 20.0
_N_FRAGMENTED = 50
_BATCH = 64


def main() -> None:
    """Measure and write `identify.json`."""
    parser = arguments(__doc__)
    parser.add_argument("--queries", type=int, default=200, help="spectra of val, drawn evenly")
    parser.add_argument("--bank", type=Path, help="folder of a bank that is there; it is made otherwise")
    parser.add_argument("--ranker", type=Path, help="ranker file; the fixed rule without one")
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.model)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.bank or Path(temporary) / "bank"
        made = None if asked.bank else _make(folder, asked.data / "molecules.parquet", network, card)
        use_one_core()
        bank = open_bank(folder, card.digest)
        decision = None if asked.ranker is None else read_decision(asked.ranker, card.digest)
        spectra = _queries(asked.data / FILE, asked.limit or asked.queries)
        embedder = Embedder(network, card)
        rows = []
        for n_fragmented in (0, _N_FRAGMENTED):
            settings = CandidateSettings(n_fragmented=n_fragmented, decision=decision)
            rows.append(_searched(CandidateSearch(bank, embedder, network, settings), spectra, n_fragmented))
        whole_ms = _whole_bank(bank, embedder, network, spectra)
    print_table(f"One query, one core, {len(bank):,} molecules", rows)
    bounds: dict[str, Any] = {
        "p50 without fragments, ms": verdict(rows[0]["p50_ms"], _MOST_MS, at_most=True),
        "p50 with fragments of 50, ms": verdict(rows[1]["p50_ms"], _MOST_MS_FRAGMENTS, at_most=True),
        "whole bank by fingerprint, ms/query": verdict(whole_ms, _MOST_MS_WHOLE, at_most=True),
    }
    if made is not None:
        print_table("Bank", [made])
        rate = made["molecules_per_s"]
        bounds["molecules/s"] = verdict(rate, _LEAST_MOLECULES_PER_S, at_most=False)
    print_verdicts(bounds)
    figures = {"bank": made, "n_molecules": len(bank), "queries": rows, "whole_bank_ms": whole_ms}
    write_result("identify", asked, {**figures, "bounds": bounds}, card.digest)


def _make(folder: Path, molecules: Path, network: Any, card: Any) -> dict[str, Any]:
    """Make a bank and say how fast."""
    with open_store(folder) as store:
        place = BankPlace(folder, store, COLLECTION)
        summary, seconds = timed(add_to_bank, [molecules], place, network, card)
    return {
        "molecules": summary.n_in_bank,
        "seconds": seconds,
        "molecules_per_s": summary.n_in_bank / seconds,
    }


def _queries(path: Path, limit: int) -> list[Spectrum]:
    """Spectra of val with adduct and peaks, drawn evenly."""
    found = [
        record
        for record in read_parquet(path)
        if isinstance(record, Spectrum)
        and record.metadata.get("split") == "val"
        and record.adduct
        and record.precursor_mz
        and len(record) >= 3
    ]
    return [found[i] for i in np.linspace(0, len(found) - 1, min(limit, len(found))).astype(np.int64)]


def _searched(search: CandidateSearch, spectra: list[Spectrum], n_fragmented: int) -> dict[str, Any]:
    list(search.search(spectra[:5]))  # compiles and warms up
    answers = [timed(lambda one: list(search.search([one])), spectrum) for spectrum in spectra]
    sizes = [len(shortlist) for (shortlist,), _ in answers]
    milliseconds = [seconds * 1000 for _, seconds in answers]
    return {
        "fragmented": n_fragmented,
        "queries": len(spectra),
        "median_candidates": float(np.median(sizes)),
        "p50_ms": float(np.percentile(milliseconds, 50)),
        "p95_ms": float(np.percentile(milliseconds, 95)),
        # Few queries have so many candidates: what the bound is about, by the cost of each.
        "p50_ms_of_large": _of_large(np.array(milliseconds), np.array(sizes)),
    }


def _of_large(milliseconds: np.ndarray, sizes: np.ndarray) -> float:
    """Median time of the queries with at least as many candidates as are fragmented."""
    large = milliseconds[sizes >= _N_FRAGMENTED]
    return float(np.median(large)) if len(large) else float("nan")


def _whole_bank(bank: Bank, embedder: Embedder, network: Any, spectra: list[Spectrum]) -> float:
    """Milliseconds a query, in batches of 64, on one core."""
    logits = read_queries(embedder, network, (spectra * _BATCH)[:_BATCH]).logits
    best_by_fingerprint(bank, logits, 200)
    seconds = [timed(best_by_fingerprint, bank, logits, 200)[1] for _ in range(3)]
    return float(min(seconds) / _BATCH * 1000)


if __name__ == "__main__":
    main()
