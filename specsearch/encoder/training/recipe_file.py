"""Recipes as TOML: read strictly, written so that a run can be repeated from its folder."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from specsearch.encoder.config import CONFIGS
from specsearch.encoder.training.recipe import LoopRecipe
from specsearch.errors import TrainingError

AnyRecipe = TypeVar("AnyRecipe", bound=LoopRecipe)


def read_recipe(path: Path, default: AnyRecipe) -> AnyRecipe:
    """Read a recipe; what the file leaves out is as in `default`.

    Parameters
    ----------
    path : Path
        TOML: the recipe's fields at the top, ``[config]`` (or ``config = "fourier"``), ``[augmentation]``
        and ``[weights]`` as tables.
    default : LoopRecipe
        Of the phase in question.

    Raises
    ------
    TrainingError
        If the file cannot be read, or names something that is no part of the recipe.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"The recipe {path} cannot be read ({error}).", "Check it as TOML.") from error
    if isinstance(values.get("config"), str):
        values["config"] = _named_config(values["config"], path)
    return _changed(default, values, str(path))


def recipe_text(recipe: LoopRecipe) -> str:
    """The recipe as TOML; `read_recipe` gives it back."""
    return "".join(f"{line}\n" for line in _lines(asdict(recipe)))


def _named_config(name: str, path: Path) -> dict[str, Any]:
    if name not in CONFIGS:
        raise TrainingError(f"{path}: there is no config {name!r}.", f"Known: {', '.join(CONFIGS)}.")
    return CONFIGS[name].to_dict()


def _changed(default: Any, values: Mapping[str, Any], where: str) -> Any:
    """A copy of a dataclass with these values, each checked against the kind of the one it replaces."""
    known = {field.name: getattr(default, field.name) for field in fields(default)}
    if unknown := sorted(set(values) - set(known)):
        raise TrainingError(
            f"{where} has unknown entries: {', '.join(unknown)}.", f"Known: {', '.join(known)}."
        )
    return replace(default, **{n: _checked(known[n], v, f"{where}: {n}") for n, v in values.items()})


def _checked(old: Any, new: Any, where: str) -> Any:
    if is_dataclass(old) and isinstance(new, Mapping):
        return _changed(old, new, where)
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
        return float(new)
    if type(new) is not type(old):
        raise TrainingError(f"{where} is {new!r}, where {type(old).__name__} is expected.")
    return new


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Values first, tables after them, as TOML wants it; all of ours are numbers and booleans."""
    tables = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    for name, value in values.items():
        if name not in tables:
            yield f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
    for name, table in tables.items():
        yield from ("", f"[{name}]", *_lines(table))
