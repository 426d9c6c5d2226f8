"""`api/compare`: in what the recipes of runs differ, which curves they share, and where the weights of each lie."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.store import Run
from weightsmith.web.answer import answer
from weightsmith.web.faults import UnknownError
from weightsmith.web.library import snapshot_id
from weightsmith.web.served import Here

router = APIRouter()

MOST = 16

Reference = Annotated[str, Query(max_length=100)]


@router.get("/api/compare")
def compare(
    request: Request,
    here: Here,
    run: Annotated[list[Reference], Query(max_length=MOST)] = [],  # noqa: B006 -- FastAPI copies it
    source: Annotated[list[Reference], Query(max_length=MOST)] = [],  # noqa: B006
) -> Response:
    """Each `run` is `STORE~ID`, each `source` a file or a snapshot; at least one is given.

    Every difference of the recipes has one value for each run, null where its recipe says nothing. `weights` tells of
    each run and source, in the order given, which weights stand for it: of a run those of its last snapshot.
    """
    if not run and not source:
        raise InputError("name at least one run or source to compare")
    runs = [_run(here, reference) for reference in run]
    weights = [*map(_kept, run, runs), *(_weights(here, one) for one in source)]
    return answer(
        request, {"recipes": {"differences": _differences(runs)}, "series": _common(runs), "weights": weights}
    )


def _differences(runs: list[Run]) -> list[dict[str, Any]]:
    flat = [_flat(one.recipe or {}) for one in runs]
    keys = dict.fromkeys(key for recipe in flat for key in recipe)
    table = {key: [recipe.get(key) for recipe in flat] for key in keys}
    return [{"key": key, "values": values} for key, values in table.items() if any(one != values[0] for one in values)]


def _common(runs: list[Run]) -> list[str]:
    """The curves of the whole model that all of these runs have."""
    own = [[name for name, weight in one.series_names() if weight is None] for one in runs]
    return [name for name in own[0] if all(name in names for names in own)] if own else []


def _kept(reference: str, run: Run) -> dict[str, Any]:
    last = max((snapshot.step for snapshot in run.snapshots()), default=None)
    source = None if last is None else snapshot_id(reference.partition("~")[0], run.id, last)
    return {
        "subject": reference,
        "source": source,
        "content": None,
        "label": printable(run.name or run.id),
        "step": last,
    }


def _weights(here: Here, source: str) -> dict[str, Any]:
    opened = here.library.source(source)
    step = None if opened.run is None else int(opened.id.rpartition("~")[2])
    label = opened.source.label if opened.run is None else opened.run.name or opened.run.id
    return {"subject": source, "source": opened.id, "content": opened.tag, "label": printable(label), "step": step}


def _run(here: Here, reference: str) -> Run:
    store, separator, run = reference.partition("~")
    if not separator:
        raise UnknownError("a run is named as STORE~ID, such as s0~20261123-204711-k3f9")
    return here.library.run(store, run)


def _flat(recipe: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys: {"model.hidden": [300, 100], ...}."""
    found: dict[str, Any] = {}
    for key, value in recipe.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{name}.")
        else:
            found[name] = value
    return found
