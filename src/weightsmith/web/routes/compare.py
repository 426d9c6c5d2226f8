"""`api/compare`: in what the recipes of runs differ, and which curves they have in common."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from weightsmith.store import Run
from weightsmith.web.answer import answer
from weightsmith.web.faults import UnknownError
from weightsmith.web.served import Here

router = APIRouter()

MOST = 16

Reference = Annotated[str, Query(max_length=100)]


@router.get("/api/compare")
def compare(
    request: Request, here: Here, run: Annotated[list[Reference], Query(min_length=1, max_length=MOST)]
) -> Response:
    """Each `run` is `STORE~ID`; every difference has one value for each run, null where its recipe says nothing."""
    found = [_run(here, reference) for reference in run]
    flat = [_flat(one.recipe or {}) for one in found]
    keys = dict.fromkeys(key for recipe in flat for key in recipe)
    table = {key: [recipe.get(key) for recipe in flat] for key in keys}
    differences = [
        {"key": key, "values": values} for key, values in table.items() if any(value != values[0] for value in values)
    ]
    own = [[name for name, weight in one.series_names() if weight is None] for one in found]
    common = [name for name in own[0] if all(name in names for names in own)]
    return answer(request, {"recipes": {"differences": differences}, "series": common})


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
