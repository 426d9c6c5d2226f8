"""`api/compare`: in what the recipes of runs differ, which curves they share, and where the weights of each lie."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response

from weightsmith.errors import InputError, WeightsmithError
from weightsmith.names import printable
from weightsmith.store import Run
from weightsmith.web.answer import answer
from weightsmith.web.faults import UnknownError, line_of
from weightsmith.web.library import Opened, snapshot_id
from weightsmith.web.served import Here

router = APIRouter()

MOST = 8
"""Runs, and as many sources."""

Found = TypeVar("Found")

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
    each run and source, in the order given, which weights stand for it: of a run those of its last snapshot. One that
    is not there or cannot be read has a `reason` instead, so that the others can be compared all the same.
    """
    if not run and not source:
        raise InputError("name at least one run or source to compare")
    runs = [_tried(partial(_run, here), one) for one in run]
    sources = [_tried(here.library.source, one) for one in source]
    if not any(isinstance(one, (Run, Opened)) for one in (*runs, *sources)):
        raise next(one for one in (*runs, *sources) if isinstance(one, Exception))
    weights = [*map(_kept, run, runs), *(_weights(here, *one) for one in zip(source, sources, strict=True))]
    differences, series = _differences(runs), _common([one for one in runs if isinstance(one, Run)])
    return answer(request, {"recipes": {"differences": differences}, "series": series, "weights": weights})


def _tried(find: Callable[[str], Found], reference: str) -> Found | WeightsmithError | OSError:
    """What is found under a reference, or why it is not."""
    try:
        return find(reference)
    except (WeightsmithError, OSError) as error:
        return error


def _differences(runs: list[Run | WeightsmithError | OSError]) -> list[dict[str, Any]]:
    flat = [_flat(one.recipe or {}) if isinstance(one, Run) else None for one in runs]
    known = [recipe for recipe in flat if recipe is not None]
    keys = dict.fromkeys(key for recipe in known for key in recipe)
    return [
        {"key": key, "values": [recipe and recipe.get(key) for recipe in flat]}
        for key in keys
        if any(recipe.get(key) != known[0].get(key) for recipe in known)
    ]


def _common(runs: list[Run]) -> list[str]:
    """The curves of the whole model that all of these runs have."""
    own = [[name for name, weight in one.series_names() if weight is None] for one in runs]
    return [name for name in own[0] if all(name in names for names in own)] if own else []


def _kept(reference: str, run: Run | WeightsmithError | OSError) -> dict[str, Any]:
    if not isinstance(run, Run):
        return _standing(reference, reference, reason=line_of(run))
    last = max((snapshot.step for snapshot in run.snapshots()), default=None)
    source = None if last is None else snapshot_id(reference.partition("~")[0], run.id, last)
    return _standing(reference, run.name or run.id, source, step=last)


def _weights(here: Here, source: str, opened: Opened | WeightsmithError | OSError) -> dict[str, Any]:
    if not isinstance(opened, Opened):
        return _standing(source, here.library.label(source), reason=line_of(opened))
    if opened.run is None:
        return _standing(source, opened.source.label, opened.id, opened.tag)
    return _standing(source, opened.run.name or opened.run.id, opened.id, opened.tag, int(opened.id.rpartition("~")[2]))


def _standing(
    subject: str,
    label: str,
    source: str | None = None,
    content: str | None = None,
    step: int | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Which weights stand for a run or source, or why none do; a run may just have kept none."""
    return {
        "subject": subject,
        "source": source,
        "content": content,
        "label": printable(label),
        "step": step,
        "reason": reason,
    }


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
