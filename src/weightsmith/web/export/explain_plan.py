"""What the Explain tab of a run needs: all that it could ask for has no end, so number and time bound it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from weightsmith.web.export.ask import Ask
from weightsmith.web.export.image_plan import first_images
from weightsmith.web.export.place import Asked, Place
from weightsmith.web.export.plan import Patience, Plan, Wanted, known
from weightsmith.web.export.weight_plan import pictured

PART = "explanations"
FIRST_WEIGHT = "the first weights"

BEGIN = 6
"""Rows that the page explains before anybody has chosen; as `ui/src/panels/explain.tsx`."""

OUTPUTS = 16
"""Outputs of the rows shown that are explained beside each row's largest one."""

LAYERS = 16
"""Layers that Grad-CAM looks from, and whose units' inputs are kept."""

NEEDED, MORE = 60.0, 20.0
"""Seconds for what the tab shows at first, and for what its controls choose then."""

SHARE = 0.3
"""Part of the file in which every order of the first weight must find room."""

Base = tuple[str, ...]


def time_to_explain(ask: Ask) -> Patience:
    """Time for all that the tab shows at first."""
    return Patience(ask, NEEDED)


async def explained_source(patience: Patience, base: Base, snapshots: list[dict[str, Any]]) -> str:
    """The snapshot that the model of a run is built from; empty where none can be, or not in time."""
    told = await patience.known(Asked.at(*base, "explain"))
    if not told or not told["possible"] or not snapshots:
        return ""
    found: str = next((one for one in snapshots if one["step"] == told["step"]), snapshots[-1])["source"]
    return found


async def explanations(ask: Ask, patience: Patience, base: Base, place: Place) -> Plan:
    """Rows, what their outputs depend on, and what units like; of a model that cannot be asked why not.

    Args:
        ask: asks the application.
        patience: what is left of the time for what the tab shows at first.
        base: segments of the run's address.
        place: the view.
    """
    told = await patience.known(Asked.at(*base, "explain"))
    if told is None:
        return
    yield Wanted(Asked.at(*base, "explain"), PART)
    if not told["possible"]:
        return
    view = _View(base, told, place)
    pages = {asked.key: (asked, await patience.known(asked)) for asked in view.pages()}
    rows = [view.chosen(), *(_begin(page, told) for _, page in pages.values())]
    explained = list(dict.fromkeys(one for one in rows if one))  # none where no page came in time
    for asked, page in pages.values():
        if page is not None:
            yield Wanted(asked, PART)
    for first in (*map(view.answers, explained[:1]), view.liked(), *map(view.answers, explained[1:])):
        async for wanted in patience.those_in_time(first):
            yield wanted
    more = [*chain.from_iterable(map(view.choices, explained[:1])), *view.other_units()]
    async for wanted in Patience(ask, MORE).those_in_time(more):
        yield wanted


async def first_weight(ask: Ask, source: str, place: Place, budget: int) -> Plan:
    """The weights that read the input, at the snapshot that is explained.

    Args:
        ask: asks the application.
        source: the snapshot; empty where there is none.
        place: the view.
        budget: bytes that the file may have.
    """
    if not source:
        return
    whole = await known(ask, Asked.at("sources", source))
    yield Wanted(Asked.at("sources", source), FIRST_WEIGHT)
    matrices = [one for one in whole["weights"] if len(one["shape"]) > 1]
    if not matrices:
        return
    base = ("sources", source, "weights", str(min(matrices, key=lambda one: one["depth"])["index"]))
    detail = await known(ask, Asked.at(*base))
    if detail["image"]:
        yield Wanted(Asked.at(*base), FIRST_WEIGHT)
        async for wanted in first_images(ask, base, place):
            yield wanted
        return
    async for wanted in pictured(ask, base, place, int(SHARE * budget), FIRST_WEIGHT):
        yield wanted


@dataclass(frozen=True)
class _View:
    """The tab as a view has it.

    Attributes:
        base: segments of the run's address.
        told: what the server says of the model.
        place: the view.
    """

    base: Base
    told: dict[str, Any]
    place: Place

    def pages(self) -> Iterator[Asked]:
        """The page of rows that is shown, the first one, and the first one of mistakes."""
        shown = _number(self.place.parameter("first")) or 0
        wrong = "true" if self.place.parameter("wrong") == "1" else "false"
        for first, only in ((shown, wrong), (0, wrong), (0, "false"), (0, "true")):
            yield Asked.at(*self.base, "explain", "rows", first=first, wrong=only)

    def chosen(self) -> str:
        """The rows that the view names, as the page asks for them."""
        named = [part for part in self.place.parameter("rows").split(",") if part.isdigit() and len(part) < 10]
        return ",".join(map(str, list(dict.fromkeys(map(int, named)))[: self.told["at_once"]]))

    def answers(self, rows: str) -> Iterator[Wanted]:
        """What outputs of rows depend on, by every method: for the output that is chosen, and the largest of each."""
        layer = self.place.parameter("layer")
        for target in dict.fromkeys((_number(self.place.parameter("target")), None)):
            for method in self.told["methods"]:
                yield self._attribution(rows, method, target, None)
                if layer and method == "grad-cam":
                    yield self._attribution(rows, method, target, layer)

    def choices(self, rows: str) -> Iterator[Wanted]:
        """The same from every convolution and for every output."""
        for layer in self._layers(convolutions=True):
            yield self._attribution(rows, "grad-cam", None, layer["name"])
        outputs = range(min(len(self.told["outputs"]), OUTPUTS) if len(self.told["outputs"]) > 1 else 0)
        for method in self.told["methods"]:
            for target in outputs:
                yield self._attribution(rows, method, target, None)

    def liked(self) -> Iterator[Wanted]:
        """What the units that the view shows like, and those of the output."""
        layers = self.told["layers"]
        chosen = next((one for one in layers if one["name"] == self.place.parameter("of")), *layers[:1])
        if not layers:
            return
        last = max(0, chosen["units"] - 1)
        yield self._units(chosen, min(_number(self.place.parameter("unit")) or 0, last))
        yield self._units(layers[0], 0)

    def other_units(self) -> Iterator[Wanted]:
        """What the first units of other layers like."""
        for layer in self._layers(convolutions=False):
            yield self._units(layer, 0)

    def _layers(self, *, convolutions: bool) -> list[dict[str, Any]]:
        return [one for one in self.told["layers"] if one["is_convolution"] or not convolutions][:LAYERS]

    def _attribution(self, rows: str, method: str, target: int | None, layer: str | None) -> Wanted:
        asked = Asked.at(*self.base, "explain", "attribution", method=method, rows=rows, target=target, layer=layer)
        return Wanted(asked, PART)

    def _units(self, layer: dict[str, Any], first: int) -> Wanted:
        units = range(first, min(layer["units"], first + self.told["at_once"]))
        named = ",".join(map(str, units))
        return Wanted(Asked.at(*self.base, "explain", "maximized", layer=layer["name"], units=named), PART)


def _begin(page: dict[str, Any] | None, told: dict[str, Any]) -> str:
    """The rows of a page that are explained before anybody has chosen."""
    rows = [] if page is None else page["rows"][: min(BEGIN, told["at_once"])]
    return ",".join(str(one["row"]) for one in rows)


def _number(text: str) -> int | None:
    """A number that an address names, bounded as the page bounds it; None where it is none."""
    return min(int(text), 1_000_000_000) if text.isdigit() and text.isascii() and len(text) < 20 else None
