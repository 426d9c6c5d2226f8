"""`api/stores/{store}/runs/{run}`: everything that is known of one run, without its curves."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from weightsmith.store import Event, Run
from weightsmith.store.records import QUANTITIES
from weightsmith.store.schema import storable
from weightsmith.web.answer import as_json, encoded, text
from weightsmith.web.library import snapshot_id
from weightsmith.web.routes.runs import facts
from weightsmith.web.served import Here, Served
from weightsmith.weight import WeightInfo

router = APIRouter()

EVENTS = 2000
"""Most events that are handed out: the first and the last ones."""


@router.get("/api/stores/{store}/runs/{run}")
def run(request: Request, here: Here, store: str, run: str) -> Response:
    """Recipe, environment, weights, series, snapshots and events of a run."""
    body = here.turns.result(("run", store, run), lambda: as_json(_facts(here, store, run)))
    return encoded(request, body, "application/json")


def _facts(here: Served, store: str, run: str) -> dict[str, Any]:
    found = here.library.run(store, run)
    snapshots = [
        {
            "step": snapshot.step,
            "label": snapshot.label,
            "bytes": snapshot.bytes,
            "source": snapshot_id(store, found.id, snapshot.step),
        }
        for snapshot in found.snapshots()
    ]
    return {
        "store": store,
        **facts(found),
        "recipe": found.recipe,
        "environment": found.environment,
        "weights": [_described(info) for info in found.weights],
        "series": [{"name": name, "weight": weight} for name, weight in found.series_names()],
        "last_step": here.library.store(store).last_step(found.id),
        "snapshots": snapshots,
        "events": [_event(event) for event in _bounded(found.events())],
        "sketched": _sketched(found),
    }


def _described(info: WeightInfo) -> dict[str, Any]:
    """A weight under the name that its series have."""
    tied = None if info.tied_to is None else storable(info.tied_to)
    return {**info.to_json(), "name": storable(info.name), "tied_to": tied}


def _event(event: Event) -> dict[str, Any]:
    return {"step": event.step, "kind": text(event.kind), "payload": event.payload}


def _bounded(events: Sequence[Event]) -> Sequence[Event]:
    half = EVENTS // 2
    return events if len(events) <= EVENTS else [*events[:half], *events[-half:]]


def _sketched(run: Run) -> list[str]:
    """Which quantities were sketched at all."""
    known = run.sketched()
    return [quantity for quantity in QUANTITIES if quantity in known]
