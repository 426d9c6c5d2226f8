"""What the view of a comparison needs: recipes and curves of runs, and the weights of runs and checkpoints."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

from weightsmith.errors import InputError
from weightsmith.web.export.ask import Ask
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Patience, Plan, Wanted, hello, known, runs

MOST = 8
"""Runs and checkpoints that the page compares; as `ui/src/panels/subjects.ts`."""

MORE = 20.0
"""Seconds for changes between other pairs than the one that is shown, and for distributions of other weights."""

References = list[tuple[str, str]]


def compared(place: Place) -> References:
    """What a view compares: `run` or `source` with its id, each once, in the order of the address."""
    named = {value: name for name, value in place.parameters if name in ("run", "source")}
    return [(name, value) for value, name in named.items()][:MOST]


async def compare(ask: Ask, place: Place) -> Plan:
    """Runs and checkpoints over each other.

    Raises:
        InputError: fewer than two are named.
    """
    references = compared(place)
    if len(references) < 2:
        raise InputError("there is nothing to compare: name two different runs or files")
    own = [value for name, value in references if name == "run"]
    sources = [value for name, value in references if name == "source"]
    asked = Asked.at("compare", run=own, source=sources)
    told = await known(ask, asked)
    ids = [value for _, value in references]
    yield hello({one.partition("~")[0] for one in ids if "~" in one}, {one for one in ids if "~" not in one})
    yield Wanted(asked)
    if own:
        yield runs(set(own))
    names = [name for name in told["series"] if name != "epoch"]
    for reference in own if names and len(own) > 1 else []:
        store, _, run_id = reference.partition("~")
        yield Wanted(Asked.at("stores", store, "runs", run_id, "series", name=names))
    held = {one["subject"]: one["source"] for one in told["weights"]}
    able = {one: held[one] for one in ids if held[one] is not None}
    if len(able) > 1:
        async for wanted in _weights(ask, able, place):
            yield wanted


async def _weights(ask: Ask, able: dict[str, str], place: Place) -> Plan:
    """Changes between two, statistics of all side by side, and distributions.

    Args:
        ask: asks the application.
        able: the weights of all that have some, by what the address calls them.
        place: the view.
    """
    pairs = _pairs(able, place)
    for pair in pairs[:2]:
        yield _changes(pair)
    asked = Asked.at("compare", "statistics", source=list(able.values()))
    yield Wanted(asked, "statistics side by side")
    patience = Patience(ask, MORE)
    told = await known(ask, asked)
    rows = _furthest_first(told["weights"], place.parameter("weight"))
    for row in rows[:1]:
        for wanted in _distributions(row, able):
            yield wanted
    async for wanted in patience.those_in_time(map(_changes, pairs[2:])):
        yield wanted
    for row in rows[1:]:
        async for wanted in patience.those_in_time(_distributions(row, able)):
            yield wanted


def _pairs(able: dict[str, str], place: Place) -> list[tuple[str, str]]:
    """Every two, the shown ones first, then these the other way round."""
    first = place.parameter("base") if place.parameter("base") in able else next(iter(able))
    others = [one for one in able if one != first]
    second = place.parameter("with") if place.parameter("with") in others else others[0]
    shown = [(first, second), (second, first)]
    return [(able[one], able[two]) for one, two in dict.fromkeys([*shown, *permutations(able, 2)])]


def _changes(pair: tuple[str, str]) -> Wanted:
    return Wanted(Asked.at("compare", "weights", source=list(pair)), "what changed in the weights")


def _distributions(row: dict[str, Any], able: dict[str, str]) -> Iterator[Wanted]:
    """The weights of one name, with no more than their distributions."""
    for source, entry in zip(able.values(), row["of"], strict=True):
        if entry is not None:
            asked = Asked.at("sources", source, "weights", entry["index"])
            yield Wanted(asked, "distributions of weights", trim=lambda told: told | {"outliers": []})


def _furthest_first(rows: list[dict[str, Any]], chosen: str) -> list[dict[str, Any]]:
    """The chosen weight, or the one that the page chooses: whose standard deviations are furthest apart."""
    return sorted(rows, key=lambda row: (row["name"] != chosen, -_spread(row)))


def _spread(row: dict[str, Any]) -> float:
    """From the smallest to the largest standard deviation, over the largest; -1 where there are not two."""
    values = [entry["std"] for entry in row["of"] if entry is not None and entry.get("std") is not None]
    if len(values) < 2:
        return -1
    return (max(values) - min(values)) / max(values) if max(values) > 0 else 0
