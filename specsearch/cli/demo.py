"""``specsearch demo``: index a library and ask it, with real spectra where there are any."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from specsearch.cli.settings import DATA_ENV, ModelAt, StoreAt, find_real_data, model_options, store_option

if TYPE_CHECKING:
    from specsearch.cli.demo_material import Material
    from specsearch.encoder.embedder import Embedder

_NEXT = """\
{remark}

Now with your own files:
  specsearch search unknowns.mzML --library {library}{store}
  specsearch index my_standards.mgf --library mylab{store}
  specsearch libraries{store}"""


@click.command()
@store_option
@model_options
def demo(store: StoreAt, model_path: Path | None, key_map_path: Path | None) -> None:
    """Index a library and ask it, in under two minutes.

    Takes about 10,000 MassBank spectra where SPECSEARCH_DATA (or ../shared/data) has massbank.parquet,
    else a small sample that is SIMULATED here and now. The library stays: try your own files on it.
    """
    from specsearch.cli.demo_material import real_material, simulated_material
    from specsearch.cli.index import index_into, show_summary
    from specsearch.cli.screen import say

    data = find_real_data()
    with TemporaryDirectory(prefix="specsearch-demo-") as folder:
        if data is not None:
            say(f"Real spectra: MassBank, from {data / 'massbank.parquet'}.")
            material = real_material(data / "massbank.parquet", Path(folder))
        else:
            say(f"No massbank.parquet in {DATA_ENV}: the spectra are SIMULATED, made by breaking bonds.")
            material = simulated_material(Path(folder))
        embedder = ModelAt(model_path, key_map_path).load()
        say(f"Indexing into the library {material.library!r} in {store.location} ...")
        show_summary(index_into(material.library, (str(material.library_file),), store, embedder))
        _ask(material, store, embedder)
    say(_NEXT.format(remark=material.remark, library=material.library, store=store.option()))


def _ask(material: Material, store: StoreAt, embedder: Embedder) -> None:
    """Print the five best hits of every query."""
    from specsearch.cli.screen import screen
    from specsearch.report.tables import hits_table
    from specsearch.search.similar import SearchSettings, SimilaritySearch
    from specsearch.spectra.readers import read_spectra
    from specsearch.spectra.spectrum import Spectrum

    queries = [record for record in read_spectra(material.query_file) if isinstance(record, Spectrum)]
    console = screen()
    with store.open() as opened, opened.open(material.library) as collection:
        for answer in SimilaritySearch([collection], embedder, SearchSettings(top=5)).search(queries):
            console.print(hits_table(answer, console.width))
