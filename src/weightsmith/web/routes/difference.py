"""`.../counterparts` and `.../difference`: a weight beside the one of its name at another step, run or file."""

import itertools
from collections.abc import Iterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from weightsmith.analysis.difference import sketch_of
from weightsmith.errors import UnknownRunError, WeightsmithError
from weightsmith.names import printable
from weightsmith.sources import Weight
from weightsmith.web.answer import answer, as_json, encoded, number
from weightsmith.web.library import Opened, snapshot_id
from weightsmith.web.picture import Picture
from weightsmith.web.routes.statistics import histogram
from weightsmith.web.routes.weight import BINS, Index
from weightsmith.web.served import Here, Served
from weightsmith.web.work import Check

router = APIRouter()


RUNS = 40
"""Newest runs of each store that are looked at for a weight of the same name and shape."""

Reference = Annotated[str | None, Query(max_length=100)]


@router.get("/api/sources/{source}/weights/{index}/counterparts")
def counterparts(request: Request, here: Here, source: str, index: Index, also: Reference = None) -> Response:
    """Where there is a weight of this name and shape: at other steps of its run, in the newest other runs, in files.

    `group` is `steps`, `runs` or `files`. `also` names a snapshot that is looked at however old its run is.
    """
    opened = here.library.source(source)
    weight = opened.weight(index)
    found = [*_steps(here, opened), *_runs(here, opened, weight), *_files(here, opened, weight)]
    if also is not None and also not in (opened.id, *(one["source"] for one in found)):
        found += _older(here, also, weight)
    return answer(request, {"counterparts": found})


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
            yield _entry("steps", key, snapshot.label, snapshot.step)


def _runs(here: Served, opened: Opened, weight: Weight) -> Iterator[dict[str, Any]]:
    """The last snapshots of other runs, newest first; what a run says of its weights tells without opening any."""
    own = opened.id.rpartition("~")[0]
    for key, store in here.library.stores.items():
        for summary in itertools.islice(store.runs(), RUNS):
            if f"{key}~{summary.id}" == own:
                continue
            try:
                run = store.run(summary.id)
                last = max((one.step for one in run.snapshots()), default=None)
            except UnknownRunError:  # deleted since the list was read
                continue
            if last is not None and any((one.name, one.shape) == (weight.name, weight.shape) for one in run.weights):
                yield _entry("runs", snapshot_id(key, run.id, last), run.name or run.id, last)


def _files(here: Served, opened: Opened, weight: Weight) -> Iterator[dict[str, Any]]:
    for key in here.library.files:
        if key != opened.id:
            found = _holding(here, key, weight)
            if found is not None:
                yield _entry("files", key, found.source.label, None, found.tag)


def _older(here: Served, source: str, weight: Weight) -> Iterator[dict[str, Any]]:
    found = _holding(here, source, weight)
    if found is not None and found.run is not None:
        yield _entry("runs", found.id, found.run.name or found.run.id, int(found.id.rpartition("~")[2]))


def _holding(here: Served, source: str, weight: Weight) -> Opened | None:
    """The weights of an id if they hold such a weight and can be read now."""
    try:
        opened = here.library.source(source)
    except (WeightsmithError, OSError):
        return None
    return opened if any((one.name, one.shape) == (weight.name, weight.shape) for one in opened.weights) else None


def _entry(group: str, source: str, label: str, step: int | None, content: str | None = None) -> dict[str, Any]:
    return {"source": source, "content": content, "group": group, "label": printable(label), "step": step}
