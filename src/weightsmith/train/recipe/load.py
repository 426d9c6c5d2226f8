"""Reading a recipe from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weightsmith.errors import InputError
from weightsmith.names import suggestion
from weightsmith.train.recipe.complaints import shown
from weightsmith.train.recipe.names import is_path
from weightsmith.train.recipe.recipe import Recipe
from weightsmith.train.recipe.text import parse

_LARGEST = 1 << 20
"""Bytes; a recipe is a page of text, and a parser's time should not be at the mercy of a wrong file."""


def load_recipe(path: str | Path) -> Recipe:
    """The recipe in a YAML file. Relative paths in it count from the file's folder.

    Raises:
        InputError: for a file that is missing, no file or no YAML, and one line for each mistake in its fields.
    """
    file = Path(path).expanduser()
    given = parse(_read(file), str(path))
    if not isinstance(given, Mapping):
        found = "is empty" if given is None else f"holds {shown(given)}"
        raise InputError(f"{path}: {found}; a recipe is a mapping of fields such as `model: mlp`")
    try:
        return Recipe.from_dict(_anchored(given, file.resolve().parent))
    except InputError as error:
        raise InputError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from None


def _read(file: Path) -> str:
    if file.is_dir():
        raise InputError(f"{file} is a folder: give a recipe file")
    if not file.exists():
        near = [other.name for other in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        raise InputError(f"no recipe at {file}{suggestion(file.name, near)}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise InputError(f"{file}: {len(content):,} bytes are too many for a recipe (at most {_LARGEST:,})")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}, line {line}: not UTF-8 text") from None


def _anchored(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe's values with the data's path and the place of the user's own model made absolute."""
    values = dict(given)
    data = values.get("data")
    if isinstance(data, str) and data and is_path(data, folder):
        data = {"path": data}
    if isinstance(data, Mapping) and isinstance(data.get("path"), str) and data["path"]:
        values["data"] = {**data, "path": _absolute(data["path"], folder)}
    model = {"name": values["model"]} if isinstance(values.get("model"), str) else values.get("model")
    if isinstance(model, Mapping) and ":" in str(model.get("name")):
        near = model.get("folder")
        values["model"] = {**model, "folder": _absolute(near if isinstance(near, str) else ".", folder)}
    return values


def _absolute(path: str, folder: Path) -> str:
    return str((folder / Path(path).expanduser()).resolve())
