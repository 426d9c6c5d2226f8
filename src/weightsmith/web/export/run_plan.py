"""What the view of a run needs, tab by tab."""

from typing import Any

import numpy as np

from weightsmith.web.export.ask import Ask
from weightsmith.web.export.explain_plan import explained_source, explanations, first_weight, time_to_explain
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Plan, Wanted, hello, known, table

SNAPSHOTS = 12
"""Most snapshots of a run whose tables of weights are kept, beside the chosen one and the one that is explained."""


async def run(ask: Ask, store: str, run_id: str, place: Place, budget: int) -> Plan:
    """A run with all its tabs.

    Args:
        ask: asks the application.
        store: where the run is kept.
        run_id: which one.
        place: the view: the snapshot, the weight and the rows that it shows.
        budget: bytes that the file may have.
    """
    base = ("stores", store, "runs", run_id)
    detail = await known(ask, Asked.at(*base))
    yield hello({store}, set())
    patience = time_to_explain(ask)
    explained = await explained_source(patience, base, detail["snapshots"])
    kept = _spread([one["source"] for one in detail["snapshots"]], [place.parameter("snapshot"), explained])

    def trim(told: Any) -> Any:
        return told | {"snapshots": [one for one in told["snapshots"] if one["source"] in kept]}

    yield Wanted(Asked.at(*base), trim=trim)
    yield Wanted(Asked.at(*base, "findings"))
    for wanted in _recorded(base, detail["series"]):
        yield wanted
    for plan in (
        _tables(ask, kept[:2], "tables of weights"),
        explanations(ask, patience, base, place),
        _histograms(base, detail, place),
        first_weight(ask, explained, place, budget),
        _tables(ask, kept[2:], "tables of weights at other steps"),
    ):
        async for wanted in plan:
            yield wanted


async def _tables(ask: Ask, snapshots: list[str], part: str) -> Plan:
    for snapshot in snapshots:
        async for wanted in table(ask, snapshot, part):
            yield wanted


async def _histograms(base: tuple[str, ...], detail: dict[str, Any], place: Place) -> Plan:
    for weight in _first(detail["weights"], place.parameter("weight")):
        for quantity in detail["sketched"]:
            yield Wanted(Asked.at(*base, "histograms", weight=weight, quantity=quantity), "histograms over time")


def _recorded(base: tuple[str, ...], series: list[dict[str, Any]]) -> list[Wanted]:
    """What curves, layers and the recorder's own panel ask for, as far as it was recorded."""
    own = [one["name"] for one in series if one["weight"] is None]
    by_layer = list(dict.fromkeys(one["name"] for one in series if one["weight"] is not None))
    wanted = [Wanted(Asked.at(*base, "series", name=own))] if own else []
    if "recorder_share" in own:
        wanted.append(Wanted(Asked.at(*base, "series", name="recorder_share"), "what recording cost"))
    if "gradient_norm" in by_layer:
        wanted.append(Wanted(Asked.at(*base, "gradients"), "gradient flow"))
    return wanted + [Wanted(Asked.at(*base, "layers", name=name), "layers over steps") for name in by_layer]


def _first(weights: list[Any], chosen: str) -> list[str]:
    """Names of weights: the chosen one, then those whose histograms are looked at first."""
    late = {"bias", "norm"}
    ordered = sorted(weights, key=lambda one: (one["name"] != chosen, one["role"] in late))
    return [one["name"] for one in ordered]


def _spread(sources: list[str], chosen: list[str]) -> list[str]:
    """The last snapshot, the chosen ones, and of the others as many as may be, evenly spread."""
    places = np.linspace(0, len(sources) - 1, min(len(sources), SNAPSHOTS)).round().astype(int)
    last = sources[-1:]
    return list(dict.fromkeys([*last, *(one for one in chosen if one in sources), *(sources[at] for at in places)]))
