"""Generations of a library in a folder.

The first lies in the library's own folder, later ones in ``generations/2``, ``generations/3``, ..., each
with contract, manifest, lock and shard. ``generation.json`` says which is current and which is kept; it is
replaced whole, so that a library is the one or the other, whenever a process is killed. Any other generation
was never finished, or is on its way out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from specsearch.errors import StoreDamaged, StoreError
from specsearch.store.edge import EdgeCollection
from specsearch.store.edge_making import filling, remove_files
from specsearch.store.generations import require_kept, require_none_kept
from specsearch.store.integrity import CONTRACT, read_json, write_json
from specsearch.store.planner import IndexSettings
from specsearch.store.schema import Contract
from specsearch.store.session import Session
from specsearch.store.space import used_bytes

_POINTER = "generation.json"
_FOLDER = "generations"
_FIRST = 1


def home_of(folder: Path) -> Path:
    """Where the current generation lies of the library in a folder, if there is one.

    Raises
    ------
    StoreDamaged
        If ``generation.json`` cannot be read.
    """
    return _home(folder, _read(folder)[0])


def seems_library(folder: Path) -> bool:
    """Whether there is a library in a folder; a damaged one says so when it is opened."""
    try:
        return (home_of(folder) / CONTRACT).is_file()
    except StoreDamaged:
        return True


def forget_generations(folder: Path) -> None:
    """Remove what is left of a library whose current generation has gone; the first counts again."""
    if (folder / _POINTER).exists():
        (folder / CONTRACT).unlink(missing_ok=True)  # it must not come back
        shutil.rmtree(folder / _FOLDER, ignore_errors=True)
        (folder / _POINTER).unlink()


class EmbeddedGenerations:
    """See `specsearch.store.generations.Generations`.

    Parameters
    ----------
    folder : Path
        Of the library, which exists.
    settings : IndexSettings
        For generations that are made.
    """

    def __init__(self, folder: Path, settings: IndexSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._made: int | None = None

    def kept(self) -> Contract | None:
        kept = _read(self._folder)[1]
        if kept is None or not (_home(self._folder, kept) / CONTRACT).is_file():
            return None
        return Contract.from_dict(read_json(_home(self._folder, kept) / CONTRACT))

    @contextmanager
    def making(self, contract: Contract) -> Iterator[EdgeCollection]:
        require_none_kept(self.kept(), self._folder.name)
        current = _read(self._folder)[0]
        number = max(current, _FIRST) + 1
        home = _home(self._folder, number)
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The folder {home} cannot be made: {error.strerror}.") from error
        session = Session(home, self._folder.name)
        try:
            self._clear_away({current, number})
            n_bytes = used_bytes(_home(self._folder, current))
        except BaseException:
            session.abandon()
            raise
        with filling(session, contract, self._settings, n_bytes) as collection:
            yield collection
        self._made = number

    def publish(self) -> None:
        if self._made is not None:
            self._point(self._made, kept=_read(self._folder)[0])
            self._made = None

    def open_kept(self) -> EdgeCollection:
        require_kept(self.kept(), self._folder.name)
        session = Session(_home(self._folder, _read(self._folder)[1] or _FIRST), self._folder.name)
        try:
            session.begin(write=False)
            contract = Contract.from_dict(read_json(session.library / CONTRACT))
            contract.require_readable(self._folder.name)
            return EdgeCollection(session, contract, write=False)
        except BaseException:
            session.abandon()
            raise

    def turn_back(self) -> None:
        require_kept(self.kept(), self._folder.name)
        current, kept = _read(self._folder)
        self._point(kept or _FIRST, kept=current)

    def drop_kept(self) -> None:
        require_kept(self.kept(), self._folder.name)
        current, kept = _read(self._folder)
        session = Session(_home(self._folder, kept or _FIRST), self._folder.name)
        try:
            self._point(current, kept=None)
            remove_files(session.library)
        except OSError as error:
            raise StoreError(f"The older {self._folder.name!r} was not removed whole: {error}.") from error
        finally:
            session.abandon()

    def _point(self, current: int, kept: int | None) -> None:
        write_json(self._folder / _POINTER, {"current": current, "kept": kept})

    def _clear_away(self, staying: set[int]) -> None:
        """Remove what a killed run has left of generations, or of one that was dropped."""
        found = {int(path.name) for path in (self._folder / _FOLDER).iterdir() if path.name.isdigit()}
        for number in (found | {_FIRST}) - staying:
            remove_files(_home(self._folder, number))


def _home(folder: Path, number: int) -> Path:
    return folder if number == _FIRST else folder / _FOLDER / str(number)


def _read(folder: Path) -> tuple[int, int | None]:
    """Numbers of the current generation and of the kept one."""
    if not (folder / _POINTER).exists():
        return _FIRST, None
    values = read_json(folder / _POINTER)
    current, kept = values.get("current"), values.get("kept")
    if type(current) is not int or type(kept) not in (int, type(None)):
        raise StoreDamaged(
            f"The library's file {folder / _POINTER} makes no sense.",
            "Index the library again from its files, or bring the folder back from a backup.",
        )
    return current, kept
