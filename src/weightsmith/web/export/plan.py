"""What a view needs: every address that its panels and controls may ask for, the most important ones first.

A new panel or control takes one line here: a `yield` of what it asks for.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightsmith.errors import InputError
from weightsmith.web.export.ask import Answer, Ask
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.faults import UnknownError

SNAPSHOTS = 12
"""Most snapshots of a run whose tables of weights are kept."""

Trim = Callable[[Any], Any]


@dataclass(frozen=True)
class Wanted:
    """One answer that a view may ask for.

    Attributes:
        asked: the address.
        part: what it belongs to, in words for people; where one answer of a part finds no room, the others of that part
            are left out as well. Without it the view is nothing without the answer.
        trim: takes out of the answer what is none of this view's business, or is not kept.
    """

    asked: Asked
    part: str = ""
    trim: Trim | None = None


Plan = AsyncIterator[Wanted]


async def known(ask: Ask, asked: Asked) -> Any:
    """The JSON at an address.

    Raises:
        UnknownError: nothing is there.
        InputError: it cannot be read.
    """
    return found(await ask(asked))


def found(answer: Answer) -> Any:
    """The JSON of an answer, as `known`."""
    if answer.good:
        return answer.json()
    raise (UnknownError if answer.status == 404 else InputError)(answer.error)


def hello(stores: set[str], files: set[str]) -> Wanted:
    """What is served, without the stores and files that the view does not speak of."""

    def trim(told: Any) -> Any:
        kept = {"stores": stores, "files": files}
        return told | {name: [one for one in told[name] if one["id"] in ids] for name, ids in kept.items()}

    return Wanted(Asked.at("hello"), trim=trim)


def runs(references: set[str] | None) -> Wanted:
    """The list of runs, or of these alone."""
    if references is None:
        return Wanted(Asked.at("runs"))

    def trim(told: Any) -> Any:
        return {"runs": [run for run in told["runs"] if f"{run['store']}~{run['id']}" in references]}

    return Wanted(Asked.at("runs"), trim=trim)


async def all_runs(ask: Ask) -> Plan:
    """The list of all runs."""
    told = await known(ask, Asked.at("hello"))
    yield hello({one["id"] for one in told["stores"]}, {one["id"] for one in told["files"]})
    yield runs(None)


async def run(ask: Ask, store: str, run_id: str, place: Place) -> Plan:
    """A run with all its tabs."""
    base = ("stores", store, "runs", run_id)
    detail = await known(ask, Asked.at(*base))
    yield hello({store}, set())
    kept = _spread([one["source"] for one in detail["snapshots"]], place.parameter("snapshot"))

    def trim(told: Any) -> Any:
        return told | {"snapshots": [one for one in told["snapshots"] if one["source"] in kept]}

    yield Wanted(Asked.at(*base), trim=trim)
    yield Wanted(Asked.at(*base, "findings"))
    own = [one["name"] for one in detail["series"] if one["weight"] is None]
    if own:
        yield Wanted(Asked.at(*base, "series", name=own))
    for name in dict.fromkeys(one["name"] for one in detail["series"] if one["weight"] is not None):
        yield Wanted(Asked.at(*base, "layers", name=name), "layers over steps")
    for snapshot in kept[:2]:
        async for wanted in table(ask, snapshot, "tables of weights"):
            yield wanted
    for weight in _first(detail["weights"], place.parameter("weight")):
        for quantity in detail["sketched"]:
            yield Wanted(Asked.at(*base, "histograms", weight=weight, quantity=quantity), "histograms over time")
    for snapshot in kept[2:]:
        async for wanted in table(ask, snapshot, "tables of weights at other steps"):
            yield wanted


async def source(ask: Ask, source_id: str) -> Plan:
    """The table of weights of a file or snapshot."""
    yield origin(source_id)
    async for wanted in table(ask, source_id):
        yield wanted


async def table(_: Ask, source_id: str, part: str = "") -> Plan:
    """What a panel of weights asks for."""
    yield Wanted(Asked.at("sources", source_id), part)
    yield Wanted(Asked.at("sources", source_id, "statistics"), part)
    yield Wanted(Asked.at("sources", source_id, "findings"), part)


async def compare(ask: Ask, references: list[str]) -> Plan:
    """Runs over each other."""
    asked = Asked.at("compare", run=references)
    told = await known(ask, asked)
    yield hello({reference.partition("~")[0] for reference in references}, set())
    yield Wanted(asked)
    yield runs(set(references))
    names = [name for name in told["series"] if name != "epoch"]
    for reference in references if names else []:
        store, _, run_id = reference.partition("~")
        yield Wanted(Asked.at("stores", store, "runs", run_id, "series", name=names))


def origin(source_id: str) -> Wanted:
    """What is served, as far as these weights come from it."""
    store = source_id.partition("~")[0]
    return hello({store}, {source_id})


def _first(weights: list[Any], chosen: str) -> list[str]:
    """Names of weights: the chosen one, then those whose histograms are looked at first."""
    late = {"bias", "norm"}
    ordered = sorted(weights, key=lambda one: (one["name"] != chosen, one["role"] in late))
    return [one["name"] for one in ordered]


def _spread(sources: list[str], chosen: str) -> list[str]:
    """The last snapshot, the chosen one, and of the others as many as may be, evenly spread."""
    places = np.linspace(0, len(sources) - 1, min(len(sources), SNAPSHOTS)).round().astype(int)
    last = sources[-1:]
    return list(dict.fromkeys([*last, *(one for one in sources if one == chosen), *(sources[at] for at in places)]))
