"""Which weights of a model are siblings in its layers, told from their names."""

import re
from collections.abc import Sequence

from weightsmith.plots.style import shown

_NUMBER = re.compile(r"(\d+)")

TICKS = 16
"""Layers whose number an axis has room for."""


def family(name: str) -> str:
    """The name without its numbers: what its siblings in other layers are called as well."""
    return _NUMBER.sub("#", name)


def families(kin: Sequence[str], most: int) -> dict[str, str]:
    """The largest families of three or more members, in order of appearance, with what a legend calls them."""
    sizes = {name: kin.count(name) for name in dict.fromkeys(kin)}
    large = [name for name, size in sizes.items() if size >= 3]
    kept = set(sorted(large, key=lambda name: -sizes[name])[:most])
    chosen = [name for name in large if name in kept]
    start = _shared([name.split(".") for name in chosen])
    end = _shared([name.split(".")[start:][::-1] for name in chosen])
    short = {name: ".".join(name.split(".")[start : len(name.split(".")) - end]) for name in chosen}
    return {name: shown(text or name, 28) for name, text in short.items()}


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """How many parts all paths begin with, leaving each at least one."""
    count = 0
    while paths and all(len(path) > count + 1 and path[count] == paths[0][count] for path in paths):
        count += 1
    return count


def blocks(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Where each numbered layer begins and its number, thinned to what an axis has room for.

    A layer's number is the first one in which a name differs from its siblings: the 3 of `layer.3.key`, not the 2 of
    `conv2d_117`. Empty where there are no such layers, or most hold a single weight.
    """
    layers = _layers(names)
    starts = [i for i, layer in enumerate(layers) if layer is not None and (i == 0 or layer != layers[i - 1])]
    if len(starts) < 3 or 2 * len(starts) > len(names):
        return [], []
    every = -(-len(starts) // TICKS)
    return starts[::every], [str(layer[1])[:6] for i in starts[::every] if (layer := layers[i]) is not None]


def _layers(names: Sequence[str]) -> list[tuple[str, str] | None]:
    """For each name, the text before its layer's number and that number."""
    kin: dict[str, list[list[str]]] = {}
    for name in names:
        kin.setdefault(family(name), []).append(_NUMBER.split(name))
    place = {}
    for key, members in kin.items():
        numbered = range(1, len(members[0]), 2)
        place[key] = next((i for i in numbered if len({parts[i] for parts in members}) > 1), None)
    found: list[tuple[str, str] | None] = []
    for name in names:
        parts, at = _NUMBER.split(name), place[family(name)]
        found.append(None if at is None else ("".join(parts[:at]), parts[at]))
    return found
