"""Changing single fields of a recipe: `optimizer.lr=0.01`."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from weightsmith.errors import InputError
from weightsmith.train.recipe.text import parse

_EXCLUSIVE = (
    ("budget.epochs", "budget.steps", "budget.seconds"),
    ("data.name", "data.path"),
    ("init.name", "init.weights"),
)
"""Fields of which only one may be set: setting one takes back the others."""


def assign(given: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Plain values of a recipe with the assignments made, in order."""
    changed = copy.deepcopy(dict(given))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path = path.strip()
        if not equals or not all(path.split(".")):
            raise InputError(f"'{assignment}' is not an assignment: write path=value, such as optimizer.lr=0.01")
        _set(changed, path, parse(text, f"--set {path}"))
    return changed


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    part = values
    for parent in parents:
        if not isinstance(part.get(parent), dict):
            part[parent] = {}
        part = part[parent]
    for others in _EXCLUSIVE:
        if path in others:
            for other in others:
                part.pop(other.rsplit(".", 1)[1], None)
    part[key] = value
