"""`.../counterparts` and `.../difference`: a weight beside the one of its name at another step or in another file."""

from collections.abc import Iterator
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.analysis.difference import sketch_of
from weightsmith.errors import WeightsmithError
from weightsmith.names import printable
from weightsmith.web.answer import answer, as_json, encoded, number
from weightsmith.web.library import Opened, snapshot_id
from weightsmith.web.picture import Picture
from weightsmith.web.routes.statistics import histogram
from weightsmith.web.routes.weight import BINS, Index
from weightsmith.web.served import Here, Served
from weightsmith.web.work import Check

router = APIRouter()


@router.get("/api/sources/{source}/weights/{index}/counterparts")
def counterparts(request: Request, here: Here, source: str, index: Index) -> Response:
    """Where a weight can be compared: other steps of its run, and files with a weight of its name and shape."""
    opened = here.library.source(source)
    weight = opened.weight(index)
    files = {key: _holds(here, key, weight.name, weight.shape) for key in here.library.files if key != source}
    found = [{"source": key, "label": label, "step": None} for key, label in files.items() if label is not None]
    return answer(request, {"counterparts": [*_steps(here, opened), *found]})


@router.get("/api/sources/{source}/weights/{index}/difference")
async def difference(
    request: Request, here: Here, source: str, index: Index, against: str = Query(max_length=100)
) -> Response:
    """Statistics, quantiles and histogram of this weight less the other; `relative` is its norm by the other's."""
    opened = await to_thread.run_sync(here.library.source, source)
    picture = Picture(against=against)
    content = await to_thread.run_sync(here.content, opened, picture)

    def compute(_: Check) -> bytes:
        found = sketch_of(here.pyramid(opened, index, picture).grid)
        statistics = found.to_json()
        other = here.counterpart(opened, index, against).sketch().norm
        return as_json(
            {
                "quantiles": statistics.pop("quantiles"),
                "statistics": statistics,
                "relative": number(found.norm / other) if other else None,
                "histogram": histogram(found, BINS),
            }
        )

    body = await here.work.result(request, ("difference", content, index), compute, len)
    return encoded(request, body, "application/json")


def _steps(here: Served, opened: Opened) -> Iterator[dict[str, Any]]:
    """The other snapshots of a snapshot's run."""
    if opened.run is None:
        return
    store = opened.id.split("~")[0]
    for snapshot in opened.run.snapshots():
        key = snapshot_id(store, opened.run.id, snapshot.step)
        if key != opened.id:
            yield {"source": key, "label": printable(snapshot.label), "step": snapshot.step}


def _holds(here: Served, key: str, name: str, shape: tuple[int, ...]) -> str | None:
    """The label of a file that has such a weight; a file that cannot be read now has none."""
    try:
        opened = here.library.source(key)
    except (WeightsmithError, OSError):
        return None
    has = any(weight.name == name and weight.shape == shape for weight in opened.weights)
    return printable(opened.source.label) if has else None
